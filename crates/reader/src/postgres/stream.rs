//! The rows of one SELECT after the other, by COPY or as rows of a query, decoded as they arrive.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll};

use flow::Result;
use futures::Stream as _;
use tokio_postgres::types::{FromSql, Type};
use tokio_postgres::{CopyOutStream, Row, RowStream};

use super::columns::Layout;
use super::copy::Decoder;
use super::errors::classify;
use super::options::ReadBy;
use super::rows::{Decoded, Rows};
use super::session::{Session, no_progress};

/// A batch is handed over when it has so many bytes of rows, even if few of them.
const BATCH_BYTES_MAX: usize = 4 << 20;

/// The rows of one SELECT after the other, with the same columns, as batches.
pub(super) struct Stream {
    decoder: Decoder,
    batch_rows: usize,
    arriving: Option<Arriving>,
    doing: &'static str,
    /// Chunks received; tells a slow server from a silent one.
    received: u64,
}

/// What the server sends. The driver reads on only when what it has read was taken, so neither fills the memory.
enum Arriving {
    Copy(Pin<Box<CopyOutStream>>),
    Rows(Pin<Box<RowStream>>),
}

enum Chunk {
    Copy(bytes::Bytes),
    Row(Row),
}

impl Arriving {
    fn poll(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Chunk, tokio_postgres::Error>>> {
        match self {
            Self::Copy(copy) => {
                copy.as_mut().poll_next(context).map(|next| next.map(|next| next.map(Chunk::Copy)))
            }
            Self::Rows(rows) => {
                rows.as_mut().poll_next(context).map(|next| next.map(|next| next.map(Chunk::Row)))
            }
        }
    }
}

impl Stream {
    pub(super) fn new(layout: &Layout, batch_rows: usize) -> Self {
        let carries = layout.columns.iter().map(|column| &column.carry);
        let decoder = Decoder::new(layout.schema(), carries);
        Self { decoder, batch_rows, arriving: None, doing: "reading", received: 0 }
    }

    /// Starts a SELECT.
    pub(super) async fn start(
        &mut self,
        session: &mut Session,
        select: &str,
        doing: &'static str,
    ) -> Result<()> {
        self.arriving = Some(match session.read_by() {
            ReadBy::Copy => {
                let sql = format!("COPY ({select}) TO STDOUT (FORMAT binary)");
                Arriving::Copy(Box::pin(session.copy_out(&sql, doing).await?))
            }
            ReadBy::Query => Arriving::Rows(Box::pin(session.query_raw(select, doing).await?)),
        });
        self.doing = doing;
        Ok(())
    }

    /// The next rows; `None` after the last, when the server has said that it was the last (R3): by the COPY's
    /// trailer, or by the query's end.
    pub(super) async fn next(&mut self, session: &mut Session) -> Result<Option<Decoded>> {
        let limit = session.progress_timeout();
        while self.arriving.is_some() {
            let before = self.received;
            match tokio::time::timeout(limit, poll_fn(|context| self.fill(session, context))).await
            {
                Ok(filled) => {
                    filled?;
                    if let Some(decoded) = self.decoder.rows().take()? {
                        return Ok(Some(decoded));
                    }
                }
                Err(_) if self.received > before => {}
                Err(_) => return Err(no_progress(limit, self.doing)),
            }
        }
        Ok(None)
    }

    /// Decodes what has arrived until a batch is full or the SELECT ends; no task switch per row.
    fn fill(&mut self, session: &mut Session, context: &mut Context<'_>) -> Poll<Result<()>> {
        while let Some(arriving) = self.arriving.as_mut() {
            let mut polled = arriving.poll(context);
            if polled.is_pending() {
                session.advance(context);
                polled = arriving.poll(context);
            }
            match polled {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Some(Ok(chunk))) => {
                    self.received += 1;
                    match chunk {
                        Chunk::Copy(bytes) => self.decoder.push(&bytes)?,
                        Chunk::Row(row) => append(self.decoder.rows(), &row, self.doing)?,
                    }
                    let rows = self.decoder.rows();
                    if rows.count() >= self.batch_rows || rows.bytes() >= BATCH_BYTES_MAX {
                        break;
                    }
                }
                Poll::Ready(Some(Err(error))) => {
                    return Poll::Ready(Err(classify(&error, self.doing)));
                }
                Poll::Ready(None) => {
                    if let Some(Arriving::Copy(_)) = self.arriving.take() {
                        self.decoder.end()?;
                    }
                }
            }
        }
        Poll::Ready(Ok(()))
    }
}

/// A row of a query: its values have the binary form that COPY gives them.
fn append(rows: &mut Rows, row: &Row, doing: &str) -> Result<()> {
    if row.len() != rows.width() {
        return Err(super::rows::broken("a row with another number of columns"));
    }
    for index in 0..row.len() {
        let value: Option<Bytes<'_>> =
            row.try_get(index).map_err(|error| classify(&error, doing))?;
        rows.append(index, value.map(|Bytes(bytes)| bytes))?;
    }
    rows.end_row();
    Ok(())
}

/// A value of any type as it was sent.
pub(super) struct Bytes<'a>(pub(super) &'a [u8]);

impl<'a> FromSql<'a> for Bytes<'a> {
    fn from_sql(_: &Type, raw: &'a [u8]) -> Result<Self, Box<dyn std::error::Error + Sync + Send>> {
        Ok(Self(raw))
    }

    fn accepts(_: &Type) -> bool {
        true
    }
}
