//! The newest changes of a ledger: as a blob in the state, and in memory where they are found by key and by match hash.

use std::collections::{BTreeSet, HashMap};
use std::hash::{BuildHasherDefault, Hasher};

use flow::{Key, KeyOrder, LedgerChange};
use xxhash_rust::xxh3::xxh3_64;

use super::number;
use super::row::{self, Fields};

/// Takes a hash for what it is.
#[derive(Default)]
pub(super) struct AsIs(u64);

impl Hasher for AsIs {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, _bytes: &[u8]) {}

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }
}

type ByHash = HashMap<u64, u32, BuildHasherDefault<AsIs>>;

/// Appends a changed row to a blob.
pub(super) fn push(key: &[u8], row: &[u8], blob: &mut Vec<u8>) {
    number::put_bytes(key, blob);
    blob.extend_from_slice(row);
}

/// The blob of these changes, and of rows that are forgotten after them.
pub(super) fn blob(changes: &[LedgerChange], forgotten: &[Key], order: &KeyOrder) -> Vec<u8> {
    let mut blob = Vec::with_capacity(changes.len() * 48);
    let mut key = Vec::new();
    for change in changes {
        key.clear();
        order.encode(&change.key, &mut key);
        number::put_bytes(&key, &mut blob);
        row::encode(&change.entry, &mut blob);
    }
    for forgotten in forgotten {
        key.clear();
        order.encode(forgotten, &mut key);
        push(&key, row::FORGOTTEN_ROW, &mut blob);
    }
    blob
}

/// Changed rows, the last change of each.
#[derive(Default)]
pub(super) struct Delta {
    /// Per change: place of the one before it with its key's hash and with its match hash, each plus one; key; row.
    arena: Vec<u8>,
    keys: ByHash,
    matches: ByHash,
    /// Keys of rows that left the model and are not settled.
    gone: BTreeSet<Box<[u8]>>,
    rows: usize,
}

/// One change in the arena.
#[derive(Clone, Copy)]
pub(super) struct Change<'a> {
    before_key: u32,
    before_match: u32,
    pub(super) key: &'a [u8],
    pub(super) row: &'a [u8],
    /// Grows with every change.
    pub(super) place: u32,
}

impl Delta {
    /// Rows changed.
    pub(super) fn rows(&self) -> usize {
        self.rows
    }

    /// Bytes of all changes.
    pub(super) fn bytes(&self) -> usize {
        self.arena.len()
    }

    /// Takes all changes of a blob; `None` where it is none of ours.
    pub(super) fn extend(&mut self, mut blob: &[u8]) -> Option<u64> {
        let mut rows = 0;
        while !blob.is_empty() {
            let key = number::take_bytes(&mut blob)?;
            let before = blob;
            Fields::take(&mut blob)?;
            self.put(key, &before[..before.len() - blob.len()])?;
            rows += 1;
        }
        Some(rows)
    }

    /// Remembers a row; `None` for bytes that are no row, or when the arena has no room.
    pub(super) fn put(&mut self, key: &[u8], row: &[u8]) -> Option<()> {
        let place = u32::try_from(self.arena.len()).ok()?;
        let hash = xxh3_64(key);
        let known = self.find(key, hash).is_some();
        self.rows += usize::from(!known);
        let before_key = self.keys.insert(hash, place + 1).unwrap_or(0);
        let fields = Fields::of(row)?;
        if fields.waits() {
            self.gone.insert(key.into());
        } else if !self.gone.is_empty() {
            self.gone.remove(key);
        }
        let before_match = match fields.match_hash {
            Some(match_hash) => self.matches.insert(fold(match_hash), place + 1).unwrap_or(0),
            None => 0,
        };
        self.arena.extend_from_slice(&before_key.to_le_bytes());
        self.arena.extend_from_slice(&before_match.to_le_bytes());
        number::put_bytes(key, &mut self.arena);
        number::put_bytes(row, &mut self.arena);
        Some(())
    }

    fn change(&self, link: u32) -> Option<Change<'_>> {
        let place = link.checked_sub(1)?;
        let mut rest = self.arena.get(place as usize..)?;
        let mut link = || {
            let (link, after) = rest.split_first_chunk::<4>()?;
            rest = after;
            Some(u32::from_le_bytes(*link))
        };
        let (before_key, before_match) = (link()?, link()?);
        let key = number::take_bytes(&mut rest)?;
        let row = number::take_bytes(&mut rest)?;
        Some(Change { before_key, before_match, key, row, place })
    }

    fn find(&self, key: &[u8], hash: u64) -> Option<Change<'_>> {
        let mut link = *self.keys.get(&hash)?;
        while let Some(change) = self.change(link) {
            if change.key == key {
                return Some(change);
            }
            link = change.before_key;
        }
        None
    }

    /// The last change of the row with this key.
    pub(super) fn get(&self, key: &[u8], hash: u64) -> Option<&[u8]> {
        self.find(key, hash).map(|change| change.row)
    }

    /// Rows whose last change has this match hash, the newest first.
    pub(super) fn matching(&self, match_hash: u128) -> Vec<Change<'_>> {
        let mut found = Vec::new();
        let mut link = self.matches.get(&fold(match_hash)).copied().unwrap_or(0);
        while let Some(change) = self.change(link) {
            let newest = self.find(change.key, xxh3_64(change.key));
            let same = Fields::of(change.row).is_some_and(|row| row.match_hash == Some(match_hash));
            if same && newest.is_some_and(|newest| newest.place == change.place) {
                found.push(change);
            }
            link = change.before_match;
        }
        found
    }

    /// Keys of rows that left the model and are not settled, in order, after this one.
    pub(super) fn gone(&self, after: Option<&[u8]>) -> impl Iterator<Item = &[u8]> {
        let begin = after.map_or(std::ops::Bound::Unbounded, std::ops::Bound::Excluded);
        self.gone.range::<[u8], _>((begin, std::ops::Bound::Unbounded)).map(AsRef::as_ref)
    }

    /// The last change of every row, by key.
    pub(super) fn sorted(&self) -> Vec<u32> {
        let mut links = Vec::with_capacity(self.rows);
        for link in self.keys.values() {
            let mut link = *link;
            while let Some(change) = self.change(link) {
                let newest = self.find(change.key, xxh3_64(change.key));
                if newest.is_some_and(|newest| newest.place == change.place) {
                    links.push((head(change.key), link));
                }
                link = change.before_key;
            }
        }
        let key = |link: u32| self.change(link).map_or(&[][..], |change| change.key);
        links.sort_unstable_by(|a, b| a.0.cmp(&b.0).then_with(|| key(a.1).cmp(key(b.1))));
        links.into_iter().map(|(_, link)| link).collect()
    }

    /// The change behind a link of [`Delta::sorted`].
    pub(super) fn at(&self, link: u32) -> Option<Change<'_>> {
        self.change(link)
    }
}

/// The first bytes of a key as a number, which settles most comparisons.
fn head(key: &[u8]) -> u64 {
    let mut bytes = [0; 8];
    let length = key.len().min(8);
    bytes[..length].copy_from_slice(&key[..length]);
    u64::from_be_bytes(bytes)
}

/// A match hash as the hash of a table. Its bits are as good as any.
fn fold(match_hash: u128) -> u64 {
    match_hash as u64 ^ (match_hash >> 64) as u64
}
