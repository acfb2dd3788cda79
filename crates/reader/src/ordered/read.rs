//! The read itself: open after the first look, then the rows in the scope, in order, batch by batch.

use std::collections::HashSet;
use std::sync::Arc;

use flow::arrow::array::{ArrayRef, AsArray, BooleanArray, RecordBatch, StringArray};
use flow::arrow::compute::filter_record_batch;
use flow::arrow::datatypes::{DataType, Field, Schema};
use flow::arrow::error::ArrowError;
use flow::arrow::row::OwnedRow;
use flow::{
    Batch, Error, Fault, Key, Opening, Position, ReadRequest, Result, Retry, Scope, Watermark,
};

use super::look::look;
use super::place::{Order, watermark_at};
use super::sorter::Sorter;
use super::{Arrived, Relation, Room, Window};
use crate::codes;
use crate::handover::Handover;
use crate::layout::Layout;

/// A batch is handed over when it has about so many bytes of rows, even if few of them.
const BATCH_BYTES_MAX: usize = 4 << 20;
/// Between the faults of a row, and between column and reason; neither occurs in reasons.
const NEXT_FAULT: char = '\u{1e}';
const REASON: char = '\u{1f}';

/// What a read asks for.
pub(crate) struct Request {
    pub(crate) layout: Layout,
    pub(crate) scope: Scope,
    pub(crate) after: Option<Position>,
    pub(crate) rows_max: Option<u64>,
    /// The clock when the relation was opened.
    pub(crate) clock: Watermark,
    pub(crate) room: Room,
    keys: HashSet<Key>,
}

impl Request {
    /// The read that `request` asks for, in the columns of `layout`.
    ///
    /// # Errors
    /// `E1017` where the scope needs a watermark and the model has none.
    pub(crate) fn new(
        request: ReadRequest,
        layout: Layout,
        clock: Watermark,
        room: Room,
    ) -> Result<Self> {
        let keys = match &request.scope {
            Scope::Keys(keys) => keys.iter().cloned().collect(),
            Scope::Since(_) | Scope::Range { .. } if layout.watermark.is_none() => {
                return Err(Error::new(&codes::E1017_WATERMARK_TYPE, "the model has no watermark"));
            }
            _ => HashSet::new(),
        };
        let ReadRequest { scope, after, rows_max, .. } = request;
        Ok(Self { layout, scope, after, rows_max, clock, room, keys })
    }

    /// Whether rows come in the order of the watermark.
    pub(super) fn by_watermark(&self) -> bool {
        self.layout.watermark.is_some() && !matches!(self.scope, Scope::Keys(_) | Scope::Where(_))
    }

    /// Which rows a relation may leave out.
    fn window(&self) -> Window {
        match self.scope {
            Scope::Since(from) | Scope::Changed { from: Some(from), .. } => {
                Window::Between { from, to: None, unplaced: true }
            }
            Scope::Range { from, to } => Window::Between { from, to: Some(to), unplaced: false },
            _ => Window::All,
        }
    }

    /// Which rows are asked for.
    pub(super) fn in_scope(&self, layout: &Layout, order: &Order, rows: &RecordBatch) -> Vec<bool> {
        let all = 0..rows.num_rows();
        let at = |row| layout.watermark.and_then(|index| watermark_at(rows.column(index), row));
        match &self.scope {
            Scope::Since(from) | Scope::Changed { from: Some(from), .. } => {
                all.map(|row| at(row).is_none_or(|at| at >= *from)).collect()
            }
            Scope::Range { from, to } => {
                all.map(|row| at(row).is_some_and(|at| at >= *from && at < *to)).collect()
            }
            Scope::Keys(_) => all
                .map(|row| order.key(rows, row).is_some_and(|key| self.keys.contains(&key)))
                .collect(),
            Scope::All | Scope::Where(_) | Scope::Changed { from: None, .. } => {
                vec![true; rows.num_rows()]
            }
        }
    }
}

/// The error for what only a database understands.
pub(crate) fn needs_sql(message: &str) -> Error {
    Error::new(&codes::E1103_NEEDS_SQL, message)
}

/// The error of a read that nobody waits for any more; nobody sees it.
pub(super) fn dropped() -> Error {
    Error::new(&codes::E1005_CUT, "the read was given up").with_retry(Retry::Never)
}

/// Opens the read and hands over all of it.
///
/// # Errors
/// When the relation cannot be read to the end, or is no longer what it was when it was opened.
pub(crate) fn pump(
    relation: &mut dyn Relation,
    request: &Request,
    handover: &mut Handover,
) -> Result<()> {
    let looked = look(relation, request, &|| handover.is_dropped())?;
    handover.open(Opening {
        schema: request.layout.schema(),
        clock: request.clock,
        duplicates: Arc::new(looked.twins),
    });
    let order = Order::new(&request.layout, request.by_watermark())?;
    let after = request.after.as_ref().map(|position| order.place(position)).transpose()?;
    let mut delivery =
        Delivery { request, order: &order, handover, left: request.rows_max.unwrap_or(u64::MAX) };
    match looked.in_order {
        true => as_they_come(relation, (request, &order, after.as_ref()), &mut delivery)?,
        false => sorted(relation, (request, &order, after.as_ref()), &mut delivery)?,
    }
    relation.unchanged()
}

type Wanted<'a> = (&'a Request, &'a Order, Option<&'a OwnedRow>);

fn as_they_come(
    relation: &mut dyn Relation,
    wanted: Wanted<'_>,
    delivery: &mut Delivery<'_>,
) -> Result<()> {
    let (request, ..) = wanted;
    let mut rows = relation.rows(&request.layout, request.window())?;
    while delivery.left > 0 {
        let Some(arrived) = rows.next()? else { break };
        let packed = pick(wanted, &pack(arrived, &request.layout)?)?;
        delivery.deliver(&packed)?;
    }
    Ok(())
}

fn sorted(
    relation: &mut dyn Relation,
    wanted: Wanted<'_>,
    delivery: &mut Delivery<'_>,
) -> Result<()> {
    let (request, order, _) = wanted;
    let mut sorter = Sorter::new(&request.room);
    let mut rows = relation.rows(&request.layout, request.window())?;
    while let Some(arrived) = rows.next()? {
        if delivery.handover.is_dropped() {
            return Err(dropped());
        }
        let packed = pick(wanted, &pack(arrived, &request.layout)?)?;
        let places = order.places(&packed)?;
        sorter.push(packed, places)?;
    }
    drop(rows);
    let mut sorted = sorter.finish()?;
    while delivery.left > 0 {
        let Some(batch) = sorted.next()? else { break };
        // Without the places.
        let columns: Vec<usize> = (0..batch.num_columns() - 1).collect();
        delivery.deliver(&batch.project(&columns).map_err(no_batch)?)?;
    }
    Ok(())
}

/// Rows with their faults in one more column, so that both stay together while they are sorted.
fn pack(arrived: Arrived, layout: &Layout) -> Result<RecordBatch> {
    let mut faults: Vec<Option<String>> = vec![None; arrived.rows.num_rows()];
    for Fault { row, column, reason } in arrived.faults {
        let index = layout.columns.iter().position(|known| known.name == column).unwrap_or(0);
        let text = faults[row].get_or_insert_default();
        text.push_str(&format!("{index}{REASON}{reason}{NEXT_FAULT}"));
    }
    let schema = layout.schema();
    let mut fields: Vec<_> = schema.fields().iter().cloned().collect();
    fields.push(Arc::new(Field::new("faults", DataType::Utf8, true)));
    let mut columns = arrived.rows.columns().to_vec();
    columns.push(Arc::new(StringArray::from(faults)));
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).map_err(no_batch)
}

/// The rows that are asked for.
fn pick((request, order, after): Wanted<'_>, rows: &RecordBatch) -> Result<RecordBatch> {
    let mut wanted = request.in_scope(&request.layout, order, rows);
    if let Some(after) = after {
        let places = order.places(rows)?;
        for (row, wanted) in wanted.iter_mut().enumerate() {
            *wanted &= places.row(row) > after.row();
        }
    }
    filter_record_batch(rows, &BooleanArray::from(wanted)).map_err(no_batch)
}

struct Delivery<'a> {
    request: &'a Request,
    order: &'a Order,
    handover: &'a mut Handover,
    left: u64,
}

impl Delivery<'_> {
    /// Hands over packed rows in batches of a bearable size.
    fn deliver(&mut self, packed: &RecordBatch) -> Result<()> {
        let rows = packed.num_rows();
        let row_bytes = packed.get_array_memory_size() / rows.max(1);
        let step = (BATCH_BYTES_MAX / row_bytes.max(1)).clamp(1, self.request.room.batch_rows);
        let mut at = 0;
        while at < rows && self.left > 0 {
            let most = usize::try_from(self.left).unwrap_or(usize::MAX);
            let slice = packed.slice(at, step.min(rows - at).min(most));
            at += slice.num_rows();
            self.left -= slice.num_rows() as u64;
            let batch = unpack(&slice, &self.request.layout, self.order)?;
            if !self.handover.batch(batch) {
                return Err(dropped());
            }
        }
        Ok(())
    }
}

fn unpack(packed: &RecordBatch, layout: &Layout, order: &Order) -> Result<Batch> {
    let (faults, columns): (&ArrayRef, &[ArrayRef]) =
        packed.columns().split_last().expect("packed rows have a column of faults");
    let rows = RecordBatch::try_new(layout.schema(), columns.to_vec()).map_err(no_batch)?;
    let mut named = Vec::new();
    for (row, text) in faults.as_string::<i32>().iter().enumerate() {
        for fault in text.unwrap_or_default().split_terminator(NEXT_FAULT) {
            let (index, reason) = fault.split_once(REASON).unwrap_or(("0", fault));
            let index: usize = index.parse().unwrap_or(0);
            let column = layout.columns[index].name.clone();
            named.push(Fault { row, column, reason: reason.to_owned() });
        }
    }
    let last = rows.num_rows().checked_sub(1).and_then(|row| order.position(&rows, row));
    Ok(Batch { rows, faults: named, last })
}

fn no_batch(error: ArrowError) -> Error {
    Error::new(&codes::E1107_BROKEN_FILE, format!("rows that are no batch: {error}"))
}
