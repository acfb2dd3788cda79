//! The simulated warehouse as the engine's source: snapshots, small batches, cuts.

use std::collections::VecDeque;
use std::sync::Arc;

use async_trait::async_trait;
use flow::arrow::array::{
    ArrayRef, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray,
};
use flow::arrow::datatypes::FieldRef;
use flow::{
    Batch, Checked, ColumnInfo, Error, Model, Opening, Read, ReadRequest, Relation, Result, Retry,
    Source, Watermark,
};

use super::oracle;
use super::removals::Given;
use super::table::Row;
use super::universe::{BROKEN, CUT, Sabotage, Universe};
use crate::world::schema;

pub(crate) struct SimSource(pub(crate) Arc<Universe>);

#[async_trait]
impl Source for SimSource {
    async fn check(&self, _model: &Model) -> Result<Checked> {
        self.0.step("check").await;
        let column = |field: &FieldRef| ColumnInfo {
            name: field.name().clone(),
            data_type: field.data_type().clone(),
            source_type: "test".to_owned(),
        };
        let columns = schema().fields().iter().map(column).collect();
        Ok(Checked { columns, findings: Vec::new() })
    }

    async fn discover(
        &self,
        _relation: Option<&Relation>,
    ) -> Result<Vec<(String, Vec<ColumnInfo>)>> {
        Ok(Vec::new())
    }

    async fn read(&self, request: ReadRequest) -> Result<Box<dyn Read>> {
        self.0.step("read").await;
        let mut state = self.0.lock();
        let now = state.now();
        oracle::settle(&mut state, now);
        state.read_ended = false;
        let whole = matches!(request.scope, flow::Scope::All);
        if whole && request.after.is_none() {
            state.given = Given::default();
        }
        if state.misfortune(0.03) {
            return Err(cut("the warehouse is not there"));
        }
        let snapshot_model = state.weather.snapshot;
        let (rows, duplicates) = state.table.select(
            (&request.scope, request.after.as_ref()),
            snapshot_model,
            state.is(Sabotage::IgnoresLag),
        );
        let by_watermark = !snapshot_model
            && !matches!(request.scope, flow::Scope::Keys(_) | flow::Scope::Where(_));
        let cut_after = state.misfortune(0.15).then(|| state.dice.usize(0..4));
        state.note(format_args!(
            "reads {:?} after {:?}: {} rows",
            request.scope,
            request.after,
            rows.len()
        ));
        let opening =
            Opening { schema: schema(), clock: Watermark(now), duplicates: duplicates.into() };
        let universe = Arc::clone(&self.0);
        let asked = matches!(request.scope, flow::Scope::Keys(_));
        let rows = match state.is(Sabotage::SeesNobody) && asked {
            true => VecDeque::new(),
            false => rows.into(),
        };
        Ok(Box::new(SimRead { universe, opening, rows, by_watermark, cut_after, whole }))
    }
}

struct SimRead {
    universe: Arc<Universe>,
    opening: Opening,
    rows: VecDeque<Row>,
    by_watermark: bool,
    cut_after: Option<usize>,
    /// It is a read of everything.
    whole: bool,
}

#[async_trait]
impl Read for SimRead {
    fn opening(&self) -> &Opening {
        &self.opening
    }

    async fn next(&mut self) -> Result<Option<Batch>> {
        self.universe.step("next").await;
        let mut state = self.universe.lock();
        if let Some(left) = &mut self.cut_after {
            if *left == 0 {
                state.note(format_args!("cuts the read"));
                let clean = state.is(Sabotage::CutLooksClean) || state.is(Sabotage::SeesNobody);
                return match clean {
                    true => Ok(None),
                    false => Err(cut("the connection was cut")),
                };
            }
            *left -= 1;
        }
        let rows = self.rows.len().min(state.weather.page_rows);
        if rows == 0 {
            state.read_ended = true;
            if self.whole {
                state.complete = Some(state.given.clone());
            }
            return Ok(None);
        }
        state.rows_given += rows as u64;
        let rows: Vec<Row> = self.rows.drain(..rows).collect();
        if self.whole {
            state.given.add(&rows);
        }
        let last = rows.last().and_then(|row| row.position(self.by_watermark));
        Ok(Some(Batch { rows: to_arrow(&rows), faults: Vec::new(), last }))
    }
}

fn cut(message: &str) -> Error {
    let code = if message.contains("cut") { &CUT } else { &BROKEN };
    Error::new(code, message).with_retry(Retry::Backoff)
}

pub(crate) fn to_arrow(rows: &[Row]) -> RecordBatch {
    let at: TimestampMicrosecondArray = rows.iter().map(|row| row.updated_at).collect();
    let columns: Vec<ArrayRef> = vec![
        Arc::new(rows.iter().map(|row| row.id).collect::<Int64Array>()),
        Arc::new(rows.iter().map(|row| row.email.as_deref()).collect::<StringArray>()),
        Arc::new(StringArray::from_iter_values(rows.iter().map(|row| &row.name))),
        Arc::new(at.with_timezone("UTC")),
    ];
    RecordBatch::try_new(schema(), columns).unwrap()
}
