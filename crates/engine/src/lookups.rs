//! Finds the records that mappings look up: at the destination, which is asked about many at a time, or in the ledger of
//! the sync that wrote them. Nothing of it changes what other rows send (D10).

use std::collections::HashMap;
use std::sync::Arc;

use flow::arrow::array::{ArrayRef, RecordBatch, UInt32Array};
use flow::arrow::compute::take;
use flow::arrow::datatypes::Schema;
use flow::arrow::error::ArrowError;
use flow::{Destination, Error, Found, Key, ReadBack, ReadsBack, Records, Result, Store};
use transform::{LookedUp, LookupPlace};

use crate::before::all_answered;
use crate::retry::Attempts;
use crate::{Ports, RetryPolicy, Sync, codes};

/// Answers that are remembered within a run.
const KNOWN_MAX: usize = 200_000;
/// Rows of another sync that are asked for at once.
const KEYS_PER_QUESTION: usize = 10_000;

/// The lookups of one sync, and what they have found in this run.
pub(crate) struct Lookups {
    destination: Arc<dyn Destination>,
    store: Arc<dyn Store>,
    retry: RetryPolicy,
    places: Vec<LookupPlace>,
    /// Per lookup: by the values it is looked up by.
    known: Vec<HashMap<Key, LookedUp>>,
}

impl Lookups {
    pub(crate) fn new(sync: &Sync, ports: &Ports) -> Self {
        let lookups = transform::lookups(&sync.mappings).into_iter();
        let places: Vec<LookupPlace> = lookups.map(|(_, lookup)| lookup.place.clone()).collect();
        Self {
            destination: Arc::clone(&ports.destination),
            store: Arc::clone(&ports.store),
            retry: ports.retry,
            known: places.iter().map(|_| HashMap::new()).collect(),
            places,
        }
    }

    /// What each lookup finds for each row.
    ///
    /// # Errors
    /// When the destination or the state cannot be asked.
    pub(crate) async fn find(&mut self, rows: &RecordBatch) -> Result<Vec<Vec<LookedUp>>> {
        let mut found = Vec::with_capacity(self.places.len());
        for at in 0..self.places.len() {
            found.push(self.find_one(at, rows).await?);
        }
        Ok(found)
    }

    async fn find_one(&mut self, at: usize, rows: &RecordBatch) -> Result<Vec<LookedUp>> {
        let place = self.places[at].clone();
        let columns: Vec<&ArrayRef> = place
            .columns()
            .into_iter()
            .map(|name| rows.column_by_name(name).ok_or_else(|| lost(name)))
            .collect::<Result<_>>()?;
        let keys: Vec<Option<Key>> =
            (0..rows.num_rows()).map(|row| Key::at(&columns, row)).collect();
        if self.known[at].len() > KNOWN_MAX {
            self.known[at].clear();
        }
        let mut asked: HashMap<&Key, u32> = HashMap::new();
        for (row, key) in (0_u32..).zip(&keys) {
            if let Some(key) = key
                && !self.known[at].contains_key(key)
            {
                asked.entry(key).or_insert(row);
            }
        }
        let mut asked: Vec<(Key, u32)> =
            asked.into_iter().map(|(key, row)| (key.clone(), row)).collect();
        // In one order, so that equal runs ask equal questions (S5).
        asked.sort_unstable_by_key(|(_, row)| *row);
        let answers = match &place {
            LookupPlace::Object { object, match_on } => {
                self.ask_destination(object, match_on, (&columns, &asked)).await?
            }
            LookupPlace::Sync { sync, .. } => self.ask_ledger(sync, &asked).await?,
        };
        self.known[at].extend(asked.into_iter().map(|(key, _)| key).zip(answers));
        let known = &self.known[at];
        let answer = |key: &Option<Key>| match key {
            None => LookedUp::Nothing,
            Some(key) => known.get(key).cloned().unwrap_or(LookedUp::Missing),
        };
        Ok(keys.iter().map(answer).collect())
    }

    async fn ask_destination(
        &self,
        object: &str,
        match_on: &[(String, String)],
        (columns, asked): (&[&ArrayRef], &[(Key, u32)]),
    ) -> Result<Vec<LookedUp>> {
        let reads = self.destination.reads_back().ok_or_else(|| cannot_read(object))?;
        let records_max = self.destination.limits(object)?.rows_max.max(1);
        let mut found = Vec::with_capacity(asked.len());
        for part in asked.chunks(records_max) {
            let rows: UInt32Array = part.iter().map(|(_, row)| Some(*row)).collect();
            let values = match_on
                .iter()
                .zip(columns)
                .map(|((field, _), column)| Ok((field, take(column, &rows, None)?, true)))
                .collect::<Result<Vec<_>, ArrowError>>()
                .and_then(RecordBatch::try_from_iter_with_nullable)
                .map_err(|error| {
                    Error::new(&codes::E4007, "values to look up could not be put together")
                        .with_source(error)
                })?;
            let question = ReadBack {
                object: object.into(),
                records: Records::Matching(values),
                fields: Arc::new(Schema::empty()),
            };
            let answer = all_answered(self.answered(reads, &question).await?, part.len())?;
            found.extend(answer.record_ids.into_iter().map(|ids| {
                match <[String; 1]>::try_from(ids) {
                    Ok([id]) => LookedUp::Found(id.into()),
                    Err(ids) if ids.is_empty() => LookedUp::Missing,
                    Err(_) => LookedUp::Ambiguous,
                }
            }));
        }
        Ok(found)
    }

    /// The answer to one question, asked again when that may help.
    async fn answered(&self, reads: &dyn ReadsBack, question: &ReadBack) -> Result<Found> {
        let mut attempts = Attempts::new(self.retry);
        loop {
            let error = match reads.read(question).await {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            match attempts.next_pause(error.retry()) {
                Some(pause) => tokio::time::sleep(pause).await,
                None => return Err(error),
            }
        }
    }

    /// The ids of the records that the other sync's rows were written to. A row that was never acknowledged has none.
    async fn ask_ledger(&self, sync: &str, asked: &[(Key, u32)]) -> Result<Vec<LookedUp>> {
        let mut found = Vec::with_capacity(asked.len());
        for part in asked.chunks(KEYS_PER_QUESTION) {
            let keys: Vec<Key> = part.iter().map(|(key, _)| key.clone()).collect();
            let entries = self.store.lookup(sync, &keys).await?;
            found.extend(entries.into_iter().map(|entry| {
                let id = entry.and_then(|entry| entry.remote_id);
                id.map_or(LookedUp::Missing, |id| LookedUp::Found(id.into()))
            }));
        }
        Ok(found)
    }
}

/// Whether every lookup can be done at all, before anything is read.
pub(crate) fn check(sync: &Sync, ports: &Ports) -> Result<()> {
    for (_, lookup) in transform::lookups(&sync.mappings) {
        if let LookupPlace::Object { object, .. } = &lookup.place {
            if ports.destination.reads_back().is_none() {
                return Err(cannot_read(object));
            }
            ports.destination.limits(object)?;
        }
    }
    Ok(())
}

fn cannot_read(object: &str) -> Error {
    Error::new(&codes::E4060, format!("the destination cannot be asked for records of `{object}`"))
}

fn lost(name: &str) -> Error {
    Error::new(&codes::E4007, format!("the column `{name}` of a lookup did not come with the rows"))
}
