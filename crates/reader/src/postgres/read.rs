//! A read in progress: one snapshot, decoded as it arrives, handed over batch by batch.

use std::sync::Arc;

use flow::arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use flow::arrow::datatypes::{DataType, Date32Type, TimestampMicrosecondType};
use flow::{Batch, Key, Position, Result, Watermark};
use tokio::sync::mpsc;

use super::columns::Layout;
use super::names::{self, Named};
use super::query::Part;
use super::relation::{Stored, generation, replaced};
use super::session::Session;
use super::stream::Stream;
use crate::handover::Event;

const DAY_MICROS: i64 = 86_400_000_000;

/// Everything a read needs once it is open.
pub(super) struct Plan {
    pub session: Session,
    pub layout: Layout,
    pub parts: Vec<(Part, String)>,
    pub rows_max: Option<u64>,
    pub batch_rows: usize,
    pub tables: Vec<(String, String)>,
    pub generation: Vec<Stored>,
    /// Where tables are known by name only, the one that the name meant before the snapshot.
    pub named: Option<Named>,
    /// Called at a clean end.
    pub finished: Box<dyn FnOnce()>,
}

/// Reads to the end and says everything.
pub(super) async fn pump(plan: Plan, sender: mpsc::Sender<Result<Event>>) {
    let last = match read_parts(plan, &sender).await {
        Ok(()) => Ok(Event::End),
        Err(error) => Err(error),
    };
    // Nobody listens any more where this fails.
    let _ = sender.send(last).await;
}

async fn read_parts(mut plan: Plan, sender: &mpsc::Sender<Result<Event>>) -> Result<()> {
    let mut stream = Stream::new(&plan.layout, plan.batch_rows);
    let mut left = plan.rows_max;
    for (part, select) in &plan.parts {
        if left == Some(0) {
            break;
        }
        let limit = left.map_or(String::new(), |rows| format!(" LIMIT {rows}"));
        stream.start(&mut plan.session, &format!("{select}{limit}"), "reading the model").await?;
        while let Some(decoded) = stream.next(&mut plan.session).await? {
            left = left.map(|left| left.saturating_sub(decoded.rows.num_rows() as u64));
            let last = position(&plan.layout, part, &decoded.rows);
            let batch = Batch { rows: decoded.rows, faults: decoded.faults, last };
            if sender.send(Ok(Event::Batch(batch))).await.is_err() {
                return Ok(());
            }
        }
    }
    // Still inside the transaction: its locks keep the tables what they are until after this check.
    let now = generation(&mut plan.session, &plan.tables).await?;
    if let Some(changed) = now.iter().zip(&plan.generation).find(|(now, then)| now != then) {
        return Err(replaced(&changed.0.quoted()));
    }
    plan.session.commit().await?;
    if let Some(named) = &plan.named {
        names::check(&mut plan.session, named).await?;
    }
    plan.session.end().await;
    (plan.finished)();
    Ok(())
}

/// The position of the last row.
fn position(layout: &Layout, part: &Part, rows: &RecordBatch) -> Option<Position> {
    let row = rows.num_rows().checked_sub(1)?;
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
