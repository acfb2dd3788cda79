#![doc = include_str!("README.md")]

mod check;
mod classify;
pub mod codes;
mod describe;
mod object;
mod options;
pub mod simulator;
mod wire;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use flow::{
    Attribution, Clock, Destination, Error, KeepsQuota, Limits, NullRule, ObjectSchema, Outcome,
    Receipt, Removal, Result, Secret, WriteBatch,
};
use writer::codes::{E2016_CALL, E2017_NOT_OFFERED, R213_CALL_TOO_LARGE};
use writer::options::{Share, Span};
use writer::{
    BaseUrl, Client, ClientOptions, DestinationKind, Method, OpenArgs, Pacer, PacerOptions, Reply,
    Request, Signals, WindowOptions,
};

use self::classify::Judge;
use self::object::Object;
pub use self::options::{Options, Region};
use self::wire::Body;

/// The table row.
pub const KIND: DestinationKind = DestinationKind {
    name: "mixpanel",
    category: "product",
    summary: "Mixpanel: profiles of users and groups, and events.",
    open,
    options_schema: || schemars::schema_for!(Options),
    simulate: Some(simulator::build),
    codes: codes::CODES,
};

const REQUEST_TIMEOUT: Duration = Duration::from_secs(60);
/// Mixpanel takes about 30,000 events a second: 15 full calls.
const REQUESTS_PER_SECOND: u32 = 15;
/// Mixpanel asks for 10 to 20 calls at once at most.
const IN_FLIGHT_MAX: usize = 10;
/// Objects of profiles per call.
const OBJECTS_MAX: usize = 2000;
/// Mixpanel works on what it took after it has answered; how long, it does not say.
const APPLY_MAX: Duration = Duration::from_secs(300);

/// Opens a connection. Pure: nothing is sent.
///
/// # Errors
/// When the options cannot be used.
pub fn open(args: OpenArgs) -> Result<Arc<dyn Destination>> {
    let options: Options = writer::options::parse(&args)?;
    let connection = args.connection.as_str();
    let request_timeout = options.request_timeout.map_or(REQUEST_TIMEOUT, |Span(time)| time);
    let (user, secret) = (&options.service_account_user, &options.service_account_secret);
    let headers = writer::basic(connection, user, secret)?;
    let client = |host: &'static str| -> Result<Client> {
        Client::new(ClientOptions {
            connection: args.connection.clone(),
            base_url: BaseUrl::new(connection, options.base_url.as_deref(), host)?,
            ca_file: options.ca_file.clone(),
            request_timeout,
            headers: headers.clone(),
            metrics: Arc::clone(&args.metrics),
        })
    };
    let (ingestion, application) =
        (client(options.region.ingestion())?, client(options.region.application())?);
    let pacer = Pacer::new(PacerOptions {
        account: writer::account("mixpanel", ingestion.host(), &[&options.project_id]),
        connection: args.connection.clone(),
        windows: vec![WindowOptions {
            name: "1s",
            length: Duration::from_secs(1),
            max: options.requests_per_second.map_or(REQUESTS_PER_SECOND, u32::from),
            fixed: options.requests_per_second.is_some(),
        }],
        share: options.quota_share.unwrap_or(Share::ALL),
        in_flight_max: IN_FLIGHT_MAX,
        metrics: args.metrics,
        clock: Arc::clone(&args.clock),
    });
    Ok(Arc::new(Mixpanel {
        ingestion,
        application,
        pacer,
        token: options.token,
        secret: options.service_account_secret,
        project_id: options.project_id,
        clock: args.clock,
    }))
}

struct Mixpanel {
    ingestion: Client,
    application: Client,
    pacer: Pacer,
    token: Secret,
    secret: Secret,
    project_id: String,
    clock: Arc<dyn Clock>,
}

impl Mixpanel {
    fn judge(&self, rows: usize) -> Judge<'_> {
        Judge { secrets: [&self.token, &self.secret], now_micros: self.clock.now_micros(), rows }
    }

    async fn call(&self, client: &Client, request: Request) -> Result<Reply> {
        let permit = self.pacer.acquire().await?;
        let answer = client.send(request).await;
        permit.answered(match &answer {
            Ok(reply) => classify::signals(reply, self.clock.now_micros()),
            Err(error) => Signals { overloaded: error.is_ambiguous(), ..Signals::default() },
        });
        answer
    }

    /// Sends the rows of a body; their outcomes, in its order.
    async fn send(
        &self,
        batch: &WriteBatch,
        object: &Object,
        body: Vec<u8>,
        rows: usize,
    ) -> Result<Vec<Outcome>> {
        let request = Request {
            method: Method::POST,
            path: wire::path(object, &self.project_id),
            operation: batch.mode.as_str(),
            body: Some(body),
        };
        let reply = self.call(&self.ingestion, request).await?;
        let judge = self.judge(rows);
        match object {
            Object::Events => judge.events(&reply),
            Object::Profiles | Object::Groups(_) => {
                judge.profiles(&reply).map(|outcome| vec![outcome; rows])
            }
        }
    }
}

#[async_trait]
impl Destination for Mixpanel {
    fn limits(&self, object: &str) -> Result<Limits> {
        let object = Object::new(object)?;
        Ok(Limits {
            rows_max: object.rows_max(),
            bytes_max: object.bytes_max(),
            in_flight_max: self.pacer.in_flight_max(),
            modes: object.modes(),
            attribution: match object {
                Object::Events => Attribution::Position,
                Object::Profiles | Object::Groups(_) => Attribution::WholeCall,
            },
            null_rule: match object {
                Object::Events => NullRule::Impossible,
                Object::Profiles | Object::Groups(_) => NullRule::UnsetList,
            },
            renames: false,
            removals: match object {
                Object::Events => &[],
                Object::Profiles | Object::Groups(_) => &[Removal::Delete, Removal::Update],
            },
            apply_max: APPLY_MAX,
            ..Limits::LEAST
        })
    }

    async fn describe(&self, object: &str) -> Result<ObjectSchema> {
        let known = Object::new(object)?;
        let project = writer::percent(&self.project_id);
        let path = format!("/api/app/projects/{project}/schemas");
        let request = Request { method: Method::GET, path, operation: "describe", body: None };
        let reply = self.call(&self.application, request).await?;
        if !reply.is_success() {
            return Err(self.judge(0).error(&reply));
        }
        Ok(describe::schema(known.schema(object), &known, &reply))
    }

    async fn account(&self) -> Result<Option<String>> {
        Ok(Some(self.project_id.clone()))
    }

    fn objects(&self) -> Vec<String> {
        ["profiles", "events", "groups.company"].map(str::to_owned).to_vec()
    }

    fn keeps_quota(&self) -> Option<&dyn KeepsQuota> {
        Some(&self.pacer)
    }

    async fn write(&self, batch: &WriteBatch) -> Result<Receipt> {
        let object = Object::new(&batch.object)?;
        if !object.modes().contains(&batch.mode) {
            let message =
                format!("Mixpanel's `{}` are not written by {}", batch.object, batch.mode.as_str());
            return Err(Error::new(&E2017_NOT_OFFERED, message));
        }
        let count = batch.payload.rows().max(batch.record_ids.len());
        if count > object.rows_max() {
            let message = format!("{count} rows in a call; Mixpanel takes {}", object.rows_max());
            return Err(Error::new(&E2016_CALL, message));
        }
        if count == 0 {
            return Ok(Receipt { outcomes: Vec::new() });
        }
        let Body { bytes, sent, refused, objects } =
            wire::body(batch, &object, self.token.expose())?;
        // A profile that loses properties is two objects.
        if count > 1 && (objects > OBJECTS_MAX || bytes.len() > object.bytes_max()) {
            return Err(Error::new(
                &R213_CALL_TOO_LARGE,
                "a call has more objects or bytes than Mixpanel takes",
            ));
        }
        let mut outcomes: Vec<(usize, Outcome)> = refused;
        if !sent.is_empty() {
            let answers = self.send(batch, &object, bytes, sent.len()).await?;
            outcomes.extend(sent.into_iter().zip(answers));
        }
        outcomes.sort_by_key(|(row, _)| *row);
        let outcomes: Vec<Outcome> =
            outcomes.into_iter().map(|(row, outcome)| addressed(outcome, batch, row)).collect();
        assert_eq!(outcomes.len(), count, "one outcome per row");
        Ok(Receipt { outcomes })
    }
}

/// A record of Mixpanel has no id but the one it is found by: a removed row is addressed by it.
fn addressed(outcome: Outcome, batch: &WriteBatch, row: usize) -> Outcome {
    let address = || match batch.record_ids.get(row) {
        Some(id) => Some(id.clone()),
        None => {
            let column = batch.payload.fields.column_by_name(batch.match_on.first()?)?;
            Some(flow::text_at(column, row).into_owned())
        }
    };
    match outcome {
        Outcome::AcceptedUnverified { .. } => Outcome::AcceptedUnverified { remote_id: address() },
        Outcome::Delivered { created, .. } => Outcome::Delivered { created, remote_id: address() },
        outcome => outcome,
    }
}

#[cfg(test)]
mod tests;
