#![doc = include_str!("README.md")]

mod answer;
mod classify;
mod describe;
mod fault;
mod options;
mod read;
pub mod simulator;
mod wire;
mod write;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use flow::{
    Attribution, Clock, Destination, Error, Kind, Limits, Mode, NullRule, ObjectSchema, ReadsBack,
    Receipt, Removal, Result, Secret, WriteBatch,
};
use writer::codes::{E2007_DAILY_QUOTA, E2016_CALL, E2017_NOT_OFFERED};
use writer::options::{Share, Span};
use writer::{
    BaseUrl, Client, ClientOptions, DestinationKind, Method, OpenArgs, Pacer, PacerOptions, Reply,
    Request, Signals,
};

use self::classify::Judge;
pub use self::options::{Options, Tier};
use self::wire::Trace;

/// The table row.
pub const KIND: DestinationKind = DestinationKind {
    name: "hubspot",
    category: "crm",
    summary: "HubSpot CRM: contacts, companies, deals, tickets and custom objects, by batch upsert.",
    open,
    options_schema: || schemars::schema_for!(Options),
    simulate: Some(simulator::build),
    codes: &[],
};

const HOST: &str = "https://api.hubapi.com";
const REQUEST_TIMEOUT: Duration = Duration::from_secs(60);
/// Rows per call; HubSpot refuses more.
const ROWS_MAX: usize = 100;
/// Bytes per body. HubSpot documents no limit; what is under this passes through common proxies.
const BYTES_MAX: usize = 4 * 1024 * 1024;
/// HubSpot takes 19 requests a second at most: enough for answers that take a second.
const IN_FLIGHT_MAX: usize = 20;
/// HubSpot says only this about when a day begins.
const DAY_RENEWED: &str = "The quota is renewed at midnight in the HubSpot account's time zone; run again after that. \
                           Rows that have not landed wait and nothing is lost.";
/// Objects every account has.
const OBJECTS: [&str; 4] = ["contacts", "companies", "deals", "tickets"];

/// Opens a connection. Pure: nothing is sent.
///
/// # Errors
/// When the options cannot be used.
pub fn open(args: OpenArgs) -> Result<Arc<dyn Destination>> {
    let options: Options = writer::options::parse(&args)?;
    let connection = args.connection.as_str();
    let base_url = BaseUrl::new(connection, options.base_url.as_deref(), HOST)?;
    let headers = writer::bearer(connection, &options.token)?;
    let client = Client::new(ClientOptions {
        connection: args.connection.clone(),
        base_url,
        ca_file: options.ca_file,
        request_timeout: options.request_timeout.map_or(REQUEST_TIMEOUT, |Span(time)| time),
        headers,
        metrics: Arc::clone(&args.metrics),
    })?;
    let fixed = options.requests_per_10s.map(u32::from);
    let pacer = Pacer::new(PacerOptions {
        connection: args.connection,
        window: "10s",
        length: Duration::from_secs(10),
        max: fixed.unwrap_or_else(|| options.tier.requests_per_10s()),
        fixed: fixed.is_some(),
        share: options.quota_share.unwrap_or(Share::ALL),
        in_flight_max: IN_FLIGHT_MAX,
        metrics: args.metrics,
        clock: Arc::clone(&args.clock),
    });
    let token = options.token;
    Ok(Arc::new(HubSpot { client, pacer, token, clock: args.clock, calls: AtomicU64::new(0) }))
}

struct HubSpot {
    client: Client,
    pacer: Pacer,
    token: Secret,
    clock: Arc<dyn Clock>,
    /// Numbers the write calls, for trace ids.
    calls: AtomicU64,
}

impl HubSpot {
    fn judge(&self, rows: usize) -> Judge<'_> {
        Judge { token: &self.token, now_micros: self.clock.now_micros(), rows }
    }

    /// Sends one request when the account's limits allow it, and learns from the answer what they are now.
    async fn call(&self, request: Request) -> Result<Reply> {
        let permit = self.pacer.acquire().await.map_err(|error| match error.code() {
            code if *code == E2007_DAILY_QUOTA => error.with_remedy(DAY_RENEWED),
            _ => error,
        })?;
        let answer = self.client.send(request).await;
        permit.answered(match &answer {
            Ok(reply) => self.judge(0).signals(reply),
            // A connection that is refused is no sign of overload; one that is not answered is.
            Err(error) => Signals { overloaded: error.is_ambiguous(), ..Signals::default() },
        });
        answer
    }
}

#[async_trait]
impl Destination for HubSpot {
    fn limits(&self, object: &str) -> Result<Limits> {
        wire::object_path(object)?;
        Ok(Limits {
            rows_max: ROWS_MAX,
            bytes_max: BYTES_MAX,
            in_flight_max: self.pacer.in_flight_max(),
            modes: &[Mode::Upsert],
            attribution: Attribution::EchoedId,
            null_rule: NullRule::EmptyString,
            renames: true,
            removals: &[Removal::Delete, Removal::Update],
            ..Limits::LEAST
        })
    }

    async fn describe(&self, object: &str) -> Result<ObjectSchema> {
        let path = format!("/crm/v3/properties/{}", wire::object_path(object)?);
        let request = Request { method: Method::GET, path, operation: "describe", body: None };
        let reply = self.call(request).await?;
        let judge = self.judge(0);
        match reply.is_success() {
            true => describe::schema(object, &reply, judge),
            false => Err(judge.error(&reply)),
        }
    }

    async fn account(&self) -> Result<Option<String>> {
        let path = "/account-info/v3/details".to_owned();
        let request = Request { method: Method::GET, path, operation: "account", body: None };
        let reply = self.call(request).await?;
        match reply.status {
            // A token without the right to ask, or a proxy that does not know the path.
            400..=499 if !matches!(reply.status, 401 | 408 | 423 | 425 | 429 | 477) => Ok(None),
            _ if reply.is_success() => Ok(describe::account(&reply)),
            _ => Err(self.judge(0).error(&reply)),
        }
    }

    fn objects(&self) -> Vec<String> {
        OBJECTS.map(str::to_owned).to_vec()
    }

    async fn write(&self, batch: &WriteBatch) -> Result<Receipt> {
        let rows = batch.payload.rows();
        let match_on = check(batch)?;
        if rows == 0 {
            return Ok(Receipt { outcomes: Vec::new() });
        }
        let (path, operation) = wire::route(batch)?;
        let trace = Trace { call: self.calls.fetch_add(1, Ordering::Relaxed), rows };
        let body = Some(wire::body(batch, match_on, trace)?);
        let request = Request { method: Method::POST, path, operation, body };
        let reply = self.call(request).await?;
        let judge = self.judge(rows);
        if !reply.is_success() {
            let error = judge.error(&reply);
            if error.kind() != Kind::Poison {
                tracing::debug!(
                    status = reply.status,
                    code = error.code().id,
                    "HubSpot refused a call"
                );
            }
            return Err(error);
        }
        let receipt = match batch.mode {
            Mode::Delete => write::archived(&reply, judge, batch)?,
            _ => write::receipt(&reply, judge, (batch, match_on), trace)?,
        };
        assert_eq!(receipt.outcomes.len(), rows, "one outcome per row");
        Ok(receipt)
    }

    fn reads_back(&self) -> Option<&dyn ReadsBack> {
        Some(self)
    }
}

/// The column records are found by, of a batch that keeps to the limits; `None` where records are addressed by their ids
/// alone.
fn check(batch: &WriteBatch) -> Result<Option<usize>> {
    let by_id = !batch.record_ids.is_empty();
    if batch.mode != Mode::Upsert && !(by_id && matches!(batch.mode, Mode::Delete | Mode::Update)) {
        let message = format!("HubSpot is written to by upsert, not by {}", batch.mode.as_str());
        return Err(Error::new(&E2017_NOT_OFFERED, message));
    }
    if batch.payload.rows() > ROWS_MAX {
        let message = format!("{} rows in a call; HubSpot takes {ROWS_MAX}", batch.payload.rows());
        return Err(Error::new(&E2016_CALL, message));
    }
    if by_id && batch.record_ids.len() != batch.payload.rows() {
        return Err(Error::new(&E2016_CALL, "a call does not have one record id per row"));
    }
    if batch.mode != Mode::Upsert {
        return Ok(None);
    }
    let [match_on] = &*batch.match_on else {
        let message = "HubSpot finds a record by one property; `match_on` must name exactly one";
        return Err(Error::new(&E2017_NOT_OFFERED, message));
    };
    let index = batch.payload.fields.schema_ref().index_of(match_on).map_err(|_| {
        Error::new(&E2016_CALL, "the property records are found by is not in the payload")
    })?;
    Ok(Some(index))
}

#[cfg(test)]
mod tests;
