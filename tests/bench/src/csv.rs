//! The CSV of a Salesforce job: encoding alone, without a network, on one core.

use std::sync::Arc;

use flow::arrow::array::{
    ArrayRef, BooleanArray, Date32Array, Int64Array, RecordBatch, StringArray,
    TimestampMicrosecondArray,
};
use flow::{Mode, Payload, WriteBatch};
use tokio::time::Instant;
use writer_crm::salesforce::job_file;

use crate::Scale;
use crate::figure::{Figure, median};

const ROUNDS: usize = 9;

/// Encodes one job's worth of rows again and again.
pub(crate) fn run(scale: &Scale) -> Vec<Figure> {
    let rows = i64::try_from(scale.rows(100_000)).expect("so many rows fit");
    let batch = batch(rows);
    let bytes = job_file(&batch).expect("the rows can be spelled").len() as f64;
    let round = |_| {
        let began = Instant::now();
        let file = job_file(&batch).expect("the rows can be spelled");
        assert_eq!(file.len() as f64, bytes);
        began.elapsed().as_secs_f64()
    };
    let seconds = median((0..ROUNDS).map(round).collect());
    vec![
        Figure::info("csv.bytes_per_row", bytes / rows as f64, "B"),
        Figure::info("csv.rows_per_second", rows as f64 / seconds, "rows/s"),
        Figure::at_least("csv.encoding", bytes / seconds / 1e6, "MB/s", 200.0),
    ]
}

/// Contacts as they are: short texts, some of them quoted, numbers, dates, a few nulls, and a longer text.
fn batch(rows: i64) -> WriteBatch {
    let text = |of: &dyn Fn(i64) -> Option<String>| -> ArrayRef {
        Arc::new((0..rows).map(of).collect::<StringArray>())
    };
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("External_Id__c", text(&|row| Some(format!("user-{row:08}")))),
        ("LastName", text(&|row| Some(format!("Müller {row}")))),
        ("FirstName", text(&|row| (row % 10 != 0).then(|| "Anna, \"Annie\"".to_owned()))),
        ("Email", text(&|row| Some(format!("user{row}@example.com")))),
        (
            "Description",
            text(&|row| Some(format!("{row}: {}", "uses the product on most days. ".repeat(5)))),
        ),
        ("Score__c", Arc::new((0..rows).map(|row| Some(row * 37)).collect::<Int64Array>())),
        ("Active__c", Arc::new((0..rows).map(|row| Some(row % 3 == 0)).collect::<BooleanArray>())),
        (
            "Birthdate",
            Arc::new((0..rows).map(|row| Some((row % 20_000) as i32)).collect::<Date32Array>()),
        ),
        (
            "Seen_At__c",
            Arc::new(
                (0..rows)
                    .map(|row| Some(1_767_607_202_869_800 + row))
                    .collect::<TimestampMicrosecondArray>(),
            ),
        ),
    ];
    let absent = vec![None; columns.len()];
    let columns = columns.into_iter().map(|(name, column)| (name, column, true));
    let fields = RecordBatch::try_from_iter_with_nullable(columns).expect("columns of one length");
    WriteBatch {
        object: "Contact".into(),
        mode: Mode::Upsert,
        match_on: Arc::new(["External_Id__c".to_owned()]),
        payload: Payload { fields, absent },
        record_ids: Vec::new(),
        job: None,
        run_id: "bench".into(),
    }
}
