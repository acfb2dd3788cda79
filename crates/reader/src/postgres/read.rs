//! A read in progress: one snapshot, decoded as it arrives, handed over batch by batch.

use std::sync::Arc;

use flow::arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use flow::arrow::datatypes::{DataType, Date32Type, TimestampMicrosecondType};
use flow::{Batch, Key, Position, Result, Watermark};
use tokio::sync::mpsc;

use super::columns::Layout;
use super::dialect::Dialect;
use super::names::{self, Named};
use super::parallel::Several;
use super::query::{Part, Query};
use super::relation::{Stored, generation, replaced};
use super::session::Session;
use super::stream::Stream;
use crate::handover::Event;

const DAY_MICROS: i64 = 86_400_000_000;

/// What is read, as every connection of a read knows it.
pub(super) struct About {
    pub from: String,
    pub layout: Layout,
    pub keys_nullable: bool,
    pub late: Option<String>,
    pub parts: Vec<Part>,
    pub lock: Vec<String>,
    pub tables: Vec<(String, String)>,
    pub generation: Vec<Stored>,
    /// Where tables are known by name only, the one that the name meant before the snapshot.
    pub named: Option<Named>,
    pub dialect: &'static Dialect,
    pub batch_rows: usize,
}

impl About {
    /// What the parts are parts of.
    pub(super) fn query(&self) -> Query<'_> {
        let Self { from, layout, dialect, keys_nullable, late, .. } = self;
        let (keys_nullable, late) = (*keys_nullable, late.clone());
        Query { from, layout, dialect, keys_nullable, late }
    }
}

/// Everything a read needs once it is open.
pub(super) struct Plan {
    /// The connection that has taken the snapshot.
    pub session: Session,
    pub about: About,
    /// How many connections there may be.
    pub connections: usize,
    pub rows_max: Option<u64>,
    /// Called at a clean end.
    pub finished: Box<dyn FnOnce()>,
}

/// Reads to the end and says everything.
pub(super) async fn pump(plan: Plan, by: &Several, sender: mpsc::Sender<Result<Event>>) {
    let read = match plan.connections {
        1 => read_parts(plan, &sender).await,
        _ => by.read(plan, &sender).await,
    };
    // Nobody listens any more where this fails.
    let _ = sender.send(read.map(|()| Event::End)).await;
}

async fn read_parts(plan: Plan, sender: &mpsc::Sender<Result<Event>>) -> Result<()> {
    let Plan { mut session, about, rows_max, finished, .. } = plan;
    let mut stream = Stream::new(&about.layout, about.batch_rows);
    let mut left = rows_max;
    for part in &about.parts {
        if left == Some(0) {
            break;
        }
        let limit = left.map_or(String::new(), |rows| format!(" LIMIT {rows}"));
        let select = format!("{}{limit}", about.query().select(part));
        stream.start(&mut session, &select, "reading the model").await?;
        while let Some(decoded) = stream.next(&mut session).await? {
            left = left.map(|left| left.saturating_sub(decoded.rows.num_rows() as u64));
            let last = position(&about.layout, part, &decoded.rows);
            let batch = Batch { rows: decoded.rows, faults: decoded.faults, last };
            if sender.send(Ok(Event::Batch(batch))).await.is_err() {
                return Ok(());
            }
        }
    }
    close(session, &about).await?;
    finished();
    Ok(())
}

/// Ends a connection of a read. Still inside its transaction: its locks keep the tables what they are until after the look
/// at their generation (R2).
pub(super) async fn close(mut session: Session, about: &About) -> Result<()> {
    unchanged(&mut session, about).await?;
    session.commit().await?;
    if let Some(named) = &about.named {
        names::check(&mut session, named).await?;
    }
    session.end().await;
    Ok(())
}

/// Whether the tables are what they were when the snapshot was taken (R2).
pub(super) async fn unchanged(session: &mut Session, about: &About) -> Result<()> {
    let now = generation(session, &about.tables).await?;
    match now.iter().zip(&about.generation).find(|(now, then)| now != then) {
        Some((changed, _)) => Err(replaced(&changed.quoted())),
        None => Ok(()),
    }
}

/// The position of the last row.
pub(super) fn position(layout: &Layout, part: &Part, rows: &RecordBatch) -> Option<Position> {
    position_at(layout, part, (rows, rows.num_rows().checked_sub(1)?))
}

/// The position of one row.
pub(super) fn position_at(
    layout: &Layout,
    part: &Part,
    (rows, row): (&RecordBatch, usize),
) -> Option<Position> {
    let keys: Vec<&ArrayRef> = layout.keys.iter().map(|index| rows.column(*index)).collect();
    let key = Key::at(&keys, row)?;
    let watermark = match layout.watermark.filter(|_| part.on_watermark) {
        // A watermark that Arrow cannot hold has no position to go on from.
        Some(index) => Some(watermark_at(rows.column(index), row)?),
        None => None,
    };
    Some(Position { watermark, key })
}

fn watermark_at(column: &Arc<dyn Array>, row: usize) -> Option<Watermark> {
    if column.is_null(row) {
        return None;
    }
    match column.data_type() {
        DataType::Date32 => Some(match column.as_primitive::<Date32Type>().value(row) {
            i32::MAX => Watermark::INFINITY,
            i32::MIN => Watermark::NEG_INFINITY,
            days => Watermark(i64::from(days).saturating_mul(DAY_MICROS)),
        }),
        _ => Some(Watermark(column.as_primitive::<TimestampMicrosecondType>().value(row))),
    }
}
