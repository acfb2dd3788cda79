//! The port's source: check a model, list relations, open a read.

use std::sync::Arc;

use async_trait::async_trait;
use flow::metrics::Metrics;
use flow::{
    Changes, Checked, ColumnInfo, Error, Finding, Model, Opening, ReadRequest, Relation, Result,
    Retry, Scope, Source, Watermark,
};
use tokio::time::Instant;
use tokio_util::task::TaskTracker;

use super::columns::{Column, Layout, describe};
use super::connect::Connector;
use super::duplicates::Found;
use super::log::LogPlan;
use super::mark::{self, Here, Mark, Server, Todo};
use super::names::{self, Named};
use super::options::Options;
use super::query::Query;
use super::read::{About, Plan};
use super::relation::{self, Target};
use super::session::{Session, Settings};
use super::stream::Bytes;
use super::{check, decode, discover, duplicates, log, parallel, thread};
use crate::OpenArgs;
use crate::codes;
use crate::handover::Notes;

/// A PostgreSQL warehouse. Opening it touches no network.
#[derive(Clone)]
pub struct Postgres {
    connection: String,
    connector: Connector,
    settings: Settings,
    batch_rows: usize,
    /// Most connections of one read.
    read_connections: usize,
    metrics: Arc<Metrics>,
}

impl std::fmt::Debug for Postgres {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Postgres({} at {})", self.connection, self.connector.place())
    }
}

impl Postgres {
    /// Checks the options.
    ///
    /// # Errors
    /// `E1001` for options that cannot be right; the text holds no secret.
    pub fn open(args: OpenArgs) -> Result<Self> {
        let options = Options::parse(&args.connection, args.options.clone())?;
        Ok(Self {
            connector: Connector::new(&args, &options)?,
            settings: Settings::of(&options),
            batch_rows: options.batch_rows,
            read_connections: options.read_connections,
            connection: args.connection,
            metrics: args.metrics,
        })
    }

    pub(super) async fn connect(&self, background: TaskTracker) -> Result<Session> {
        Session::connect(&self.connector, &self.settings, background).await
    }

    fn count(&self, kind: &'static str, since: Instant) {
        self.metrics.warehouse_query(&self.connection, kind, since.elapsed());
    }

    /// Opens a read: everything up to its first row.
    pub(super) async fn open_read(
        &self,
        request: &ReadRequest,
        background: TaskTracker,
    ) -> Result<(thread::Known, Work)> {
        if let (Changes::Log(log), Scope::Changed { .. }) = (&request.model.changes, &request.scope)
        {
            let (known, plan) = log::open(self, (request, log), background).await?;
            return Ok((known, Work::Log(Box::new(plan))));
        }
        let since = Instant::now();
        let mut session = self.connect(background).await?;
        let ahead = self.look_ahead(&mut session, request).await?;
        let Ahead { lock, named, has_marks, shares, log } = ahead;
        session.begin_reading(&lock).await?;
        let clock = clock(&mut session).await?;
        let view = View::of(&mut session, &request.model, &request.columns).await?;
        let Asked { scope, late, mark, mut findings } =
            changed(&mut session, &view, (&request.scope, clock), has_marks).await?;
        let View { target, layout, .. } = view;
        let not_null = duplicates::not_null(&mut session, &target).await?;
        let dialect = session.dialect();
        let keys_nullable = !layout.key_columns().all(|key| not_null.contains(&key.name));
        let query = Query { from: &target.from, layout: &layout, dialect, keys_nullable, late };
        let mut parts = query.parts(&scope, request.after.as_ref())?;
        let mut tables = Vec::new();
        for part in &parts {
            tables.extend(relation::tables_under(&mut session, &query.select(part)).await?);
        }
        tables.sort();
        tables.dedup();
        let generation = relation::generation(&mut session, &tables).await?;
        let found = match duplicates::is_guarded(&mut session, &target, &layout).await? {
            true => Found { unplaced: true, ..Found::default() },
            false => duplicates::find(&mut session, &query, &scope).await?,
        };
        // The part of the rows without a place comes last, after one with a place.
        if !found.unplaced && parts.first().is_some_and(|part| part.on_watermark) {
            parts.truncate(1);
        }
        let mut connections = 1;
        if shares && matches!(scope, Scope::All | Scope::Since(_) | Scope::Range { .. }) {
            let whole = (&query, parts);
            let cut = parallel::cut(&mut session, whole, (&target, &tables), self.read_connections);
            let cut = cut.await?;
            findings.extend(cut.why);
            (parts, connections) = (cut.parts, cut.connections);
        }
        let opening = Opening { schema: layout.schema(), clock, duplicates: Arc::new(found.twins) };
        let (late, batch_rows) = (query.late, self.batch_rows);
        let about = About {
            from: target.from,
            layout,
            keys_nullable,
            late,
            parts,
            lock,
            tables,
            generation,
            named,
            dialect,
            batch_rows,
        };
        let rows_max = request.rows_max;
        let plan = Plan { session, about, connections, rows_max, finished: self.finished(since) };
        let (mark, retained_bytes) =
            log.map_or((mark, None), |(mark, bytes)| (Some(mark), Some(bytes)));
        // A read that stops early says nothing about the rest.
        let mark = mark.filter(|_| rows_max.is_none());
        Ok(((opening, Notes { mark, findings, retained_bytes }), Work::Rows(Box::new(plan))))
    }

    /// Counts a read that began then, when it is called at its end.
    fn finished(&self, since: Instant) -> Box<dyn FnOnce()> {
        let (metrics, connection) = (self.metrics.clone(), self.connection.clone());
        Box::new(move || metrics.warehouse_query(&connection, "read", since.elapsed()))
    }

    /// Looks ahead, in a transaction that holds no snapshot: what the read will lock, and whether the server has marks.
    async fn look_ahead(&self, session: &mut Session, request: &ReadRequest) -> Result<Ahead> {
        session.begin_looking().await?;
        let view = View::of(session, &request.model, &request.columns).await?;
        let mut select = view.whole();
        if let Scope::Where(condition) = &request.scope {
            relation::check_condition(session, &view.target, condition).await?;
            select.push_str(&format!(" WHERE (\n{condition}\n)"));
        }
        let tables = relation::tables_under(session, &select).await?;
        let lock = relation::lockable(session, &view.target, &tables).await?;
        let has_marks = match request.scope {
            Scope::All | Scope::Since(_) | Scope::Changed { .. } => {
                Server::has_marks(session).await?
            }
            _ => false,
        };
        let shares = self.read_connections > 1
            && session.dialect().is_postgres
            && request.rows_max.is_none()
            && parallel::can_share(session).await?;
        let log = match (&request.model.changes, &request.scope) {
            (Changes::Log(log), Scope::All) if request.rows_max.is_none() => {
                Some(log::mark_of_all(session, (&request.model, log), &view).await?)
            }
            _ => None,
        };
        let number = names::number(session, &view.target).await?;
        let named = number.map(|number| Named { target: view.target, number });
        session.commit().await?;
        Ok(Ahead { lock, named, has_marks, shares, log })
    }
}

/// What was found out before the snapshot.
struct Ahead {
    /// Tables to lock.
    lock: Vec<String>,
    /// Where tables are known by name only, the table that this one is.
    named: Option<Named>,
    has_marks: bool,
    /// Whether several connections may read, and can have one snapshot.
    shares: bool,
    /// Where the log goes on from, and how much of it is kept back.
    log: Option<(flow::Mark, u64)>,
}

/// What an open read has to do.
pub(super) enum Work {
    Rows(Box<Plan>),
    Log(Box<LogPlan>),
}

/// What a read since some point comes to.
struct Asked {
    /// As asked for, or every row.
    scope: Scope,
    late: Option<String>,
    mark: Option<flow::Mark>,
    findings: Vec<Finding>,
}

/// What has to be read for `scope`, in the reading transaction.
async fn changed(
    session: &mut Session,
    view: &View,
    (scope, clock): (&Scope, Watermark),
    has_marks: bool,
) -> Result<Asked> {
    let from = match scope {
        Scope::Since(from) => Some(*from),
        Scope::Changed { from, .. } => *from,
        _ => None,
    };
    let mut asked = Asked {
        scope: from.map_or_else(|| scope.clone(), Scope::Since),
        late: None,
        mark: None,
        findings: Vec::new(),
    };
    if matches!(scope, Scope::Changed { .. }) && from.is_some_and(|from| from > clock) {
        // F5: whatever this server has, it has not what was read before.
        let message = "the warehouse's clock is before what was read in an earlier run".to_owned();
        asked.findings.push(mark::finding(&codes::E1061_OTHER_SERVER, message));
        asked.scope = Scope::All;
    }
    if !has_marks {
        return Ok(asked);
    }
    let server = Server::of(session).await?;
    let tables = relation::tables_under(session, &view.whole()).await?;
    let tables = relation::generation(session, &tables).await?;
    let rows_bytes = match view.layout.watermark_column() {
        Some(_) => mark::rows_bytes(session, &view.target).await?,
        None => None,
    };
    let here = Here { server: &server, clock, tables: &tables, rows_bytes };
    let known = match scope {
        Scope::Changed { mark, .. } => Mark::parse(mark),
        _ => None,
    };
    let next = match (known, &asked.scope) {
        (Some(known), Scope::Since(_)) => {
            let (todo, next) = known.since(&here)?;
            match todo {
                Todo::Since { late } => asked.late = late,
                Todo::All(why) => {
                    asked.scope = Scope::All;
                    asked.findings.push(why);
                }
            }
            next
        }
        (_, Scope::All) => Mark::of_all(&here),
        // The rows before were read by who knows which snapshots: the next read looks at all of them.
        _ => Mark::unlooked(&here),
    };
    asked.mark = Some(next.store());
    Ok(asked)
}

/// A model as a transaction sees it.
pub(super) struct View {
    pub(super) target: Target,
    pub(super) layout: Layout,
    /// All columns, in the model's order.
    described: Vec<ColumnInfo>,
}

impl View {
    pub(super) async fn of(
        session: &mut Session,
        model: &Model,
        wanted: &[String],
    ) -> Result<Self> {
        let dialect = session.dialect();
        if matches!(model.changes, Changes::Log(_)) && !dialect.is_postgres {
            let message = format!("{} has no log that can be followed", dialect.name);
            return Err(Error::new(&codes::E1080_NO_LOG, message));
        }
        let target = relation::resolve(session, &model.relation).await?;
        if let Some(condition) = &model.removed_when {
            relation::check_condition(session, &target, condition)
                .await
                .map_err(|error| of_removed_when(&error))?;
        }
        let sql = format!("SELECT {}.* FROM {}", super::columns::ALIAS, target.from);
        let statement = session.prepare(&sql, &format!("describing {}", target.label)).await?;
        let columns = describe(session, &statement).await?;
        let described = columns.iter().map(Column::info).collect();
        Ok(Self { target, layout: Layout::new(columns, model, wanted)?, described })
    }

    /// A SELECT of every column, as they are.
    pub(super) fn all(&self) -> String {
        format!("SELECT {}.* FROM {}", super::columns::ALIAS, self.target.from)
    }

    /// A SELECT of everything the read needs, in no order.
    pub(super) fn whole(&self) -> String {
        format!("SELECT {} FROM {}", self.layout.projection(), self.target.from)
    }
}

#[async_trait]
impl Source for Postgres {
    async fn check(&self, model: &Model) -> Result<Checked> {
        let since = Instant::now();
        let mut session = self.connect(TaskTracker::new()).await?;
        session.begin_looking().await?;
        let view = View::of(&mut session, model, &[]).await?;
        let tables = relation::tables_under(&mut session, &view.whole()).await?;
        let mut findings = check::findings(&mut session, model, &view, &tables).await?;
        if let Changes::Log(log) = &model.changes {
            findings.extend(log::findings(&mut session, (model, log), &view).await?);
        }
        session.commit().await?;
        session.end().await;
        self.count("check", since);
        Ok(Checked { columns: view.described, findings })
    }

    async fn discover(&self, of: Option<&Relation>) -> Result<Vec<(String, Vec<ColumnInfo>)>> {
        let since = Instant::now();
        let mut session = self.connect(TaskTracker::new()).await?;
        session.begin_looking().await?;
        let found = match of {
            None => discover::relations(&mut session).await?,
            Some(relation) => vec![discover::columns(&mut session, relation).await?],
        };
        session.commit().await?;
        session.end().await;
        self.count("discover", since);
        Ok(found)
    }

    async fn count_rows(&self, model: &Model) -> Result<Option<u64>> {
        let since = Instant::now();
        let mut session = self.connect(TaskTracker::new()).await?;
        session.begin_looking().await?;
        let target = relation::resolve(&mut session, &model.relation).await?;
        let sql = format!("SELECT count(*) FROM {}", target.from);
        let doing = format!("counting the rows of {}", target.label);
        let rows = session.query(&sql, &[], &doing).await?;
        let count: Option<i64> = rows.first().map(|row| row.get(0));
        session.commit().await?;
        session.end().await;
        self.count("count", since);
        Ok(count.and_then(|count| u64::try_from(count).ok()))
    }

    async fn read(&self, request: ReadRequest) -> Result<Box<dyn flow::Read>> {
        let this = self.clone();
        let open = async move |background| this.open_read(&request, background).await;
        Ok(Box::new(thread::read(self.clone(), open).await?))
    }

    async fn settled(&self, model: &Model, mark: &flow::Mark) -> Result<()> {
        match &model.changes {
            Changes::Log(log) => log::settled(self, log, mark).await,
            _ => Ok(()),
        }
    }

    async fn wait(&self, model: &Model, mark: &flow::Mark, wait: flow::Wait) -> Result<bool> {
        match &model.changes {
            Changes::Log(log) => log::wait(self, (log, mark), wait).await,
            _ => Ok(true),
        }
    }
}

/// Says that the mistake is in the condition and not in the model.
fn of_removed_when(error: &Error) -> Error {
    Error::new(error.code(), format!("`removed_when`: {}", error.message()))
        .with_remedy(error.remedy().to_owned())
        .with_retry(error.retry())
}

/// The first query of a reading transaction: it takes the snapshot and fixes the transaction as read-only.
///
/// The clock is the transaction's start, which is never after the snapshot.
///
/// Where the snapshot lies before the transaction's start, so does the clock; servers do not agree on what `now()` is then.
pub(super) async fn clock(session: &mut Session) -> Result<Watermark> {
    const SQL: &str = "SELECT pg_catalog.now()";
    let rows = session.query(SQL, &[], "taking the snapshot").await?;
    let raw = rows.first().and_then(|row| row.try_get::<_, Bytes<'_>>(0).ok());
    let micros = raw.and_then(|Bytes(raw)| decode::timestamp_of(raw));
    let behind = i64::try_from(session.dialect().behind.as_micros()).unwrap_or(i64::MAX);
    micros.map(|micros| Watermark(micros.saturating_sub(behind))).ok_or_else(|| {
        Error::new(&codes::E1024_PROTOCOL, "the warehouse did not say what time it is")
            .with_retry(Retry::Backoff)
    })
}

/// The lag of a watermark model.
pub(super) fn lag_micros(model: &Model) -> Option<i64> {
    match &model.changes {
        Changes::Watermark { lag_micros, .. } => Some(*lag_micros),
        Changes::Snapshot | Changes::Log(_) => None,
    }
}
