//! Every Arrow type, its edges included: exact, or a fault of its cell.

use std::sync::Arc;

use flow::arrow::array::{
    ArrayRef, BinaryViewArray, BooleanArray, Date64Array, Decimal128Array, Decimal256Array,
    DictionaryArray, FixedSizeBinaryArray, Int8Array, Int32Array, LargeStringArray, ListArray,
    MapBuilder, NullArray, StringArray, StringBuilder, StringViewArray, StructArray,
    Time32SecondArray, Time64NanosecondArray, TimestampNanosecondArray, TimestampSecondArray,
    UInt64Array, types,
};
use flow::arrow::datatypes::{DataType, Field, Int32Type, i256};
use flow::text_at;

use super::*;

fn arrive(column: ArrayRef) -> (Vec<Option<String>>, String, Refused) {
    let field = Field::new("c", column.data_type().clone(), true);
    arrive_as(column, &field)
}

fn arrive_as(column: ArrayRef, field: &Field) -> (Vec<Option<String>>, String, Refused) {
    let arrival = Arrival::of(field).unwrap();
    let mut refused = Refused::new();
    let ours = arrival.convert(&column, &mut refused).unwrap();
    assert_eq!(ours.data_type(), &arrival.data_type);
    for (row, _) in &refused {
        assert!(ours.is_null(*row));
    }
    let texts = (0..ours.len())
        .map(|row| ours.is_valid(row).then(|| text_at(&ours, row).into_owned()))
        .collect();
    (texts, arrival.source_type, refused)
}

#[track_caller]
fn exact(column: ArrayRef, source_type: &str, expected: &[&str]) {
    let (texts, named, refused) = arrive(column);
    assert_eq!(named, source_type);
    assert!(refused.is_empty(), "{refused:?}");
    assert_eq!(texts, expected.iter().map(|text| Some((*text).to_owned())).collect::<Vec<_>>());
}

#[test]
fn numbers_are_exact_whatever_their_width() {
    exact(Arc::new(Int8Array::from(vec![-128, 127])), "smallint", &["-128", "127"]);
    exact(
        Arc::new(UInt64Array::from(vec![0, u64::MAX])),
        "numeric(20,0)",
        &["0", "18446744073709551615"],
    );
    let wide = Decimal256Array::from(vec![i256::from_i128(-1200), i256::MAX]);
    let wide = wide.with_precision_and_scale(76, 2);
    exact(
        Arc::new(wide.unwrap()),
        "numeric(76,2)",
        &["-12", "578960446186580977117854925043439539266349923328202820197287920039565648199.67"],
    );
    let thousands = Decimal128Array::from(vec![12, 0]).with_precision_and_scale(5, -3).unwrap();
    exact(Arc::new(thousands), "numeric(5,-3)", &["12000", "0"]);
    let cents = Decimal128Array::from(vec![-5, 100]).with_precision_and_scale(12, 2).unwrap();
    exact(Arc::new(cents), "numeric(12,2)", &["-0.05", "1"]);
}

#[test]
fn texts_and_bytes_of_every_layout_are_the_same() {
    exact(Arc::new(LargeStringArray::from(vec!["a", ""])), "text", &["a", ""]);
    exact(Arc::new(StringViewArray::from(vec!["naïve 🦀"])), "text", &["naïve 🦀"]);
    exact(Arc::new(BinaryViewArray::from(vec![b"\x00\xff".as_slice()])), "bytea", &["00ff"]);
    let words: DictionaryArray<Int32Type> = vec!["x", "y", "x"].into_iter().collect();
    exact(Arc::new(words), "text", &["x", "y", "x"]);
    let (texts, named, _) = arrive(Arc::new(NullArray::new(2)));
    assert_eq!((texts, named.as_str()), (vec![None, None], "text"));
    let bytes = FixedSizeBinaryArray::try_from_iter([[0xab_u8; 16]].into_iter()).unwrap();
    let field = Field::new("id", DataType::FixedSizeBinary(16), true)
        .with_metadata([("ARROW:extension:name".to_owned(), "arrow.uuid".to_owned())]);
    let (texts, named, _) = arrive_as(Arc::new(bytes), &field);
    assert_eq!(texts[0].as_deref(), Some("abababab-abab-abab-abab-abababababab"));
    assert_eq!(named, "uuid");
}

#[test]
fn moments_are_exact_to_the_microsecond_or_refused() {
    exact(
        Arc::new(TimestampSecondArray::from(vec![0, -1]).with_timezone("Europe/Berlin")),
        "timestamptz",
        &["1970-01-01T00:00:00Z", "1969-12-31T23:59:59Z"],
    );
    let (texts, named, refused) =
        arrive(Arc::new(TimestampNanosecondArray::from(vec![1_000, 1_001, -2_000])));
    assert_eq!(named, "timestamp");
    assert_eq!(texts[0].as_deref(), Some("1970-01-01T00:00:00.000001"));
    assert_eq!(texts[2].as_deref(), Some("1969-12-31T23:59:59.999998"));
    assert_eq!((refused.len(), refused[0].0), (1, 1));
    let (texts, _, refused) = arrive(Arc::new(TimestampSecondArray::from(vec![i64::MAX / 2])));
    assert_eq!((texts, refused.len()), (vec![None], 1));
    let (texts, _, refused) = arrive(Arc::new(Date64Array::from(vec![86_400_000, 1])));
    assert_eq!((texts[0].as_deref(), refused.len()), (Some("1970-01-02"), 1));
    exact(Arc::new(Time32SecondArray::from(vec![3_661])), "time", &["01:01:01"]);
    let (_, _, refused) = arrive(Arc::new(Time64NanosecondArray::from(vec![1_000, 1])));
    assert_eq!(refused[0].0, 1);
}

#[test]
fn lists_stay_lists_and_what_has_parts_is_json() {
    let lists = ListArray::from_iter_primitive::<Int32Type, _, _>(vec![
        Some(vec![Some(1), None]),
        None,
        Some(vec![]),
    ]);
    let (texts, named, _) = arrive(Arc::new(lists));
    assert_eq!(named, "integer[]");
    assert_eq!(texts, [Some("[1,null]".to_owned()), None, Some("[]".to_owned())]);

    let inner: ArrayRef = Arc::new(Int32Array::from(vec![Some(1), None]));
    let names: ArrayRef = Arc::new(StringArray::from(vec!["a\"b", "ü"]));
    let yes: ArrayRef = Arc::new(BooleanArray::from(vec![true, false]));
    let at: ArrayRef = Arc::new(TimestampNanosecondArray::from(vec![1_000, 1]));
    let field =
        |name: &str, of: &ArrayRef| Arc::new(Field::new(name, of.data_type().clone(), true));
    let parts = StructArray::from(vec![
        (field("n", &inner), inner),
        (field("s", &names), names),
        (field("b", &yes), yes),
        (field("t", &at), at),
    ]);
    let (texts, named, refused) = arrive(Arc::new(parts));
    assert_eq!(named, "json");
    assert_eq!(
        texts[0].as_deref(),
        Some(r#"{"n":1,"s":"a\"b","b":true,"t":"1970-01-01T00:00:00.000001"}"#)
    );
    assert_eq!((texts[1].as_deref(), refused[0].0), (None, 1));

    let mut map = MapBuilder::new(None, StringBuilder::new(), StringBuilder::new());
    map.keys().append_value("k");
    map.values().append_value("v");
    map.append(true).unwrap();
    exact(Arc::new(map.finish()), "json", &[r#"{"k":"v"}"#]);
}

#[test]
fn a_refused_element_refuses_its_list_and_no_other() {
    let lists = ListArray::from_iter_primitive::<types::TimestampNanosecondType, _, _>(vec![
        Some(vec![Some(1_000)]),
        Some(vec![Some(2_000), Some(1)]),
        Some(vec![]),
        Some(vec![Some(3_000)]),
    ]);
    let (texts, _, refused) = arrive(Arc::new(lists));
    assert_eq!(refused.iter().map(|(row, _)| *row).collect::<Vec<_>>(), [1]);
    assert!(texts[0].is_some() && texts[1].is_none() && texts[3].is_some());
}
