//! Exact numbers in text as bytes that sort like the numbers.

/// Bytes whose order is that of the numbers; texts that are no plain decimal number sort after all of them, as text.
pub(super) fn sortable(text: &str) -> Vec<u8> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let plain = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || !plain(whole) || !plain(fraction) {
        return [&[3], text.as_bytes()].concat();
    }
    let whole = whole.trim_start_matches('0');
    let all: String = format!("{whole}{fraction}");
    let significant = all.trim_start_matches('0');
    if significant.is_empty() {
        return vec![1];
    }
    // The place of the first digit that counts: 10^exponent.
    let leading_zeros = all.len() - significant.len();
    let exponent = whole.len() as i64 - leading_zeros as i64;
    let mut bytes = Vec::with_capacity(significant.len() + 10);
    bytes.extend(((exponent as u64) ^ (1 << 63)).to_be_bytes());
    bytes.extend(significant.trim_end_matches('0').bytes());
    if negative {
        bytes.iter_mut().for_each(|byte| *byte = !*byte);
        // A longer negative number is the smaller one.
        bytes.push(u8::MAX);
    }
    bytes.insert(0, if negative { 0 } else { 2 });
    bytes
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::sortable;

    #[test]
    fn numbers_sort_by_value() {
        let sorted = [
            "-1000.5",
            "-1000",
            "-12.34",
            "-12.3",
            "-1",
            "-0.1",
            "-0.01",
            "0",
            "0.001",
            "0.01",
            "0.0123",
            "0.1",
            "1",
            "1.5",
            "2",
            "10",
            "99",
            "100",
            "123456789012345678901234567890",
            "Infinity",
            "NaN",
        ];
        for pair in sorted.windows(2) {
            assert!(sortable(pair[0]) < sortable(pair[1]), "{} < {}", pair[0], pair[1]);
        }
        assert_eq!(sortable("1"), sortable("1.00"));
        assert_eq!(sortable("-0"), sortable("0.000"));
        assert_eq!(sortable("007"), sortable("7"));
    }

    proptest! {
        #[test]
        fn the_order_of_any_two_numbers_is_that_of_their_values(a in -10_000_000_i64..10_000_000, b in -10_000_000_i64..10_000_000) {
            let text = |n: i64| format!("{}{}.{:03}", if n < 0 { "-" } else { "" }, n.abs() / 1000, n.abs() % 1000);
            prop_assert_eq!(sortable(&text(a)).cmp(&sortable(&text(b))), a.cmp(&b));
        }
    }
}
