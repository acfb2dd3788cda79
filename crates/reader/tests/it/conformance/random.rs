//! Random relations, read in every way, against what a simple program makes of the same rows.

use flow::{Position, Scope};

use super::{Kind, Made, Subject, Table, at, column, key, moment};

/// Random numbers that are the same in every run.
struct Dice(u64);

impl Dice {
    fn below(&mut self, most: u64) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % most
    }
}

/// A row as the simple program has it; `None` sorts last.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Row {
    unplaced: bool,
    at: i64,
    a: i64,
    b: String,
}

pub(super) async fn reads(subject: &dyn Subject) {
    if !subject.has(Kind::Timestamptz) {
        return;
    }
    let mut dice = Dice(7);
    for _ in 0..6 {
        let count = dice.below(120);
        let rows: Vec<Row> = (0..count)
            .map(|_| {
                let unplaced = dice.below(5) == 0;
                Row {
                    unplaced,
                    at: if unplaced { 0 } else { dice.below(6) as i64 - 3 },
                    a: dice.below(12) as i64 - 4,
                    b: ["", "a", "B", "é"][dice.below(4) as usize].to_owned(),
                }
            })
            .collect();
        if rows.is_empty() {
            continue;
        }
        let table = Table {
            columns: vec![("a", Kind::Bigint), ("b", Kind::Text), ("at", Kind::Timestamptz)],
            rows: rows
                .iter()
                .map(|row| {
                    let moment = (!row.unplaced).then(|| at(row.at));
                    vec![Some(row.a.to_string()), Some(row.b.clone()), moment]
                })
                .collect(),
        };
        let made = Made::new(subject, &table, (&["a", "b"], Some("at"))).await;
        for _ in 0..6 {
            one_read(subject, &made, &rows, &mut dice).await;
        }
    }
}

async fn one_read(subject: &dyn Subject, made: &Made, rows: &[Row], dice: &mut Dice) {
    let (from, to) = (dice.below(6) as i64 - 3, dice.below(6) as i64 - 3);
    let (scope, mut expected): (Scope, Vec<Row>) = match dice.below(3) {
        0 => (Scope::All, rows.to_vec()),
        1 => (
            Scope::Since(moment(from)),
            rows.iter().filter(|row| row.unplaced || row.at >= from).cloned().collect(),
        ),
        _ => (
            Scope::Range { from: moment(from), to: moment(to) },
            rows.iter()
                .filter(|row| !row.unplaced && (from..to).contains(&row.at))
                .cloned()
                .collect(),
        ),
    };
    expected.sort();
    let twin =
        |row: &Row| rows.iter().filter(|other| (other.a, &other.b) == (row.a, &row.b)).count() > 1;
    let of = |row: &Row| key(&[&row.a.to_string(), &row.b]);
    let twins = expected.iter().filter(|row| twin(row)).map(of);
    let mut request = made.request(scope.clone());
    let mut left = expected.clone();
    if !expected.is_empty() && dice.below(2) == 0 {
        let after = expected[dice.below(expected.len() as u64) as usize].clone();
        let watermark = (!after.unplaced).then(|| moment(after.at));
        request.after = Some(Position { watermark, key: of(&after) });
        left.retain(|row| row > &after);
    }
    let (opening, batches) = made.read(request).await.unwrap();
    let show = |row: &Row| (Some(row.a.to_string()), Some(row.b.clone()));
    let read: Vec<_> = column(&batches, "a").into_iter().zip(column(&batches, "b")).collect();
    assert_eq!(read, left.iter().map(show).collect::<Vec<_>>(), "{} {scope:?}", subject.name());
    for twin in twins {
        assert!(opening.duplicates.contains(&twin), "{} {scope:?}", subject.name());
    }
    for known in opening.duplicates.iter() {
        assert!(rows.iter().filter(|row| of(row) == *known).count() > 1, "{}", subject.name());
    }
}
