//! Rejects as a table that other tools read: CSV on stdout, or one JSON object a row.

use flow::{Key, RejectRecord};
use serde_json::{Map, Value};
use writer::csv::push_field;

use super::reason;
use crate::explain;
use crate::output::Output;
use crate::text;

/// Columns after those of the primary key.
const COLUMNS: [&str; 10] = [
    "reject_rows",
    "reject_stage",
    "reject_code",
    "reject_title",
    "reject_field",
    "reject_reason",
    "reject_action",
    "reject_first_at",
    "reject_last_at",
    "reject_run_id",
];
/// A spreadsheet takes text that begins with one of these for a formula (OWASP, "CSV Injection").
const FORMULA: [char; 6] = ['=', '+', '-', '@', '\t', '\r'];

/// How rejects are exported.
pub(super) struct Export<'a> {
    /// The model's primary key.
    pub(super) columns: &'a [String],
    /// With the destination's own messages.
    pub(super) reveal: bool,
    /// Nothing in it is a formula to a spreadsheet.
    pub(super) guarded: bool,
}

impl Export<'_> {
    /// Writes all of them.
    pub(super) fn write(&self, output: &Output, records: &[RejectRecord]) {
        if output.is_text() {
            return output.script(&self.csv(records));
        }
        for record in records {
            let cells = self.names().zip(self.cells(record));
            let item: Map<_, _> = cells
                .map(|(name, cell)| (name.to_owned(), cell.map_or(Value::Null, Value::from)))
                .collect();
            output.item("reject", &item);
        }
    }

    fn names(&self) -> impl Iterator<Item = &str> {
        self.columns.iter().map(String::as_str).chain(COLUMNS)
    }

    fn csv(&self, records: &[RejectRecord]) -> String {
        let mut csv = Vec::new();
        push_record(self.names(), &mut csv);
        for record in records {
            let cells = self.cells(record).into_iter();
            let cells: Vec<_> = cells.map(|cell| self.guarded(cell.unwrap_or_default())).collect();
            push_record(cells.iter().map(String::as_str), &mut csv);
        }
        String::from_utf8_lossy(&csv).into_owned()
    }

    /// The cells of a reject. The key of a row without one is empty.
    fn cells(&self, record: &RejectRecord) -> Vec<Option<String>> {
        let known = explain::code(&record.code);
        let key = record.key.as_ref().map(|key| Key::from_stored(key.clone()));
        let parts = match (&key, self.columns.len()) {
            (None, count) => vec![None; count],
            (Some(key), 1) => vec![Some(key.parts().join("\t"))],
            (Some(key), count) => {
                let mut parts: Vec<_> = key.parts().into_iter().map(Some).collect();
                parts.resize(count, None);
                parts
            }
        };
        let others = [
            Some(record.rows.to_string()),
            Some(record.stage.clone()),
            Some(record.code.clone()),
            known.map(|code| code.title.to_owned()),
            record.field.clone(),
            Some(reason(record, self.reveal)),
            known.map(|code| code.remedy.to_owned()),
            Some(text::rfc3339(record.first_at)),
            Some(text::rfc3339(record.last_at)),
            Some(record.run_id.clone()),
        ];
        parts.into_iter().chain(others).collect()
    }

    fn guarded(&self, cell: String) -> String {
        match self.guarded && cell.starts_with(FORMULA) && cell.parse::<f64>().is_err() {
            true => format!("'{cell}"),
            false => cell,
        }
    }
}

fn push_record<'a>(cells: impl Iterator<Item = &'a str>, csv: &mut Vec<u8>) {
    for (index, cell) in cells.enumerate() {
        if index > 0 {
            csv.push(b',');
        }
        push_field(cell, csv);
    }
    csv.extend_from_slice(b"\r\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(key: Option<Key>, reason: &str) -> RejectRecord {
        RejectRecord {
            id: 1,
            sync: "a".to_owned(),
            key: key.map(|key| key.as_str().to_owned()),
            stage: "destination".to_owned(),
            code: "R999".to_owned(),
            field: Some("email".to_owned()),
            reason: reason.to_owned(),
            rows: 1,
            first_at: 0,
            last_at: 0,
            run_id: "r".to_owned(),
        }
    }

    fn lines(export: &Export<'_>, records: &[RejectRecord]) -> Vec<String> {
        export.csv(records).split_terminator("\r\n").map(str::to_owned).collect()
    }

    #[test]
    fn every_part_of_a_key_has_its_column_and_text_is_quoted_where_it_must_be() {
        let columns = ["region".to_owned(), "id".to_owned()];
        let export = Export { columns: &columns, reveal: true, guarded: false };
        let records = [
            record(Some(Key::from_parts(&["eu,\"west\"", "-7"])), "no,\nnot so"),
            record(None, "x"),
        ];
        let lines = lines(&export, &records);
        assert!(lines[0].starts_with("region,id,reject_rows,reject_stage,"), "{}", lines[0]);
        assert!(lines[1].starts_with("\"eu,\"\"west\"\"\",-7,1,destination,R999,"), "{}", lines[1]);
        assert!(lines[1].contains("\"no,\nnot so\""), "{}", lines[1]);
        assert!(lines[2].starts_with(",,1,destination,"), "{}", lines[2]);
    }

    #[test]
    fn x1_what_a_destination_answered_and_formulas_are_in_it_only_when_asked_for() {
        let columns = ["id".to_owned()];
        let records = [record(Some(Key::from_parts(&["=1+1"])), "@ada")];
        let mut export = Export { columns: &columns, reveal: false, guarded: false };
        assert!(lines(&export, &records)[1].starts_with("=1+1,1,"));
        assert!(!export.csv(&records).contains("@ada"));
        (export.reveal, export.guarded) = (true, true);
        let line = lines(&export, &records).remove(1);
        assert!(line.starts_with("'=1+1,1,") && line.contains(",'@ada,"), "{line}");
        let negative = [record(Some(Key::from_parts(&["-7"])), "x")];
        assert!(lines(&export, &negative)[1].starts_with("-7,1,"), "a number is no formula");
    }
}
