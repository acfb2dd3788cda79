//! What holds for any batch of any types: no panic, every row accounted for, equal hashes mean equal payloads.

use std::collections::HashSet;
use std::sync::Arc;

use flow::arrow::array::{
    ArrayRef, BinaryArray, BooleanArray, Date32Array, Decimal128Array, Float32Array, Float64Array,
    Int16Array, Int64Array, ListBuilder, RecordBatch, StringArray, StringBuilder,
    TimestampMicrosecondArray, UInt64Array,
};
use flow::{Fingerprint, Mode, text_at};
use proptest::prelude::*;
use transform::{Mapped, Mapper, Mappings};

use crate::fixture::{Setup, map_with, outcomes, rows, text};

/// Texts that look like what fields want, and texts that do not.
fn any_text() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("Free".to_owned()),
        Just("Free;Enterprise".to_owned()),
        Just("+48 600 100 200".to_owned()),
        Just("ada@x.io".to_owned()),
        Just("2026-01-05T10:00:00Z".to_owned()),
        Just("true".to_owned()),
        Just("{\"a\": [1, 2.50]}".to_owned()),
        Just("Infinity".to_owned()),
        "-?[0-9]{1,20}(\\.[0-9]{1,20})?([eE][+-]?[0-9]{1,4})?",
        "<[a-z]{1,6}[^>]{0,8}>?[&a-z;#0-9]{0,8}",
        "[0-9]{4}-[0-9]{2}-[0-9]{2}[T ]?[0-9:.+Z-]{0,16}",
        "\\PC{0,12}",
        any::<String>(),
    ]
}

fn cells<T: std::fmt::Debug>(
    value: impl Strategy<Value = T>,
    count: usize,
) -> impl Strategy<Value = Vec<Option<T>>> {
    prop::collection::vec(prop::option::weighted(0.8, value), count)
}

fn whole() -> impl Strategy<Value = i64> {
    prop_oneof![any::<i64>(), -3..3i64, Just(i64::MAX), Just(i64::MIN), Just(1_767_571_200_000)]
}

/// A column of any type the reader may give.
fn column(count: usize) -> impl Strategy<Value = ArrayRef> {
    prop_oneof![
        5 => cells(any_text(), count).prop_map(|c| Arc::new(StringArray::from(c)) as ArrayRef),
        1 => cells(any::<i16>(), count).prop_map(|c| Arc::new(Int16Array::from(c)) as ArrayRef),
        2 => cells(whole(), count).prop_map(|c| Arc::new(Int64Array::from(c)) as ArrayRef),
        1 => cells(any::<u64>(), count).prop_map(|c| Arc::new(UInt64Array::from(c)) as ArrayRef),
        1 => cells(any::<f32>(), count).prop_map(|c| Arc::new(Float32Array::from(c)) as ArrayRef),
        1 => cells(any::<f64>(), count).prop_map(|c| Arc::new(Float64Array::from(c)) as ArrayRef),
        1 => cells(any::<bool>(), count).prop_map(|c| Arc::new(BooleanArray::from(c)) as ArrayRef),
        1 => cells(any::<i32>(), count).prop_map(|c| Arc::new(Date32Array::from(c)) as ArrayRef),
        1 => cells(whole(), count).prop_map(|c| Arc::new(TimestampMicrosecondArray::from(c)) as ArrayRef),
        1 => cells(whole(), count).prop_map(|c| {
            Arc::new(TimestampMicrosecondArray::from(c).with_timezone("UTC")) as ArrayRef
        }),
        1 => (cells(-10i128.pow(18)..10i128.pow(18), count), 0..10i8).prop_map(|(c, scale)| {
            let array = Decimal128Array::from(c).with_precision_and_scale(38, scale);
            Arc::new(array.expect("fits")) as ArrayRef
        }),
        1 => cells(any::<Vec<u8>>(), count).prop_map(|c| {
            let bytes: BinaryArray = c.iter().map(|cell| cell.as_deref()).collect();
            Arc::new(bytes) as ArrayRef
        }),
        1 => cells(cells(any_text(), 2), count).prop_map(|c| {
            let mut lists = ListBuilder::new(StringBuilder::new());
            c.into_iter().for_each(|cell| lists.append_option(cell));
            Arc::new(lists.finish()) as ArrayRef
        }),
    ]
}

fn chain() -> impl Strategy<Value = String> {
    let steps = [
        "\"trim\"",
        "\"lower\"",
        "\"upper\"",
        "\"strip_html\"",
        "\"null_if_empty\"",
        "\"sha256\"",
        "\"e164\"",
        "{\"e164\": \"48\"}",
        "{\"truncate\": 3}",
        "{\"date_format\": \"%Y-%m-%dT%H:%M:%S%.f%z %j %s\"}",
    ];
    prop::collection::vec(prop::sample::select(steps.to_vec()), 0..4).prop_map(|c| c.join(","))
}

/// One field's mapping over the columns `a` and `b`.
fn mapping() -> impl Strategy<Value = String> {
    let origin = prop::sample::select(vec![
        r#""from": "a""#,
        r#""from": "b""#,
        r#""from": "a", "values": {"true": "Free", "1": "Free", "Free": null}, "otherwise": "keep""#,
        r#""from": "a", "values": {"true": 1, "1": 2, "0": 3}, "otherwise": "set_null""#,
        r#""template": "{{ a }}{{ b | upper }}{% if a is none %}x{% endif %}""#,
        r#""template": "{{ a * 3 }}{{ b > a }}""#,
        r#""const": "Free""#,
        r#""run": "started_at""#,
    ]);
    let convert = prop::sample::select(vec![
        "",
        "",
        "",
        "string",
        "number",
        "boolean",
        "date",
        "datetime",
        "epoch_ms",
        "epoch_ms_midnight_utc",
        "json",
    ]);
    let default =
        prop::sample::select(vec!["", "", "", "\"Free\"", "1.5", "true", "\"2026-01-05\""]);
    let on_null = prop::sample::select(vec!["send", "skip", "clear", "reject"]);
    (origin, chain(), convert, default, on_null).prop_map(
        |(origin, chain, convert, default, on_null)| {
            let convert =
                if convert.is_empty() { String::new() } else { format!(r#","as":"{convert}""#) };
            let default =
                if default.is_empty() { String::new() } else { format!(r#","default":{default}"#) };
            format!(r#"{{{origin},"transform":[{chain}]{convert}{default},"on_null":"{on_null}"}}"#)
        },
    )
}

fn written() -> impl Strategy<Value = Vec<(String, String)>> {
    let fields = [
        "text",
        "short",
        "plan_tier",
        "plans",
        "active",
        "number",
        "date",
        "datetime",
        "phone",
        "second_email",
        "any",
    ];
    let fields = prop::sample::subsequence(fields.to_vec(), 1..=4).prop_shuffle();
    (fields, prop::collection::vec(mapping(), 4)).prop_map(|(fields, mappings)| {
        fields.into_iter().map(str::to_owned).zip(mappings).collect()
    })
}

fn batch() -> impl Strategy<Value = RecordBatch> {
    (0..12usize).prop_flat_map(|count| {
        (column(count), column(count)).prop_map(move |(a, b)| rows(count, vec![("a", a), ("b", b)]))
    })
}

fn read(fields: &[(String, String)]) -> Mappings {
    let parts: Vec<_> =
        fields.iter().map(|(name, mapping)| format!("\"{name}\": {mapping}")).collect();
    serde_json::from_str(&format!("{{{}}}", parts.join(","))).expect("valid mappings")
}

/// Rows are told apart by their fields alone, so that equal payloads do occur.
fn mapper(fields: &[(String, String)], batch: &RecordBatch) -> Option<Mapper> {
    let setup = Setup { match_on: Vec::new(), mode: Mode::Append, ..Setup::default() };
    setup.compile(&read(fields), batch.schema()).ok()
}

/// The mapping of those fields that a batch of these types allows.
fn some_mapper(
    fields: &[(String, String)],
    batch: &RecordBatch,
) -> Option<(Mapper, Vec<(String, String)>)> {
    let able: Vec<_> = fields
        .iter()
        .filter(|field| mapper(std::slice::from_ref(field), batch).is_some())
        .cloned()
        .collect();
    if able.is_empty() { None } else { Some((mapper(&able, batch)?, able)) }
}

fn map(mapper: &Mapper, batch: &RecordBatch) -> Mapped {
    map_with(mapper, batch, Vec::new(), &HashSet::new())
}

/// A row's payload without what comes from the run, as text that tells null, absent and values apart.
fn payload_texts(mapped: &Mapped, fields: &[(String, String)]) -> Vec<Vec<String>> {
    let schema = mapped.payload.fields.schema();
    let mut names: Vec<&String> =
        fields.iter().filter(|(_, m)| !m.contains("\"run\"")).map(|(name, _)| name).collect();
    names.sort();
    (0..mapped.payload.rows())
        .map(|row| {
            let cell = |name: &&String| {
                let at = schema.index_of(name).expect("mapped");
                let column = mapped.payload.fields.column(at);
                match (mapped.payload.is_absent(at, row), column.is_null(row)) {
                    (true, _) => "absent".to_owned(),
                    (false, true) => "null".to_owned(),
                    (false, false) => format!("value {}", text_at(column, row)),
                }
            };
            names.iter().map(cell).collect()
        })
        .collect()
}

/// Cells long and odd enough not to be in a reason by chance.
fn telling_cells(batch: &RecordBatch) -> Vec<String> {
    let cells = batch.columns().iter().flat_map(|column| {
        (0..column.len()).map(|row| text_at(column, row).into_owned()).collect::<Vec<_>>()
    });
    cells
        .filter(|cell| cell.chars().count() >= 4 && !["true", "false"].contains(&cell.as_str()))
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_batch_maps_without_a_panic_and_every_row_is_accounted_for(fields in written(), batch in batch()) {
        if let Some((mapper, _)) = some_mapper(&fields, &batch) {
            let mapped = map(&mapper, &batch);
            let cells = telling_cells(&batch);
            for reject in &mapped.rejects {
                prop_assert!(reject.code.id.starts_with("R1"));
                for cell in &cells {
                    prop_assert!(!reject.reason.contains(cell.as_str()), "{}: {cell}", reject.reason);
                }
            }
        }
    }

    #[test]
    fn fingerprints_are_equal_exactly_when_payloads_are(fields in written(), batch in batch()) {
        if let Some((mapper, able)) = some_mapper(&fields, &batch) {
            let mapped = map(&mapper, &batch);
            let texts = payload_texts(&mapped, &able);
            for a in 0..texts.len() {
                for b in 0..a {
                    let equal = mapped.fingerprints[a] == mapped.fingerprints[b];
                    prop_assert_eq!(equal, texts[a] == texts[b], "{:?} {:?}", &texts[a], &texts[b]);
                }
            }
        }
    }

    #[test]
    fn fingerprints_do_not_depend_on_batches_or_the_order_of_fields(
        fields in written(), batch in batch(), cut in 0..12usize
    ) {
        if let Some((whole, able)) = some_mapper(&fields, &batch) {
            let expected = map(&whole, &batch);
            let cut = cut.min(batch.num_rows());
            let mut split: Vec<Fingerprint> = map(&whole, &batch.slice(0, cut)).fingerprints;
            split.extend(map(&whole, &batch.slice(cut, batch.num_rows() - cut)).fingerprints);
            prop_assert_eq!(&split, &expected.fingerprints);
            let turned: Vec<_> = able.iter().rev().cloned().collect();
            let turned = mapper(&turned, &batch).expect("the same fields");
            prop_assert_eq!(map(&turned, &batch).fingerprints, expected.fingerprints);
        }
    }

    #[test]
    fn every_payload_of_a_mapper_has_its_schema(fields in written(), batch in batch()) {
        if let Some((mapper, _)) = some_mapper(&fields, &batch) {
            let mapped = map(&mapper, &batch);
            prop_assert_eq!(&mapped.payload.fields.schema(), mapper.schema());
            prop_assert_eq!(mapped.payload.absent.len(), mapper.fields().len());
        }
    }

    #[test]
    fn trim_lower_and_e164_change_nothing_the_second_time(cell in any_text()) {
        for step in ["\"trim\"", "\"lower\"", "\"upper\"", "\"e164\"", "{\"truncate\": 4}"] {
            let mapping = |steps: &str| format!(r#"{{"from": "c", "transform": [{steps}]}}"#);
            let once = outcomes(&mapping(step), "text", text(&[Some(&cell)]));
            let twice = outcomes(&mapping(&format!("{step},{step}")), "text", text(&[Some(&cell)]));
            prop_assert_eq!(once, twice, "{}", step);
        }
    }

    #[test]
    fn truncate_keeps_exactly_the_first_characters(cell in any::<String>(), chars in 1..20usize) {
        let mapping = format!(r#"{{"from": "c", "transform": [{{"truncate": {chars}}}]}}"#);
        let out = outcomes(&mapping, "text", text(&[Some(&cell)]));
        let first: String = cell.chars().take(chars).collect();
        prop_assert_eq!(&out[0], &first);
    }

    #[test]
    fn any_text_is_read_as_mappings_or_refused_without_a_panic(json in "\\PC{0,64}") {
        let _ = serde_json::from_str::<Mappings>(&json);
        let template = serde_json::json!({"f": {"template": json}}).to_string();
        if let Ok(read) = serde_json::from_str::<Mappings>(&template) {
            let _ = transform::check(&read, &[]);
            let _ = transform::columns(&read, &[]);
        }
        let format = serde_json::json!({"f": {"from": "c", "transform": [{"date_format": json}]}});
        if let Ok(read) = serde_json::from_value::<Mappings>(format) {
            let _ = transform::check(&read, &[]);
        }
    }
}
