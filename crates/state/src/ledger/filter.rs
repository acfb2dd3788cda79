//! Says of most hashes that are not in a file that they are not, without a look at the file.

/// Bits per hash while the filter may grow; about one hash in a hundred passes wrongly.
const BITS_PER_HASH: usize = 10;
/// A filter is never larger. Above 13 million hashes more and more pass, and are then looked for in the file.
const BYTES_MAX: usize = 16 << 20;
const WORDS_PER_LINE: usize = 8;
const PROBES: u32 = 6;

/// A Bloom filter whose probes for one hash lie in one cache line.
pub(super) struct Filter {
    words: Vec<u64>,
    lines: u64,
}

impl Filter {
    /// An empty filter for so many hashes.
    pub(super) fn new(hashes: u64) -> Self {
        let hashes = usize::try_from(hashes).unwrap_or(usize::MAX / BITS_PER_HASH);
        let bytes = (hashes.saturating_mul(BITS_PER_HASH) / 8).min(BYTES_MAX);
        let lines = bytes / (WORDS_PER_LINE * 8) + 1;
        Self { words: vec![0; lines * WORDS_PER_LINE], lines: lines as u64 }
    }

    pub(super) fn insert(&mut self, hash: u64) {
        let (line, bits) = self.place(hash);
        for (word, mask) in bits {
            self.words[line + word] |= mask;
        }
    }

    /// Whether the hash may have been inserted.
    pub(super) fn may_have(&self, hash: u64) -> bool {
        let (line, mut bits) = self.place(hash);
        bits.all(|(word, mask)| self.words[line + word] & mask != 0)
    }

    fn place(&self, hash: u64) -> (usize, impl Iterator<Item = (usize, u64)> + use<>) {
        let line = (u128::from(hash) * u128::from(self.lines)) >> 64;
        let probes = (hash ^ hash >> 29).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let bits = (0..PROBES).map(move |probe| {
            let bit = (probes >> (55 - 9 * probe)) as usize & 511;
            (bit / 64, 1 << (bit % 64))
        });
        (line as usize * WORDS_PER_LINE, bits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_inserted_passes_and_little_else_does() {
        let hash = |n: u64| xxhash_rust::xxh3::xxh3_64(&n.to_le_bytes());
        let mut filter = Filter::new(10_000);
        (0..10_000).for_each(|n| filter.insert(hash(n)));
        assert!((0..10_000).all(|n| filter.may_have(hash(n))));
        let wrong = (10_000..110_000).filter(|n| filter.may_have(hash(*n))).count();
        assert!(wrong < 3_000, "{wrong} of 100,000 pass wrongly");
    }
}
