//! What rows hold: text of any script, formulas, nothing at all, more than fits, one key twice, and one bad row among good
//! ones.

use flow::{FieldKind, Kind, NullRule, Outcome};

use super::bench::{Bench, Cell, Rows, is_landed};
use super::{Bad, Subject, Told};

/// Longest text that is written where a destination names no limit.
const CHARS: usize = 300_000;

/// Runs every case on one destination.
pub(super) async fn run(subject: &Subject<'_>) {
    text_of_any_script_arrives(&Bench::start(subject).await).await;
    no_text_is_nothing_or_itself(&Bench::start(subject).await).await;
    long_text_arrives_whole_or_is_refused(&Bench::start(subject).await).await;
    one_key_twice_makes_one_record(&Bench::start(subject).await).await;
    one_bad_row_is_refused_alone(&Bench::start(subject).await).await;
}

/// Unicode, emoji of four bytes, quotes, newlines, formulas, and words that mean something elsewhere.
async fn text_of_any_script_arrives(bench: &Bench) {
    let texts = [
        "Zoë",
        "日本語",
        "👩‍👩‍👧",
        "a\"b\\c",
        "line\nline\ttab",
        "'; --",
        "null",
        "{{x}}",
        "a,b;c",
        "=1+1",
        "@SUM(A1)",
        "+1",
        "-1",
        "0",
        "#N/A",
        "true",
        "\u{1F600}\u{1F1E9}\u{1F1EA}",
        "<b>&amp;</b>",
        "ﷺ\u{200F}",
    ];
    let rows: Rows = bench
        .found_by(texts.len())
        .into_iter()
        .zip(texts.map(|text| Cell::Text(text.to_owned())))
        .collect();
    bench.lands(&rows).await;
    let held = bench.held().await;
    for ((found_by, _), text) in rows.iter().zip(texts) {
        assert_eq!(held[found_by].as_deref(), Some(text), "{}", bench.name);
    }
}

pub(super) async fn null_clears_and_absent_keeps(bench: &Bench) -> Told {
    if bench.limits.null_rule == NullRule::Impossible {
        return Err("a field cannot be emptied");
    }
    let mut rows = bench.rows(2, "before");
    bench.lands(&rows).await;
    rows[0].1 = Cell::Null;
    rows[1].1 = Cell::Absent;
    bench.lands(&rows).await;
    let held = bench.held().await;
    assert_eq!(held[&rows[0].0], None, "{}: null clears", bench.name);
    assert_eq!(held[&rows[1].0].as_deref(), Some("before"), "{}: absent keeps", bench.name);
    Ok(())
}

/// An empty text is kept as it is, or counts as none; it never leaves the old one there.
async fn no_text_is_nothing_or_itself(bench: &Bench) {
    let mut rows = bench.rows(1, "before");
    bench.lands(&rows).await;
    rows[0].1 = Cell::Text(String::new());
    bench.lands(&rows).await;
    if bench.limits.null_rule != NullRule::Impossible {
        assert_eq!(bench.held().await[&rows[0].0], None, "{}", bench.name);
    }
}

/// A text as long as the field, and one that is longer: all of it is there, or its row is refused.
async fn long_text_arrives_whole_or_is_refused(bench: &Bench) {
    let chars_max = match bench.text.kind {
        FieldKind::Text { chars_max } => chars_max,
        _ => None,
    };
    let fits = "x".repeat(chars_max.unwrap_or(CHARS));
    let rows = bench.rows(1, &fits);
    bench.lands(&rows).await;
    assert!(bench.held().await[&rows[0].0].as_deref() == Some(&fits), "{}: whole", bench.name);
    let longer = "y".repeat(chars_max.map_or(bench.limits.bytes_max / 4, |chars| chars + 1));
    let rows = bench.rows(1, &longer);
    let landed = match bench.write(&rows).await {
        Ok(receipt) => match &receipt.outcomes[0] {
            Outcome::Rejected { code, .. } => {
                assert_eq!(code.kind, Kind::Row, "{}: {}", bench.name, code.id);
                false
            }
            outcome => {
                assert!(is_landed(outcome), "{}: {outcome:?}", bench.name);
                true
            }
        },
        Err(error) => {
            assert_eq!(error.kind(), Kind::Poison, "{}: {error:?}", bench.name);
            false
        }
    };
    let expected = if landed { &longer } else { &fits };
    assert!(bench.held().await[&rows[0].0].as_deref() == Some(expected), "{}: cut", bench.name);
}

/// The engine sends no key twice in a call; who does is told nothing wrong, and no record is doubled.
async fn one_key_twice_makes_one_record(bench: &Bench) {
    let mut rows = bench.rows(2, "first");
    rows[1].0 = rows[0].0.clone();
    rows[1].1 = Cell::Text("second".to_owned());
    let mut landed = false;
    for part in rows.chunks(bench.rows_max()).map(<[_]>::to_vec) {
        match bench.write(&part).await {
            Ok(receipt) => landed |= receipt.outcomes.iter().any(is_landed),
            Err(error) => assert_eq!(error.kind(), Kind::Poison, "{}: {error:?}", bench.name),
        }
    }
    let held = bench.held().await;
    let texts = [Some("first"), Some("second")];
    assert!(held.len() <= 1, "{}: doubled", bench.name);
    assert!(held.values().all(|text| texts.contains(&text.as_deref())), "{}", bench.name);
    assert!(!landed || held.len() == 1, "{}: delivered, and not there", bench.name);
    bench.lands(&bench.rows(1, "third")).await;
    assert_eq!(bench.held().await.len(), 1, "{}", bench.name);
}

/// The destination may refuse the row or the whole call; after splitting, exactly the bad row is refused.
async fn one_bad_row_is_refused_alone(bench: &Bench) {
    let rows_max = bench.rows_max().min(100);
    let bad = rows_max / 3;
    let (field, mut rows) = match &bench.bad {
        Bad::Value { field, good, .. } => (field.as_str(), bench.rows(rows_max, good)),
        Bad::Key(_) => (bench.text.name.as_str(), bench.rows(rows_max, "text")),
    };
    match &bench.bad {
        Bad::Value { bad: value, .. } => rows[bad].1 = Cell::Text(value.clone()),
        Bad::Key(key) => (*key).clone_into(&mut rows[bad].0),
    }
    let mut refused = Vec::new();
    let mut parts = vec![(0, rows)];
    while let Some((first, mut part)) = parts.pop() {
        match bench.write_field(field, &part).await {
            Ok(receipt) => {
                for (index, outcome) in receipt.outcomes.iter().enumerate() {
                    match outcome {
                        Outcome::Rejected { code, field: named, .. } => {
                            assert_eq!(code.kind, Kind::Row, "{}: {}", bench.name, code.id);
                            let ours = [field, &bench.match_on.name];
                            assert!(named.as_deref().is_none_or(|named| ours.contains(&named)));
                            refused.push(first + index);
                        }
                        outcome => assert!(is_landed(outcome), "{}: {outcome:?}", bench.name),
                    }
                }
            }
            Err(error) => {
                assert_eq!(error.kind(), Kind::Poison, "{}: {error:?}", bench.name);
                match part.len() {
                    1 => refused.push(first),
                    rows => {
                        let second = part.split_off(rows / 2);
                        parts.push((first + rows / 2, second));
                        parts.push((first, part));
                    }
                }
            }
        }
    }
    assert_eq!(refused, [bad], "{}", bench.name);
    assert_eq!(bench.held().await.len(), rows_max - 1, "{}", bench.name);
}
