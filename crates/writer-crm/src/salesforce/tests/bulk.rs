//! Batches that go as jobs.

use flow::{OpenJob, Resumed};

use super::*;

fn open_job(id: Option<String>, rows: usize) -> OpenJob {
    OpenJob {
        key: "job-1".to_owned(),
        remote_id: id,
        object: "Contact".into(),
        mode: Mode::Upsert,
        match_on: Arc::new(["External_Id__c".to_owned()]),
        tokens: (0..rows).map(|row| format!("c-{row}")).collect(),
        intended_at: 0,
    }
}

fn id(noted: &Noted) -> Option<String> {
    noted.ids.lock().expect("no panic").first().cloned()
}

#[tokio::test]
async fn a_job_lands_every_row_whatever_order_its_results_come_in() {
    let org = Org::new().await;
    let (rows, noted) = as_job(contacts(2_500, "Kim"));
    let ids = org.lands(&rows).await;
    for record in org.records("Contact").await {
        let row: usize =
            record["External_Id__c"].as_str().expect("text")[2..].parse().expect("a number");
        assert_eq!(record["Id"], ids[row]);
    }
    assert_eq!(noted.calls.load(Ordering::Relaxed), 1);
    assert_eq!((org.asked("job_create").await, org.asked("job_upload").await), (1, 1));
    assert_eq!(org.asked("collection_upsert").await, 0);
    // A second time: the same records.
    let again = org.write(&as_job(contacts(2_500, "Lee")).0).await;
    assert!(again.iter().all(|one| matches!(one, Outcome::Delivered { created: Some(false), .. })));
}

#[tokio::test]
async fn texts_of_every_kind_survive_the_csv() {
    let org = Org::new().await;
    let texts = [
        "a,b",
        "say \"hi\"",
        "line\nline",
        "cr\rlf\r\nend",
        "=1+1",
        "#N/A",
        "#n/a",
        "\"",
        "Zoë 日本語 👩‍👩‍👧",
        "tab\tin",
        "'; --",
        "a\\b",
    ];
    let keys: Vec<String> = (0..texts.len()).map(|row| format!("k,{row}\"")).collect();
    let columns = vec![
        ("External_Id__c", text(keys.iter().map(String::as_str))),
        ("LastName", text(vec!["x"; texts.len()])),
        ("Description", text(texts)),
    ];
    org.lands(&as_job(batch("Contact", "External_Id__c", columns)).0).await;
    let held = org.records("Contact").await;
    for (key, text) in keys.iter().zip(texts) {
        let record = held.iter().find(|one| one["External_Id__c"] == *key).expect("there");
        assert_eq!(record["Description"], text, "the text that means null in a CSV is a text here");
    }
}

#[tokio::test]
async fn null_empties_absent_keeps_and_an_empty_text_empties_in_a_job() {
    let org = Org::new().await;
    let columns = |first: Vec<Option<&str>>| {
        vec![
            ("External_Id__c", text(["1", "2", "3"])),
            ("LastName", text(["a", "b", "c"])),
            ("FirstName", Arc::new(StringArray::from(first)) as ArrayRef),
        ]
    };
    let before = batch("Contact", "External_Id__c", columns(vec![Some("x"); 3]));
    org.lands(&as_job(before).0).await;
    let mut rows = batch("Contact", "External_Id__c", columns(vec![None, None, Some("")]));
    rows.payload.absent[2] = Some(BooleanBuffer::from(vec![false, true, false]));
    org.lands(&as_job(rows).0).await;
    let held = org.records("Contact").await;
    let first: Vec<_> = held.iter().map(|one| one["FirstName"].clone()).collect();
    assert_eq!(first, [Value::Null, json!("x"), Value::Null]);
}

#[tokio::test]
async fn a_field_that_is_too_long_for_a_csv_goes_by_call() {
    let org = Org::with(
        &[("field", "Note__c:Key__c:string:external:unique;Note__c:Body__c:textarea")],
        json!({}),
    )
    .await;
    let long = "é".repeat(32_001);
    let columns = vec![("Key__c", text(["1", "2"])), ("Body__c", text([long.as_str(), "short"]))];
    let outcomes = org.write(&as_job(batch("Note__c", "Key__c", columns)).0).await;
    // The field holds 32,000 characters: Salesforce's own refusal, and not a broken file for all.
    assert!(
        matches!(&outcomes[0], Outcome::Rejected { code, .. } if code.id == "R201"),
        "{outcomes:?}"
    );
    assert!(matches!(&outcomes[1], Outcome::Delivered { .. }), "{outcomes:?}");
}

#[tokio::test]
async fn refused_rows_of_a_job_are_rejects_and_locked_ones_wait() {
    let org = Org::new().await;
    org.fault("op=job_upload;do=reject-row:External_Id__c=c-3;category=UNABLE_TO_LOCK_ROW;times=1")
        .await;
    org.fault("op=job_upload;do=reject-row:id=c-5;category=DUPLICATES_DETECTED;times=1").await;
    let outcomes = org.write(&as_job(contacts(10, "Kim")).0).await;
    for (row, outcome) in outcomes.iter().enumerate() {
        match row {
            3 => assert!(matches!(outcome, Outcome::Retry { .. }), "{outcome:?}"),
            5 => assert!(
                matches!(outcome, Outcome::Rejected { code, .. } if code.id == "R202"),
                "{outcome:?}"
            ),
            _ => assert!(
                matches!(outcome, Outcome::Delivered { created: Some(true), .. }),
                "{outcome:?}"
            ),
        }
    }
    assert_eq!(org.records("Contact").await.len(), 8);
}

#[tokio::test]
async fn a_job_that_fails_halfway_keeps_what_it_did() {
    let org = Org::new().await;
    org.admin(Method::POST, "/_sim/jobs?fail_after=4", "").await;
    let outcomes = org.write(&as_job(contacts(10, "Kim")).0).await;
    let landed = outcomes.iter().filter(|one| matches!(one, Outcome::Delivered { .. })).count();
    let again = outcomes.iter().filter(|one| matches!(one, Outcome::Retry { .. })).count();
    assert_eq!((landed, again), (4, 6), "{outcomes:?}");
}

#[tokio::test]
async fn a_field_that_is_not_there_ends_the_run_and_no_row_was_applied() {
    let org = Org::new().await;
    let columns =
        vec![("External_Id__c", text(["1"])), ("LastName", text(["x"])), ("Nope__c", text(["x"]))];
    let error = org.destination.write(&as_job(batch("Contact", "External_Id__c", columns)).0).await;
    let error = error.expect_err("refused");
    assert_eq!((error.code().id, error.is_ambiguous()), ("E2012", false));
    assert!(error.message().contains("Nope__c"), "{error}");
}

// D6: results that are missing, doubled or cut name no wrong row.
#[tokio::test]
async fn bent_results_leave_rows_unknown() {
    let org = Org::new().await;
    for (rule, unknown) in [
        ("op=job_results;do=drop-rows:3", 3),
        ("op=job_results;do=duplicate-rows:2", 2),
        ("op=job_results;do=empty-result", 10),
    ] {
        org.fault(rule).await;
        let outcomes = org.write(&as_job(contacts(10, "Kim")).0).await;
        let count = outcomes.iter().filter(|one| matches!(one, Outcome::Unknown { .. })).count();
        let landed = outcomes.iter().filter(|one| matches!(one, Outcome::Delivered { .. })).count();
        assert_eq!((count, landed), (unknown, 10 - unknown), "{rule}");
    }
    // What can be asked again is asked again.
    for rule in [
        "op=job_results;do=truncate",
        "op=job_results;do=half-body",
        "op=job_results;do=status:502;body=html",
        "op=job_get;do=status:503;body=empty;times=3",
        "op=job_get;do=reset",
        "op=job_results;do=status:200;body=html",
    ] {
        org.fault(rule).await;
        let outcomes = org.write(&as_job(contacts(10, "Kim")).0).await;
        assert!(
            outcomes.iter().all(|one| matches!(one, Outcome::Delivered { .. })),
            "{rule}: {outcomes:?}"
        );
    }
}

// D7: whatever is lost on the way to UploadComplete, no row is applied by the job that was given up, and none twice.
#[tokio::test]
async fn lost_answers_before_the_end_of_the_upload_apply_nothing() {
    for rule in [
        "op=job_create;do=apply-then-reset",
        "op=job_create;do=status:500",
        "op=job_upload;do=apply-then-reset",
        "op=job_upload;do=apply-then-status:500",
        "op=job_upload;do=status:503;body=html",
        "op=job_upload;do=reset",
    ] {
        let org = Org::new().await;
        org.fault(rule).await;
        let (rows, _) = as_job(contacts(5, "Kim"));
        let error = org.destination.write(&rows).await.expect_err("given up");
        assert!(!error.is_ambiguous(), "{rule}: {error:?}");
        assert_ne!(error.retry(), Retry::Never, "{rule}: {error:?}");
        assert!(org.records("Contact").await.is_empty(), "{rule}");
        org.lands(&as_job(contacts(5, "Kim")).0).await;
        assert!(org.records("Contact").await.iter().all(|one| one["writes"] == 1), "{rule}");
    }
}

#[tokio::test]
async fn a_lost_answer_to_the_close_is_asked_after() {
    for rule in ["op=job_state;do=apply-then-reset", "op=job_state;do=apply-then-status:502"] {
        let org = Org::new().await;
        org.fault(rule).await;
        org.lands(&as_job(contacts(5, "Kim")).0).await;
        assert_eq!(org.asked("job_upload").await, 1, "{rule}");
    }
    let org = Org::new().await;
    org.fault("op=job_state;do=reset").await;
    let error = org.destination.write(&as_job(contacts(5, "Kim")).0).await.expect_err("given up");
    assert!(!error.is_ambiguous(), "the job was still open, and was aborted: {error:?}");
    assert!(org.records("Contact").await.is_empty());
}

#[tokio::test]
async fn a_job_that_is_worked_on_too_long_is_left_to_the_next_run() {
    let org = Org::with(&[("jobs_take", "60000")], json!({"job_timeout": "600ms"})).await;
    let (rows, noted) = as_job(contacts(5, "Kim"));
    let error = org.destination.write(&rows).await.expect_err("not ended");
    assert_eq!((error.code().id, error.is_ambiguous()), ("E2104", true));
    org.admin(Method::POST, "/_sim/advance?seconds=60", "").await;
    let keeps = org.destination.keeps_jobs().expect("it keeps jobs");
    let resumed = keeps.resume(&open_job(id(&noted), 5)).await.expect("an answer");
    let Resumed::Ended(receipt) = resumed else { panic!("{resumed:?}") };
    assert!(receipt.outcomes.iter().all(|one| matches!(one, Outcome::Delivered { .. })));
    assert_eq!(org.asked("job_create").await, 1, "never sent twice");
}

#[tokio::test]
async fn an_open_job_is_aborted_whether_its_id_is_known_or_not() {
    let org = Org::new().await;
    let keeps = org.destination.keeps_jobs().expect("it keeps jobs");
    for known in [true, false] {
        let noted = Arc::new(Noted { dies: true, ..Noted::default() });
        let journal: Arc<dyn Journal> = Arc::<Noted>::clone(&noted);
        let rows = WriteBatch { job: Some(journal), ..contacts(5, "Kim") };
        tokio::select! {
            _ = org.destination.write(&rows) => panic!("it dies"),
            () = async { while id(&noted).is_none() { tokio::task::yield_now().await; } } => {}
        }
        let mut open = open_job(id(&noted).filter(|_| known), 5);
        let jobs = org.admin(Method::GET, "/_sim/jobs", "").await;
        let created =
            jobs.as_array().and_then(|jobs| jobs.last()).map(|job| job["createdDate"].clone());
        let created = created.as_ref().and_then(Value::as_str).expect("a date");
        let at =
            chrono::DateTime::parse_from_str(created, "%Y-%m-%dT%H:%M:%S%.3f%z").expect("a date");
        open.intended_at = at.timestamp_micros();
        let resumed = keeps.resume(&open).await.expect("an answer");
        assert!(matches!(resumed, Resumed::NotApplied), "{resumed:?}");
        let jobs = org.admin(Method::GET, "/_sim/jobs", "").await;
        let states: Vec<_> =
            jobs.as_array().expect("a list").iter().map(|job| job["state"].clone()).collect();
        assert!(states.iter().all(|state| state == "Aborted"), "{states:?}");
    }
    assert!(org.records("Contact").await.is_empty());
}

#[tokio::test]
async fn a_job_the_org_has_forgotten_is_lost() {
    let org = Org::new().await;
    let keeps = org.destination.keeps_jobs().expect("it keeps jobs");
    for id in ["750000000000009AAA", "no-such-job", "../../sobjects"] {
        let resumed = keeps.resume(&open_job(Some(id.to_owned()), 5)).await.expect("an answer");
        assert!(matches!(resumed, Resumed::Lost), "{id}: {resumed:?}");
    }
}

#[tokio::test]
async fn a_session_that_ends_in_the_middle_of_a_job_changes_nothing() {
    for calls in 1..8 {
        let options = [("client_id", "app"), ("session_calls", &*calls.to_string())];
        let org = Org::with(&options, json!({"client_id": "app", "client_secret": "x"})).await;
        org.lands(&as_job(contacts(50, "Kim")).0).await;
        let held = org.records("Contact").await;
        assert!(held.len() == 50 && held.iter().all(|one| one["writes"] == 1), "{calls}");
        assert_eq!(org.asked("job_create").await, 1 + u64::from(calls == 0), "{calls}");
    }
}

#[tokio::test]
async fn jobs_update_delete_and_hard_delete_by_id() {
    let org = Org::with(&[], json!({"hard_delete": true, "api": "bulk"})).await;
    assert_eq!(
        org.destination.limits("Contact").expect("limits").jobs.map(|jobs| jobs.rows_min),
        Some(1)
    );
    let ids = org.lands(&as_job(contacts(3, "Kim")).0).await;
    let rename = WriteBatch {
        record_ids: ids.clone(),
        ..batch(
            "Contact",
            "External_Id__c",
            vec![
                ("External_Id__c", text(["n-0", "n-1", "n-2"])),
                ("LastName", text(["a", "b", "c"])),
            ],
        )
    };
    org.lands(&as_job(rename).0).await;
    let held = org.records("Contact").await;
    assert_eq!(
        (held.len(), &held[1]["External_Id__c"], &held[1]["LastName"]),
        (3, &json!("n-1"), &json!("b"))
    );
    let keys = vec![("External_Id__c", text(["n-0", "gone"]))];
    org.lands(
        &as_job(WriteBatch { mode: Mode::Delete, ..batch("Contact", "External_Id__c", keys) }).0,
    )
    .await;
    // Without a journal too: a hard delete is only offered by jobs.
    let delete = batch("Contact", "Id", vec![("Id", text([ids[1].as_str()]))]);
    org.lands(&WriteBatch { mode: Mode::Delete, ..delete.clone() }).await;
    org.lands(&WriteBatch { mode: Mode::Delete, ..delete }).await;
    assert_eq!(org.records("Contact").await.len(), 1);
    let bin = org.admin(Method::GET, "/_sim/records/Contact?archived=true", "").await;
    assert_eq!(bin.as_array().map(Vec::len), Some(1), "nothing lies in the recycle bin");
}

#[tokio::test]
async fn parents_are_named_in_a_job_too() {
    let org = Org::new().await;
    let account = vec![("External_Id__c", text(["p"])), ("Name", text(["P"]))];
    let account = org.lands(&batch("Account", "External_Id__c", account)).await;
    let columns = |parents: Vec<Option<&str>>| {
        vec![
            ("External_Id__c", text(["1", "2"])),
            ("LastName", text(["a", "b"])),
            ("Account.External_Id__c", Arc::new(StringArray::from(parents)) as ArrayRef),
        ]
    };
    let outcomes = org
        .write(&as_job(batch("Contact", "External_Id__c", columns(vec![Some("p"), Some("q")]))).0)
        .await;
    assert!(
        matches!(&outcomes[1], Outcome::Rejected { code, .. } if code.id == "R221"),
        "{outcomes:?}"
    );
    assert_eq!(org.records("Contact").await[0]["AccountId"], account[0]);
}

#[test]
fn the_file_of_a_job_is_exactly_this() {
    let mut rows = batch(
        "Contact",
        "External_Id__c",
        vec![
            ("External_Id__c", text(["1", "2", "3"])),
            ("LastName", Arc::new(StringArray::from(vec![Some("a,b"), None, Some("")]))),
            ("Score__c", Arc::new(Int64Array::from(vec![Some(-5), None, Some(7)]))),
            ("Account.External_Id__c", text(["p", "p", " q"])),
        ],
    );
    rows.payload.absent[2] = Some(BooleanBuffer::from(vec![false, false, true]));
    let plan = super::super::bulk::Plan {
        batch: &rows,
        operation: "upsert",
        external: Some("External_Id__c"),
        id_column: None,
        ids: &[],
        tokens: Vec::new(),
    };
    let file = String::from_utf8(plan.csv(&[2, 0, 1]).expect("a file")).expect("text");
    insta::assert_snapshot!(file, @r#"
    External_Id__c,LastName,Score__c,Account.External_Id__c
    3,#N/A,," q"
    1,"a,b",-5,p
    2,#N/A,#N/A,p
    "#);
}
