//! Numbers as few bytes: seven bits a byte, the last byte without its top bit.

/// Appends the number.
pub(super) fn put(mut number: u64, out: &mut Vec<u8>) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

/// The number at the front of the bytes, which is taken away; `None` where there is none.
#[inline]
pub(super) fn take(bytes: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for (index, byte) in bytes.iter().enumerate().take(10) {
        number |= u64::from(byte & 0x7F) << (7 * index as u32);
        if byte & 0x80 == 0 {
            *bytes = &bytes[index + 1..];
            return Some(number);
        }
    }
    None
}

/// As [`take`], for a length within what is left.
#[inline]
pub(super) fn take_length(bytes: &mut &[u8]) -> Option<usize> {
    let length = usize::try_from(take(bytes)?).ok()?;
    (length <= bytes.len()).then_some(length)
}

/// So many bytes from the front, with their length before them.
#[inline]
pub(super) fn take_bytes<'a>(bytes: &mut &'a [u8]) -> Option<&'a [u8]> {
    let length = take_length(bytes)?;
    let (taken, rest) = bytes.split_at(length);
    *bytes = rest;
    Some(taken)
}

/// Appends bytes with their length before them.
pub(super) fn put_bytes(bytes: &[u8], out: &mut Vec<u8>) {
    put(bytes.len() as u64, out);
    out.extend_from_slice(bytes);
}
