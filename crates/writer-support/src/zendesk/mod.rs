#![doc = include_str!("README.md")]

mod classify;
mod describe;
mod job;
mod object;
mod options;
mod read;
mod resume;
pub mod simulator;
mod wire;
mod write;

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use flow::{
    Attribution, Clock, Destination, Error, JobLimits, KeepsJobs, KeepsQuota, Limits, Mode,
    NullRule, ObjectSchema, ReadsBack, Receipt, Result, Secret, WriteBatch,
};
use writer::codes::{E2010_PERMISSION, E2013_OPTIONS, E2016_CALL, E2017_NOT_OFFERED};
use writer::options::{Share, Span};
use writer::{
    BaseUrl, Client, ClientOptions, DestinationKind, OpenArgs, Pacer, PacerOptions, Reply, Request,
    Signals, WindowOptions,
};

use self::classify::Judge;
use self::job::{Board, E2110_JOB_SLOW};
use self::object::Object;
pub use self::options::{Options, Plan, UserImport};
use self::wire::Items;
use self::write::Work;

/// The table row.
pub const KIND: DestinationKind = DestinationKind {
    name: "zendesk",
    category: "support",
    summary: "Zendesk Support: users, organizations, tickets and custom objects, by jobs of 100 rows.",
    open,
    options_schema: || schemars::schema_for!(Options),
    simulate: Some(simulator::build),
    codes: &[&E2110_JOB_SLOW],
};

const REQUEST_TIMEOUT: Duration = Duration::from_secs(60);
const JOB_TIMEOUT: Duration = Duration::from_secs(600);
/// Rows per call and per job; Zendesk refuses more.
const ROWS_MAX: usize = 100;
/// Bytes per body. Zendesk documents no limit; what is under this passes through common proxies.
const BYTES_MAX: usize = 4 * 1024 * 1024;
/// Requests at once.
const IN_FLIGHT_MAX: usize = 20;
/// Jobs at once; Zendesk takes 30 of an account, all programs together.
const JOBS_MAX: u32 = 20;
/// A job that was queued and not answered for can start so much later.
const APPLY_MAX: Duration = Duration::from_secs(300);
/// Objects every account has.
const OBJECTS: [&str; 3] = ["users", "organizations", "tickets"];

/// Opens a connection. Pure: nothing is sent.
///
/// # Errors
/// When the options cannot be used.
pub fn open(args: OpenArgs) -> Result<Arc<dyn Destination>> {
    let options: Options = writer::options::parse(&args)?;
    let connection = args.connection.as_str();
    let base_url =
        BaseUrl::new(connection, options.base_url.as_deref(), &host(&options, connection)?)?;
    let headers = match &options.email {
        Some(email) => writer::basic(connection, &format!("{email}/token"), &options.token)?,
        None => writer::bearer(connection, &options.token)?,
    };
    let client = Client::new(ClientOptions {
        connection: args.connection.clone(),
        base_url,
        ca_file: options.ca_file,
        request_timeout: options.request_timeout.map_or(REQUEST_TIMEOUT, |Span(time)| time),
        headers,
        metrics: Arc::clone(&args.metrics),
    })?;
    let fixed = options.requests_per_minute.map(u32::from);
    let share = options.quota_share.unwrap_or(Share::ALL);
    let max = fixed.unwrap_or_else(|| options.plan.requests_per_minute());
    let pacer = Pacer::new(PacerOptions {
        account: writer::account("zendesk", client.host(), &[]),
        connection: args.connection,
        windows: vec![WindowOptions {
            name: "1m",
            length: Duration::from_secs(60),
            max,
            fixed: fixed.is_some(),
        }],
        share,
        in_flight_max: IN_FLIGHT_MAX,
        metrics: args.metrics,
        clock: Arc::clone(&args.clock),
    });
    Ok(Arc::new(Zendesk {
        client,
        pacer,
        token: options.token,
        clock: args.clock,
        subdomain: options.subdomain,
        user_import: options.user_import,
        bulk_users_off: AtomicBool::new(false),
        permanently_delete: options.permanently_delete,
        send_verification: options.send_verification,
        job_timeout: options.job_timeout.map_or(JOB_TIMEOUT, |Span(time)| time),
        requests_per_minute: share.of(max),
        jobs_max: share.of(JOBS_MAX),
        board: Board::default(),
        schemas: Mutex::default(),
    }))
}

/// The account's own address; anything where `base_url` is given.
fn host(options: &Options, connection: &str) -> Result<String> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    let subdomain = options.subdomain.as_deref().or(options.base_url.as_deref().map(|_| "account"));
    match subdomain {
        Some(name) if !name.is_empty() && name.bytes().all(plain) => {
            Ok(format!("https://{name}.zendesk.com"))
        }
        _ => {
            let message = format!(
                "connection `{connection}`: `subdomain` is missing, or not a name: `acme` of https://acme.zendesk.com"
            );
            Err(Error::new(&E2013_OPTIONS, message))
        }
    }
}

struct Zendesk {
    client: Client,
    pacer: Pacer,
    token: Secret,
    clock: Arc<dyn Clock>,
    subdomain: Option<String>,
    user_import: UserImport,
    /// Zendesk has said that this account has no jobs for users.
    bulk_users_off: AtomicBool,
    permanently_delete: bool,
    send_verification: bool,
    job_timeout: Duration,
    requests_per_minute: u32,
    jobs_max: u32,
    board: Board,
    /// Fields by object, as last asked: lists are told from text by them.
    schemas: Mutex<HashMap<String, Arc<ObjectSchema>>>,
}

impl Zendesk {
    fn judge(&self, rows: usize) -> Judge<'_> {
        Judge { token: &self.token, now_micros: self.clock.now_micros(), rows }
    }

    /// Sends one request when the account's limits allow it, and learns from the answer what they are now.
    async fn call(&self, request: Request) -> Result<Reply> {
        let permit = self.pacer.acquire().await?;
        let answer = self.client.send(request).await;
        permit.answered(match &answer {
            Ok(reply) => self.judge(0).signals(reply),
            // A connection that is refused is no sign of overload; one that is not answered is.
            Err(error) => Signals { overloaded: error.is_ambiguous(), ..Signals::default() },
        });
        answer
    }

    fn has_bulk_users(&self) -> bool {
        self.user_import != UserImport::Single && !self.bulk_users_off.load(Ordering::Relaxed)
    }

    /// Whether the error says that the account has no jobs for users, and something else may be tried.
    fn bulk_users_refused(&self, error: &Error) -> bool {
        let refused = self.user_import == UserImport::Auto && *error.code() == E2010_PERMISSION;
        if refused {
            self.bulk_users_off.store(true, Ordering::Relaxed);
            tracing::info!(
                "the account does not allow jobs for users; they are written one by one"
            );
        }
        refused
    }

    async fn known_schema(&self, object: &str) -> Result<Arc<ObjectSchema>> {
        let known =
            self.schemas.lock().unwrap_or_else(PoisonError::into_inner).get(object).cloned();
        match known {
            Some(schema) => Ok(schema),
            None => self.learn_schema(object).await,
        }
    }

    async fn learn_schema(&self, object: &str) -> Result<Arc<ObjectSchema>> {
        let schema = Arc::new(self.schema(object).await?);
        let mut schemas = self.schemas.lock().unwrap_or_else(PoisonError::into_inner);
        schemas.insert(object.to_owned(), Arc::clone(&schema));
        Ok(schema)
    }
}

#[async_trait]
impl Destination for Zendesk {
    fn limits(&self, object: &str) -> Result<Limits> {
        let object = Object::parse(object)?;
        let single = object == Object::Users && self.user_import == UserImport::Single;
        let job = JobLimits { rows_min: 1, rows_max: ROWS_MAX, bytes_max: BYTES_MAX };
        let in_flight_max = self.pacer.in_flight_max();
        Ok(Limits {
            rows_max: if single { 1 } else { ROWS_MAX },
            bytes_max: BYTES_MAX,
            in_flight_max: if single {
                in_flight_max
            } else {
                in_flight_max.min(self.jobs_max as usize)
            },
            modes: object.modes(),
            attribution: if single { Attribution::Single } else { Attribution::JobRows },
            null_rule: NullRule::JsonNull,
            renames: true,
            removals: object.removals(),
            jobs: (!single).then_some(job),
            apply_max: APPLY_MAX,
        })
    }

    async fn describe(&self, object: &str) -> Result<ObjectSchema> {
        Ok(self.learn_schema(object).await?.as_ref().clone())
    }

    async fn account(&self) -> Result<Option<String>> {
        Ok(self.subdomain.as_ref().map(|name| format!("Zendesk account {name}")))
    }

    fn objects(&self) -> Vec<String> {
        OBJECTS.map(str::to_owned).to_vec()
    }

    fn keeps_quota(&self) -> Option<&dyn KeepsQuota> {
        Some(&self.pacer)
    }

    async fn write(&self, batch: &WriteBatch) -> Result<Receipt> {
        let object = Object::parse(&batch.object)?;
        check(batch, object, self.limits(&batch.object)?.rows_max)?;
        let rows = batch.payload.rows().max(batch.record_ids.len());
        if rows == 0 {
            return Ok(Receipt { outcomes: Vec::new() });
        }
        let schema = self.known_schema(&batch.object).await?;
        let mut items = Items::of(batch, object, &schema);
        if !self.send_verification {
            items = items.without_verification();
        }
        let receipt = self.send(&Work::of(batch, object, items)?).await?;
        assert_eq!(receipt.outcomes.len(), rows, "one outcome per row");
        Ok(receipt)
    }

    fn reads_back(&self) -> Option<&dyn ReadsBack> {
        Some(self)
    }

    fn keeps_jobs(&self) -> Option<&dyn KeepsJobs> {
        Some(self)
    }
}

/// Whether a batch keeps to the limits.
fn check(batch: &WriteBatch, object: Object<'_>, rows_max: usize) -> Result<()> {
    let rows = batch.payload.rows().max(batch.record_ids.len());
    if rows > rows_max {
        return Err(Error::new(
            &E2016_CALL,
            format!("{rows} rows in a call; Zendesk takes {rows_max}"),
        ));
    }
    if !batch.record_ids.is_empty() {
        let counted = batch.payload.fields.num_columns() == 0 || batch.payload.rows() == rows;
        return match counted && batch.record_ids.len() == rows {
            true => Ok(()),
            false => Err(Error::new(&E2016_CALL, "a call does not have one record id per row")),
        };
    }
    if !object.modes().contains(&batch.mode) {
        let why = match (object, batch.mode) {
            (Object::Tickets, Mode::Upsert | Mode::Mirror) => {
                "a ticket's external id is not unique, so an answer that is lost would make the ticket twice, with its e-mails"
            }
            (_, Mode::Create) => {
                "an answer that is lost would make a record twice, or a reject of it"
            }
            _ => "its objects are records, not events",
        };
        let message = format!("Zendesk is not written to by {}: {why}", batch.mode.as_str());
        return Err(Error::new(&E2017_NOT_OFFERED, message));
    }
    let names = object.found_by(batch.mode);
    match &*batch.match_on {
        [name] if names.contains(&name.as_str()) => Ok(()),
        _ => {
            let (names, mode) = (names.join("` or `"), batch.mode.as_str());
            let message = format!(
                "with mode {mode} Zendesk finds records of this object by one field: `{names}`"
            );
            Err(Error::new(&E2017_NOT_OFFERED, message))
        }
    }
}

#[cfg(test)]
mod tests;
