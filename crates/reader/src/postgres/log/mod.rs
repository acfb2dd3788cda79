//! The log method: the replication slot says which rows changed, and they are read again in their present form.
//!
//! Nothing of a row's values is taken from the log, so that a large value that did not change is never taken for NULL,
//! joins are what they are now, and a key without a row is a row that is gone. The slot is moved on only when all of it
//! is settled, so that whatever stops a run, the next one is told the same again.

mod changes;
mod mark;
mod pgoutput;
mod slot;
mod visible;
mod wait;
mod ways;

use flow::arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use flow::{Batch, Error, Finding, Key, Log, Model, Opening, ReadRequest, Result, Scope};
use tokio::sync::mpsc;
use tokio_util::task::TaskTracker;

use self::changes::{Changes, Texts};
pub(super) use self::mark::LogMark;
use self::slot::{Lsn, Missing, Slot};
use self::visible::Seen;
pub(super) use self::wait::wait;
use self::ways::{Way, Ways};
use super::columns::{ALIAS, Column, Layout};
use super::literal;
use super::mark::{Server, finding};
use super::session::Session;
use super::source::{Postgres, View, clock};
use super::stream::Stream;
use super::types::Carry;
use crate::codes;
use crate::handover::{Event, Notes};

/// Different keys collected before they are handed over.
const KEYS_WAITING_MAX: usize = 8192;

/// A read of the log that is open.
pub(super) struct LogPlan {
    source: Postgres,
    background: TaskTracker,
    session: Session,
    log: Log,
    layout: Layout,
    ways: Ways,
    /// Read up to here.
    upto: Lsn,
    /// Only a read of every row will do; the log says nothing.
    all: bool,
}

/// Looks at slot, publication and tables, and says what to read.
pub(super) async fn open(
    source: &Postgres,
    (request, log): (&ReadRequest, &Log),
    background: TaskTracker,
) -> Result<((Opening, Notes), LogPlan)> {
    let Scope::Changed { mark, .. } = &request.scope else {
        return Err(Error::new(&codes::E1024_PROTOCOL, "the log has no such scope"));
    };
    let mut session = source.connect(background.clone()).await?;
    session.begin_looking().await?;
    let clock = clock(&mut session).await?;
    let view = View::of(&mut session, &request.model, &request.columns).await?;
    let (ways, slot) = look(&mut session, (&request.model, log), &view).await?;
    let here = LogMark::of(&Server::of(&mut session).await?, slot.confirmed, &ways);
    let known = LogMark::parse(mark);
    let why = match &known {
        Some(known) => known.says_nothing(&here, &slot),
        None => {
            Some(finding(&codes::E1064_LOG_GAP, "nothing is known of the log so far".to_owned()))
        }
    };
    let all = why.is_some();
    if let Some(known) = known.as_ref().filter(|known| !all && known.lsn > slot.confirmed) {
        // Settled by an earlier run, which did not come to say it.
        slot::advance(&mut session, &log.slot, known.lsn).await?;
    }
    let upto = if all { slot.confirmed } else { slot.flushed };
    let notes = Notes {
        mark: Some(LogMark { lsn: upto, ..here }.store()),
        findings: why.into_iter().collect(),
        retained_bytes: Some(slot.retained_bytes),
    };
    let opening = Opening { clock, duplicates: Default::default(), schema: view.layout.schema() };
    let (log, layout, source) = (log.clone(), view.layout, source.clone());
    Ok(((opening, notes), LogPlan { source, background, session, log, layout, ways, upto, all }))
}

/// Everything the log method needs, or an error that names all that is missing.
async fn look(
    session: &mut Session,
    (model, log): (&Model, &Log),
    view: &View,
) -> Result<(Ways, Slot)> {
    let slot = slot::look(session, log).await?;
    let mut ways = ways::look(session, (model, log), view).await?;
    let mut missing = std::mem::take(&mut ways.missing);
    let slot = match slot {
        Ok(slot) => Some(slot),
        Err(of_slot) => {
            missing.extend(of_slot);
            None
        }
    };
    match (slot, missing.is_empty()) {
        (Some(slot), true) => Ok((ways, slot)),
        _ => Err(incomplete(&missing)),
    }
}

fn incomplete(missing: &[Missing]) -> Error {
    let join = |part: fn(&Missing) -> &str, by: &str| {
        missing.iter().map(part).collect::<Vec<_>>().join(by)
    };
    let code = missing.first().map_or(&codes::E1027_NO_SLOT, |first| first.code);
    Error::new(code, join(|missing| &missing.what, "; "))
        .with_remedy(join(|missing| &missing.how, "\n"))
}

/// What a check of the model finds about its log.
pub(super) async fn findings(
    session: &mut Session,
    (model, log): (&Model, &Log),
    view: &View,
) -> Result<Vec<Finding>> {
    let (ways, slot) = look(session, (model, log), view).await?;
    let unfollowed = ways.unfollowed.iter().map(|table| {
        let message = format!("the model reads {table}, whose changes are not followed");
        finding(&codes::E1066_NOT_FOLLOWED, message)
    });
    let all = ways.tables.iter().filter_map(|table| match &table.way {
        Way::All(reason) => Some(every_row(&table.label, reason)),
        _ => None,
    });
    let mut found: Vec<Finding> = unfollowed.chain(all).chain(slot.findings(log)).collect();
    found.dedup_by(|a, b| a.message == b.message);
    Ok(found)
}

fn every_row(label: &str, reason: &str) -> Finding {
    let message = format!("a change of {label} makes a run read every row: {reason}");
    finding(&codes::E1067_EVERY_ROW, message)
}

/// What a read of every row of a log model leaves: the log from where the slot is now on, which is before the snapshot.
pub(super) async fn mark_of_all(
    session: &mut Session,
    (model, log): (&Model, &Log),
    view: &View,
) -> Result<(flow::Mark, u64)> {
    let (ways, slot) = look(session, (model, log), view).await?;
    let server = Server::of(session).await?;
    Ok((LogMark::of(&server, slot.confirmed, &ways).store(), slot.retained_bytes))
}

/// Moves the slot on to `mark`.
pub(super) async fn settled(source: &Postgres, log: &Log, mark: &flow::Mark) -> Result<()> {
    let Some(mark) = LogMark::parse(mark) else { return Ok(()) };
    let mut session = source.connect(TaskTracker::new()).await?;
    session.begin_looking().await?;
    if let Ok(slot) = slot::look(&mut session, log).await?
        && slot.confirmed < mark.lsn
    {
        slot::advance(&mut session, &log.slot, mark.lsn).await?;
    }
    session.commit().await?;
    session.end().await;
    Ok(())
}

/// Reads the log to its end and says everything.
pub(super) async fn pump(plan: LogPlan, sender: mpsc::Sender<Result<Event>>) {
    let last = match Reading::new(plan, &sender).read().await {
        Ok(()) => Ok(Event::End),
        Err(error) => Err(error),
    };
    // Nobody listens any more where this fails.
    let _ = sender.send(last).await;
}

struct Reading<'a> {
    plan: LogPlan,
    sender: &'a mpsc::Sender<Result<Event>>,
    changes: Changes,
    seen: Seen,
    /// A second connection, while the first is busy with the log.
    aside: Option<Session>,
}

impl<'a> Reading<'a> {
    fn new(plan: LogPlan, sender: &'a mpsc::Sender<Result<Event>>) -> Self {
        Self { plan, sender, changes: Changes::default(), seen: Seen::default(), aside: None }
    }

    async fn read(mut self) -> Result<()> {
        if self.plan.all {
            self.say(Event::NeedsAll).await;
        } else {
            self.read_log().await?;
            self.hand_over().await?;
        }
        if let Some((table, reason)) = self.changes.all {
            let label = &self.plan.ways.tables[table].label;
            self.say(Event::Finding(every_row(label, reason))).await;
            self.say(Event::NeedsAll).await;
        }
        let mut session = self.plan.session;
        session.commit().await?;
        session.end().await;
        if let Some(mut aside) = self.aside {
            aside.commit().await?;
            aside.end().await;
        }
        Ok(())
    }

    async fn say(&self, event: Event) {
        // Nobody listens any more where this fails; the thread ends with the channel.
        let _ = self.sender.send(Ok(event)).await;
    }

    /// Streams the messages; how many there are does not matter to memory.
    async fn read_log(&mut self) -> Result<()> {
        let Log { slot, publication, .. } = &self.plan.log;
        let select = format!(
            "SELECT data FROM pg_catalog.pg_logical_slot_peek_binary_changes({}, {}::pg_lsn, NULL, \
             'proto_version', '1', 'publication_names', {})",
            literal::string(slot),
            literal::string(&self.plan.upto.to_string()),
            literal::string(&literal::identifier(publication)),
        );
        let column = Column {
            name: "data".to_owned(),
            carry: Carry::Bytea,
            source_type: "bytea".to_owned(),
            computed: None,
            dialect: self.plan.session.dialect(),
        };
        let layout = Layout { columns: vec![column], keys: Vec::new(), watermark: None };
        let mut stream = Stream::new(&layout, KEYS_WAITING_MAX);
        stream.start(&mut self.plan.session, &select, "reading the log").await?;
        while let Some(decoded) = stream.next(&mut self.plan.session).await? {
            let messages = decoded.rows.column(0).as_binary::<i32>();
            for row in 0..messages.len() {
                let message = match messages.is_null(row) {
                    // Larger than a value may be: what it says is found by reading every row.
                    true => pgoutput::Message::Truncate {
                        oids: self.plan.ways.by_oid.keys().copied().collect(),
                    },
                    false => pgoutput::read(messages.value(row))?,
                };
                if let Some(xid) = self.changes.take(&self.plan.ways, message)? {
                    self.seen.add(xid);
                }
                if self.changes.len() >= KEYS_WAITING_MAX || self.seen.are_many() {
                    self.hand_over_aside().await?;
                }
            }
        }
        Ok(())
    }

    async fn hand_over_aside(&mut self) -> Result<()> {
        let mut session = match self.aside.take() {
            Some(session) => session,
            None => {
                let mut session = self.plan.source.connect(self.plan.background.clone()).await?;
                session.begin_looking().await?;
                session
            }
        };
        self.hand_over_by(&mut session).await?;
        self.aside = Some(session);
        Ok(())
    }

    /// The rest, now that the log's connection is free again.
    async fn hand_over(&mut self) -> Result<()> {
        let (sender, limit) = (self.sender, self.plan.session.progress_timeout());
        self.seen.are_visible(&mut self.plan.session, limit).await?;
        for select in selects(&self.plan, std::mem::take(&mut self.changes.rows)) {
            hand_over(&mut self.plan.session, (&self.plan.layout, &select), sender).await?;
        }
        Ok(())
    }

    async fn hand_over_by(&mut self, session: &mut Session) -> Result<()> {
        let limit = session.progress_timeout();
        self.seen.are_visible(session, limit).await?;
        for select in selects(&self.plan, std::mem::take(&mut self.changes.rows)) {
            hand_over(session, (&self.plan.layout, &select), self.sender).await?;
        }
        Ok(())
    }
}

/// The queries that make the model's keys of what changed.
fn selects(
    plan: &LogPlan,
    rows: std::collections::HashMap<usize, std::collections::HashSet<Texts>>,
) -> Vec<String> {
    let keys: Vec<&Column> = plan.layout.key_columns().collect();
    let layout = key_layout(&plan.layout);
    let mut selects = Vec::new();
    for (table, rows) in rows {
        let rows: Vec<Texts> = rows.into_iter().collect();
        let cast = |index: usize| {
            let Column { name, source_type, .. } = keys[index];
            format!("k.c{index}::{source_type} AS {}", literal::identifier(name))
        };
        let casts = (0..keys.len()).map(cast).collect::<Vec<_>>().join(", ");
        let names = (0..keys.len()).map(|index| format!("c{index}")).collect::<Vec<_>>().join(", ");
        let followed = &plan.ways.tables[table];
        let (with, from) = match &followed.way {
            Way::Columns(_) => {
                let arrays = (0..keys.len()).map(|index| {
                    let texts = rows.iter().map(|row| row[index].as_str());
                    format!("{}::text[]", literal::array(texts))
                });
                let arrays = arrays.collect::<Vec<_>>().join(", ");
                (String::new(), format!("unnest({arrays}) AS k({names})"))
            }
            Way::Sql(text) => {
                let with = ways::changed(&followed.identity, Some(&rows));
                (with, format!("(\n{text}\n) AS k({names})"))
            }
            Way::All(_) => continue,
        };
        let projection = layout.projection();
        selects.push(format!(
            "{with} SELECT {projection} FROM (SELECT {casts} FROM {from}) AS {ALIAS}"
        ));
    }
    selects
}

/// The key columns alone.
fn key_layout(layout: &Layout) -> Layout {
    let columns: Vec<Column> = layout.key_columns().cloned().collect();
    Layout { keys: (0..columns.len()).collect(), columns, watermark: None }
}

/// Runs one of the queries, and hands over the keys it gives.
async fn hand_over(
    session: &mut Session,
    (layout, select): (&Layout, &str),
    sender: &mpsc::Sender<Result<Event>>,
) -> Result<()> {
    let keys_only = key_layout(layout);
    let mut stream = Stream::new(&keys_only, KEYS_WAITING_MAX);
    stream.start(session, select, "finding the rows that changed").await?;
    while let Some(decoded) = stream.next(session).await? {
        let columns: Vec<&ArrayRef> = decoded.rows.columns().iter().collect();
        let keys = (0..decoded.rows.num_rows()).filter_map(|row| Key::at(&columns, row)).collect();
        let rows = RecordBatch::new_empty(layout.schema());
        let nothing = Batch { rows, faults: Vec::new(), last: None };
        if sender.send(Ok(Event::Changed(keys, nothing))).await.is_err() {
            return Ok(());
        }
    }
    Ok(())
}
