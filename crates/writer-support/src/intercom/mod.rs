#![doc = include_str!("README.md")]

mod classify;
mod describe;
mod object;
mod options;
mod read;
pub mod simulator;
mod wire;
mod write;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use flow::metrics::Metrics;
use flow::{
    Attribution, Clock, Destination, Error, KeepsQuota, Limits, Mode, NullRule, ObjectSchema,
    ReadsBack, Receipt, Result, Secret, WriteBatch,
};
use writer::codes::{E2016_CALL, E2017_NOT_OFFERED};
use writer::header::{HeaderName, HeaderValue};
use writer::options::{Share, Span};
use writer::{
    BaseUrl, Client, ClientOptions, DestinationKind, Method, OpenArgs, Pacer, PacerOptions, Reply,
    Request, Signals, WindowOptions,
};

use self::classify::{Judge, WINDOW};
use self::object::Object;
pub use self::options::{Archived, Options, Region};
use self::wire::Row;

/// The table row.
pub const KIND: DestinationKind = DestinationKind {
    name: "intercom",
    category: "support",
    summary: "Intercom: contacts, companies and tags, one record a call, at the full rate.",
    open,
    options_schema: || schemars::schema_for!(Options),
    simulate: Some(simulator::build),
    codes: &[],
};

/// The version of the API this is written for; without the header an app's own default would decide.
const VERSION: &str = "2.14";
const REQUEST_TIMEOUT: Duration = Duration::from_secs(60);
/// Bytes per body: one record.
const BYTES_MAX: usize = 1024 * 1024;
/// 10,000 requests a minute, evened out over windows of ten seconds; what the answers say replaces it.
const REQUESTS_PER_10S: u32 = 1_666;
/// Enough for the full rate with answers that take a quarter of a second.
const IN_FLIGHT_MAX: usize = 40;

/// Opens a connection. Pure: nothing is sent.
///
/// # Errors
/// When the options cannot be used.
pub fn open(args: OpenArgs) -> Result<Arc<dyn Destination>> {
    let options: Options = writer::options::parse(&args)?;
    let connection = args.connection.as_str();
    let base_url = BaseUrl::new(connection, options.base_url.as_deref(), options.region.host())?;
    let mut headers = writer::bearer(connection, &options.token)?;
    let version = HeaderName::from_static("intercom-version");
    headers.insert(version, HeaderValue::from_static(VERSION));
    headers.insert(writer::header::ACCEPT, HeaderValue::from_static("application/json"));
    let client = Client::new(ClientOptions {
        connection: args.connection.clone(),
        base_url,
        ca_file: options.ca_file.clone(),
        request_timeout: options.request_timeout.map_or(REQUEST_TIMEOUT, |Span(time)| time),
        headers,
        metrics: Arc::clone(&args.metrics),
    })?;
    let pacer = pacer(args.connection, &options, args.metrics, Arc::clone(&args.clock));
    Ok(Arc::new(Intercom {
        client,
        pacer,
        token: options.token,
        clock: args.clock,
        archived: options.archived,
        permanently_delete: options.permanently_delete,
        schemas: Mutex::default(),
    }))
}

fn pacer(
    connection: String,
    options: &Options,
    metrics: Arc<Metrics>,
    clock: Arc<dyn Clock>,
) -> Pacer {
    let fixed = options.requests_per_10s.map(u32::from);
    Pacer::new(PacerOptions {
        account: writer::account("intercom", options.region.host(), &[options.token.expose()]),
        connection,
        windows: vec![WindowOptions {
            name: "10s",
            length: WINDOW,
            max: fixed.unwrap_or(REQUESTS_PER_10S),
            fixed: fixed.is_some(),
        }],
        share: options.quota_share.unwrap_or(Share::ALL),
        in_flight_max: IN_FLIGHT_MAX,
        metrics,
        clock,
    })
}

struct Intercom {
    client: Client,
    pacer: Pacer,
    token: Secret,
    clock: Arc<dyn Clock>,
    archived: Archived,
    permanently_delete: bool,
    /// Fields by object, as last asked: moments are told from numbers by them.
    schemas: Mutex<HashMap<String, Arc<ObjectSchema>>>,
}

impl Intercom {
    fn judge(&self) -> Judge<'_> {
        Judge { token: &self.token, now_micros: self.clock.now_micros() }
    }

    /// Sends one request when the app's limit allows it, and learns from the answer what it is now.
    async fn call(&self, request: Request) -> Result<Reply> {
        let permit = self.pacer.acquire().await?;
        let answer = self.client.send(request).await;
        permit.answered(match &answer {
            Ok(reply) => self.judge().signals(reply),
            // A connection that is refused is no sign of overload; one that is not answered is.
            Err(error) => Signals { overloaded: error.is_ambiguous(), ..Signals::default() },
        });
        answer
    }

    async fn ask(&self, path: String, operation: &'static str) -> Result<Reply> {
        self.call(Request { method: Method::GET, path, operation, body: None }).await
    }

    async fn learn_schema(&self, object: Object) -> Result<Arc<ObjectSchema>> {
        let schema = Arc::new(self.schema(object).await?);
        let mut schemas = self.schemas.lock().unwrap_or_else(PoisonError::into_inner);
        schemas.insert(object.name().to_owned(), Arc::clone(&schema));
        Ok(schema)
    }

    async fn known_schema(&self, object: Object) -> Result<Arc<ObjectSchema>> {
        let known =
            self.schemas.lock().unwrap_or_else(PoisonError::into_inner).get(object.name()).cloned();
        match known {
            Some(schema) => Ok(schema),
            None => self.learn_schema(object).await,
        }
    }
}

#[async_trait]
impl Destination for Intercom {
    fn limits(&self, object: &str) -> Result<Limits> {
        let object = Object::parse(object)?;
        Ok(Limits {
            rows_max: 1,
            bytes_max: BYTES_MAX,
            in_flight_max: self.pacer.in_flight_max(),
            modes: object.modes(),
            attribution: Attribution::Single,
            null_rule: NullRule::JsonNull,
            // A company's own id cannot change.
            renames: object != Object::Companies,
            removals: object.removals(),
            ..Limits::LEAST
        })
    }

    async fn describe(&self, object: &str) -> Result<ObjectSchema> {
        Ok(self.learn_schema(Object::parse(object)?).await?.as_ref().clone())
    }

    async fn account(&self) -> Result<Option<String>> {
        let reply = self.ask("/me".to_owned(), "account").await?;
        match reply.status {
            // A token without the right to ask, or a proxy that does not know the path.
            400..=499 if !matches!(reply.status, 401 | 408 | 425 | 429) => Ok(None),
            _ if reply.is_success() => Ok(describe::account(&reply)),
            _ => Err(self.judge().error(&reply)),
        }
    }

    fn objects(&self) -> Vec<String> {
        Object::ALL.map(|object| object.name().to_owned()).to_vec()
    }

    fn keeps_quota(&self) -> Option<&dyn KeepsQuota> {
        Some(&self.pacer)
    }

    async fn write(&self, batch: &WriteBatch) -> Result<Receipt> {
        let object = Object::parse(&batch.object)?;
        let rows = batch.payload.rows().max(batch.record_ids.len());
        check(batch, object, rows)?;
        if rows == 0 {
            return Ok(Receipt { outcomes: Vec::new() });
        }
        let schema = self.known_schema(object).await?;
        let row = Row { batch, schema: &schema };
        let outcome = match object {
            Object::Contacts => self.contact(row).await?,
            Object::Companies => self.company(row).await?,
            Object::Tags => self.tag(row).await?,
        };
        Ok(Receipt { outcomes: vec![outcome] })
    }

    fn reads_back(&self) -> Option<&dyn ReadsBack> {
        Some(self)
    }
}

/// Whether a batch keeps to the limits.
fn check(batch: &WriteBatch, object: Object, rows: usize) -> Result<()> {
    if rows > 1 {
        return Err(Error::new(&E2016_CALL, format!("{rows} rows in a call; Intercom takes one")));
    }
    if let Some(id) = batch.record_ids.first() {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
        return match !id.is_empty() && id.bytes().all(plain) {
            true => Ok(()),
            false => Err(Error::new(&E2016_CALL, "a record id is not one of Intercom's")),
        };
    }
    if !object.modes().contains(&batch.mode) {
        let why = match batch.mode {
            Mode::Create => "an answer that is lost would make a reject of the record it made",
            Mode::Append => "its objects are records, not events",
            _ => "a tag has nothing but its name",
        };
        let message = format!("Intercom is not written to by {}: {why}", batch.mode.as_str());
        return Err(Error::new(&E2017_NOT_OFFERED, message));
    }
    match &*batch.match_on {
        [name] if object.found_by().contains(&name.as_str()) => Ok(()),
        _ => {
            let names = object.found_by().join("` or `");
            let message = format!("Intercom finds records of this object by one field: `{names}`");
            Err(Error::new(&E2017_NOT_OFFERED, message))
        }
    }
}
