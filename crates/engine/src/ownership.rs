//! Whether a row that holds a match value in the ledger still holds it in the warehouse. Rows leave the model, come
//! back under another key, and change places with each other; the ledger learns of that only when it sees them.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use flow::{Entry, Error, Key, MatchHash, Reject, Result, Stage};
use transform::RunMeta;

use crate::intake::Mapping;
use crate::prepare::Prepared;
use crate::request::{Page, pages_of_keys};
use crate::retry::repeat;
use crate::spool::Item;
use crate::{Ports, Sync, codes};

/// A row of the ledger and the match value it holds there.
pub(crate) type Held = (Key, MatchHash);

/// What the warehouse says now of rows that are asked for.
#[derive(Default)]
struct Seen {
    matches: HashMap<Key, MatchHash>,
    /// They are in the model, and what they would match is not known.
    unclear: HashSet<Key>,
}

/// Of these rows, those that are not in the model any more, or have another match value there, and
/// the value they held.
///
/// # Errors
/// What the warehouse answers when it cannot be asked.
pub(crate) async fn left(
    sync: &Sync,
    ports: &Ports,
    (prepared, run): (&Arc<Prepared>, &RunMeta),
    held: Vec<Held>,
) -> Result<HashMap<Key, MatchHash>> {
    let keys = held.iter().map(|(key, _)| key.clone()).collect();
    let seen = see(sync, ports, (prepared, run), keys).await?;
    let gone = held
        .into_iter()
        .filter(|(key, value)| !seen.unclear.contains(key) && seen.matches.get(key) != Some(value));
    Ok(gone.collect())
}

/// Of these rows, those that are in the model now.
///
/// # Errors
/// As [`left`].
pub(crate) async fn present(
    sync: &Sync,
    ports: &Ports,
    about: (&Arc<Prepared>, &RunMeta),
    keys: Vec<Key>,
) -> Result<HashSet<Key>> {
    let seen = see(sync, ports, about, keys).await?;
    Ok(seen.matches.into_keys().chain(seen.unclear).collect())
}

async fn see(
    sync: &Sync,
    ports: &Ports,
    (prepared, run): (&Arc<Prepared>, &RunMeta),
    keys: Vec<Key>,
) -> Result<Seen> {
    let about = (Arc::clone(prepared), run.clone());
    let mut mapping = Mapping::new(Arc::new(sync.clone()), ports, about);
    let mut seen = Seen::default();
    for page in pages_of_keys(sync, keys, None) {
        let ask = async || read(ports, &page, &mut mapping, &mut seen).await;
        repeat(ports.retry, Error::retry, ask).await?;
    }
    Ok(seen)
}

async fn read(ports: &Ports, page: &Page, mapping: &mut Mapping, seen: &mut Seen) -> Result<()> {
    let mut read = ports.source.read(page.request.clone()).await?;
    let opening = Arc::new(read.opening().clone());
    while let Some(batch) = read.next().await? {
        let item = Item::of(batch, Arc::clone(&opening));
        let mapped = mapping.map(item).await?.mapped;
        seen.matches.extend(mapped.keys.into_iter().zip(mapped.matches));
        seen.unclear.extend(mapped.rejects.into_iter().filter_map(|reject| reject.key));
    }
    Ok(())
}

/// The memory of a row whose record belongs to another row from now on: it is sent anew when it is seen again.
pub(crate) fn released(entry: Entry) -> Entry {
    Entry { rejected: entry.rejected, gone: entry.gone, ..Entry::default() }
}

/// The reject of a row whose record another row has.
pub(crate) fn conflict(key: Key) -> Reject {
    Reject {
        key: Some(key),
        stage: Stage::Validate,
        code: &codes::R401,
        field: None,
        reason: codes::R401.title.to_owned(),
        // Who holds the value may change without this row changing: it is looked at again whenever it is read.
        fingerprint: None,
    }
}
