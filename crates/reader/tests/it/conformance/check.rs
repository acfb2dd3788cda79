//! The promises, one function each.

use std::collections::HashSet;
use std::time::Duration;

use flow::{Changes, Kind as ErrorKind, Relation, Scope};

use super::{Kind, Made, Subject, Table, at, column, key, last, moment};

fn texts(cells: &[&str]) -> Vec<Option<String>> {
    cells.iter().map(|cell| Some((*cell).to_owned())).collect()
}

/// R4: values arrive exactly, and nothing is between them and NULL.
pub(super) async fn types(subject: &dyn Subject) {
    let cases: [(Kind, &[&str]); 8] = [
        (Kind::Bigint, &["-9223372036854775808", "0", "9223372036854775807"]),
        (Kind::Text, &["", "naïve 🦀", "a\"b,c\nd", "  padded  ", "NULL", "007"]),
        (Kind::Cents, &["-0.05", "9999999999.99", "0", "1.1"]),
        (Kind::Double, &["0.1", "-1.5", "0", "123456789.125"]),
        (Kind::Boolean, &["true", "false"]),
        (Kind::Date, &["1969-12-31", "2026-02-28", "9999-12-31"]),
        (Kind::Timestamp, &["2026-01-05T10:00:02.869801", "1969-12-31T23:59:59.999999"]),
        (Kind::Timestamptz, &["2026-01-05T10:00:02.869801Z", "1969-12-31T23:59:59.999999Z"]),
    ];
    for (kind, values) in cases {
        if !subject.has(kind) {
            continue;
        }
        let mut rows: Vec<Vec<Option<String>>> = Vec::new();
        for (id, value) in values.iter().map(Some).chain([None]).enumerate() {
            rows.push(vec![Some(id.to_string()), value.map(|value| (*value).to_owned())]);
        }
        let table = Table { columns: vec![("id", Kind::Bigint), ("v", kind)], rows };
        let made = Made::new(subject, &table, (&["id"], None)).await;
        let (_, batches) = made.read(made.request(Scope::All)).await.unwrap();
        assert!(batches.iter().all(|batch| batch.faults.is_empty()), "{} {kind:?}", subject.name());
        let mut expected = texts(values);
        expected.push(None);
        assert_eq!(column(&batches, "v"), expected, "{} {kind:?}", subject.name());
    }
}

/// Keys come in one order everywhere: numbers by value, text by bytes.
pub(super) async fn order(subject: &dyn Subject) {
    for (kind, sorted) in [
        (Kind::Bigint, &["-10", "-2", "0", "2", "10"][..]),
        (Kind::Text, &["", "B", "a", "a ", "aa", "b", "é", "🦀"][..]),
        (Kind::Cents, &["-10", "-0.05", "0", "2", "2.5", "10"][..]),
        (Kind::Timestamptz, &["1969-12-31T00:00:00Z", "2026-01-01T00:00:00Z"][..]),
    ] {
        if !subject.has(kind) {
            continue;
        }
        let mut rows: Vec<Vec<Option<String>>> =
            sorted.iter().map(|k| vec![Some((*k).to_owned())]).collect();
        rows.reverse();
        rows.swap(0, 1);
        let made =
            Made::new(subject, &Table { columns: vec![("k", kind)], rows }, (&["k"], None)).await;
        let read = made.column(Scope::All, "k").await;
        assert_eq!(read, texts(sorted), "{} {kind:?}", subject.name());
        // Going on after each row gives exactly the rest.
        for (number, k) in sorted.iter().enumerate() {
            let mut request = made.request(Scope::All);
            request.after = Some(flow::Position { watermark: None, key: key(&[k]) });
            let (_, rest) = made.read(request).await.unwrap();
            assert_eq!(
                column(&rest, "k"),
                texts(&sorted[number + 1..]),
                "{} after {k}",
                subject.name()
            );
        }
    }
}

/// R1: equal timestamps over any page edge are neither lost nor read twice, and rows without one come last.
pub(super) async fn ties_and_pages(subject: &dyn Subject) {
    if !subject.has(Kind::Timestamptz) {
        return;
    }
    let mut rows = Vec::new();
    for id in 0..40_i64 {
        let watermark = match id % 4 {
            0 => None,
            1 | 2 => Some(at(0)),
            _ => Some(at(1)),
        };
        rows.push(vec![Some(id.to_string()), watermark]);
    }
    rows.reverse();
    let table = Table { columns: vec![("id", Kind::Bigint), ("at", Kind::Timestamptz)], rows };
    let made = Made::new(subject, &table, (&["id"], Some("at"))).await;
    let of = |rest: &[i64]| {
        (0..40_i64)
            .filter(|id| rest.contains(&(id % 4)))
            .map(|id| id.to_string())
            .collect::<Vec<_>>()
    };
    let expected: Vec<String> = [of(&[1, 2]), of(&[3]), of(&[0])].concat();
    for scope in [Scope::All, Scope::Since(moment(0))] {
        for page in [1, 7, 40] {
            let (mut after, mut ids) = (None, Vec::new());
            loop {
                let mut request = made.request(scope.clone());
                (request.after, request.rows_max) = (after, Some(page));
                let (_, batches) = made.read(request).await.unwrap();
                let read = column(&batches, "id");
                assert!(read.len() as u64 <= page);
                after = last(&batches);
                ids.extend(read.into_iter().flatten());
                if after.is_none() {
                    break;
                }
            }
            assert_eq!(ids, expected, "{} pages of {page}", subject.name());
            if page == 7 && !matches!(scope, Scope::All) {
                break;
            }
        }
    }
}

/// R4: a range ends to the microsecond.
pub(super) async fn since_and_ranges(subject: &dyn Subject) {
    if !subject.has(Kind::Timestamptz) {
        return;
    }
    let table = Table {
        columns: vec![("id", Kind::Bigint), ("at", Kind::Timestamptz)],
        rows: [Some(-1), Some(0), Some(1), None, Some(90_000_000_000)]
            .iter()
            .enumerate()
            .map(|(id, micros)| vec![Some(id.to_string()), micros.map(at)])
            .collect(),
    };
    let made = Made::new(subject, &table, (&["id"], Some("at"))).await;
    let name = subject.name();
    assert_eq!(
        made.column(Scope::Since(moment(0)), "id").await,
        texts(&["1", "2", "4", "3"]),
        "{name}"
    );
    assert_eq!(made.column(Scope::Since(moment(1)), "id").await, texts(&["2", "4", "3"]), "{name}");
    let range = |from, to| Scope::Range { from: moment(from), to: moment(to) };
    assert_eq!(made.column(range(-1, 1), "id").await, texts(&["0", "1"]), "{name}");
    assert_eq!(made.column(range(5, 6), "id").await, [], "{name}");
    let snapshot = Made::new(subject, &table, (&["id"], None)).await;
    let error = snapshot.source.read(snapshot.request(range(0, 1))).await.err().unwrap();
    assert_eq!(error.code().id, "E1017", "{name}");
}

/// Reading by key, and keys that two rows have: in the scope, wherever the twin is.
pub(super) async fn keys(subject: &dyn Subject) {
    let columns = [("a", Kind::Bigint), ("b", Kind::Text), ("at", Kind::Timestamptz)];
    if !columns.iter().all(|(_, kind)| subject.has(*kind)) {
        return;
    }
    let (old, new) = (at(-1_000_000), at(1_000_000));
    let table = Table::new(
        &columns,
        &[
            &[Some("2"), Some("x"), Some(&old)],
            &[Some("1"), Some("y"), Some(&new)],
            &[Some("1"), Some("x"), Some(&new)],
            &[Some("2"), Some("x"), Some(&old)],
            &[Some("1"), Some("x"), Some(&old)],
            &[Some("10"), Some("x\u{1f}y"), Some(&old)],
        ],
    );
    let made = Made::new(subject, &table, (&["a", "b"], Some("at"))).await;
    let name = subject.name();
    let (one, two) = (key(&["1", "x"]), key(&["2", "x"]));
    assert_eq!(made.twins(Scope::All).await, HashSet::from([one.clone(), two.clone()]), "{name}");
    let recent = made.twins(Scope::Since(moment(0))).await;
    assert!(recent.contains(&one), "{name}: the twin of a new row is old");
    let named = Scope::Keys([two.clone(), key(&["7", "x"])].into());
    assert_eq!(made.twins(named.clone()).await, HashSet::from([two]), "{name}");
    assert_eq!(made.column(named, "a").await, texts(&["2", "2"]), "{name}");
    let odd = Scope::Keys([key(&["10", "x\u{1f}y"]), key(&["x", "y"]), key(&["1"])].into());
    assert_eq!(made.column(odd, "a").await, texts(&["10"]), "{name}");
}

/// 1, 1.0 and 1.00 are one key.
pub(super) async fn keys_of_one_number(subject: &dyn Subject) {
    if !subject.has(Kind::Cents) {
        return;
    }
    let rows: [&[Option<&str>]; 4] = [&[Some("1.00")], &[Some("2")], &[Some("1")], &[Some("1.0")]];
    let made = Made::new(subject, &Table::new(&[("n", Kind::Cents)], &rows), (&["n"], None)).await;
    assert_eq!(made.twins(Scope::All).await, HashSet::from([key(&["1"])]), "{}", subject.name());
    let read = made.column(Scope::Keys([key(&["1"])].into()), "n").await;
    assert_eq!(read, texts(&["1", "1", "1"]), "{}", subject.name());
}

/// Rows without a key are read, last, and have no position; two of them are no twins.
pub(super) async fn missing_keys(subject: &dyn Subject) {
    let rows: [&[Option<&str>]; 4] =
        [&[None, Some("x")], &[Some("2"), Some("x")], &[Some("1"), None], &[None, Some("x")]];
    let table = Table::new(&[("a", Kind::Bigint), ("b", Kind::Text)], &rows);
    let made = Made::new(subject, &table, (&["a", "b"], None)).await;
    let (opening, batches) = made.read(made.request(Scope::All)).await.unwrap();
    let name = subject.name();
    assert!(opening.duplicates.is_empty(), "{name}");
    let a = [Some("1"), Some("2"), None, None].map(|cell| cell.map(str::to_owned));
    assert_eq!(column(&batches, "a"), a, "{name}");
    assert_eq!(last(&batches), None, "{name}");
    let mut request = made.request(Scope::All);
    request.after = Some(flow::Position { watermark: None, key: key(&["2", "x"]) });
    let (_, rest) = made.read(request).await.unwrap();
    assert_eq!(column(&rest, "b"), texts(&["x", "x"]), "{name}");
}

/// What is not there is named, and what is asked for comes, and no more.
pub(super) async fn names(subject: &dyn Subject) {
    let rows: [&[Option<&str>]; 1] = [&[Some("1"), Some("x"), Some("1.5")]];
    let columns = [("Id", Kind::Bigint), ("odd name", Kind::Text), ("c", Kind::Double)];
    let made = Made::new(subject, &Table::new(&columns, &rows), (&["Id"], None)).await;
    let name = subject.name();
    let checked = made.source.check(&made.model).await.unwrap();
    let found: Vec<&str> = checked.columns.iter().map(|column| column.name.as_str()).collect();
    assert_eq!(found, ["Id", "odd name", "c"], "{name}");
    let discovered = made.source.discover(Some(&made.model.relation)).await.unwrap();
    assert_eq!(discovered[0].1.len(), 3, "{name}");
    assert!(!made.source.discover(None).await.unwrap().is_empty(), "{name}");

    let mut request = made.request(Scope::All);
    request.columns = vec!["odd name".to_owned()];
    let (opening, _) = made.read(request).await.unwrap();
    let fields: Vec<&str> =
        opening.schema.fields().iter().map(|field| field.name().as_str()).collect();
    assert_eq!(fields, ["Id", "odd name"], "{name}");

    let mut request = made.request(Scope::All);
    request.columns = vec!["nope".to_owned()];
    let error = made.source.read(request).await.err().unwrap();
    assert_eq!(error.code().id, "E1011", "{name}");
    assert!(error.message().contains("nope"), "{name}");
    let mut model = made.model.clone();
    model.primary_key = vec!["id".to_owned()];
    let error = made.source.check(&model).await.unwrap_err();
    assert!(error.code().id == "E1011" && error.remedy().contains("Id"), "{name}: {error:?}");
    model.primary_key = vec!["Id".to_owned()];
    model.changes = Changes::Watermark { column: "odd name".to_owned(), lag_micros: 1 };
    let error = made.source.check(&model).await.unwrap_err();
    assert_eq!(error.code().id, "E1017", "{name}");

    let Relation::Table(relation) = &made.model.relation else { panic!("a table") };
    model.relation = Relation::Table(relation.replace("conformance", "missing"));
    let error = made.source.check(&model).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config, "{name}: {error:?}");
    assert!(error.message().contains("missing"), "{name}: {error}");
}

/// An empty relation is read to its end.
pub(super) async fn nothing(subject: &dyn Subject) {
    let table = Table::new(&[("id", Kind::Bigint), ("b", Kind::Text)], &[]);
    let made = Made::new(subject, &table, (&["id"], None)).await;
    let Ok((opening, batches)) = made.read(made.request(Scope::All)).await else {
        // JSON lines say what columns there are only in their rows.
        assert_eq!(subject.name(), "jsonl");
        return;
    };
    assert_eq!((opening.schema.fields().len(), batches.len()), (2, 0), "{}", subject.name());
}

/// A read that is given up ends soon and leaves the source as it was.
pub(super) async fn giving_up(subject: &dyn Subject) {
    let rows = (0..20_000_i64)
        .map(|id| vec![Some(((id * 7919) % 20_000).to_string()), Some("x".repeat(50))]);
    let table =
        Table { columns: vec![("id", Kind::Bigint), ("b", Kind::Text)], rows: rows.collect() };
    let made = Made::new(subject, &table, (&["id"], None)).await;
    let wait = async {
        for _ in 0..5 {
            let mut read = made.source.read(made.request(Scope::All)).await.unwrap();
            read.next().await.unwrap().unwrap();
        }
        made.column(Scope::All, "id").await
    };
    let ids = tokio::time::timeout(Duration::from_secs(60), wait).await.unwrap();
    let sorted: Vec<Option<String>> = (0..20_000).map(|id| Some(id.to_string())).collect();
    assert_eq!(ids, sorted, "{}", subject.name());
}
