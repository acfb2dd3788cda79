//! The example of CONTRIBUTING.md: a whole destination in one folder, and the conformance suite run on it.
//!
//! Acme is a CRM nobody has. `POST /people` upserts at most 50 people by e-mail address and answers with one line per
//! person, in any order. In real life this folder lies in a `writer-*` crate, and two lines of its `lib.rs` name it.

mod simulator;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use flow::{
    Attribution, Destination, Error, Field, FieldKind, Limits, Mode, NullRule, ObjectSchema,
    Outcome, Receipt, Result, Retry, Secret, WriteBatch,
};
use schemars::JsonSchema;
use serde::Deserialize;
use writer::codes::{
    E2004_BAD_ANSWER, E2005_SERVER, E2006_THROTTLED, E2009_CREDENTIALS, E2011_NO_SUCH_OBJECT,
    E2016_CALL, E2017_NOT_OFFERED, R201_INVALID,
};
use writer::encode::{Cells, SecondDecimals, Spelling, push_string};
use writer::{
    BaseUrl, Client, ClientOptions, DestinationKind, Method, OpenArgs, Outcomes, Reply, Request,
};

/// The table row: all that the rest of outflow knows about Acme.
pub(crate) const KIND: DestinationKind = DestinationKind {
    name: "acme",
    category: "crm",
    summary: "Acme CRM: people, by bulk upsert.",
    open,
    options_schema: || schemars::schema_for!(Options),
    simulate: Some(simulator::build),
    codes: &[],
};

const ROWS_MAX: usize = 50;

/// A connection of `type: acme`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Options {
    /// API key.
    token: Secret,
    /// Where requests go instead of the vendor: a simulator, a proxy or a sandbox.
    #[serde(default)]
    base_url: Option<String>,
}

/// Opening is pure: nothing is sent.
fn open(args: OpenArgs) -> Result<Arc<dyn Destination>> {
    let options: Options = writer::options::parse(&args)?;
    let (name, base_url) = (&args.connection, options.base_url.as_deref());
    let client = Client::new(ClientOptions {
        base_url: BaseUrl::new(name, base_url, "https://api.acme.example")?,
        headers: writer::bearer(name, &options.token)?,
        connection: name.clone(),
        ca_file: None,
        request_timeout: Duration::from_secs(30),
        metrics: args.metrics,
    })?;
    Ok(Arc::new(Acme { client, token: options.token }))
}

struct Acme {
    client: Client,
    token: Secret,
}

#[async_trait]
impl Destination for Acme {
    fn limits(&self, object: &str) -> Result<Limits> {
        if object != "people" {
            return Err(Error::new(&E2011_NO_SUCH_OBJECT, format!("Acme has no `{object}`")));
        }
        Ok(Limits {
            rows_max: ROWS_MAX,
            bytes_max: 1024 * 1024,
            in_flight_max: 4,
            modes: &[Mode::Upsert],
            attribution: Attribution::ReturnedKey,
            null_rule: NullRule::EmptyString,
            renames: false,
            ..Limits::LEAST
        })
    }

    async fn describe(&self, object: &str) -> Result<ObjectSchema> {
        self.limits(object)?;
        // Acme has no route that lists fields, so this asks who we are: the probe of the token.
        self.call(Method::GET, "/me", "describe", None).await?;
        let plans = ["free", "pro"].map(str::to_owned).to_vec();
        let field = |name: &str, kind, unique| Field {
            name: name.to_owned(),
            label: name.to_owned(),
            kind,
            required: unique,
            unique,
            read_only: false,
            folds_case: unique,
        };
        let fields = vec![
            field("email", FieldKind::Email, true),
            field("name", FieldKind::Text { chars_max: Some(200) }, false),
            field("plan", FieldKind::Enum { options: plans }, false),
        ];
        Ok(ObjectSchema { object: object.to_owned(), fields, open: false })
    }

    fn objects(&self) -> Vec<String> {
        vec!["people".to_owned()]
    }

    async fn write(&self, batch: &WriteBatch) -> Result<Receipt> {
        let rows = batch.payload.rows();
        if batch.mode != Mode::Upsert {
            return Err(Error::new(&E2017_NOT_OFFERED, "Acme is written to by upsert"));
        }
        if rows > ROWS_MAX {
            return Err(Error::new(&E2016_CALL, format!("{rows} rows in a call of {ROWS_MAX}")));
        }
        if rows == 0 {
            return Ok(Receipt { outcomes: Vec::new() });
        }
        let reply = self.call(Method::POST, "/people", "upsert", Some(body(batch))).await?;
        self.receipt(&reply, batch)
    }
}

impl Acme {
    async fn call(
        &self,
        method: Method,
        path: &str,
        operation: &'static str,
        body: Option<Vec<u8>>,
    ) -> Result<Reply> {
        let reply =
            self.client.send(Request { method, path: path.to_owned(), operation, body }).await?;
        if reply.is_success() { Ok(reply) } else { Err(classify(&reply)) }
    }

    /// Reads `[{"email": "a@x.io", "id": "17"}, {"email": "b@x.io", "error": "..."}]`.
    fn receipt(&self, reply: &Reply, batch: &WriteBatch) -> Result<Receipt> {
        let answers: Vec<Answer> = serde_json::from_slice(&reply.body).map_err(|error| {
            Error::new(&E2004_BAD_ANSWER, "Acme's answer is not a list of people")
                .with_retry(Retry::Backoff)
                .ambiguous()
                .with_source(error)
        })?;
        let emails = batch.payload.fields.column_by_name("email").expect("match_on is a column");
        let emails: Vec<_> =
            (0..batch.payload.rows()).map(|row| flow::text_at(emails, row)).collect();
        let mut outcomes = Outcomes::new(emails.len());
        for answer in answers {
            let row = emails.iter().position(|email| email.eq_ignore_ascii_case(&answer.email));
            let outcome = match answer.error {
                None => Outcome::Delivered { created: None, remote_id: answer.id },
                Some(message) => Outcome::Rejected {
                    code: &R201_INVALID,
                    message: writer::scrub(&message, &self.token),
                    field: None,
                },
            };
            outcomes.set(row, outcome);
        }
        // Whoever the answer does not mention is unknown, never delivered.
        Ok(outcomes.receipt("not in the answer"))
    }
}

#[derive(Deserialize)]
struct Answer {
    email: String,
    id: Option<String>,
    error: Option<String>,
}

/// Writes `[{"email": "...", "name": "..."}]`: an absent field is left out, null is the empty text.
fn body(batch: &WriteBatch) -> Vec<u8> {
    let spelling = Spelling { second_decimals: SecondDecimals::Three, list_separator: ";" };
    let fields = &batch.payload.fields;
    let columns: Vec<_> =
        fields.columns().iter().map(|column| Cells::new(column, spelling)).collect();
    let mut out = vec![b'['];
    for row in 0..fields.num_rows() {
        out.extend_from_slice(if row == 0 { b"{" } else { b",{" });
        let mut separator: &[u8] = b"";
        for (column, field) in fields.schema_ref().fields().iter().enumerate() {
            if batch.payload.is_absent(column, row) {
                continue;
            }
            out.extend_from_slice(separator);
            push_string(field.name(), &mut out);
            out.push(b':');
            columns[column].push_string(row, &mut out);
            separator = b",";
        }
        out.push(b'}');
    }
    out.push(b']');
    out
}

/// The one place that says what a refused call means.
fn classify(reply: &Reply) -> Error {
    match reply.status {
        401 | 403 => Error::new(&E2009_CREDENTIALS, "Acme refuses the token"),
        429 => Error::new(&E2006_THROTTLED, "Acme asks to slow down")
            .with_retry(Retry::After(Duration::from_secs(10))),
        status => Error::new(&E2005_SERVER, format!("Acme answered with status {status}"))
            .with_retry(Retry::Backoff)
            .ambiguous(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_example_destination_passes_the_conformance_suite() {
    writer::conformance::run(&writer::conformance::Subject::of(&KIND)).await;
}
