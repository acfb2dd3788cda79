//! A read in progress: one snapshot, decoded as it arrives, handed over batch by batch.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use flow::arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use flow::arrow::datatypes::{DataType, Date32Type, TimestampMicrosecondType};
use flow::{Batch, Key, Position, Result, Watermark};
use futures::Stream as _;
use tokio::sync::mpsc;
use tokio_postgres::CopyOutStream;

use super::columns::Layout;
use super::copy::{Decoded, Decoder};
use super::errors::classify;
use super::query::Part;
use super::relation::{Stored, generation, replaced};
use super::session::{Session, no_progress};
use crate::handover::Event;

/// A batch is handed over when it has so many bytes of rows, even if few of them.
const BATCH_BYTES_MAX: usize = 4 << 20;
const DAY_MICROS: i64 = 86_400_000_000;

/// The rows of one COPY after the other as batches.
pub(super) struct Stream {
    decoder: Decoder,
    batch_rows: usize,
    copy: Option<Pin<Box<CopyOutStream>>>,
    doing: &'static str,
    /// Chunks received; tells a slow server from a silent one.
    received: u64,
}

impl Stream {
    pub(super) fn new(layout: &Layout, batch_rows: usize) -> Self {
        let carries = layout.columns.iter().map(|column| &column.carry);
        let decoder = Decoder::new(layout.schema(), carries);
        Self { decoder, batch_rows, copy: None, doing: "reading", received: 0 }
    }

    /// Starts the COPY of a SELECT.
    pub(super) async fn start(
        &mut self,
        session: &mut Session,
        select: &str,
        doing: &'static str,
    ) -> Result<()> {
        let sql = format!("COPY ({select}) TO STDOUT (FORMAT binary)");
        self.copy = Some(Box::pin(session.copy_out(&sql, doing).await?));
        self.doing = doing;
        Ok(())
    }

    /// The next rows; `None` after the last, when the COPY's trailer has arrived (R3).
    pub(super) async fn next(&mut self, session: &mut Session) -> Result<Option<Decoded>> {
        let limit = session.progress_timeout();
        while self.copy.is_some() {
            let before = self.received;
            match tokio::time::timeout(limit, poll_fn(|context| self.fill(session, context))).await
            {
                Ok(filled) => {
                    filled?;
                    if let Some(decoded) = self.decoder.take()? {
                        return Ok(Some(decoded));
                    }
                }
                Err(_) if self.received > before => {}
                Err(_) => return Err(no_progress(limit, self.doing)),
            }
        }
        Ok(None)
    }

    /// Decodes what has arrived until a batch is full or the COPY ends; no task switch per row.
    fn fill(&mut self, session: &mut Session, context: &mut Context<'_>) -> Poll<Result<()>> {
        while let Some(copy) = self.copy.as_mut() {
            let mut polled = copy.as_mut().poll_next(context);
            if polled.is_pending() {
                session.advance(context);
                polled = copy.as_mut().poll_next(context);
            }
            match polled {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Some(Ok(chunk))) => {
                    self.received += 1;
                    self.decoder.push(&chunk)?;
                    if self.decoder.rows() >= self.batch_rows
                        || self.decoder.bytes() >= BATCH_BYTES_MAX
                    {
                        break;
                    }
                }
                Poll::Ready(Some(Err(error))) => {
                    return Poll::Ready(Err(classify(&error, self.doing)));
                }
                Poll::Ready(None) => {
                    self.copy = None;
                    self.decoder.end()?;
                }
            }
        }
        Poll::Ready(Ok(()))
    }
}

/// Everything a read needs once it is open.
pub(super) struct Plan {
    pub session: Session,
    pub layout: Layout,
    pub parts: Vec<(Part, String)>,
    pub rows_max: Option<u64>,
    pub batch_rows: usize,
    pub tables: Vec<(String, String)>,
    pub generation: Vec<Stored>,
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
