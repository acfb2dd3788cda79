//! Work that several processes share: a run cut into shards by the rows' keys.

use crate::{Key, Lease};

/// One of several parts of a run; every key belongs to exactly one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shard {
    /// Which one, from 0.
    pub number: u32,
    /// How many there are.
    pub of: u32,
}

impl Shard {
    /// Whether a row is the shard's. A row without a key is the first one's.
    pub fn has(&self, key: Option<&Key>) -> bool {
        // Keys that are equal are equal texts, whatever type the warehouse has for them.
        let place = key.map_or(0, |key| spread(key.as_str()) % u64::from(self.of.max(1)));
        place == u64::from(self.number)
    }
}

/// A number of a key that is the same in every process: FNV-1a, mixed so that its low bits depend on all of the key.
fn spread(key: &str) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for byte in key.bytes() {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    }
    hash ^= hash >> 32;
    hash.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 16
}

/// What several processes do together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Work {
    /// Names what is done; processes that name the same do it together.
    pub spec: String,
    /// Into how many shards it is cut.
    pub shards: u32,
    /// Only this shard is wanted.
    pub only: Option<u32>,
    /// The work this process has taken part in; once that is done, it begins no other.
    pub begun: Option<i64>,
}

/// What asking for a shard came to.
#[derive(Debug)]
pub enum Claim {
    /// This shard, of the work of that number.
    Ours(Lease, Shard, i64),
    /// Every shard is done or with another process; one of those may yet die.
    Busy(i64),
    /// There is nothing left to do.
    Done,
    /// The store is one machine's alone.
    Alone,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_belongs_to_exactly_one_shard() {
        for of in [1, 2, 7] {
            let shards: Vec<Shard> = (0..of).map(|number| Shard { number, of }).collect();
            let mut rows = vec![0; of as usize];
            for n in 0..1000 {
                let key = Key::from_parts(&[n.to_string()]);
                let owners: Vec<usize> =
                    (0..shards.len()).filter(|shard| shards[*shard].has(Some(&key))).collect();
                assert_eq!(owners.len(), 1);
                rows[owners[0]] += 1;
            }
            assert!(rows.iter().all(|rows| *rows > 700 / of), "{rows:?}");
            assert!(shards[0].has(None) && !shards[1..].iter().any(|shard| shard.has(None)));
        }
    }
}
