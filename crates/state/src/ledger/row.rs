//! What is remembered of one row, as bytes: the same in a delta, in memory and in a file, so that rows move between them
//! without being taken apart.
//!
//! ```text
//! flags            1 byte: ACKNOWLEDGED, MATCHED, REMOTE_NUMBER or REMOTE_TEXT, REJECTED; WIDE_* for 16 bytes
//! acknowledged     8 bytes (16)
//! match hash       10 bytes (16)
//! remote id        a number of seven bits a byte; or a length and text
//! rejected         a length (0 for a fingerprint of zero, 8 or 16) and so many bytes
//! more             1 byte, with MORE: FORGOTTEN, or how the row left the model; then since when, 8 bytes
//! ```

use flow::{Entry, Fingerprint, Gone, GoneHow, MatchHash};

use super::number;

const ACKNOWLEDGED: u8 = 1;
const WIDE_ACKNOWLEDGED: u8 = 1 << 1;
const MATCHED: u8 = 1 << 2;
const WIDE_MATCHED: u8 = 1 << 3;
const REMOTE_NUMBER: u8 = 1 << 4;
const REMOTE_TEXT: u8 = 1 << 5;
const REJECTED: u8 = 1 << 6;
const MORE: u8 = 1 << 7;
/// The row is not remembered any more; hides older rows of the same key.
const FORGOTTEN: u8 = 1 << 7;
const HOW: [GoneHow; 3] = [GoneHow::Absent, GoneHow::Said, GoneHow::Settled];

/// A row that is not remembered any more.
pub(super) const FORGOTTEN_ROW: &[u8] = &[MORE, FORGOTTEN];

const MATCH_BYTES: usize = MatchHash::BITS as usize / 8;

/// A row's memory, taken apart without copying.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Fields<'a> {
    pub(super) acknowledged: Option<u128>,
    pub(super) match_hash: Option<u128>,
    pub(super) rejected: Option<u128>,
    pub(super) remote: Remote<'a>,
    pub(super) gone: Option<Gone>,
    pub(super) forgotten: bool,
}

/// A record's id at the destination.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) enum Remote<'a> {
    #[default]
    None,
    Number(u64),
    Text(&'a str),
}

impl<'a> Remote<'a> {
    /// Most ids are numbers without leading zeros, and those take half the room.
    pub(super) fn of(id: &'a str) -> Self {
        let plain =
            id.bytes().all(|byte| byte.is_ascii_digit()) && (id == "0" || !id.starts_with('0'));
        match id.parse() {
            Ok(number) if plain => Self::Number(number),
            _ => Self::Text(id),
        }
    }
}

/// Appends the entry.
pub(super) fn encode(entry: &Entry, out: &mut Vec<u8>) {
    let fields = Fields {
        acknowledged: entry.acknowledged.map(|print| print.0),
        match_hash: entry.match_hash.map(|hash| hash.0),
        rejected: entry.rejected.map(|print| print.0),
        remote: entry.remote_id.as_deref().map_or(Remote::None, Remote::of),
        gone: entry.gone,
        forgotten: false,
    };
    fields.encode(out);
}

/// The entry of these bytes; `None` where they are none of ours.
pub(super) fn decode(mut bytes: &[u8]) -> Option<Entry> {
    let fields = Fields::take(&mut bytes)?;
    bytes.is_empty().then(|| fields.entry())
}

impl<'a> Fields<'a> {
    fn encode(&self, out: &mut Vec<u8>) {
        let at = out.len();
        out.push(0);
        let mut flags = 0;
        if let Some(print) = self.acknowledged {
            let wide = print > u128::from(u64::MAX);
            flags |= if wide { ACKNOWLEDGED | WIDE_ACKNOWLEDGED } else { ACKNOWLEDGED };
            out.extend_from_slice(&print.to_le_bytes()[..if wide { 16 } else { 8 }]);
        }
        if let Some(hash) = self.match_hash {
            let wide = hash >> MatchHash::BITS != 0;
            flags |= if wide { MATCHED | WIDE_MATCHED } else { MATCHED };
            out.extend_from_slice(&hash.to_le_bytes()[..if wide { 16 } else { MATCH_BYTES }]);
        }
        match self.remote {
            Remote::None => {}
            Remote::Number(id) => {
                flags |= REMOTE_NUMBER;
                number::put(id, out);
            }
            Remote::Text(id) => {
                flags |= REMOTE_TEXT;
                number::put_bytes(id.as_bytes(), out);
            }
        }
        if let Some(print) = self.rejected {
            flags |= REJECTED;
            let length = match print {
                0 => 0,
                print if print <= u128::from(u64::MAX) => 8,
                _ => 16,
            };
            number::put_bytes(&print.to_le_bytes()[..length], out);
        }
        if let Some(gone) = self.gone {
            flags |= MORE;
            out.push(HOW.iter().position(|how| *how == gone.how).expect("all are listed") as u8);
            out.extend_from_slice(&gone.since.to_le_bytes());
        }
        out[at] = flags;
    }

    /// Whether the row left the model and may have to be acted on.
    pub(super) fn waits(&self) -> bool {
        self.gone.is_some_and(|gone| gone.how != GoneHow::Settled)
    }

    /// The fields at the front of the bytes, which are taken away.
    #[inline]
    pub(super) fn take(bytes: &mut &'a [u8]) -> Option<Self> {
        let (flags, rest) = bytes.split_first()?;
        *bytes = rest;
        let (flags, mut fields) = (*flags, Self::default());
        if flags & ACKNOWLEDGED != 0 {
            let length = if flags & WIDE_ACKNOWLEDGED != 0 { 16 } else { 8 };
            fields.acknowledged = Some(take_hash(bytes, length)?);
        }
        if flags & MATCHED != 0 {
            let length = if flags & WIDE_MATCHED != 0 { 16 } else { MATCH_BYTES };
            fields.match_hash = Some(take_hash(bytes, length)?);
        }
        if flags & REMOTE_NUMBER != 0 {
            fields.remote = Remote::Number(number::take(bytes)?);
        } else if flags & REMOTE_TEXT != 0 {
            fields.remote = Remote::Text(std::str::from_utf8(number::take_bytes(bytes)?).ok()?);
        }
        if flags & REJECTED != 0 {
            let length = number::take_length(bytes).filter(|length| *length <= 16)?;
            fields.rejected = Some(take_hash(bytes, length)?);
        }
        if flags & MORE != 0 {
            let (more, rest) = bytes.split_first()?;
            *bytes = rest;
            match *more {
                FORGOTTEN => fields.forgotten = true,
                how => {
                    let (since, rest) = bytes.split_first_chunk::<8>()?;
                    *bytes = rest;
                    let since = i64::from_le_bytes(*since);
                    fields.gone = Some(Gone { since, how: *HOW.get(usize::from(how))? });
                }
            }
        }
        Some(fields)
    }

    /// The fields of a whole row.
    pub(super) fn of(mut bytes: &'a [u8]) -> Option<Self> {
        Self::take(&mut bytes)
    }

    pub(super) fn entry(&self) -> Entry {
        Entry {
            acknowledged: self.acknowledged.map(Fingerprint),
            rejected: self.rejected.map(Fingerprint),
            match_hash: self.match_hash.map(MatchHash),
            remote_id: match self.remote {
                Remote::None => None,
                Remote::Number(id) => Some(id.to_string()),
                Remote::Text(id) => Some(id.to_owned()),
            },
            gone: self.gone,
        }
    }
}

#[inline]
fn take_hash(bytes: &mut &[u8], length: usize) -> Option<u128> {
    let (taken, rest) = bytes.split_at_checked(length)?;
    *bytes = rest;
    if let Ok(short) = <[u8; 8]>::try_from(taken) {
        return Some(u64::from_le_bytes(short).into());
    }
    let mut wide = [0; 16];
    wide[..length].copy_from_slice(taken);
    Some(u128::from_le_bytes(wide))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_entry_comes_back_as_it_was() {
        let prints = [None, Some(0), Some(1), Some(u128::from(u64::MAX)), Some(u128::MAX)];
        let ids =
            [None, Some("0"), Some("12345678901"), Some("007"), Some(""), Some("a-b"), Some("+1")];
        let huge = Some("340282366920938463463374607431768211456");
        for acknowledged in prints {
            for rejected in prints {
                for match_hash in prints.into_iter().chain([Some(1 << 79), Some(1 << 80)]) {
                    for (index, id) in ids.into_iter().chain([huge]).enumerate() {
                        let how = HOW.get(index).copied();
                        let entry = Entry {
                            acknowledged: acknowledged.map(Fingerprint),
                            rejected: rejected.map(Fingerprint),
                            match_hash: match_hash.map(MatchHash),
                            remote_id: id.map(str::to_owned),
                            gone: how.map(|how| Gone { since: -7, how }),
                        };
                        let mut bytes = Vec::new();
                        encode(&entry, &mut bytes);
                        assert_eq!(decode(&bytes), Some(entry));
                        assert_eq!(decode(&bytes[..bytes.len() - 1]), None);
                    }
                }
            }
        }
    }

    #[test]
    fn an_ordinary_row_takes_24_bytes() {
        let entry = Entry {
            acknowledged: Some(Fingerprint::of(u128::MAX)),
            match_hash: Some(MatchHash::of(u128::MAX)),
            remote_id: Some("12345678901".to_owned()),
            ..Entry::default()
        };
        let mut bytes = Vec::new();
        encode(&entry, &mut bytes);
        assert_eq!(bytes.len(), 24);
    }
}
