//! From messages to keys: which rows of which table changed, collected without doubles until there are many.

use std::collections::{HashMap, HashSet};

use flow::Result;

use super::pgoutput::{Cell, Message, Relation, Tuple};
use super::ways::{Way, Ways};

/// A key or a replica identity, as the server writes its parts.
pub(super) type Texts = Vec<String>;

/// What the messages said since it was asked last.
#[derive(Debug, Default)]
pub(super) struct Changes {
    relations: HashMap<u32, Relation>,
    /// By table; keys of the model, or what its SQL finds them by.
    pub rows: HashMap<usize, HashSet<Texts>>,
    /// The transaction whose messages are being read.
    xid: u32,
    /// Why only a read of every row will do: table and reason.
    pub all: Option<(usize, &'static str)>,
}

impl Changes {
    /// How many different rows changed.
    pub(super) fn len(&self) -> usize {
        self.rows.values().map(HashSet::len).sum()
    }

    /// Takes a message; gives the transaction's number where it concerns a table that is followed.
    ///
    /// # Errors
    /// `E1024` for a change of a table the log has not described.
    pub(super) fn take(&mut self, ways: &Ways, message: Message<'_>) -> Result<Option<u32>> {
        let followed = |oid: &u32| ways.by_oid.get(oid).copied();
        let table = match message {
            Message::Begin { xid } => {
                self.xid = xid;
                None
            }
            Message::Relation(relation) => {
                self.relations.insert(relation.oid, relation);
                None
            }
            Message::Truncate { oids } => {
                let table = oids.iter().find_map(followed);
                if let Some(table) = table {
                    self.all.get_or_insert((table, "the table was truncated"));
                }
                table
            }
            Message::Insert { oid, new } => followed(&oid).inspect(|table| {
                self.add(ways, (*table, oid), &[&new], Kind::Insert);
            }),
            Message::Update { oid, old, new } => followed(&oid).inspect(|table| match &old {
                Some(old) => self.add(ways, (*table, oid), &[old, &new], Kind::Update),
                None => self.add(ways, (*table, oid), &[&new], Kind::Update),
            }),
            Message::Delete { oid, old } => followed(&oid).inspect(|table| {
                self.add(ways, (*table, oid), &[&old], Kind::Delete);
            }),
            Message::Other => None,
        };
        Ok(table.map(|_| self.xid))
    }

    fn add(&mut self, ways: &Ways, (table, oid): (usize, u32), rows: &[&Tuple<'_>], kind: Kind) {
        if self.all.is_some() {
            return;
        }
        match self.texts(ways, (table, oid), rows, kind) {
            Ok(texts) => self.rows.entry(table).or_default().extend(texts),
            Err(reason) => self.all = Some((table, reason)),
        }
    }

    fn texts(
        &self,
        ways: &Ways,
        (table, oid): (usize, u32),
        rows: &[&Tuple<'_>],
        kind: Kind,
    ) -> Result<Vec<Texts>, &'static str> {
        let relation = self.relations.get(&oid).ok_or("the log has not described the table")?;
        let followed = &ways.tables[table];
        let identity: Vec<String>;
        let columns = match &followed.way {
            Way::All(reason) => return Err(reason),
            Way::Sql(_) => {
                identity = followed.identity.iter().map(|(name, _)| name.clone()).collect();
                &identity
            }
            Way::Columns(columns) => columns,
        };
        let mut places = Vec::new();
        for column in columns {
            let place = relation.columns.iter().position(|(name, _)| name == column);
            let place = place.ok_or("the log has not all columns of the key")?;
            if kind != Kind::Insert && relation.identity != b'f' && !relation.columns[place].1 {
                return Err("the table's replica identity does not hold the model's primary key");
            }
            places.push(place);
        }
        let mut found = Vec::new();
        for row in rows {
            let texts: Result<Option<Texts>, _> =
                places.iter().map(|place| text(row, rows, *place)).collect();
            // A row whose key is NULL is no row that can be asked for.
            found.extend(texts?);
        }
        Ok(found)
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Insert,
    Update,
    Delete,
}

/// A cell's text, or NULL; a large value that did not change is in the old row.
fn text(
    row: &Tuple<'_>,
    rows: &[&Tuple<'_>],
    place: usize,
) -> Result<Option<String>, &'static str> {
    let known = |row: &&Tuple<'_>| matches!(row.get(place), Some(Cell::Text(_) | Cell::Null));
    let row = if known(&row) { Some(&row) } else { rows.iter().find(|row| known(row)) };
    match row.and_then(|row| row.get(place)) {
        Some(Cell::Null) => Ok(None),
        Some(Cell::Text(bytes)) => Ok(Some(String::from_utf8_lossy(bytes).into_owned())),
        _ => Err("a large value of the key is not in the log"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::ways::Followed;
    use super::*;

    fn ways(way: Way) -> Ways {
        let identity = vec![("id".to_owned(), "integer".to_owned())];
        let tables = vec![Followed { label: "t".to_owned(), way, identity }];
        Ways { tables, by_oid: HashMap::from([(7, 0)]), ..Ways::default() }
    }

    fn relation(identity: u8, key: &str) -> Relation {
        let columns = ["id", "name"].map(|name| (name.to_owned(), name == key));
        Relation { oid: 7, identity, columns: columns.to_vec() }
    }

    /// What these messages come to.
    fn after(way: Way, relation: Relation, messages: Vec<Message<'_>>) -> Changes {
        let (ways, mut changes) = (ways(way), Changes::default());
        let begin = [Message::Begin { xid: 5 }, Message::Relation(relation)];
        for message in begin.into_iter().chain(messages) {
            changes.take(&ways, message).unwrap();
        }
        changes
    }

    fn by_id() -> Way {
        Way::Columns(vec!["id".to_owned()])
    }

    #[test]
    fn a_changed_key_is_two_keys_and_doubles_are_one() {
        let old = Some(vec![Cell::Text(b"1"), Cell::Null]);
        let update =
            |old| Message::Update { oid: 7, old, new: vec![Cell::Text(b"2"), Cell::Unchanged] };
        let changes = after(by_id(), relation(b'd', "id"), vec![update(old), update(None)]);
        let mut keys: Vec<_> = changes.rows[&0].iter().flatten().cloned().collect();
        keys.sort();
        assert_eq!(keys, ["1", "2"]);
        assert_eq!(changes.all, None);
    }

    #[test]
    fn what_does_not_lead_to_keys_asks_for_every_row() {
        let delete = || vec![Message::Delete { oid: 7, old: vec![Cell::Text(b"1"), Cell::Null] }];
        assert!(after(by_id(), relation(b'd', "id"), delete()).all.is_none());
        assert!(
            after(by_id(), relation(b'i', "name"), delete()).all.is_some(),
            "identity without the key"
        );
        assert!(
            after(by_id(), relation(b'f', ""), delete()).all.is_none(),
            "FULL has every column"
        );
        assert!(after(Way::All("why"), relation(b'd', "id"), delete()).all.is_some());
        let truncate = vec![Message::Truncate { oids: vec![6, 7] }];
        assert!(after(by_id(), relation(b'd', "id"), truncate).all.is_some());
        let unknown = Message::Update { oid: 7, old: None, new: vec![Cell::Unchanged, Cell::Null] };
        assert!(
            after(by_id(), relation(b'd', "id"), vec![unknown]).all.is_some(),
            "never lost silently"
        );
        let other = vec![Message::Truncate { oids: vec![6] }];
        assert!(after(by_id(), relation(b'd', "id"), other).all.is_none());
    }
}
