#![doc = include_str!("README.md")]

mod classify;
pub mod codes;
mod object;
mod options;
mod reply;
mod row;
mod sign;
mod template;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use flow::{
    Attribution, Clock, Destination, Error, KeepsQuota, Limits, Mode, NullRule, ObjectSchema,
    Outcome, Receipt, Removal, Result, Secret, WriteBatch,
};
use writer::codes::{
    E2011_NO_SUCH_OBJECT, E2013_OPTIONS, E2016_CALL, E2017_NOT_OFFERED, R203_NOT_FOUND,
    R213_CALL_TOO_LARGE,
};
use writer::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use writer::options::Share;
use writer::{
    BaseUrl, Client, ClientOptions, DestinationKind, Method, OpenArgs, Pacer, PacerOptions, Reply,
    Request, Signals, WindowOptions,
};

use self::classify::Judge;
use self::codes::R250_REQUEST;
use self::object::{Compiled, Object, Prepared, Written};
pub use self::options::Options;
use self::options::{Auth, Format, Meaning, Nulls};
use self::row::Rows;
use self::sign::Signer;
use self::template::Templates;

/// The table row.
pub const KIND: DestinationKind = DestinationKind {
    name: "webhook",
    category: "http",
    summary: "Any HTTP API that takes JSON: requests and the meaning of answers are written in the project.",
    open,
    options_schema: || schemars::schema_for!(Options),
    simulate: None,
    codes: codes::CODES,
};

const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
const APPLY_MAX: Duration = Duration::from_secs(60);
const IN_FLIGHT_MAX: usize = 4;
const BYTES_MAX: usize = 1 << 20;
/// Without a limit of the user's, this many requests a second keep the pacer from being one.
const REQUESTS_UNLIMITED: u32 = 1_000_000;

/// Opens a connection. Pure: nothing is sent.
///
/// # Errors
/// When the options cannot be used: a template that does not compile, a mode that would not be safe.
pub fn open(args: OpenArgs) -> Result<Arc<dyn Destination>> {
    let options: Options = writer::options::parse(&args)?;
    let connection = args.connection.as_str();
    let wrong =
        |what: String| Error::new(&E2013_OPTIONS, format!("connection `{connection}`: {what}"));
    let base_url = BaseUrl::new(connection, Some(&options.base_url), "")?;
    let (mut headers, mut secrets) = authorization(connection, options.auth)?;
    for (name, value) in &options.headers {
        let name = HeaderName::try_from(name)
            .map_err(|_| wrong(format!("`headers.{name}` is not a header's name")))?;
        let value = HeaderValue::try_from(value)
            .map_err(|_| wrong(format!("`headers.{name}` cannot be a header")))?;
        headers.insert(name, value);
    }
    let signer = options.sign.map(|sign| Signer::new(connection, sign)).transpose()?;
    secrets.extend(signer.iter().map(|signer| signer.secret().clone()));
    if options.probe.as_ref().is_some_and(|probe| !probe.starts_with('/')) {
        return Err(wrong("`probe` is a path: it begins with a slash".to_owned()));
    }
    let mut templates = Templates::new();
    let mut objects = BTreeMap::new();
    for (name, object) in options.objects {
        let compiled = Object::new(connection, &name, object, &mut templates)?;
        objects.insert(name, compiled);
    }
    if objects.is_empty() {
        return Err(wrong("`objects` names no object".to_owned()));
    }
    let client = Client::new(ClientOptions {
        connection: args.connection.clone(),
        base_url,
        ca_file: options.ca_file,
        request_timeout: options.request_timeout.map_or(REQUEST_TIMEOUT, |span| span.0),
        headers,
        metrics: Arc::clone(&args.metrics),
    })?;
    let pacer = Pacer::new(PacerOptions {
        account: writer::account("webhook", client.host(), &[&args.connection]),
        connection: args.connection,
        windows: vec![WindowOptions {
            name: "window",
            length: options.per.map_or(Duration::from_secs(1), |span| span.0),
            max: options.requests.map_or(REQUESTS_UNLIMITED, u32::from),
            fixed: options.requests.is_some(),
        }],
        share: options.quota_share.unwrap_or(Share::ALL),
        in_flight_max: options.in_flight.unwrap_or(IN_FLIGHT_MAX).max(1),
        metrics: args.metrics,
        clock: Arc::clone(&args.clock),
    });
    Ok(Arc::new(Webhook {
        client,
        pacer,
        clock: args.clock,
        secrets,
        signer,
        probe: options.probe,
        apply_max: options.apply_max.map_or(APPLY_MAX, |span| span.0),
        templates,
        objects,
    }))
}

/// The headers that say who sends a request, and the secrets in them.
fn authorization(connection: &str, auth: Option<Auth>) -> Result<(HeaderMap, Vec<Secret>)> {
    let Some(auth) = auth else { return Ok((HeaderMap::new(), Vec::new())) };
    let wrong = |what: &str| {
        Error::new(&E2013_OPTIONS, format!("connection `{connection}`: `auth` {what}"))
    };
    match auth {
        Auth { bearer: Some(token), basic: None, header: None } => {
            Ok((writer::bearer(connection, &token)?, vec![token]))
        }
        Auth { bearer: None, basic: Some(basic), header: None } => {
            Ok((writer::basic(connection, &basic.user, &basic.password)?, vec![basic.password]))
        }
        Auth { bearer: None, basic: None, header: Some(header) } => {
            let name = HeaderName::try_from(&header.name)
                .map_err(|_| wrong("has a `header.name` that is none"))?;
            let mut value = HeaderValue::try_from(header.value.expose().trim_end())
                .map_err(|_| wrong("has a `header.value` that cannot be a header"))?;
            value.set_sensitive(true);
            Ok((HeaderMap::from_iter([(name, value)]), vec![header.value]))
        }
        _ => Err(wrong("is exactly one of `bearer`, `basic` and `header`")),
    }
}

#[derive(Debug)]
struct Webhook {
    client: Client,
    pacer: Pacer,
    clock: Arc<dyn Clock>,
    secrets: Vec<Secret>,
    signer: Option<Signer>,
    probe: Option<String>,
    apply_max: Duration,
    templates: Templates,
    objects: BTreeMap<String, Object>,
}

impl Webhook {
    fn object(&self, name: &str) -> Result<&Object> {
        self.objects.get(name).ok_or_else(|| {
            let known: Vec<&str> = self.objects.keys().map(String::as_str).collect();
            Error::new(&E2011_NO_SUCH_OBJECT, format!("the connection has no object `{name}`"))
                .with_remedy(format!("Its objects are: {}.", known.join(", ")))
        })
    }

    fn judge<'a>(&'a self, object: &'a Object, call: &Compiled) -> Judge<'a> {
        Judge {
            secrets: &self.secrets,
            now_micros: self.clock.now_micros(),
            rules: &object.options.answers,
            path_has_values: call.path_has_values,
            has_if_exists: call.if_exists.is_some(),
        }
    }

    async fn call(&self, request: Request, headers: HeaderMap) -> Result<Reply> {
        let permit = self.pacer.acquire().await?;
        let answer = self.client.send_with(request, headers).await;
        permit.answered(match &answer {
            Ok(reply) => classify::signals(reply, self.clock.now_micros()),
            Err(error) => Signals { overloaded: error.is_ambiguous(), ..Signals::default() },
        });
        answer
    }

    /// Headers of one request: its type, its signature, and what makes it the same when it is sent again.
    fn headers(
        &self,
        object: &Object,
        call: &Compiled,
        prepared: &Prepared,
        run_id: &str,
    ) -> Result<HeaderMap> {
        let mut headers = HeaderMap::new();
        let body = prepared.body.as_deref().unwrap_or_default();
        if call.format == Format::Ndjson {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-ndjson"));
        }
        if let Some(name) = &object.options.idempotency_header {
            let what =
                [call.method.as_str().as_bytes(), prepared.path.as_bytes(), body].join(&b'\n');
            let text = format!("{run_id}-{:032x}", xxhash_rust::xxh3::xxh3_128(&what));
            let name = HeaderName::try_from(name).ok().zip(HeaderValue::try_from(text).ok());
            let (name, value) = name.ok_or_else(|| {
                Error::new(&E2013_OPTIONS, "`idempotency_header` is not a header's name")
            })?;
            headers.insert(name, value);
        }
        if let Some(signer) = &self.signer {
            signer.sign(self.clock.now_micros(), body, &mut headers);
        }
        Ok(headers)
    }

    /// Sends the rows `wanted`, by one request, or two where the first says that another one is needed.
    async fn send(
        &self,
        object: &Object,
        call: &Compiled,
        (rows, wanted): (&Rows<'_>, &[usize]),
        mode: Mode,
    ) -> Result<Receipt> {
        let single = object.rows_max == 1;
        let Written { sent, failed, prepared } =
            call.prepare(&self.templates, rows, (wanted, single));
        let mut outcomes: Vec<(usize, Outcome)> =
            failed.into_iter().map(|(row, failed)| (row, unwritable(failed.0))).collect();
        match prepared {
            None => {}
            Some(Err(failed)) => {
                outcomes.extend(sent.iter().map(|row| (*row, unwritable(failed.0.clone()))));
            }
            Some(Ok(prepared)) => {
                let receipt = self.request(object, call, (rows, &sent), (prepared, mode)).await?;
                outcomes.extend(sent.iter().copied().zip(receipt.outcomes));
            }
        }
        outcomes.sort_by_key(|(row, _)| *row);
        Ok(Receipt { outcomes: outcomes.into_iter().map(|(_, outcome)| outcome).collect() })
    }

    async fn request(
        &self,
        object: &Object,
        call: &Compiled,
        (rows, sent): (&Rows<'_>, &[usize]),
        (prepared, mode): (Prepared, Mode),
    ) -> Result<Receipt> {
        let bytes_max = object.options.bytes_per_call.unwrap_or(BYTES_MAX);
        if prepared.body.as_ref().is_some_and(|body| body.len() > bytes_max) {
            let message =
                format!("a request of {} rows is larger than {bytes_max} bytes", sent.len());
            return Err(Error::new(&R213_CALL_TOO_LARGE, message));
        }
        let headers = self.headers(object, call, &prepared, &rows.batch.run_id)?;
        let operation = mode.as_str();
        let Prepared { path, body } = prepared;
        let request = Request { method: call.method.clone(), path, operation, body };
        let reply = self.call(request, headers).await?;
        let judge = self.judge(object, call);
        match judge.meaning(&reply) {
            Meaning::Delivered => {}
            Meaning::Exists if call.if_exists.is_some() => {
                return self.instead(object, call.if_exists.as_deref(), (rows, sent), mode).await;
            }
            Meaning::Missing if call.if_missing.is_some() => {
                return self.instead(object, call.if_missing.as_deref(), (rows, sent), mode).await;
            }
            Meaning::Missing if mode == Mode::Delete && sent.len() == 1 => {
                return Ok(all_delivered(rows, sent));
            }
            Meaning::Failed if reply.status == 207 && object.options.reply.is_some() => {}
            meaning @ (Meaning::Invalid
            | Meaning::Conflict
            | Meaning::Exists
            | Meaning::Missing)
                if sent.len() == 1 =>
            {
                let outcome = reply::refusal(&reply, judge, object.options.reply.as_ref(), meaning);
                return Ok(Receipt { outcomes: vec![outcome] });
            }
            meaning => return Err(judge.error(&reply, meaning)),
        }
        match &object.options.reply {
            Some(options) if mode != Mode::Delete || options.rows.is_some() => {
                reply::receipt(&reply, judge, options, (rows, sent))
            }
            _ => Ok(all_delivered(rows, sent)),
        }
    }

    /// The request that is sent instead of the first.
    async fn instead(
        &self,
        object: &Object,
        call: Option<&Compiled>,
        rows: (&Rows<'_>, &[usize]),
        mode: Mode,
    ) -> Result<Receipt> {
        let call = call.expect("only where there is one");
        Box::pin(self.send(object, call, rows, mode)).await
    }
}

fn unwritable(message: String) -> Outcome {
    Outcome::Rejected { code: &R250_REQUEST, message, field: None }
}

fn all_delivered(rows: &Rows<'_>, sent: &[usize]) -> Receipt {
    let delivered =
        |row: &usize| Outcome::Delivered { created: None, remote_id: rows.address(*row) };
    Receipt { outcomes: sent.iter().map(delivered).collect() }
}

#[async_trait]
impl Destination for Webhook {
    fn limits(&self, object: &str) -> Result<Limits> {
        let object = self.object(object)?;
        let options = &object.options;
        let removals: &[Removal] = match (&options.delete, &options.update) {
            (Some(_), Some(_)) => &[Removal::Delete, Removal::Update],
            (Some(_), None) => &[Removal::Delete],
            (None, Some(_)) => &[Removal::Update],
            (None, None) => &[],
        };
        Ok(Limits {
            rows_max: object.rows_max,
            bytes_max: options.bytes_per_call.unwrap_or(BYTES_MAX),
            in_flight_max: self.pacer.in_flight_max(),
            modes: modes(object),
            attribution: match &options.reply {
                _ if object.rows_max == 1 => Attribution::Single,
                Some(reply) if reply.key.is_some() => Attribution::ReturnedKey,
                Some(_) => Attribution::Position,
                None => Attribution::WholeCall,
            },
            null_rule: match options.nulls {
                Nulls::Null => NullRule::JsonNull,
                Nulls::EmptyString => NullRule::EmptyString,
                Nulls::Omit => NullRule::Impossible,
            },
            removals,
            apply_max: self.apply_max,
            ..Limits::LEAST
        })
    }

    async fn describe(&self, object: &str) -> Result<ObjectSchema> {
        let known = self.object(object)?;
        if let Some(probe) = &self.probe {
            let request = Request {
                method: Method::GET,
                path: probe.clone(),
                operation: "describe",
                body: None,
            };
            let reply = self.call(request, HeaderMap::new()).await?;
            if !reply.is_success() {
                let judge = Judge {
                    secrets: &self.secrets,
                    now_micros: self.clock.now_micros(),
                    rules: &known.options.answers,
                    path_has_values: false,
                    has_if_exists: false,
                };
                return Err(judge.error(&reply, judge.meaning(&reply)));
            }
        }
        Ok(ObjectSchema { object: object.to_owned(), fields: Vec::new(), open: true })
    }

    async fn account(&self) -> Result<Option<String>> {
        Ok(Some(self.client.host().to_owned()))
    }

    fn objects(&self) -> Vec<String> {
        self.objects.keys().cloned().collect()
    }

    fn keeps_quota(&self) -> Option<&dyn KeepsQuota> {
        Some(&self.pacer)
    }

    async fn write(&self, batch: &WriteBatch) -> Result<Receipt> {
        let object = self.object(&batch.object)?;
        let Some(call) = object.call(batch.mode) else {
            let message = format!("`objects.{}` has no `{}`", batch.object, batch.mode.as_str());
            return Err(Error::new(&E2017_NOT_OFFERED, message));
        };
        let count = batch.payload.rows().max(batch.record_ids.len());
        if count > object.rows_max {
            let message =
                format!("{count} rows in a request; the connection says {}", object.rows_max);
            return Err(Error::new(&E2016_CALL, message));
        }
        if count == 0 {
            return Ok(Receipt { outcomes: Vec::new() });
        }
        call.check(batch, object.rows_max)?;
        let rows = Rows::new(batch, object.options.nulls);
        let wanted: Vec<usize> = (0..count).collect();
        let mut receipt = self.send(object, call, (&rows, &wanted), batch.mode).await?;
        if batch.mode == Mode::Delete {
            receipt.outcomes.iter_mut().for_each(gone_is_deleted);
        }
        assert_eq!(receipt.outcomes.len(), count, "one outcome per row");
        Ok(receipt)
    }
}

/// Deleting a record that is not there is done.
fn gone_is_deleted(outcome: &mut Outcome) {
    if matches!(outcome, Outcome::Rejected { code, .. } if *code == &R203_NOT_FOUND) {
        *outcome = Outcome::Delivered { created: None, remote_id: None };
    }
}

/// The modes of the requests the connection gives.
fn modes(object: &Object) -> &'static [Mode] {
    use Mode::{Append, Create, Delete, Update, Upsert};
    /// Every set of modes there can be, one bit per mode.
    static SETS: std::sync::LazyLock<Vec<Vec<Mode>>> = std::sync::LazyLock::new(|| {
        let all = [Upsert, Update, Create, Append, Delete];
        (0..1_usize << all.len())
            .map(|set| {
                all.into_iter()
                    .enumerate()
                    .filter(|(bit, _)| set >> bit & 1 == 1)
                    .map(|(_, mode)| mode)
                    .collect()
            })
            .collect()
    });
    let bits = [Upsert, Update, Create, Append, Delete].into_iter().enumerate();
    let set = bits
        .filter(|(_, mode)| object.call(*mode).is_some())
        .map(|(bit, _)| 1 << bit)
        .sum::<usize>();
    &SETS[set]
}

#[cfg(test)]
mod tests;
