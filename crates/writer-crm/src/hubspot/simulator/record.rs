//! One record, packed: a few hundred bytes for ten properties, so that 200,000 fit a small machine.

/// The stored properties of a record: index, length, bytes, one after another.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Fields(Box<[u8]>);

impl Fields {
    /// All stored properties with their indexes in the schema.
    pub(super) fn iter(&self) -> impl Iterator<Item = (u16, &str)> {
        let mut rest: &[u8] = &self.0;
        std::iter::from_fn(move || {
            let (index, tail) = rest.split_first_chunk::<2>()?;
            let (length, tail) = tail.split_first_chunk::<4>()?;
            let length = usize::try_from(u32::from_le_bytes(*length)).ok()?;
            let (text, tail) = tail.split_at_checked(length)?;
            rest = tail;
            Some((u16::from_le_bytes(*index), std::str::from_utf8(text).ok()?))
        })
    }

    pub(super) fn get(&self, index: u16) -> Option<&str> {
        self.iter().find_map(|(known, text)| (known == index).then_some(text))
    }

    /// The fields after a write; an empty value clears its property.
    pub(super) fn with<T: AsRef<str>>(&self, changes: &[(u16, T)]) -> Self {
        let room: usize = changes.iter().map(|(_, text)| 6 + text.as_ref().len()).sum();
        let mut packed = Vec::with_capacity(self.0.len() + room);
        let changed = |index| changes.iter().any(|(known, _)| *known == index);
        for (index, text) in self.iter().filter(|(index, _)| !changed(*index)) {
            push(&mut packed, index, text);
        }
        for (index, text) in changes {
            push(&mut packed, *index, text.as_ref());
        }
        Self(packed.into_boxed_slice())
    }
}

fn push(packed: &mut Vec<u8>, index: u16, text: &str) {
    if text.is_empty() {
        return;
    }
    // A value has at most 65,536 characters, so its bytes fit.
    let length = u32::try_from(text.len()).unwrap_or(u32::MAX);
    packed.extend_from_slice(&index.to_le_bytes());
    packed.extend_from_slice(&length.to_le_bytes());
    packed.extend_from_slice(text.as_bytes());
}

/// A record and what happened to it.
#[derive(Debug)]
pub(super) struct Record {
    pub(super) fields: Fields,
    pub(super) created_ms: i64,
    pub(super) updated_ms: i64,
    pub(super) archived_ms: Option<i64>,
    /// Writes of any record of the type so far, when this one was last written: their order.
    pub(super) version: u64,
    /// Writes after the one that created it.
    pub(super) updates: u32,
    /// What the search index still shows, and until when; none when it has caught up.
    pub(super) indexed: Option<Box<Stale>>,
}

/// The older state that search shows for a while.
#[derive(Debug)]
pub(super) struct Stale {
    /// None while the index does not know the record at all.
    pub(super) fields: Option<Fields>,
    pub(super) until_ms: i64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_replace_add_and_clear() {
        let first = Fields::default().with(&[(1, "Ada"), (2, "x"), (7, "")]);
        assert_eq!(first.iter().collect::<Vec<_>>(), [(1, "Ada"), (2, "x")]);
        let second = first.with(&[(2, ""), (3, "ünï"), (1, "Eve")]);
        assert_eq!(second.get(1), Some("Eve"));
        assert_eq!(second.get(2), None);
        assert_eq!(second.get(3), Some("ünï"));
    }
}
