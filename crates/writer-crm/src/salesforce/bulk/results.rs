//! The result files of a job, read into one outcome per row.

use std::collections::HashMap;

use flow::{Mode, Outcome};
use writer::Outcomes;
use writer::csv::Record;

use super::super::answer::{Complaint, record_id};
use super::super::classify::{Judge, is_gone};
use super::super::wire::ID;

/// The rows of a job by what they are found by in its results.
pub(super) struct Rows<'a> {
    /// `None` marks a text that two rows share.
    by_token: HashMap<&'a str, Option<usize>>,
    match_on: &'a str,
    deletes: bool,
}

impl<'a> Rows<'a> {
    pub(super) fn of(tokens: &'a [String], match_on: &'a str, mode: Mode) -> Self {
        let mut by_token = HashMap::with_capacity(tokens.len());
        for (row, token) in tokens.iter().enumerate() {
            by_token.entry(token.as_str()).and_modify(|known| *known = None).or_insert(Some(row));
        }
        Self { by_token, match_on, deletes: mode == Mode::Delete }
    }
}

/// One of the three result files.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum File {
    Successful,
    Failed,
    Unprocessed,
}

impl File {
    /// The last part of its path; the third is written in lower case.
    pub(super) fn path(self) -> &'static str {
        match self {
            Self::Successful => "successfulResults/",
            Self::Failed => "failedResults/",
            Self::Unprocessed => "unprocessedrecords/",
        }
    }
}

/// Reads one result file into outcomes.
pub(super) struct Reading<'a> {
    pub(super) file: File,
    pub(super) rows: &'a Rows<'a>,
    pub(super) judge: &'a Judge,
    /// Places of `sf__Id`, `sf__Created`, `sf__Error`; then of the columns rows are found by.
    pub(super) header: Option<([Option<usize>; 3], Vec<usize>)>,
}

impl Reading<'_> {
    pub(super) fn record(&mut self, record: &Record, outcomes: &mut Outcomes) {
        let Some((own, keys)) = &self.header else {
            let names: Vec<String> = record.fields().map(std::borrow::Cow::into_owned).collect();
            let place =
                |name: &str| names.iter().position(|known| known.eq_ignore_ascii_case(name));
            let own = ["sf__Id", "sf__Created", "sf__Error"].map(place);
            // A record's own id comes first: where a record is renamed, its external id is a new one.
            let keys = [place(ID), place(self.rows.match_on)].into_iter().flatten().collect();
            self.header = Some((own, keys));
            return;
        };
        let by_token = &self.rows.by_token;
        let row = keys.iter().find_map(|key| by_token.get(record.get(*key)?.as_ref()).copied());
        let get = |place: Option<usize>| place.and_then(|place| record.get(place));
        let remote_id = get(own[0]).and_then(|id| record_id(&id));
        let outcome = match self.file {
            File::Unprocessed => Outcome::Retry { after: None, reason: "unprocessed" },
            File::Successful => {
                let created = match get(own[1]).as_deref() {
                    Some("true") if !self.rows.deletes => Some(true),
                    Some("false") if !self.rows.deletes => Some(false),
                    _ => None,
                };
                Outcome::Delivered { created, remote_id }
            }
            File::Failed => {
                let complaint = Complaint::of_job_row(&get(own[2]).unwrap_or_default());
                match self.rows.deletes && is_gone(std::slice::from_ref(&complaint)) {
                    true => Outcome::Delivered { created: None, remote_id },
                    false => self.judge.row(&[complaint]),
                }
            }
        };
        outcomes.set(row.flatten(), outcome);
    }
}
