//! Mapping keeps up with a run, also in an unoptimised build. `make bench` measures; this only notices a
//! mistake of a whole order of magnitude.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use flow::arrow::array::{
    ArrayRef, BooleanArray, Decimal128Array, Int64Array, StringArray, TimestampMicrosecondArray,
};

use crate::fixture::{Setup, map_with, mappings, rows};

const ROWS: usize = 20_000;

#[test]
#[expect(clippy::disallowed_methods, reason = "a wall clock is what is measured")]
fn eight_plain_fields_are_mapped_in_microseconds() {
    let names: ArrayRef =
        Arc::new(StringArray::from_iter_values((0..ROWS).map(|n| format!("Firstname{n}"))));
    let plans: ArrayRef =
        Arc::new(StringArray::from_iter_values((0..ROWS).map(|n| ["free", "pro", "ent"][n % 3])));
    let days: ArrayRef = Arc::new(Int64Array::from_iter_values((0..ROWS as i64).map(|n| n % 8)));
    let money = Decimal128Array::from_iter_values(0..ROWS as i128);
    let money: ArrayRef = Arc::new(money.with_precision_and_scale(12, 2).expect("fits"));
    let active: ArrayRef = Arc::new((0..ROWS).map(|n| Some(n % 2 == 0)).collect::<BooleanArray>());
    let seen: ArrayRef =
        Arc::new(TimestampMicrosecondArray::from_iter_values(0..ROWS as i64).with_timezone("UTC"));
    let batch = rows(
        ROWS,
        vec![
            ("name", names),
            ("plan", plans),
            ("days", days),
            ("money", money),
            ("active", active),
            ("seen", seen),
        ],
    );
    let written = mappings(
        r#"{"firstname": "name", "text": "plan", "number": "days", "weekly_active_days": "money",
            "active": "active", "datetime": "seen", "external_id": "name", "email": "email"}"#,
    );
    let mapper = Setup::default().compile(&written, batch.schema()).expect("valid");
    let none = HashSet::new();
    let start = Instant::now();
    let mapped = map_with(&mapper, &batch, Vec::new(), &none);
    let took = start.elapsed() / u32::try_from(ROWS).expect("few");
    println!("{took:?} a row");
    assert_eq!(mapped.payload.rows(), ROWS);
    assert!(took < Duration::from_micros(60), "{took:?} a row");
}
