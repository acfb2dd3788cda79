//! Batches that go by call.

use super::*;

#[tokio::test]
async fn every_type_arrives_as_what_it_is() {
    let org = Org::new().await;
    let score = Decimal128Array::from(vec![1_250]).with_precision_and_scale(10, 2).expect("fits");
    let seen = TimestampMicrosecondArray::from(vec![1_767_607_202_869_800]).with_timezone("UTC");
    org.lands(&batch(
        "Contact",
        "External_Id__c",
        vec![
            ("External_Id__c", text(["c-1"])),
            ("LastName", text(["Z\"oë\\\n👩‍👩‍👧"])),
            ("Score__c", Arc::new(score)),
            ("HasOptedOutOfEmail", Arc::new(BooleanArray::from(vec![true]))),
            ("Birthdate", Arc::new(Date32Array::from(vec![20_458]))),
            ("Seen_At__c", Arc::new(seen)),
        ],
    ))
    .await;
    let held = &org.records("Contact").await[0];
    assert_eq!(held["LastName"], "Z\"oë\\\n👩‍👩‍👧");
    assert_eq!(held["Score__c"], json!(12.5));
    assert_eq!(
        (&held["HasOptedOutOfEmail"], &held["Birthdate"]),
        (&json!(true), &json!("2026-01-05"))
    );
    assert_eq!(held["Seen_At__c"], "2026-01-05T10:00:02.000+0000");
}

#[tokio::test]
async fn numbers_as_exact_text_stay_numbers() {
    let org = Org::new().await;
    let mut rows = batch(
        "Account",
        "External_Id__c",
        vec![
            ("External_Id__c", text(["a-1"])),
            ("Name", text(["Acme"])),
            ("AnnualRevenue", text(["12345678901234.5"])),
        ],
    );
    // As the mapper marks text that is an exact number.
    let schema = rows.payload.fields.schema();
    let fields: Vec<_> = schema
        .fields()
        .iter()
        .map(|field| match field.name().as_str() {
            "AnnualRevenue" => field
                .as_ref()
                .clone()
                .with_metadata([("ARROW:extension:name".to_owned(), "arrow.json".to_owned())]),
            _ => field.as_ref().clone(),
        })
        .collect();
    let schema = Arc::new(flow::arrow::datatypes::Schema::new(fields));
    rows.payload.fields = rows.payload.fields.with_schema(schema).expect("the same types");
    org.lands(&rows).await;
    assert_eq!(org.records("Account").await[0]["AnnualRevenue"], json!(12_345_678_901_234.5));
}

#[tokio::test]
async fn parents_are_named_by_their_external_ids_and_emptied_by_null() {
    let org = Org::new().await;
    let accounts = vec![("External_Id__c", text(["a-1", "a-2"])), ("Name", text(["One", "Two"]))];
    let accounts = org.lands(&batch("Account", "External_Id__c", accounts)).await;
    let mut rows = contacts(3, "Kim");
    let with = |parents: Vec<Option<&str>>| -> WriteBatch {
        let columns = vec![
            ("External_Id__c", text(["c-0", "c-1", "c-2"])),
            ("LastName", text(["Kim", "Kim", "Kim"])),
            ("Account.External_Id__c", Arc::new(StringArray::from(parents)) as ArrayRef),
        ];
        batch("Contact", "External_Id__c", columns)
    };
    rows.payload = with(vec![Some("a-2"), Some("a-1"), Some("nobody")]).payload;
    let outcomes = org.write(&rows).await;
    assert!(
        matches!(&outcomes[2], Outcome::Rejected { code, .. } if code.id == "R221"),
        "{outcomes:?}"
    );
    let held = org.records("Contact").await;
    let parent = |held: &[Value], key: &str| {
        held.iter().find(|one| one["External_Id__c"] == key).expect("there")["AccountId"].clone()
    };
    assert_eq!(
        (parent(&held, "c-0"), parent(&held, "c-1")),
        (json!(accounts[1]), json!(accounts[0]))
    );
    let rows = with(vec![None, Some("a-1"), Some("a-1")]);
    org.lands(&rows).await;
    assert_eq!(parent(&org.records("Contact").await, "c-0"), Value::Null);
}

#[tokio::test]
async fn what_describe_offers_is_what_can_be_written() {
    let org = Org::new().await;
    let schema = org.destination.describe("Contact").await.expect("a schema");
    let field = |name: &str| schema.field(name).unwrap_or_else(|| panic!("{name}"));
    assert!(field("LastName").required && !field("FirstName").required);
    assert!(field("External_Id__c").unique && field("External_Id__c").folds_case);
    assert!(field("Id").unique && !field("Id").read_only && !field("Id").folds_case);
    assert!(
        field("MailingAddress").read_only
            && field("Name").read_only
            && field("CreatedDate").read_only
    );
    assert_eq!(
        field("Plan__c").kind,
        FieldKind::Enum { options: vec!["Free".into(), "Pro".into()] }
    );
    assert_eq!(field("LeadSource").kind, FieldKind::Text { chars_max: Some(255) });
    assert_eq!(field("FirstName").kind, FieldKind::Text { chars_max: Some(40) });
    assert_eq!(field("Score__c").kind, FieldKind::Number);
    // A parent is reached through a field it is found by, and no other.
    assert!(!field("Account.External_Id__c").read_only && !field("Account.External_Id__c").unique);
    assert!(field("ReportsTo.Email").kind == FieldKind::Email);
    assert!(schema.field("Account.Name").is_none() && schema.field("Account.Id").is_none());
    let error = org.destination.describe("Nothing__c").await.expect_err("no such object");
    assert_eq!(error.code().id, "E2011");
    for odd in ["", "a/b", "Contact?x", "Ünïcode", "a b"] {
        assert_eq!(org.destination.limits(odd).expect_err("no name").code().id, "E2011", "{odd}");
    }
}

#[tokio::test]
async fn records_are_updated_deleted_and_created_as_the_mode_says() {
    let org = Org::new().await;
    let ids = org.lands(&contacts(3, "Kim")).await;
    let by_id = |mode: Mode, ids: &[String]| WriteBatch {
        mode,
        ..batch(
            "Contact",
            "Id",
            vec![
                ("Id", text(ids.iter().map(String::as_str))),
                ("FirstName", text(vec!["Ada"; ids.len()])),
            ],
        )
    };
    org.lands(&by_id(Mode::Update, &ids[..2])).await;
    // By the external id the ids are looked up; nobody is made.
    let mut update = contacts(5, "Lovelace");
    update.mode = Mode::Update;
    let outcomes = org.write(&update).await;
    assert!(
        outcomes[..3]
            .iter()
            .all(|one| matches!(one, Outcome::Delivered { created: Some(false), .. }))
    );
    assert!(
        outcomes[3..]
            .iter()
            .all(|one| matches!(one, Outcome::Rejected { code, .. } if code.id == "R203")),
        "{outcomes:?}"
    );
    let held = org.records("Contact").await;
    assert_eq!(held.len(), 3);
    assert_eq!((&held[0]["FirstName"], &held[2]["FirstName"]), (&json!("Ada"), &Value::Null));
    assert!(held.iter().all(|one| one["LastName"] == "Lovelace"));
    // Removals by id carry no field at all, and can be repeated.
    let fields = RecordBatch::try_new_with_options(
        Arc::new(flow::arrow::datatypes::Schema::empty()),
        Vec::new(),
        &flow::arrow::array::RecordBatchOptions::new().with_row_count(Some(1)),
    );
    let mut removal =
        WriteBatch { mode: Mode::Delete, record_ids: vec![ids[0].clone()], ..contacts(1, "") };
    removal.payload = Payload { fields: fields.expect("no columns"), absent: Vec::new() };
    org.lands(&removal).await;
    org.lands(&removal).await;
    // A model that lists what to delete, by external id: who is not there is deleted already.
    let keys = vec![("External_Id__c", text(["c-0", "c-1", "c-9"]))];
    let delete = WriteBatch { mode: Mode::Delete, ..batch("Contact", "External_Id__c", keys) };
    org.lands(&delete).await;
    org.lands(&delete).await;
    assert_eq!(org.records("Contact").await.len(), 1);
    let create = WriteBatch { mode: Mode::Create, ..contacts(2, "New") };
    org.lands(&create).await;
    let again = org.write(&create).await;
    assert!(
        again.iter().all(|one| matches!(one, Outcome::Rejected { code, .. } if code.id == "R202")),
        "{again:?}"
    );
    assert_eq!(org.records("Contact").await.len(), 3, "repeated, nobody is doubled");
}

#[tokio::test]
async fn what_is_not_safe_is_refused_and_says_why() {
    let org = Org::new().await;
    let refused =
        async |batch: WriteBatch| org.destination.write(&batch).await.expect_err("refused");
    let by_mail =
        batch("Contact", "Email", vec![("Email", text(["a@b.co"])), ("LastName", text(["Kim"]))]);
    let error = refused(WriteBatch { mode: Mode::Create, ..by_mail.clone() }).await;
    assert_eq!((error.code().id, error.kind()), ("E2106", Kind::Config));
    assert_eq!(
        refused(WriteBatch { mode: Mode::Append, ..by_mail.clone() }).await.code().id,
        "E2017"
    );
    let by_id = batch("Contact", "Id", vec![("Id", text(["003000000000001AAA"]))]);
    assert_eq!(refused(by_id).await.code().id, "E2017");
    let mut odd = by_mail;
    odd.record_ids = vec!["../../x".to_owned()];
    assert_eq!(refused(odd).await.code().id, "E2016");
    let odd = batch(
        "Contact",
        "External_Id__c",
        vec![("External_Id__c", text(["x"])), ("a\",\"b", text(["x"]))],
    );
    assert_eq!(refused(odd).await.code().id, "E2012");
    assert_eq!(org.asked("unknown").await, 0);
}

#[tokio::test]
async fn rows_are_sorted_by_their_parents_and_answers_find_them_again() {
    let org = Org::new().await;
    let accounts = vec![("External_Id__c", text(["a", "b"])), ("Name", text(["A", "B"]))];
    org.lands(&batch("Account", "External_Id__c", accounts)).await;
    let rows = batch(
        "Contact",
        "External_Id__c",
        vec![
            ("External_Id__c", text(["1", "2", "3", "4"])),
            ("LastName", text(["b1", "a1", "b2", "a2"])),
            ("Account.External_Id__c", text(["b", "a", "b", "a"])),
        ],
    );
    assert_eq!(wire::order(&rows), [1, 3, 0, 2]);
    let ids = org.lands(&rows).await;
    for record in org.records("Contact").await {
        let row: usize =
            record["External_Id__c"].as_str().expect("text").parse().expect("a number");
        assert_eq!(record["Id"], ids[row - 1]);
    }
}

#[tokio::test]
async fn a_locked_row_is_sent_again_and_the_others_are_not() {
    let org = Org::new().await;
    org.fault("do=reject-row:External_Id__c=c-1;category=UNABLE_TO_LOCK_ROW;times=1").await;
    let outcomes = org.write(&contacts(3, "Kim")).await;
    assert!(
        matches!(outcomes[1], Outcome::Retry { after: None, reason: "locked" }),
        "{outcomes:?}"
    );
    assert!(
        matches!(outcomes[0], Outcome::Delivered { .. })
            && matches!(outcomes[2], Outcome::Delivered { .. })
    );
}

#[tokio::test]
async fn the_days_quota_ends_the_run_before_it_is_used_up_for_others() {
    let org = Org::with(&[("limit_daily", "20")], json!({"quota_share": "50%"})).await;
    let mut sent = 0;
    let error = loop {
        match org.destination.write(&contacts(1, "Kim")).await {
            Ok(_) => sent += 1,
            Err(error) => break error,
        }
        assert!(sent <= 20, "it stops");
    };
    assert_eq!((error.code().id, error.retry()), ("E2007", Retry::Never));
    assert!((9..=10).contains(&sent), "half of the quota is left to others: {sent}");
}

#[tokio::test]
async fn a_session_that_ends_between_two_calls_costs_one_sign_in() {
    let org = Org::with(
        &[("client_id", "app"), ("session_calls", "3")],
        json!({"client_id": "app", "client_secret": "x"}),
    )
    .await;
    for round in 0..10 {
        org.lands(&contacts(2, &format!("round {round}"))).await;
    }
    assert_eq!(org.asked("token").await, 4);
    let held = org.records("Contact").await;
    assert!(held.iter().all(|one| one["writes"] == 10 && one["LastName"] == "round 9"), "{held:?}");
}

#[tokio::test]
async fn absent_is_left_alone_and_null_empties() {
    let org = Org::new().await;
    let mut rows = batch(
        "Contact",
        "External_Id__c",
        vec![
            ("External_Id__c", text(["1", "2"])),
            ("LastName", text(["a", "b"])),
            ("FirstName", text(["x", "y"])),
        ],
    );
    org.lands(&rows).await;
    rows.payload.fields = batch(
        "Contact",
        "External_Id__c",
        vec![
            ("External_Id__c", text(["1", "2"])),
            ("LastName", text(["a", "b"])),
            ("FirstName", Arc::new(StringArray::from(vec![None::<&str>, None]))),
        ],
    )
    .payload
    .fields;
    rows.payload.absent[2] = Some(BooleanBuffer::from(vec![false, true]));
    org.lands(&rows).await;
    let held = org.records("Contact").await;
    assert_eq!((&held[0]["FirstName"], &held[1]["FirstName"]), (&Value::Null, &json!("y")));
}

#[tokio::test]
async fn the_body_of_an_upsert_is_exactly_this() {
    let rows = batch(
        "Contact",
        "External_Id__c",
        vec![
            ("External_Id__c", text(["1"])),
            ("LastName", text(["a\"b"])),
            ("Score__c", Arc::new(Int64Array::from(vec![Some(5)]))),
            ("FirstName", Arc::new(StringArray::from(vec![None::<&str>]))),
            ("Account.External_Id__c", text(["p"])),
        ],
    );
    let call = collections::Call {
        batch: &rows,
        external: Some(0),
        id_column: None,
        ids: &[],
        order: &[0],
    };
    let request = call.request("/services/data/v62.0").expect("a request");
    assert_eq!(request.path, "/services/data/v62.0/composite/sobjects/Contact/External_Id__c");
    let body = String::from_utf8(request.body.expect("a body")).expect("text");
    insta::assert_snapshot!(body, @r#"{"allOrNone":false,"records":[{"attributes":{"type":"Contact"},"External_Id__c":"1","LastName":"a\"b","Score__c":5,"FirstName":null,"Account":{"External_Id__c":"p"}}]}"#);
}
