//! What is remembered of a row's last payload, field by field: its values, or only whether and how they differ. Pure.
//!
//! ```text
//! fingerprint of the payload   16 bytes; it is this payload that the rest is about, and no other
//! per field: name              4 bytes of a hash
//!            EMPTY | HASH and 8 bytes | TEXT, length in 4 bytes, and text
//! ```
//! A field that the payload left alone is not in it.

use std::collections::HashMap;

use flow::arrow::array::Array;
use flow::{Entry, Fingerprint, Payload, text_at};
use xxhash_rust::xxh3::xxh3_64;

use crate::Remember;

const EMPTY: u8 = 0;
const HASH: u8 = 1;
const TEXT: u8 = 2;

/// What is known of a field's value at the destination.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Before {
    /// It has none.
    Empty,
    /// It has one, with this hash.
    Hash(u64),
    /// It has this one.
    Text(String),
}

impl Before {
    /// Whether `after` is another value.
    pub(crate) fn differs(&self, after: Option<&str>) -> bool {
        match (self, after) {
            (Self::Empty, after) => after.is_some(),
            (_, None) => true,
            (Self::Hash(hash), Some(after)) => *hash != xxh3_64(after.as_bytes()),
            (Self::Text(text), Some(after)) => text != after,
        }
    }

    /// Whether it is a value.
    pub(crate) fn is_filled(&self) -> bool {
        *self != Self::Empty
    }
}

/// The fields of one row as last acknowledged, by the hash of their names.
#[derive(Debug, Default)]
pub(crate) struct LastPayload(HashMap<u32, Before>);

impl LastPayload {
    /// What `bytes` say, if they are about the payload that the ledger says was acknowledged last.
    pub(crate) fn of(bytes: &[u8], entry: Option<&Entry>) -> Option<Self> {
        let (print, rest) = bytes.split_first_chunk::<16>()?;
        let about = Fingerprint(u128::from_le_bytes(*print));
        (entry?.acknowledged == Some(about)).then(|| Self::read(rest)).flatten()
    }

    fn read(mut rest: &[u8]) -> Option<Self> {
        let mut fields = HashMap::new();
        while let Some((name, value)) = rest.split_first_chunk::<4>() {
            let (tag, value) = value.split_first()?;
            let (before, after) = match *tag {
                EMPTY => (Before::Empty, value),
                HASH => {
                    let (hash, after) = value.split_first_chunk::<8>()?;
                    (Before::Hash(u64::from_le_bytes(*hash)), after)
                }
                TEXT => {
                    let (length, after) = value.split_first_chunk::<4>()?;
                    let (text, after) =
                        after.split_at_checked(u32::from_le_bytes(*length) as usize)?;
                    (Before::Text(String::from_utf8(text.to_vec()).ok()?), after)
                }
                _ => return None,
            };
            fields.insert(u32::from_le_bytes(*name), before);
            rest = after;
        }
        rest.is_empty().then_some(Self(fields))
    }

    /// The field of that name; `None` where nothing is known of it.
    pub(crate) fn field(&self, name: &str) -> Option<&Before> {
        self.0.get(&name_hash(name))
    }
}

/// The fields in `bytes` by the hash of their names, whatever payload they are about.
pub(crate) fn fields(bytes: &[u8]) -> impl Iterator<Item = (u32, Before)> {
    bytes.get(16..).and_then(LastPayload::read).unwrap_or_default().0.into_iter()
}

/// Filled fields in `bytes`, whatever payload they are about.
pub(crate) fn filled(bytes: &[u8]) -> u64 {
    fields(bytes).filter(|(_, before)| before.is_filled()).count() as u64
}

/// What to remember of a row; `None` where the sync remembers nothing.
pub(crate) fn of_row(
    remember: Remember,
    payload: &Payload,
    (row, fingerprint): (usize, Fingerprint),
) -> Option<Vec<u8>> {
    if remember == Remember::Nothing {
        return None;
    }
    let mut bytes = fingerprint.0.to_le_bytes().to_vec();
    let columns = payload.fields.schema_ref().fields().iter().zip(payload.fields.columns());
    for (index, (field, column)) in columns.enumerate() {
        if payload.is_absent(index, row) {
            continue;
        }
        bytes.extend_from_slice(&name_hash(field.name()).to_le_bytes());
        if column.is_null(row) {
            bytes.push(EMPTY);
            continue;
        }
        let text = text_at(column, row);
        if remember == Remember::Fields {
            bytes.push(HASH);
            bytes.extend_from_slice(&xxh3_64(text.as_bytes()).to_le_bytes());
        } else {
            bytes.push(TEXT);
            bytes.extend_from_slice(&(text.len() as u32).to_le_bytes());
            bytes.extend_from_slice(text.as_bytes());
        }
    }
    Some(bytes)
}

/// Stands for a field's name.
pub(crate) fn name_hash(name: &str) -> u32 {
    xxh3_64(name.as_bytes()) as u32
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use flow::arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
    use flow::arrow::buffer::BooleanBuffer;

    use super::*;

    fn payload() -> Payload {
        let columns: Vec<(&str, ArrayRef)> = vec![
            ("name", Arc::new(StringArray::from(vec![Some("Zoë 🦀"), None]))),
            ("score", Arc::new(Int64Array::from(vec![Some(7), Some(0)]))),
            ("alone", Arc::new(StringArray::from(vec![None::<&str>, None]))),
        ];
        let fields = RecordBatch::try_from_iter_with_nullable(
            columns.into_iter().map(|(name, column)| (name, column, true)),
        );
        let absent = vec![None, None, Some(BooleanBuffer::new_set(2))];
        Payload { fields: fields.unwrap(), absent }
    }

    fn entry(print: u128) -> Entry {
        Entry { acknowledged: Some(Fingerprint(print)), ..Entry::default() }
    }

    #[test]
    fn what_is_remembered_tells_which_fields_change_and_what_they_were() {
        for remember in [Remember::Fields, Remember::Values] {
            let bytes = of_row(remember, &payload(), (0, Fingerprint(5))).unwrap();
            let last = LastPayload::of(&bytes, Some(&entry(5))).unwrap();
            let differs = |name, after| last.field(name).map(|before| before.differs(after));
            assert_eq!(differs("name", Some("Zoë 🦀")), Some(false));
            assert_eq!(differs("name", Some("Zoe")), Some(true));
            assert_eq!(differs("name", None), Some(true));
            assert_eq!(differs("score", Some("7")), Some(false));
            assert_eq!(differs("alone", Some("x")), None, "it was left alone");
            assert_eq!(differs("new", Some("x")), None);
            let second = of_row(remember, &payload(), (1, Fingerprint(6))).unwrap();
            let last = LastPayload::of(&second, Some(&entry(6))).unwrap();
            assert_eq!(last.field("name"), Some(&Before::Empty));
            assert_eq!((filled(&bytes), filled(&second)), (2, 1));
        }
        let bytes = of_row(Remember::Values, &payload(), (0, Fingerprint(5))).unwrap();
        let last = LastPayload::of(&bytes, Some(&entry(5))).unwrap();
        assert_eq!(last.field("name"), Some(&Before::Text("Zoë 🦀".to_owned())));
        assert_eq!(of_row(Remember::Nothing, &payload(), (0, Fingerprint(5))), None);
    }

    #[test]
    fn it_says_nothing_about_another_payload_and_nothing_when_it_is_cut() {
        let bytes = of_row(Remember::Values, &payload(), (0, Fingerprint(5))).unwrap();
        assert!(LastPayload::of(&bytes, Some(&entry(6))).is_none());
        assert!(LastPayload::of(&bytes, Some(&Entry::default())).is_none(), "dirty");
        assert!(LastPayload::of(&bytes, None).is_none());
        for end in (0..bytes.len()).filter(|end| ![16, 35].contains(end)) {
            let cut = LastPayload::of(&bytes[..end], Some(&entry(5)));
            let whole = |last: &LastPayload| last.field("score").is_some();
            assert!(!cut.as_ref().is_some_and(whole), "cut at {end}");
        }
    }
}
