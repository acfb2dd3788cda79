//! The messages of PostgreSQL's `pgoutput` plugin, protocol version 1 (PostgreSQL manual, "Logical Replication Message
//! Formats"). Pure; bytes that are not what they should be are an error, never a panic.

use flow::{Error, Result};

use crate::codes;

/// One message, as far as following a model needs it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Message<'a> {
    /// A transaction that has committed begins.
    Begin {
        /// The 32 bits of its number.
        xid: u32,
    },
    /// What a table looks like in the changes that follow.
    Relation(Relation),
    Insert {
        oid: u32,
        new: Tuple<'a>,
    },
    Update {
        oid: u32,
        /// The columns of the replica identity, or all; only where the identity changed or is FULL.
        old: Option<Tuple<'a>>,
        new: Tuple<'a>,
    },
    Delete {
        oid: u32,
        old: Tuple<'a>,
    },
    Truncate {
        oids: Vec<u32>,
    },
    /// The end of a transaction, and what says nothing about rows.
    Other,
}

/// A table as a message describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Relation {
    pub oid: u32,
    /// `d` primary key, `i` index, `f` all columns, `n` nothing.
    pub identity: u8,
    /// Name of each column, and whether it is in the replica identity.
    pub columns: Vec<(String, bool)>,
}

/// A value in a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cell<'a> {
    Null,
    /// A large value that did not change: it is not in the message.
    Unchanged,
    /// As the type's output function writes it.
    Text(&'a [u8]),
}

/// A row, in the order of the relation's columns.
pub(super) type Tuple<'a> = Vec<Cell<'a>>;

struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count).ok_or_else(cut)?;
        self.0 = rest;
        Ok(taken)
    }

    fn byte(&mut self) -> Result<u8> {
        Ok(self.take(1)?[0])
    }

    fn u16(&mut self) -> Result<u16> {
        let bytes = self.take(2)?;
        Ok(u16::from_be_bytes([bytes[0], bytes[1]]))
    }

    fn u32(&mut self) -> Result<u32> {
        let bytes = self.take(4)?;
        Ok(u32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))
    }

    fn text(&mut self) -> Result<String> {
        let end = self.0.iter().position(|byte| *byte == 0).ok_or_else(cut)?;
        let text = self.take(end)?;
        self.take(1)?;
        String::from_utf8(text.to_vec()).map_err(|_| cut())
    }

    fn tuple(&mut self) -> Result<Tuple<'a>> {
        (0..self.u16()?).map(|_| self.cell()).collect()
    }

    fn cell(&mut self) -> Result<Cell<'a>> {
        Ok(match self.byte()? {
            b'n' => Cell::Null,
            b'u' => Cell::Unchanged,
            b't' => {
                let length = usize::try_from(self.u32()?).map_err(|_| cut())?;
                Cell::Text(self.take(length)?)
            }
            _ => return Err(cut()),
        })
    }

    fn relation(&mut self) -> Result<Relation> {
        let oid = self.u32()?;
        let (_schema, _name) = (self.text()?, self.text()?);
        let identity = self.byte()?;
        let mut columns = Vec::new();
        for _ in 0..self.u16()? {
            let key = self.byte()? & 1 != 0;
            let name = self.text()?;
            let (_kind, _modifier) = (self.u32()?, self.u32()?);
            columns.push((name, key));
        }
        Ok(Relation { oid, identity, columns })
    }

    fn update(&mut self) -> Result<Message<'a>> {
        let oid = self.u32()?;
        let old = match self.byte()? {
            b'K' | b'O' => {
                let old = self.tuple()?;
                (self.byte()? == b'N').then_some(Some(old)).ok_or_else(cut)?
            }
            b'N' => None,
            _ => return Err(cut()),
        };
        Ok(Message::Update { oid, old, new: self.tuple()? })
    }
}

/// Reads one message.
///
/// # Errors
/// `E1024` for bytes that are none.
pub(super) fn read(bytes: &[u8]) -> Result<Message<'_>> {
    let mut bytes = Bytes(bytes);
    Ok(match bytes.byte()? {
        b'B' => {
            bytes.take(16)?;
            Message::Begin { xid: bytes.u32()? }
        }
        b'R' => Message::Relation(bytes.relation()?),
        b'I' => {
            let oid = bytes.u32()?;
            (bytes.byte()? == b'N').then_some(()).ok_or_else(cut)?;
            Message::Insert { oid, new: bytes.tuple()? }
        }
        b'U' => bytes.update()?,
        b'D' => {
            let oid = bytes.u32()?;
            matches!(bytes.byte()?, b'K' | b'O').then_some(()).ok_or_else(cut)?;
            Message::Delete { oid, old: bytes.tuple()? }
        }
        b'T' => {
            let count = bytes.u32()?;
            bytes.byte()?;
            Message::Truncate { oids: (0..count).map(|_| bytes.u32()).collect::<Result<_>>()? }
        }
        _ => Message::Other,
    })
}

fn cut() -> Error {
    Error::new(&codes::E1024_PROTOCOL, "the warehouse sent a change that is none")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_update_of_the_key_has_both_rows() {
        let message = b"U\0\0\0\x07K\0\x02t\0\0\0\x011nN\0\x02t\0\0\0\x012u";
        let old = Some(vec![Cell::Text(b"1"), Cell::Null]);
        let new = vec![Cell::Text(b"2"), Cell::Unchanged];
        assert_eq!(read(message).unwrap(), Message::Update { oid: 7, old, new });
    }

    #[test]
    fn every_message_that_is_cut_is_an_error() {
        for message in [
            b"B\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x05".as_slice(),
            b"R\0\0\0\x07public\0t\0d\0\x01\x01id\0\0\0\0\x17\xff\xff\xff\xff",
            b"I\0\0\0\x07N\0\x01t\0\0\0\x011",
            b"D\0\0\0\x07K\0\x01t\0\0\0\x011",
            b"T\0\0\0\x01\0\0\0\0\x07",
        ] {
            assert_ne!(read(message).unwrap(), Message::Other);
            for end in 0..message.len() {
                assert_eq!(read(&message[..end]).unwrap_err().code().id, "E1024");
            }
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = read(&bytes);
        }
    }
}
