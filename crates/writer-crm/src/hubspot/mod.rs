#![doc = include_str!("README.md")]

mod answer;
mod ask;
mod association;
mod classify;
pub mod codes;
mod describe;
mod fault;
mod options;
mod read;
pub mod simulator;
mod wire;
mod write;

use std::collections::HashMap;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use flow::{
    Attribution, Clock, Destination, Error, KeepsQuota, Kind, Limits, Mode, NullRule, ObjectSchema,
    ReadsBack, Receipt, Removal, Result, Secret, WriteBatch,
};
use writer::codes::{E2007_DAILY_QUOTA, E2016_CALL, E2017_NOT_OFFERED};
use writer::options::{Share, Span};
use writer::{
    BaseUrl, Client, ClientOptions, DestinationKind, Method, OpenArgs, Outcomes, Pacer,
    PacerOptions, Reply, Request, Signals, WindowOptions,
};

use self::association::{Way, Wishes};
use self::classify::Judge;
pub use self::options::{Options, Pair, Tier};
use self::wire::Trace;

/// The table row.
pub const KIND: DestinationKind = DestinationKind {
    name: "hubspot",
    category: "crm",
    summary: "HubSpot CRM: contacts, companies, deals, tickets and custom objects, by batch upsert.",
    open,
    options_schema: || schemars::schema_for!(Options),
    simulate: Some(simulator::build),
    codes: codes::CODES,
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
/// A day, in microseconds.
const DAY: i64 = 86_400_000_000;
/// HubSpot was not asked for the account's time zone yet.
const UNKNOWN: i64 = i64::MIN;
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
        account: writer::account("hubspot", client.host(), &[options.token.expose()]),
        connection: args.connection,
        windows: vec![WindowOptions {
            name: "10s",
            length: Duration::from_secs(10),
            max: fixed.unwrap_or_else(|| options.tier.requests_per_10s()),
            fixed: fixed.is_some(),
        }],
        share: options.quota_share.unwrap_or(Share::ALL),
        in_flight_max: IN_FLIGHT_MAX,
        metrics: args.metrics,
        clock: Arc::clone(&args.clock),
    });
    Ok(Arc::new(HubSpot {
        client,
        pacer,
        token: options.token,
        replaced: options.replace_associations,
        clock: args.clock,
        calls: AtomicU64::new(0),
        ways: Mutex::default(),
        utc_offset: AtomicI64::new(UNKNOWN),
    }))
}

struct HubSpot {
    client: Client,
    pacer: Pacer,
    token: Secret,
    clock: Arc<dyn Clock>,
    /// Pairs of objects where rows decide about all associations.
    replaced: Vec<Pair>,
    /// Numbers the write calls, for trace ids.
    calls: AtomicU64,
    /// Per object, the ways in which its records can be associated, once they have been asked for.
    ways: Mutex<HashMap<String, Arc<[Way]>>>,
    /// The account's distance from UTC in microseconds, or [`UNKNOWN`].
    utc_offset: AtomicI64,
}

impl HubSpot {
    /// What an answer says about limits; a day ends at midnight in the account's time zone, once that is known.
    fn signals(&self, reply: &Reply) -> Signals {
        let mut signals = self.judge(0).signals(reply);
        if let Some(day) = &mut signals.day {
            let offset = self.utc_offset.load(Ordering::Relaxed);
            let local = self.clock.now_micros().saturating_add(offset);
            let midnight = (local.div_euclid(DAY) + 1).saturating_mul(DAY).saturating_sub(offset);
            day.resets_at = day.resets_at.or((offset != UNKNOWN).then_some(midnight));
        }
        signals
    }

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
            Ok(reply) => self.signals(reply),
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
        self.describe_in_full(object).await
    }

    async fn account(&self) -> Result<Option<String>> {
        let reply = self.get_if_allowed("/account-info/v3/details".to_owned(), "account").await?;
        let Some(reply) = reply else { return Ok(None) };
        let (account, utc_offset) = describe::account(&reply);
        self.utc_offset.store(utc_offset.unwrap_or(UNKNOWN), Ordering::Relaxed);
        Ok(account)
    }

    fn objects(&self) -> Vec<String> {
        OBJECTS.map(str::to_owned).to_vec()
    }

    fn keeps_quota(&self) -> Option<&dyn KeepsQuota> {
        Some(&self.pacer)
    }

    async fn write(&self, batch: &WriteBatch) -> Result<Receipt> {
        let match_on = check(batch)?;
        if batch.payload.rows() == 0 {
            return Ok(Receipt { outcomes: Vec::new() });
        }
        let receipt = match association::any(&batch.payload) {
            false => self.put(batch, match_on).await?,
            true => {
                let known = self.known_ways(&batch.object).await?;
                let wishes = Wishes::read(batch, &known, &self.replaced)?;
                let receipt = self.put_sound(batch, match_on, &wishes).await?;
                self.associate(batch, &wishes, receipt).await?
            }
        };
        assert_eq!(receipt.outcomes.len(), batch.payload.rows(), "one outcome per row");
        Ok(receipt)
    }

    fn reads_back(&self) -> Option<&dyn ReadsBack> {
        Some(self)
    }
}

impl HubSpot {
    /// Writes the rows, apart from those with a value that no record can be associated by.
    async fn put_sound(
        &self,
        batch: &WriteBatch,
        match_on: Option<usize>,
        wishes: &Wishes,
    ) -> Result<Receipt> {
        if wishes.refused.is_empty() {
            return self.put(batch, match_on).await;
        }
        let rows = batch.payload.rows();
        let sound: Vec<usize> = (0..rows).filter(|row| !wishes.refused.contains_key(row)).collect();
        let numbers: Vec<u32> = sound.iter().filter_map(|row| u32::try_from(*row).ok()).collect();
        let payload = batch.payload.take(&numbers).map_err(|error| {
            Error::new(&E2016_CALL, "rows of a call could not be taken").with_source(error)
        })?;
        let record_ids =
            sound.iter().filter_map(|row| batch.record_ids.get(*row).cloned()).collect();
        let part = WriteBatch { payload, record_ids, ..batch.clone() };
        let mut outcomes = Outcomes::new(rows);
        if !sound.is_empty() {
            let written = self.put(&part, match_on).await?.outcomes;
            sound
                .into_iter()
                .zip(written)
                .for_each(|(row, outcome)| outcomes.set(Some(row), outcome));
        }
        for (row, outcome) in &wishes.refused {
            outcomes.set(Some(*row), outcome.clone());
        }
        Ok(outcomes.receipt("not sent"))
    }

    /// Writes the rows' properties by one call.
    async fn put(&self, batch: &WriteBatch, match_on: Option<usize>) -> Result<Receipt> {
        let rows = batch.payload.rows();
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
        match batch.mode {
            Mode::Delete => write::archived(&reply, judge, batch),
            _ => write::receipt(&reply, judge, (batch, match_on), trace),
        }
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
