//! The warehouse's table: committed rows, and transactions that commit later than their rows are dated.

use std::collections::{BTreeMap, HashSet};

use flow::{Key, Position, Scope, Watermark};

/// One row of the model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Row {
    pub(crate) id: Option<i64>,
    pub(crate) email: Option<String>,
    pub(crate) name: String,
    /// `i64::MAX` and `i64::MIN` are the infinities.
    pub(crate) updated_at: Option<i64>,
}

impl Row {
    pub(crate) fn key(&self) -> Option<Key> {
        self.id.map(|id| Key::from_parts(&[id.to_string()]))
    }

    /// Where the row has its place on the progress column.
    fn placed(&self) -> Option<i64> {
        self.updated_at.filter(|at| *at != i64::MIN)
    }

    /// Its place in a read: placed rows by watermark and key, then the others by key; no key comes last.
    fn order(&self, by_watermark: bool) -> (bool, i64, bool, Option<Key>) {
        let at = if by_watermark { self.placed() } else { Some(0) };
        (at.is_none(), at.unwrap_or(0), self.id.is_none(), self.key())
    }

    pub(crate) fn position(&self, by_watermark: bool) -> Option<Position> {
        let watermark = self.placed().filter(|_| by_watermark).map(Watermark);
        self.key().map(|key| Position { watermark, key })
    }
}

/// A change of one row by its place in the table, which no key names: `None` deletes it.
pub(crate) type Change = (u64, Option<Row>);

/// The table.
#[derive(Debug, Default)]
pub(crate) struct Table {
    rows: BTreeMap<u64, Row>,
    /// Transactions under way, by when they commit.
    open: Vec<(i64, Vec<Change>)>,
    next_place: u64,
    pub(crate) lag_micros: i64,
}

impl Table {
    pub(crate) fn new(lag_micros: i64) -> Self {
        Self { lag_micros, ..Self::default() }
    }

    pub(crate) fn new_place(&mut self) -> u64 {
        self.next_place += 1;
        self.next_place
    }

    /// Makes changes visible at `at`; they were made before.
    pub(crate) fn change(&mut self, at: i64, changes: Vec<Change>) {
        self.open.push((at, changes));
        self.open.sort_by_key(|(at, _)| *at);
    }

    /// Commits what is due, and gives back the rows that are new.
    pub(crate) fn settle(&mut self, now: i64) -> Vec<Row> {
        let due = self.open.iter().take_while(|(at, _)| *at <= now).count();
        let mut new = Vec::new();
        for (place, row) in self.open.drain(..due).flat_map(|(_, changes)| changes) {
            match row {
                Some(row) => {
                    new.push(row.clone());
                    self.rows.insert(place, row);
                }
                None => {
                    self.rows.remove(&place);
                }
            }
        }
        new
    }

    /// Places of the rows no transaction under way holds a lock on.
    pub(crate) fn unlocked(&self) -> Vec<u64> {
        let locked: HashSet<u64> =
            self.open.iter().flat_map(|(_, changes)| changes.iter().map(|(at, _)| *at)).collect();
        self.rows.keys().filter(|place| !locked.contains(place)).copied().collect()
    }

    pub(crate) fn is_quiet(&self) -> bool {
        self.open.is_empty()
    }

    pub(crate) fn row(&self, place: u64) -> &Row {
        &self.rows[&place]
    }

    /// Committed rows and those under way.
    pub(crate) fn known(&self) -> impl Iterator<Item = &Row> {
        let open = self.open.iter().flat_map(|(_, changes)| changes.iter());
        self.rows.values().chain(open.filter_map(|(_, row)| row.as_ref()))
    }

    /// Committed rows.
    pub(crate) fn rows(&self) -> impl Iterator<Item = (u64, &Row)> {
        self.rows.iter().map(|(place, row)| (*place, row))
    }

    /// Keys that several of these rows have.
    pub(crate) fn duplicates<'a>(rows: impl Iterator<Item = &'a Row>) -> HashSet<Key> {
        let (mut seen, mut twice) = (HashSet::new(), HashSet::new());
        for key in rows.filter_map(Row::key) {
            if !seen.insert(key.clone()) {
                twice.insert(key);
            }
        }
        twice
    }

    /// The rows of a read, in its order, and the keys that come twice in its scope.
    pub(crate) fn select(
        &self,
        (scope, after): (&Scope, Option<&Position>),
        snapshot_model: bool,
        ignores_lag: bool,
    ) -> (Vec<Row>, HashSet<Key>) {
        let by_watermark = !snapshot_model && !matches!(scope, Scope::Keys(_) | Scope::Where(_));
        let mut rows: Vec<Row> = self.rows.values().cloned().collect();
        rows.retain(|row| match scope {
            Scope::All | Scope::Where(_) => true,
            Scope::Since(from) if ignores_lag => {
                row.placed().is_none_or(|at| at >= from.0 + self.lag_micros)
            }
            Scope::Since(from) | Scope::Changed { from: Some(from), .. } => {
                row.placed().is_none_or(|at| at >= from.0)
            }
            Scope::Changed { from: None, .. } => true,
            Scope::Range { from, to } => {
                row.placed().is_some_and(|at| (from.0..to.0).contains(&at))
            }
            Scope::Keys(keys) => row.key().is_some_and(|key| keys.contains(&key)),
        });
        let duplicates = Self::duplicates(rows.iter());
        rows.sort_by_key(|row| row.order(by_watermark));
        if let Some(Position { watermark, key }) = after {
            let at = if by_watermark { watermark.map(|at| at.0) } else { Some(0) };
            let after = (at.is_none(), at.unwrap_or(0), false, Some(key.clone()));
            rows.retain(|row| row.order(by_watermark) > after);
        }
        (rows, duplicates)
    }
}
