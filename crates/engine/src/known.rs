//! What the ledger knows about the mapped rows of a chunk; a run and a plan ask it the same question.

use flow::{Entry, Key, Result, Store};
use transform::Mapped;

use crate::diff::{self, Resend, Verdict};

/// The answers.
pub(crate) struct Known {
    pub(crate) entries: Vec<Option<Entry>>,
    /// By the rows' own entries alone; who else wants a record is not in it yet.
    pub(crate) verdicts: Vec<Verdict>,
    /// Rows that take a match value they did not hold.
    pub(crate) asked: Vec<usize>,
    /// Who holds it, parallel to `asked`.
    pub(crate) owners: Vec<Option<Key>>,
}

impl Known {
    /// Asks the ledger of `sync`. Rows that are known to be `new` are not asked for.
    pub(crate) async fn ask(
        store: &dyn Store,
        sync: &str,
        (mapped, new): (&Mapped, Option<&[bool]>),
        resend: Resend,
    ) -> Result<Self> {
        let entries = match new {
            None => store.lookup(sync, &mapped.keys).await?,
            Some(new) => {
                let known = mapped.keys.iter().zip(new).filter(|(_, new)| !**new);
                let keys: Vec<Key> = known.map(|(key, _)| key.clone()).collect();
                let mut found = match keys.is_empty() {
                    true => Vec::new(),
                    false => store.lookup(sync, &keys).await?,
                }
                .into_iter();
                new.iter().map(|new| if *new { None } else { found.next().flatten() }).collect()
            }
        };
        let verdicts = diff::compare(&mapped.fingerprints, &entries, resend);
        let asked = diff::newly_matched(mapped, &entries, &verdicts);
        let hashes: Vec<_> = asked.iter().map(|row| mapped.matches[*row]).collect();
        let owners = store.owners(sync, &hashes).await?;
        Ok(Self { entries, verdicts, asked, owners })
    }
}
