//! PostgreSQL's binary `numeric`: base-10,000 digits, read exactly.

const POSITIVE: u16 = 0x0000;
const NEGATIVE: u16 = 0x4000;
const NAN: u16 = 0xC000;
const INFINITY: u16 = 0xD000;
const NEG_INFINITY: u16 = 0xF000;

/// A numeric as it arrived.
#[derive(Debug)]
pub(super) enum Numeric<'a> {
    /// A number.
    Finite(Finite<'a>),
    /// `NaN`, `Infinity` or `-Infinity`.
    Special(&'static str),
}

/// A finite numeric.
#[derive(Debug)]
pub(super) struct Finite<'a> {
    negative: bool,
    /// Power of 10,000 of the first digit.
    weight: i32,
    /// Base-10,000 digits, two bytes each.
    digits: &'a [u8],
}

impl<'a> Numeric<'a> {
    /// `None` for bytes that are no numeric.
    pub(super) fn parse(bytes: &'a [u8]) -> Option<Self> {
        let (header, digits) = bytes.split_first_chunk::<8>()?;
        let word = |at: usize| u16::from_be_bytes([header[at], header[at + 1]]);
        if digits.len() != usize::from(word(0)) * 2 {
            return None;
        }
        let weight = i32::from(i16::from_be_bytes([header[2], header[3]]));
        match word(4) {
            sign @ (POSITIVE | NEGATIVE) => {
                Some(Self::Finite(Finite { negative: sign == NEGATIVE, weight, digits }))
            }
            NAN => Some(Self::Special("NaN")),
            INFINITY => Some(Self::Special("Infinity")),
            NEG_INFINITY => Some(Self::Special("-Infinity")),
            _ => None,
        }
    }
}

impl Finite<'_> {
    fn len(&self) -> usize {
        self.digits.len() / 2
    }

    /// The base-10,000 digit with this index; zero outside.
    fn digit(&self, index: i32) -> u16 {
        usize::try_from(index)
            .ok()
            .and_then(|index| self.digits.get(index * 2..index * 2 + 2))
            .map_or(0, |digit| u16::from_be_bytes([digit[0], digit[1]]))
    }

    /// The value times 10^scale; `None` where that is no integer of 128 bits.
    pub(super) fn scaled(&self, scale: i8) -> Option<i128> {
        let count = self.len() as i32;
        let mut value: i128 = 0;
        for index in 0..count {
            let digit = i128::from(self.digit(index));
            // Power of ten that this digit counts.
            let power = 4 * (self.weight - index) + i32::from(scale);
            if power >= 0 {
                value = value.checked_mul(10_000)?.checked_add(digit)?;
            } else {
                // Only the part of the digit above the last decimal place may be non-zero.
                let (keep, drop) = match power {
                    -1 => (1000, 10),
                    -2 => (100, 100),
                    -3 => (10, 1000),
                    _ => (1, 10_000),
                };
                if digit % drop != 0 {
                    return None;
                }
                value = value.checked_mul(keep)?.checked_add(digit / drop)?;
            }
        }
        let power = 4 * (self.weight - count + 1) + i32::from(scale);
        if power > 0 && value != 0 {
            value = value.checked_mul(10_i128.checked_pow(power.unsigned_abs())?)?;
        }
        Some(if self.negative { -value } else { value })
    }

    /// The shortest exact decimal text: no exponent, no trailing zeros.
    pub(super) fn push_text(&self, text: &mut Vec<u8>) {
        use std::io::Write as _;
        let start = text.len();
        if self.negative {
            text.push(b'-');
        }
        if self.weight < 0 {
            text.push(b'0');
        }
        for index in 0..=self.weight {
            let digit = self.digit(index);
            // Writing into a Vec cannot fail.
            let _ = match index {
                0 => write!(text, "{digit}"),
                _ => write!(text, "{digit:04}"),
            };
        }
        let point = text.len();
        text.push(b'.');
        for index in self.weight + 1..self.len() as i32 {
            let _ = write!(text, "{:04}", self.digit(index));
        }
        let kept = text[point..].iter().rposition(|byte| !matches!(byte, b'0' | b'.'));
        text.truncate(kept.map_or(point, |kept| point + kept + 1));
        if &text[start..] == b"-0" {
            text.remove(start);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finite(weight: i16, sign: u16, digits: &[u16]) -> Vec<u8> {
        let mut bytes = (digits.len() as u16).to_be_bytes().to_vec();
        bytes.extend(weight.to_be_bytes());
        bytes.extend(sign.to_be_bytes());
        bytes.extend([0, 0]);
        bytes.extend(digits.iter().flat_map(|digit| digit.to_be_bytes()));
        bytes
    }

    #[track_caller]
    fn check(bytes: &[u8], text: &str, scale: i8, scaled: Option<i128>) {
        let Some(Numeric::Finite(number)) = Numeric::parse(bytes) else { panic!("no number") };
        let mut out = Vec::new();
        number.push_text(&mut out);
        assert_eq!(String::from_utf8(out).unwrap(), text);
        assert_eq!(number.scaled(scale), scaled);
    }

    #[test]
    fn digits_become_exact_numbers() {
        check(&finite(0, POSITIVE, &[12, 3400]), "12.34", 2, Some(1234));
        check(&finite(0, NEGATIVE, &[12, 3400]), "-12.34", 4, Some(-123_400));
        check(&finite(0, POSITIVE, &[12, 3450]), "12.345", 2, None);
        check(&finite(0, POSITIVE, &[]), "0", 2, Some(0));
        check(&finite(2, POSITIVE, &[1]), "100000000", 0, Some(100_000_000));
        check(&finite(-2, POSITIVE, &[12]), "0.00000012", 8, Some(12));
        check(&finite(-1, POSITIVE, &[500]), "0.05", 1, None);
        check(&finite(1, POSITIVE, &[1, 0, 5000]), "10000.5", 1, Some(100_005));
    }

    #[test]
    fn thirty_eight_nines_fit() {
        let mut digits = vec![9999; 9];
        digits.push(9900);
        let nines = 10_i128.pow(38) - 1;
        let text = format!("{}.{}", "9".repeat(36), "99");
        check(&finite(8, POSITIVE, &digits), &text, 2, Some(nines));
    }

    #[test]
    fn broken_bytes_are_no_number() {
        assert!(Numeric::parse(&[0, 1, 0, 0, 0, 0, 0, 0]).is_none());
        assert!(Numeric::parse(&[0; 7]).is_none());
        assert!(Numeric::parse(&[0, 0, 0, 0, 0x12, 0, 0, 0]).is_none());
    }
}
