//! Record ids: three characters for the object, twelve for the record, three that repeat the letter case.

const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
const CASE: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ012345";

/// The id of the `number`-th record of an object.
pub(super) fn spell(prefix: &str, number: u64) -> String {
    let mut digits = [b'0'; 12];
    let mut rest = number;
    for digit in digits.iter_mut().rev() {
        *digit = DIGITS[usize::try_from(rest % 62).unwrap_or(0)];
        rest /= 62;
    }
    let mut id = prefix.to_owned();
    id.extend(digits.iter().map(|digit| char::from(*digit)));
    let case: String = id.as_bytes().chunks(5).map(case_of).collect();
    id + &case
}

fn case_of(five: &[u8]) -> char {
    let bits = five.iter().enumerate().filter(|(_, byte)| byte.is_ascii_uppercase());
    char::from(CASE[bits.fold(0, |sum, (place, _)| sum | 1 << place)])
}

/// The record's number; `None` where it is no id of this object.
pub(super) fn read(prefix: &str, id: &str) -> Option<u64> {
    if !is_id(id) || !id.starts_with(prefix) {
        return None;
    }
    id.as_bytes()[3..15].iter().try_fold(0_u64, |number, byte| {
        let digit = DIGITS.iter().position(|digit| digit == byte)? as u64;
        number.checked_mul(62)?.checked_add(digit)
    })
}

/// Whether it has the form of an id; the last three of 18 characters must fit.
pub(super) fn is_id(id: &str) -> bool {
    if !id.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return false;
    }
    match id.len() {
        15 => true,
        18 => id.as_bytes()[..15].chunks(5).map(case_of).collect::<String>() == id[15..],
        _ => false,
    }
}
