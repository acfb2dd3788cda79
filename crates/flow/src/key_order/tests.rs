//! Every key comes back as it was, and its bytes compare as a warehouse orders the values.

use std::cmp::Ordering;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, Date32Array, Decimal128Array, Float32Array, Float64Array, Int64Array, StringArray,
    Time64MicrosecondArray, TimestampMicrosecondArray,
};

use super::*;

fn bytes(order: &KeyOrder, key: &Key) -> Vec<u8> {
    let mut bytes = Vec::new();
    order.encode(key, &mut bytes);
    assert_eq!(order.decode(&bytes).as_ref(), Some(key), "{order:?}");
    bytes
}

/// The values are ascending, and so must be their keys.
#[track_caller]
fn check_ascending(column: &ArrayRef) {
    let order = KeyOrder::of([&Field::new("k", column.data_type().clone(), true)]);
    let keys: Vec<_> = (0..column.len()).filter_map(|row| Key::at(&[column], row)).collect();
    let bytes: Vec<_> = keys.iter().map(|key| bytes(&order, key)).collect();
    for (index, pair) in bytes.windows(2).enumerate() {
        assert!(pair[0] < pair[1], "{:?} before {:?}", keys[index], keys[index + 1]);
    }
    let other = OTHER_PART;
    let plain = order.parts() == [PartOrder::Text];
    assert!(plain || bytes.iter().all(|bytes| bytes[0] != other), "no value is kept as text");
}

fn random(count: usize) -> impl Iterator<Item = u64> {
    let mut seed = 0x2545_F491_4F6C_DD1D_u64;
    (0..count).map(move |_| {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        // Small and large magnitudes alike.
        seed >> (seed % 63)
    })
}

fn sorted<T: Clone>(values: impl Iterator<Item = T>, by: impl Fn(&T, &T) -> Ordering) -> Vec<T> {
    let mut values: Vec<T> = values.collect();
    values.sort_by(&by);
    values.dedup_by(|a, b| by(a, b) == Ordering::Equal);
    values
}

#[test]
fn whole_numbers_are_ordered_by_value() {
    let both = random(4000).flat_map(|n| [n.cast_signed(), n.cast_signed().wrapping_neg()]);
    let ends = [i64::MIN, i64::MIN + 1, -256, -255, -1, 0, 1, 255, 256, i64::MAX];
    let values = sorted(both.chain(ends), Ord::cmp);
    check_ascending(&(Arc::new(Int64Array::from(values)) as ArrayRef));
}

#[test]
fn decimals_and_floats_are_ordered_by_value() {
    let both = random(4000).flat_map(|n| [i128::from(n), -i128::from(n)]);
    let values = sorted(both, Ord::cmp);
    let decimals = Decimal128Array::from(values).with_precision_and_scale(30, 7).unwrap();
    check_ascending(&(Arc::new(decimals) as ArrayRef));
    let ends = [f64::NEG_INFINITY, -1e300, -5e-324, 5e-324, 0.0, 0.1, 0.2, 10.0, f64::INFINITY];
    let values = random(4000)
        .map(f64::from_bits)
        .chain(random(4000).map(|n| n as f64 / -1e9))
        .filter(|value| value.is_finite())
        .chain(ends);
    let mut values = sorted(values, |a, b| a.partial_cmp(b).unwrap());
    values.push(f64::NAN);
    check_ascending(&(Arc::new(Float64Array::from(values)) as ArrayRef));
    let values = random(2000).map(|n| f32::from_bits(n as u32)).filter(|value| value.is_finite());
    let values = sorted(values, |a, b| a.partial_cmp(b).unwrap());
    check_ascending(&(Arc::new(Float32Array::from(values)) as ArrayRef));
}

#[test]
fn days_and_moments_are_ordered_from_infinity_to_infinity() {
    let days = random(2000).flat_map(|n| [(n % 200_000_000) as i32, -((n % 2_000_000) as i32)]);
    let values = sorted(days.chain([i32::MIN, i32::MAX, -719_529, -719_528, -1, 0]), Ord::cmp);
    check_ascending(&(Arc::new(Date32Array::from(values)) as ArrayRef));
    let micros = random(4000).flat_map(|n| [n.cast_signed(), n.cast_signed().wrapping_neg()]);
    let second = 1_767_607_200_000_000;
    let ends = [i64::MIN, i64::MAX, second, second + 1, second + 500_000, second + 1_000_000];
    let values = sorted(micros.chain(ends), Ord::cmp);
    let plain = TimestampMicrosecondArray::from(values.clone());
    check_ascending(&(Arc::new(plain) as ArrayRef));
    let zoned = TimestampMicrosecondArray::from(values).with_timezone("UTC");
    check_ascending(&(Arc::new(zoned) as ArrayRef));
    let times = random(2000).map(|n| (n % 86_400_000_001).cast_signed());
    let values = sorted(times.chain([0, 500_000, 86_400_000_000]), Ord::cmp);
    check_ascending(&(Arc::new(Time64MicrosecondArray::from(values)) as ArrayRef));
}

#[test]
fn texts_are_ordered_by_their_bytes() {
    let texts = ["", "\u{0}", "A", "B", "a", "a\u{0}", "a\u{1}", "aa", "b", "ä", "\u{10FFFF}"];
    check_ascending(&(Arc::new(StringArray::from(texts.to_vec())) as ArrayRef));
}

#[test]
fn composite_keys_are_ordered_part_by_part() {
    let texts = ["", "\u{0}", "\u{0}\u{1}", "\u{1}", "a", "a\u{1b}", "a\u{1f}", "ab"];
    let order = KeyOrder::by([PartOrder::Text, PartOrder::Integer, PartOrder::Text]);
    let mut last = Vec::new();
    for first in texts {
        for number in [-300, -3, 0, 7, 80, 1000] {
            for text in texts {
                let key = Key::from_parts(&[first, &number.to_string(), text]);
                let bytes = bytes(&order, &key);
                assert!(last < bytes, "{key:?}");
                last = bytes;
            }
        }
    }
}

#[test]
fn a_key_of_another_type_or_shape_comes_last_and_comes_back() {
    let order = KeyOrder::by([PartOrder::Integer]);
    let largest = bytes(&order, &Key::from_parts(&[i64::MAX.to_string()]));
    for text in ["abc", "", "01", "-0", "1.0", "+1", "9".repeat(40).as_str()] {
        assert!(bytes(&order, &Key::from_parts(&[text])) > largest);
    }
    assert!(bytes(&order, &Key::from_parts(&["1", "2"])) > largest);
    for text in ["1.50", ".5", "1.", "1e5", "-0", "00", "x"] {
        let order = KeyOrder::by([PartOrder::Number]);
        assert_eq!(bytes(&order, &Key::from_parts(&[text]))[0], OTHER_PART, "{text}");
    }
    for text in ["2026-13-01", "2026-02-30", "yesterday", "2026-01-01T00:00:00", "1 d"] {
        let order = KeyOrder::by([PartOrder::Date, PartOrder::Text]);
        assert_eq!(bytes(&order, &Key::from_parts(&[text, "x"]))[0], OTHER_PART, "{text}");
    }
}

#[test]
fn damaged_bytes_are_no_key_and_no_panic() {
    for name in ["", "t", "i", "n", "d", "z", "mit"] {
        let order = KeyOrder::named(name).unwrap();
        assert_eq!(order.name(), name);
        for n in random(5000) {
            let noise = n.wrapping_mul(0x9E37_79B9_7F4A_7C15).to_be_bytes();
            let _ = order.decode(&noise[..(n % 9) as usize]);
        }
    }
    assert_eq!(KeyOrder::named("ix"), None);
}
