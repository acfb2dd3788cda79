//! One destination at its own fresh double, and what the cases do with it: write rows, script faults, look what is held.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use arrow::array::{ArrayRef, RecordBatch, StringArray};
use flow::metrics::Metrics;
use flow::{
    Clock, Destination, Error, Field, FieldKind, Limits, Mode, Outcome, Payload, Receipt,
    WriteBatch,
};
use serde_json::Value;
use simulator::{Running, Settings};

use super::fields::{assert_each_field_is_listed_once, named, roomiest_text, value_of};
use super::jobs::MemoryJournal;
use super::{Bad, Subject};
use crate::{BaseUrl, Client, ClientOptions, Method, OpenArgs, Request};

/// A token no vendor gave out; it must appear in no error.
const TOKEN: &str = "conformance-secret";

/// One destination with its own fresh double.
pub(super) struct Bench {
    pub(super) name: &'static str,
    pub(super) server: Running,
    admin: Client,
    pub(super) destination: Arc<dyn Destination>,
    pub(super) limits: Limits,
    pub(super) object: String,
    pub(super) match_on: Field,
    pub(super) text: Field,
    pub(super) bad: Bad,
    /// Further text fields that no record is made without.
    required: Vec<String>,
}

/// What a row of a test holds besides the value it is found by.
#[derive(Clone)]
pub(super) enum Cell {
    Text(String),
    Null,
    Absent,
}

pub(super) type Rows = Vec<(String, Cell)>;

impl Bench {
    pub(super) async fn start(subject: &Subject<'_>) -> Self {
        let name = subject.kind.name;
        let double = subject.double.unwrap_or_else(|| panic!("{name} has no double"));
        let server = simulator::start(double, Settings::default()).await.expect("it starts");
        let destination = open(subject, &server.url(), "30s").expect("its options are complete");
        let object = destination.objects().into_iter().next().expect("it names an object");
        let limits = destination.limits(&object).expect("it has limits for its object");
        let schema = destination.describe(&object).await.expect("it describes its object");
        let field = |what: &str, fits: &dyn Fn(&Field) -> bool| -> Field {
            let found = schema.fields.iter().find(|field| !field.read_only && fits(field));
            found.unwrap_or_else(|| panic!("{name}: {object} has no {what}")).clone()
        };
        assert!(limits.modes.contains(&Mode::Upsert), "{name}: the suite writes by upsert");
        assert_each_field_is_listed_once(name, &schema);
        let (match_on, text) = match subject.fields {
            Some((match_on, text)) => (named(match_on), named(text)),
            None => (
                field("unique field", &|field| field.unique),
                roomiest_text(&schema).unwrap_or_else(|| panic!("{name}: {object} has no text")),
            ),
        };
        let required = schema.fields.iter().filter(|field| field.required && !field.read_only);
        let required = required.map(|field| field.name.clone());
        let bad = subject.bad.clone().unwrap_or_else(|| {
            let choice =
                field("field with options", &|field| matches!(field.kind, FieldKind::Enum { .. }));
            let FieldKind::Enum { options } = choice.kind else { unreachable!("chosen so") };
            let good = options.first().cloned().unwrap_or_default();
            Bad::Value { field: choice.name, good, bad: "no such option".to_owned() }
        });
        Self {
            name,
            admin: client(&server.url()),
            required: required.filter(|name| *name != match_on.name).collect(),
            match_on,
            text,
            bad,
            server,
            destination,
            limits,
            object,
        }
    }

    pub(super) fn knows_only_jobs(&self) -> bool {
        self.limits.jobs.is_some_and(|jobs| jobs.rows_min == 1)
    }

    /// Most rows of one write.
    pub(super) fn rows_max(&self) -> usize {
        let jobs = self.limits.jobs.filter(|_| self.knows_only_jobs());
        jobs.map_or(self.limits.rows_max, |jobs| jobs.rows_max)
    }

    /// Values records can be found by, one per row.
    pub(super) fn found_by(&self, rows: usize) -> Vec<String> {
        let spell = |row: usize| match self.match_on.kind {
            FieldKind::Email => format!("row{row}@example.com"),
            FieldKind::Number => format!("{}", 1000 + row),
            _ => format!("row-{row}"),
        };
        (0..rows).map(spell).collect()
    }

    pub(super) fn rows(&self, rows: usize, text: &str) -> Rows {
        self.found_by(rows)
            .into_iter()
            .map(|found_by| (found_by, Cell::Text(text.to_owned())))
            .collect()
    }

    pub(super) fn batch(&self, field: &str, rows: &Rows) -> WriteBatch {
        let found_by: StringArray = rows.iter().map(|(found_by, _)| Some(found_by)).collect();
        let values: StringArray = rows
            .iter()
            .map(|(_, cell)| match cell {
                Cell::Text(text) => Some(text.as_str()),
                Cell::Null | Cell::Absent => None,
            })
            .collect();
        let absent = rows.iter().map(|(_, cell)| matches!(cell, Cell::Absent)).collect();
        let mut columns: Vec<(&str, ArrayRef, bool)> =
            vec![(&self.match_on.name, Arc::new(found_by), true), (field, Arc::new(values), true)];
        let mut absent = vec![None, Some(absent)];
        for name in &self.required {
            let same: StringArray = rows.iter().map(|_| Some("required")).collect();
            columns.push((name, Arc::new(same), true));
            absent.push(None);
        }
        WriteBatch {
            object: self.object.as_str().into(),
            mode: Mode::Upsert,
            match_on: Arc::new([self.match_on.name.clone()]),
            payload: Payload {
                fields: RecordBatch::try_from_iter_with_nullable(columns)
                    .expect("columns of one length"),
                absent,
            },
            record_ids: Vec::new(),
            job: self.knows_only_jobs().then(MemoryJournal::fresh),
            run_id: "conformance".into(),
        }
    }

    pub(super) async fn write(&self, rows: &Rows) -> Result<Receipt, Error> {
        self.write_field(&self.text.name, rows).await
    }

    pub(super) async fn write_field(&self, field: &str, rows: &Rows) -> Result<Receipt, Error> {
        let answer = self.destination.write(&self.batch(field, rows)).await;
        if let Ok(receipt) = &answer {
            assert_eq!(receipt.outcomes.len(), rows.len(), "{}: outcomes", self.name);
        }
        answer.inspect_err(|error| self.shows_no_secret(error))
    }

    /// Writes rows that must land, in as few writes as that takes.
    pub(super) async fn lands(&self, rows: &Rows) {
        let writes = rows.chunks(self.rows_max()).map(<[_]>::to_vec);
        for part in writes.chain(rows.is_empty().then(Vec::new)) {
            let receipt = self.write(&part).await.expect("an answer");
            for outcome in &receipt.outcomes {
                assert!(is_landed(outcome), "{}: {outcome:?}", self.name);
            }
        }
    }

    /// Two rows, where one write takes two.
    pub(super) fn few(&self) -> usize {
        self.rows_max().min(2)
    }

    pub(super) fn shows_no_secret(&self, error: &Error) {
        let shown = format!("{error} {error:?} {}", error.remedy());
        assert!(!shown.contains(TOKEN), "{}: {shown}", self.name);
    }

    /// What the simulator holds: the text field by the value records are found by.
    pub(super) async fn held(&self) -> BTreeMap<String, Option<String>> {
        let records = self.ask(&format!("/_sim/records/{}", self.object)).await;
        let records = records.as_array().expect("a list of records");
        let held: BTreeMap<_, _> = records
            .iter()
            .filter_map(|record| {
                let found_by = value_of(record, &self.match_on.name)?;
                let text = value_of(record, &self.text.name).filter(|text| !text.is_empty());
                Some((found_by, text))
            })
            .collect();
        assert_eq!(held.len(), records.len(), "{}: records are found by one value", self.name);
        held
    }

    /// Requests the simulator got.
    pub(super) async fn requests(&self) -> u64 {
        self.ask("/_sim/journal").await.as_array().expect("a list").len() as u64
    }

    async fn ask(&self, path: &str) -> Value {
        let reply = self.admin.send(admin_request(Method::GET, path, None)).await;
        serde_json::from_slice(&reply.expect("an answer").body).expect("JSON")
    }

    pub(super) async fn forget_faults(&self) {
        let reply = self.admin.send(admin_request(Method::DELETE, "/_sim/faults", None)).await;
        assert_eq!(reply.expect("an answer").status, 200, "{}", self.name);
    }

    /// The next call goes wrong like this.
    pub(super) async fn fault(&self, rule: &str) {
        let body = Some(rule.as_bytes().to_vec());
        let reply = self.admin.send(admin_request(Method::POST, "/_sim/faults", body)).await;
        assert_eq!(reply.expect("an answer").status, 200, "{}: {rule}", self.name);
    }
}

pub(super) fn is_landed(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Delivered { .. } | Outcome::AcceptedUnverified { .. })
}

/// Opens the destination at `url`, with the secret for every option it cannot do without.
pub(super) fn open(
    subject: &Subject<'_>,
    url: &str,
    request_timeout: &str,
) -> Result<Arc<dyn Destination>, Error> {
    let mut options = subject.kind.practice_options(TOKEN);
    options.extend(subject.options.clone());
    options.insert("base_url".to_owned(), Value::from(url));
    if subject.sets_its_timeout() {
        options.insert("request_timeout".to_owned(), Value::from(request_timeout));
    }
    (subject.kind.open)(OpenArgs {
        connection: "conformance".to_owned(),
        options,
        metrics: Metrics::new("0", "0"),
        clock: Arc::new(Epoch),
    })
}

fn client(url: &str) -> Client {
    Client::new(ClientOptions {
        connection: "admin".to_owned(),
        base_url: BaseUrl::new("admin", Some(url), "https://localhost").expect("loopback"),
        ca_file: None,
        request_timeout: Duration::from_secs(60),
        headers: reqwest::header::HeaderMap::new(),
        metrics: Metrics::new("0", "0"),
    })
    .expect("a client")
}

fn admin_request(method: Method, path: &str, body: Option<Vec<u8>>) -> Request {
    Request { method, path: path.to_owned(), operation: "admin", body }
}

#[derive(Debug)]
struct Epoch;

impl Clock for Epoch {
    fn now_micros(&self) -> i64 {
        0
    }
}
