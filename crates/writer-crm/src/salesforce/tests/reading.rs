//! Reading records back.

use flow::arrow::array::{Array as _, AsArray as _};
use flow::arrow::datatypes::{
    DataType, Date32Type, Decimal128Type, Field as ArrowField, Schema, TimeUnit,
    TimestampMicrosecondType,
};
use flow::{ReadBack, Records};

use super::*;

fn wanted() -> Arc<Schema> {
    Arc::new(Schema::new(vec![
        ArrowField::new("LastName", DataType::Utf8, true),
        ArrowField::new("Score__c", DataType::Decimal128(10, 2), true),
        ArrowField::new("HasOptedOutOfEmail", DataType::Boolean, true),
        ArrowField::new("Birthdate", DataType::Date32, true),
        ArrowField::new(
            "Seen_At__c",
            DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
            true,
        ),
        ArrowField::new("Account.External_Id__c", DataType::Utf8, true),
    ]))
}

async fn org_of_two() -> (Org, Vec<String>) {
    let org = Org::new().await;
    let account = vec![("External_Id__c", text(["p"])), ("Name", text(["P"]))];
    org.lands(&batch("Account", "External_Id__c", account)).await;
    let score =
        Decimal128Array::from(vec![1_250, 100]).with_precision_and_scale(10, 2).expect("fits");
    let seen = TimestampMicrosecondArray::from(vec![Some(1_767_607_202_000_000), None])
        .with_timezone("UTC");
    let ids = org
        .lands(&batch(
            "Contact",
            "External_Id__c",
            vec![
                ("External_Id__c", text(["it's", "b\\'\n\""])),
                ("LastName", text(["Kim", "Lee"])),
                ("Score__c", Arc::new(score)),
                ("HasOptedOutOfEmail", Arc::new(BooleanArray::from(vec![true, false]))),
                ("Birthdate", Arc::new(Date32Array::from(vec![20_458, 0]))),
                ("Seen_At__c", Arc::new(seen)),
                ("Account.External_Id__c", Arc::new(StringArray::from(vec![Some("p"), None]))),
            ],
        ))
        .await;
    (org, ids)
}

#[tokio::test]
async fn records_are_read_by_ids_and_by_values_in_the_payloads_types() {
    let (org, ids) = org_of_two().await;
    let reads = org.destination.reads_back().expect("it reads");
    let keys = text(["b\\'\n\"", "nobody' OR Id != '", "IT'S"]);
    let matching = RecordBatch::try_from_iter([("External_Id__c", keys)]).expect("a column");
    let asked = ReadBack {
        object: "Contact".into(),
        records: Records::Matching(matching),
        fields: wanted(),
    };
    let found = reads.read(&asked).await.expect("found");
    assert_eq!(found.record_ids, [vec![ids[1].clone()], vec![], vec![ids[0].clone()]]);
    let names = found.fields.column(0).as_string::<i32>();
    assert_eq!((names.value(0), names.is_null(1), names.value(2)), ("Lee", true, "Kim"));
    assert_eq!(found.fields.column(1).as_primitive::<Decimal128Type>().value(2), 1_250);
    assert!(
        found.fields.column(2).as_boolean().value(2)
            && !found.fields.column(2).as_boolean().value(0)
    );
    assert_eq!(found.fields.column(3).as_primitive::<Date32Type>().value(2), 20_458);
    let seen = found.fields.column(4).as_primitive::<TimestampMicrosecondType>();
    assert_eq!((seen.value(2), seen.is_null(0)), (1_767_607_202_000_000, true));
    assert_eq!(found.fields.column(5).as_string::<i32>().value(2), "p");
    let fields = Arc::new(Schema::new(vec![ArrowField::new("LastName", DataType::Utf8, true)]));
    let asked_ids = vec![ids[1].clone(), "003000000000999AAA".to_owned(), ids[0][..15].to_owned()];
    let asked = ReadBack { object: "Contact".into(), records: Records::Ids(asked_ids), fields };
    let found = reads.read(&asked).await.expect("found");
    assert_eq!(found.record_ids, [vec![ids[1].clone()], vec![], vec![ids[0].clone()]]);
    assert_eq!(found.fields.column(0).as_string::<i32>().value(0), "Lee");
}

#[tokio::test]
async fn several_records_with_one_value_are_all_named_and_none_is_updated_by_luck() {
    let org = Org::with(&[("field", "Contact:Code__c:string:external")], json!({})).await;
    let columns = vec![
        ("External_Id__c", text(["1", "2", "3"])),
        ("LastName", text(["a", "b", "c"])),
        ("Code__c", text(["x", "x", "y"])),
    ];
    org.lands(&batch("Contact", "External_Id__c", columns)).await;
    let reads = org.destination.reads_back().expect("it reads");
    let matching = RecordBatch::try_from_iter([("Code__c", text(["x", "y"]))]).expect("a column");
    let fields = Arc::new(Schema::empty());
    let asked = ReadBack { object: "Contact".into(), records: Records::Matching(matching), fields };
    let found = reads.read(&asked).await.expect("found");
    assert_eq!(found.record_ids.iter().map(Vec::len).collect::<Vec<_>>(), [2, 1]);
    for mode in [Mode::Upsert, Mode::Update, Mode::Delete] {
        let mut columns = vec![("Code__c", text(["x", "y"]))];
        if mode != Mode::Delete {
            columns.push(("LastName", text(["n", "n"])));
        }
        let outcomes =
            org.write(&WriteBatch { mode, ..batch("Contact", "Code__c", columns) }).await;
        assert!(
            matches!(&outcomes[0], Outcome::Rejected { code, .. } if code.id == "R220"),
            "{mode:?}: {outcomes:?}"
        );
        assert!(matches!(&outcomes[1], Outcome::Delivered { .. }), "{mode:?}: {outcomes:?}");
    }
}

#[tokio::test]
async fn many_values_are_read_with_few_queries_of_bounded_length() {
    let org = Org::new().await;
    org.lands(&contacts(200, "Kim")).await;
    let reads = org.destination.reads_back().expect("it reads");
    let keys: Vec<String> = (0..200).map(|row| format!("c-{row}")).collect();
    let matching =
        RecordBatch::try_from_iter([("External_Id__c", text(keys.iter().map(String::as_str)))]);
    let asked = ReadBack {
        object: "Contact".into(),
        records: Records::Matching(matching.expect("a column")),
        fields: Arc::new(Schema::new(vec![ArrowField::new("LastName", DataType::Utf8, true)])),
    };
    let found = reads.read(&asked).await.expect("found");
    assert!(found.record_ids.iter().all(|ids| ids.len() == 1));
    assert!((1..=3).contains(&org.asked("query").await));
}
