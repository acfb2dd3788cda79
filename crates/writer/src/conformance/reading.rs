//! Reading back what was written, by id and by value (D10).

use std::sync::Arc;
use std::time::Duration;

use arrow::array::{ArrayRef, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema};
use flow::{Found, Outcome, ReadBack, ReadsBack, Records, text_at};
use tokio::time::Instant;

use super::Told;
use super::bench::Bench;

pub(super) async fn records_are_read_as_they_were_written(bench: &Bench) -> Told {
    let Some(reads) = bench.destination.reads_back() else {
        return Err("the destination cannot be asked for records");
    };
    let rows = bench.rows(bench.few(), "as written");
    let receipt = bench.write(&rows).await.expect("an answer");
    let ids = receipt.outcomes.iter().map(|outcome| match outcome {
        Outcome::Delivered { remote_id: Some(id), .. } => id.clone(),
        other => panic!("{}: whoever is read gives ids: {other:?}", bench.name),
    });
    let ids: Vec<String> = ids.collect();
    let mut names: Vec<String> = rows.iter().map(|(found_by, _)| found_by.clone()).collect();
    let nobody = bench.found_by(90).pop().expect("90 names");
    if names.len() > 1 {
        names[1] = nobody;
    }
    let values: ArrayRef = Arc::new(StringArray::from(names.clone()));
    let matching = RecordBatch::try_from_iter([(bench.match_on.name.as_str(), values)]);
    let fields = Schema::new(vec![Field::new(&bench.text.name, DataType::Utf8, true)]);
    let fields = Arc::new(fields);
    let matching = Records::Matching(matching.expect("one column"));
    for (records, gone) in [(Records::Ids(ids.clone()), false), (matching, true)] {
        let object = bench.object.as_str().into();
        let asked = ReadBack { object, records, fields: Arc::clone(&fields) };
        let found =
            until_found(bench, reads, &asked, ids.len() - usize::from(gone && ids.len() > 1)).await;
        assert_eq!(found.record_ids.len(), names.len(), "{}", bench.name);
        for (row, id) in ids.iter().enumerate() {
            let missing = gone && row == 1;
            let expected = if missing { Vec::new() } else { vec![id.clone()] };
            assert_eq!(found.record_ids[row], expected, "{}: row {row}", bench.name);
            let text = text_at(found.fields.column(0), row);
            let expected = if missing { "" } else { "as written" };
            assert_eq!(text, expected, "{}: row {row}", bench.name);
        }
    }
    Ok(())
}

/// A search may lag behind what was written.
async fn until_found(
    bench: &Bench,
    reads: &dyn ReadsBack,
    asked: &ReadBack,
    records: usize,
) -> Found {
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let found = reads.read(asked).await.expect("an answer");
        let there = found.record_ids.iter().filter(|ids| !ids.is_empty()).count();
        if there >= records {
            return found;
        }
        assert!(Instant::now() < deadline, "{}: {there} of {records} are found", bench.name);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}
