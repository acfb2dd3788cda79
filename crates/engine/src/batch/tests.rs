//! How rows become calls and jobs: within rows and bytes, and none is lost.

use std::sync::Arc;

use flow::JobLimits;
use flow::arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};

use super::*;

fn limits(rows_max: usize, bytes_max: usize, jobs: Option<JobLimits>) -> Limits {
    Limits { rows_max, bytes_max, jobs, ..Limits::LEAST }
}

/// Rows whose texts have these lengths.
fn rows(texts: &[usize]) -> Call {
    let row = |n: usize| Row {
        range: 0,
        key: Key::from_parts(&[n.to_string()]),
        match_hash: MatchHash(n as u128),
        fingerprint: Fingerprint(n as u128),
        prior: Entry::default(),
        changed_at: None,
        doubt: Doubt::default(),
        payload: None,
        record_id: None,
    };
    let columns: [(&str, ArrayRef); 2] = [
        ("id", Arc::new(Int64Array::from_iter_values(0..texts.len() as i64))),
        ("text", Arc::new(texts.iter().map(|n| Some("x".repeat(*n))).collect::<StringArray>())),
    ];
    let fields = RecordBatch::try_from_iter(columns).unwrap();
    Call {
        rows: (0..texts.len()).map(row).collect(),
        payload: Payload { fields, absent: vec![None, None] },
        job: false,
    }
}

/// Pushes the rows in parts of `at_once` and gives back the calls: rows, and whether it is a job.
fn calls(mut batcher: Batcher, texts: &[usize], at_once: usize) -> Vec<(usize, bool)> {
    let mut calls = Vec::new();
    for part in texts.chunks(at_once) {
        calls.extend(batcher.push(rows(part)).unwrap());
        let waiting: usize = batcher.waiting.iter().map(|call| call.rows.len()).sum();
        assert_eq!(batcher.waiting(), waiting as u64);
    }
    calls.extend(batcher.flush().unwrap());
    for call in &calls {
        assert_eq!(call.rows.len(), call.payload.rows());
    }
    let sent: usize = calls.iter().map(|call| call.rows.len()).sum();
    assert_eq!(sent, texts.len(), "no row is lost");
    calls.into_iter().map(|call| (call.rows.len(), call.job)).collect()
}

#[test]
fn calls_are_full_in_rows_whatever_the_parts_they_come_in() {
    for at_once in [1, 3, 7, 25, 100] {
        let made = calls(Batcher::new(&limits(10, 1 << 20, None), None), &[5; 25], at_once);
        assert_eq!(made, [(10, false), (10, false), (5, false)], "parts of {at_once}");
        let smaller = calls(Batcher::new(&limits(10, 1 << 20, None), Some(8)), &[5; 25], at_once);
        assert_eq!(smaller.len(), 4);
    }
}

#[test]
fn a_call_has_no_more_bytes_than_the_destination_takes_but_one_row_always_goes() {
    for at_once in [1, 3, 9] {
        let texts = [10, 10, 5000, 10, 900, 900, 10, 10, 10];
        let made = calls(Batcher::new(&limits(100, 1000, None), None), &texts, at_once);
        assert!(made.len() >= 5, "{made:?}");
        assert!(made.iter().all(|(rows, _)| *rows <= 5), "{made:?}");
    }
    let made = calls(Batcher::new(&limits(100, 10, None), None), &[50; 4], 4);
    assert_eq!(made, [(1, false); 4]);
}

#[test]
fn enough_rows_are_a_job_and_few_are_calls() {
    let jobs = Some(JobLimits { rows_min: 20, rows_max: 50, bytes_max: 1 << 20 });
    let batcher = || Batcher::new(&limits(10, 1 << 20, jobs), Some(5));
    assert_eq!(calls(batcher(), &[5; 120], 7), [(50, true), (50, true), (20, true)]);
    let few = calls(batcher(), &[5; 12], 7);
    assert_eq!(few, [(5, false), (5, false), (2, false)]);
    let rest = calls(batcher(), &[5; 53], 7);
    assert_eq!(rest, [(50, true), (3, false)]);
}

#[test]
fn where_everything_is_a_job_one_row_is_too() {
    let jobs = Some(JobLimits { rows_min: 1, rows_max: 50, bytes_max: 1 << 20 });
    assert_eq!(
        calls(Batcher::new(&limits(10, 1 << 20, jobs), None), &[5; 51], 7),
        [(50, true), (1, true)]
    );
    let smaller = calls(Batcher::new(&limits(10, 1 << 20, jobs), Some(30)), &[5; 51], 7);
    assert_eq!(smaller, [(30, true), (21, true)]);
}

#[test]
fn a_job_is_never_larger_than_what_is_kept_in_memory() {
    // L2
    let jobs = Some(JobLimits { rows_min: 2, rows_max: 1_000_000, bytes_max: usize::MAX });
    let made = calls(Batcher::new(&limits(10, 1 << 20, jobs), None), &[1 << 20; 40], 8);
    assert!(made.iter().all(|(rows, _)| *rows <= 15), "{made:?}");
}
