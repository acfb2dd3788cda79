#![doc = include_str!("README.md")]

mod answer;
mod auth;
mod bulk;
mod classify;
pub mod codes;
mod collections;
mod describe;
mod options;
mod read;
pub mod simulator;
mod wire;
mod write;

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use flow::{
    Attribution, Clock, Destination, Error, FieldKind, KeepsJobs, KeepsQuota, Limits, Mode,
    NullRule, ObjectSchema, OpenJob, ReadsBack, Receipt, Removal, Result, Resumed, WriteBatch,
};
use writer::codes::{E2007_DAILY_QUOTA, E2013_OPTIONS};
use writer::header::{ACCEPT, CONTENT_TYPE, HeaderValue};
use writer::options::{Share, Span};
use writer::{
    BaseUrl, Client, ClientOptions, DestinationKind, Method, OpenArgs, Pacer, PacerOptions, Reply,
    Request, Signals, Sink, WindowOptions,
};

use self::answer::{Complaint, record_id};
use self::auth::{Session, Token};
pub use self::bulk::job_file;
use self::classify::Judge;
use self::codes::E2107_LOGIN_HOST;
use self::describe::{Described, PARENTS_MAX};
pub use self::options::{Api, ApiVersion, Options};
use self::wire::{bare, object_path};

/// The table row.
pub const KIND: DestinationKind = DestinationKind {
    name: "salesforce",
    category: "crm",
    summary: "Salesforce: any standard or custom object, by sObject Collections and Bulk API 2.0.",
    open,
    options_schema: || schemars::schema_for!(Options),
    simulate: Some(simulator::build),
    codes: codes::CODES,
};

/// Pages that sign people in, and have no records.
const LOGIN_HOSTS: [&str; 2] = ["https://login.salesforce.com", "https://test.salesforce.com"];
const REQUEST_TIMEOUT: Duration = Duration::from_secs(120);
/// A job's file and its results take longer than a call.
const TRANSFER_TIMEOUT: Duration = Duration::from_secs(600);
const JOB_TIMEOUT: Duration = Duration::from_secs(3_600);
/// Bytes per body; what is under this passes through common proxies.
const BYTES_MAX: usize = 4 * 1024 * 1024;
/// Salesforce bears 25 requests that take long at once, all programs together.
const IN_FLIGHT_MAX: usize = 8;
/// Salesforce has no window of seconds; one that is never full keeps the daily quota and the pauses.
const WINDOW: (Duration, u32) = (Duration::from_secs(10), 1_000_000);
/// Salesforce cuts a request off after ten minutes.
const APPLY_MAX: Duration = Duration::from_secs(600);
/// Objects most orgs sync into.
const OBJECTS: [&str; 5] = ["Contact", "Account", "Lead", "Opportunity", "Case"];

/// Opens a connection. Pure: nothing is sent.
///
/// # Errors
/// When the options cannot be used.
pub fn open(args: OpenArgs) -> Result<Arc<dyn Destination>> {
    let mut options: Options = writer::options::parse(&args)?;
    let connection = args.connection.as_str();
    let login = options.login(connection)?;
    let url = options.base_url.as_deref().or(options.instance_url.as_deref()).ok_or_else(|| {
        let message = format!("connection `{connection}`: `instance_url` is missing");
        Error::new(&E2013_OPTIONS, message).with_remedy(
            "Set `instance_url` to the org's own address: `https://acme.my.salesforce.com`.",
        )
    })?;
    let base_url = BaseUrl::new(connection, Some(url), LOGIN_HOSTS[0])?;
    if LOGIN_HOSTS.iter().any(|login| login.ends_with(base_url.host())) {
        let message = format!("connection `{connection}`: `instance_url` is the common login page");
        return Err(Error::new(&E2107_LOGIN_HOST, message));
    }
    let timeout = options.request_timeout.map_or(REQUEST_TIMEOUT, |Span(time)| time);
    let client = |request_timeout: Duration| {
        Client::new(ClientOptions {
            connection: args.connection.clone(),
            base_url: base_url.clone(),
            ca_file: options.ca_file.clone(),
            request_timeout,
            headers: wire::headers(),
            metrics: Arc::clone(&args.metrics),
        })
    };
    let (client, transfers) = (client(timeout)?, client(timeout.max(TRANSFER_TIMEOUT))?);
    let pacer = Pacer::new(PacerOptions {
        account: writer::account("salesforce", client.host(), &[]),
        connection: args.connection.clone(),
        windows: vec![WindowOptions { name: "10s", length: WINDOW.0, max: WINDOW.1, fixed: true }],
        share: options.quota_share.unwrap_or(Share::ALL),
        in_flight_max: IN_FLIGHT_MAX,
        metrics: args.metrics,
        clock: Arc::clone(&args.clock),
    });
    let session = Session {
        client: client.clone(),
        login,
        clock: Arc::clone(&args.clock),
        token: tokio::sync::Mutex::new(None),
    };
    Ok(Arc::new(Salesforce {
        client,
        transfers,
        pacer,
        session,
        clock: args.clock,
        base: format!("/services/data/v{}", options.api_version.0),
        api: options.api,
        hard_delete: options.hard_delete,
        job_timeout: options.job_timeout.map_or(JOB_TIMEOUT, |Span(time)| time),
        secret: Mutex::default(),
        shapes: Mutex::default(),
    }))
}

struct Salesforce {
    client: Client,
    /// For the files of jobs.
    transfers: Client,
    pacer: Pacer,
    session: Session,
    clock: Arc<dyn Clock>,
    /// What every path begins with.
    base: String,
    api: Api,
    hard_delete: bool,
    job_timeout: Duration,
    /// The token last used, masked in messages.
    secret: Mutex<Option<Arc<Token>>>,
    /// What is known of objects that were described.
    shapes: Mutex<HashMap<String, Arc<Shape>>>,
}

/// What writing and reading need to know of an object's fields.
#[derive(Debug, Default)]
struct Shape {
    numbers: HashSet<String>,
    /// Fields no two records share a value of.
    unique: HashSet<String>,
}

/// What a request carries.
enum Transfer<'a> {
    Json,
    /// A job's file, or one of its results, which goes to the sink.
    Csv(Option<Sink<'a>>),
}

/// Makes a request; again, where the session had ended and the same is sent once more.
type Make<'a> = &'a (dyn Fn() -> Result<Request> + Send + Sync);

impl Salesforce {
    fn judge(&self, rows: usize) -> Judge {
        let token = self.secret.lock().unwrap_or_else(PoisonError::into_inner);
        let secret =
            token.as_ref().map_or_else(|| flow::Secret::new(""), |token| token.secret.clone());
        Judge { secret, now_micros: self.clock.now_micros(), rows }
    }

    /// Sends one request when the org's limits allow it. Where its session has ended, signs in again and sends the same
    /// once more.
    async fn call(&self, make: Make<'_>, mut transfer: Transfer<'_>) -> Result<Reply> {
        let token = self.session.token().await?;
        let reply = self.send(make()?, &token, &mut transfer).await?;
        if !is_session_over(&reply) {
            return Ok(reply);
        }
        match self.session.renewed(&token).await? {
            Some(token) => self.send(make()?, &token, &mut transfer).await,
            None => Ok(reply),
        }
    }

    async fn send(
        &self,
        request: Request,
        token: &Arc<Token>,
        transfer: &mut Transfer<'_>,
    ) -> Result<Reply> {
        *self.secret.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(token));
        let permit = self.pacer.acquire().await.map_err(|error| match error.code() {
            code if *code == E2007_DAILY_QUOTA => error.with_remedy(
                "Salesforce counts the last 24 hours, so that requests come back by and by; run again later, or raise `quota_share`.",
            ),
            _ => error,
        })?;
        let mut headers = token.headers.clone();
        let answer = match transfer {
            Transfer::Json => self.client.send_with(request, headers).await,
            Transfer::Csv(sink) => {
                let csv = HeaderValue::from_static("text/csv; charset=UTF-8");
                headers.insert(if sink.is_some() { ACCEPT } else { CONTENT_TYPE }, csv);
                let sink: Option<Sink<'_>> = match sink {
                    Some(sink) => Some(&mut **sink),
                    None => None,
                };
                self.transfers.send_into(request, headers, sink).await
            }
        };
        permit.answered(match &answer {
            Ok(reply) => self.judge(0).signals(reply),
            // A connection that is refused is no sign of overload; one that is not answered is.
            Err(error) => Signals { overloaded: error.is_ambiguous(), ..Signals::default() },
        });
        answer
    }

    /// Sends a request without a body.
    async fn ask(&self, request: Request) -> Result<Reply> {
        let Request { method, path, operation, .. } = request;
        self.call(&|| Ok(bare(method.clone(), path.clone(), operation)), Transfer::Json).await
    }

    /// Sends a small JSON body.
    async fn json(
        &self,
        method: Method,
        path: String,
        (operation, body): (&'static str, &serde_json::Value),
    ) -> Result<Reply> {
        let make = || {
            let body = Some(body.to_string().into_bytes());
            Ok(Request { method: method.clone(), path: path.clone(), operation, body })
        };
        self.call(&make, Transfer::Json).await
    }

    async fn described(&self, object: &str) -> Result<Vec<Described>> {
        let path = format!("{}/sobjects/{}/describe", self.base, object_path(object)?);
        let reply = self.ask(bare(Method::GET, path, "describe")).await?;
        let judge = self.judge(0);
        match reply.is_success() {
            true => describe::read(&reply, &judge),
            false => Err(judge.error(&reply)),
        }
    }

    /// What is known of an object, asked for once.
    async fn shape(&self, object: &str) -> Result<Arc<Shape>> {
        let known = self.shapes.lock().unwrap_or_else(PoisonError::into_inner).get(object).cloned();
        match known {
            Some(shape) => Ok(shape),
            None => Ok(self.learn(object, &self.described(object).await?)),
        }
    }

    fn learn(&self, object: &str, fields: &[Described]) -> Arc<Shape> {
        let schema = describe::schema(object, fields, &[]);
        let numbers = schema.fields.iter().filter(|field| field.kind == FieldKind::Number);
        let unique = fields.iter().filter(|field| field.unique);
        let shape = Arc::new(Shape {
            numbers: numbers.map(|field| field.name.clone()).collect(),
            unique: unique.map(|field| field.name.clone()).collect(),
        });
        let mut shapes = self.shapes.lock().unwrap_or_else(PoisonError::into_inner);
        shapes.insert(object.to_owned(), Arc::clone(&shape));
        shape
    }

    /// The ids of the org and of the user, where Salesforce says so.
    async fn identity(&self) -> Result<Option<(String, String)>> {
        let reply = self.ask(bare(Method::GET, format!("{}/", self.base), "account")).await?;
        match reply.status {
            // A user without the right to ask, or a proxy that does not know the path.
            400 | 402..=407 | 409..=428
                if Complaint::all(&reply)
                    .iter()
                    .all(|one| one.code != "REQUEST_LIMIT_EXCEEDED") =>
            {
                Ok(None)
            }
            _ if reply.is_success() => Ok(identity(&reply)),
            _ => Err(self.judge(0).error(&reply)),
        }
    }
}

/// `https://login.salesforce.com/id/ORG/USER` in the list of the API's resources.
fn identity(reply: &Reply) -> Option<(String, String)> {
    let resources: serde_json::Value = serde_json::from_slice(&reply.body).ok()?;
    let mut parts = resources.get("identity")?.as_str()?.rsplit('/');
    let user = record_id(parts.next()?)?;
    Some((record_id(parts.next()?)?, user))
}

/// Whether another token may help. Some sessions are over for good, and asking again would go on for ever.
fn is_session_over(reply: &Reply) -> bool {
    let for_good = ["not valid for use with the rest api", "not attached to agent"];
    reply.status == 401
        && Complaint::all(reply).iter().all(|complaint| {
            let message = complaint.message.to_ascii_lowercase();
            !for_good.iter().any(|text| message.contains(text))
        })
}

#[async_trait]
impl Destination for Salesforce {
    fn limits(&self, object: &str) -> Result<Limits> {
        object_path(object)?;
        Ok(Limits {
            rows_max: collections::ROWS_MAX,
            bytes_max: BYTES_MAX,
            in_flight_max: self.pacer.in_flight_max(),
            modes: &[Mode::Upsert, Mode::Mirror, Mode::Update, Mode::Create, Mode::Delete],
            attribution: Attribution::Position,
            null_rule: NullRule::JsonNull,
            renames: true,
            removals: &[Removal::Delete, Removal::Update],
            jobs: (self.api != Api::Collections).then(|| bulk::limits(self.api == Api::Bulk)),
            apply_max: APPLY_MAX,
        })
    }

    async fn describe(&self, object: &str) -> Result<ObjectSchema> {
        let own = self.described(object).await?;
        self.learn(object, &own);
        let mut parents: Vec<(String, Vec<Described>)> = Vec::new();
        for (_, to) in own.iter().filter_map(Described::parent) {
            if parents.len() >= PARENTS_MAX || parents.iter().any(|(known, _)| known == to) {
                continue;
            }
            let fields = match to == object {
                true => own.clone(),
                // A parent the user may not see is one that cannot be pointed at.
                false => self.described(to).await.unwrap_or_default(),
            };
            parents.push((to.to_owned(), fields));
        }
        Ok(describe::schema(object, &own, &parents))
    }

    async fn account(&self) -> Result<Option<String>> {
        Ok(self.identity().await?.map(|(org, _)| format!("Salesforce org {org}")))
    }

    fn objects(&self) -> Vec<String> {
        OBJECTS.map(str::to_owned).to_vec()
    }

    fn keeps_quota(&self) -> Option<&dyn KeepsQuota> {
        Some(&self.pacer)
    }

    async fn write(&self, batch: &WriteBatch) -> Result<Receipt> {
        self.write_batch(batch).await
    }

    fn reads_back(&self) -> Option<&dyn ReadsBack> {
        Some(self)
    }

    fn keeps_jobs(&self) -> Option<&dyn KeepsJobs> {
        Some(self)
    }
}

#[async_trait]
impl KeepsJobs for Salesforce {
    async fn resume(&self, job: &OpenJob) -> Result<Resumed> {
        self.resume_job(job).await
    }
}

#[cfg(test)]
mod tests;
