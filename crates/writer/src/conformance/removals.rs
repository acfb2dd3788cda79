//! Records of rows that left the model: deleted and updated by their ids, where the destination offers it.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, StringArray};
use flow::{Mode, Outcome, Payload, Removal, Retry, WriteBatch};

use super::bench::{Bench, Rows, is_landed};
use super::jobs::MemoryJournal;
use super::{Subject, Told};

/// Runs every case on one row of a table.
pub(super) async fn run(subject: &Subject<'_>) -> Told {
    let bench = Bench::start(subject).await;
    if bench.limits.removals.is_empty() {
        return Err("records cannot be removed");
    }
    if bench.limits.removals.contains(&Removal::Delete) {
        records_are_deleted_by_their_ids(&bench).await;
        unclear_deletes_can_be_repeated(&Bench::start(subject).await).await;
    }
    if bench.limits.removals.contains(&Removal::Update) {
        records_are_updated_by_their_ids(&Bench::start(subject).await).await;
    }
    Ok(())
}

/// Writes rows and gives back how their records are addressed from then on.
async fn land(bench: &Bench, rows: &Rows) -> Vec<String> {
    let mut outcomes = Vec::new();
    for part in rows.chunks(bench.rows_max()).map(<[_]>::to_vec) {
        outcomes.extend(bench.write(&part).await.expect("an answer").outcomes);
    }
    let ids = outcomes.into_iter().map(|outcome| match outcome {
        Outcome::Delivered { remote_id: Some(id), .. }
        | Outcome::AcceptedUnverified { remote_id: Some(id) } => id,
        other => panic!("{}: whoever removes records tells their ids: {other:?}", bench.name),
    });
    ids.collect()
}

fn deletion(bench: &Bench, ids: &[String]) -> WriteBatch {
    WriteBatch {
        object: bench.object.as_str().into(),
        mode: Mode::Delete,
        match_on: Arc::new([bench.match_on.name.clone()]),
        payload: Payload::without_fields(ids.len()).expect("rows"),
        record_ids: ids.to_vec(),
        job: bench.knows_only_jobs().then(MemoryJournal::fresh),
        run_id: "conformance".into(),
    }
}

/// Deletes records, in as few calls as that takes.
async fn delete(bench: &Bench, ids: &[String]) {
    for part in ids.chunks(bench.rows_max()) {
        done(bench, &deletion(bench, part)).await;
    }
}

async fn done(bench: &Bench, batch: &WriteBatch) {
    let receipt = bench.destination.write(batch).await.expect("an answer");
    assert_eq!(receipt.outcomes.len(), batch.record_ids.len(), "{}: outcomes", bench.name);
    for outcome in &receipt.outcomes {
        assert!(is_landed(outcome), "{}: {outcome:?}", bench.name);
    }
}

async fn holds(bench: &Bench, rows: &[&str], what: &str) {
    let held: Vec<String> = bench.held().await.into_keys().collect();
    let mut expected: Vec<String> = rows.iter().map(|row| (*row).to_owned()).collect();
    expected.sort();
    assert_eq!(held, expected, "{}: {what}", bench.name);
}

async fn records_are_deleted_by_their_ids(bench: &Bench) {
    let rows = bench.rows(4, "text");
    let names: Vec<&str> = rows.iter().map(|(found_by, _)| found_by.as_str()).collect();
    let ids = land(bench, &rows).await;
    delete(bench, &ids[1..3]).await;
    holds(bench, &[names[0], names[3]], "deleted, and nobody else").await;
    // Idempotent, also in one call with a record that is there.
    delete(bench, &ids[1..4]).await;
    holds(bench, &[names[0]], "deleted twice").await;
    // A row that comes back is written like any other.
    let again = land(bench, &rows).await;
    holds(bench, &names, "written again").await;
    delete(bench, &again).await;
    holds(bench, &[], "deleted again").await;
}

/// D4: what may have been applied says so, and the same call made again ends the same.
async fn unclear_deletes_can_be_repeated(bench: &Bench) {
    if bench.knows_only_jobs() {
        return;
    }
    for rule in ["do=apply-then-reset", "do=apply-then-status:500", "do=status:502;body=html"] {
        let rows = bench.rows(bench.rows_max().min(2), "text");
        let batch = deletion(bench, &land(bench, &rows).await);
        bench.fault(rule).await;
        let error = bench.destination.write(&batch).await.expect_err("unclear");
        bench.shows_no_secret(&error);
        assert!(error.is_ambiguous(), "{}: {rule}: {error:?}", bench.name);
        assert_ne!(error.retry(), Retry::Never, "{}: {rule}: {error:?}", bench.name);
        done(bench, &batch).await;
        holds(bench, &[], rule).await;
    }
}

async fn records_are_updated_by_their_ids(bench: &Bench) {
    let rows = bench.rows(3, "before");
    let ids = land(bench, &rows).await;
    for part in ids[1..].chunks(bench.rows_max()) {
        let set: StringArray = part.iter().map(|_| Some("after")).collect();
        let columns: [(&str, ArrayRef, bool); 1] = [(&bench.text.name, Arc::new(set), true)];
        let batch = WriteBatch {
            mode: Mode::Update,
            payload: Payload {
                fields: RecordBatch::try_from_iter_with_nullable(columns).expect("one column"),
                absent: vec![None],
            },
            ..deletion(bench, part)
        };
        done(bench, &batch).await;
        done(bench, &batch).await;
    }
    let held = bench.held().await;
    for (row, (found_by, _)) in rows.iter().enumerate() {
        let expected = if row == 0 { "before" } else { "after" };
        assert_eq!(held[found_by].as_deref(), Some(expected), "{}", bench.name);
    }
}
