//! Whatever is in the files, checking them ends with a report and never with a panic.

use proptest::prelude::*;

use super::{Folder, PROJECT, SYNC, shown};
use crate::diagnostic::Style;

/// Pieces that are likely to matter.
const PIECES: [&str; 40] = [
    ":",
    ": ",
    "-",
    "- ",
    "\n",
    "\n  ",
    "\t",
    "{",
    "}",
    "[",
    "]",
    ",",
    "#",
    " #",
    "\"",
    "'",
    "|",
    ">",
    "|2-",
    "&a ",
    "*a",
    "!!str ",
    "!",
    "%TAG",
    "---",
    "...",
    "?",
    "<<: ",
    "${",
    "}",
    "${A}",
    "${var:region}",
    "$${",
    "\u{feff}",
    "é",
    "\u{1f600}",
    "\0",
    "\r",
    "\u{2028}",
    "~",
];

#[derive(Debug, Clone)]
enum Change {
    Insert(usize, usize),
    Delete(usize, usize),
    Copy(usize, usize, usize),
    Cut(usize),
}

fn change() -> impl Strategy<Value = Change> {
    let at = 0..2000_usize;
    prop_oneof![
        (at.clone(), 0..PIECES.len()).prop_map(|(at, piece)| Change::Insert(at, piece)),
        (at.clone(), 1..40_usize).prop_map(|(at, length)| Change::Delete(at, length)),
        (at.clone(), 1..60_usize, at.clone())
            .prop_map(|(from, length, to)| Change::Copy(from, length, to)),
        at.prop_map(Change::Cut),
    ]
}

fn mutated(text: &str, changes: &[Change]) -> String {
    let mut letters: Vec<char> = text.chars().collect();
    for change in changes {
        let length = letters.len();
        let place = |at: usize| at % (length + 1);
        match *change {
            Change::Insert(at, piece) => {
                let at = place(at);
                letters.splice(at..at, PIECES[piece].chars());
            }
            Change::Delete(at, count) => {
                let at = place(at);
                letters.drain(at..(at + count).min(length));
            }
            Change::Copy(from, count, to) => {
                let (from, to) = (place(from), place(to));
                let part: Vec<char> = letters[from..(from + count).min(length)].to_vec();
                letters.splice(to..to, part);
            }
            Change::Cut(at) => letters.truncate(place(at)),
        }
    }
    letters.into_iter().collect()
}

#[track_caller]
fn survives(folder: &Folder) {
    match folder.load() {
        Ok(project) => {
            project.unresolved().render(Style::PLAIN);
        }
        Err(report) => {
            assert!(!shown(&report).is_empty());
            for problem in report.to_json() {
                assert!(problem["line"].is_null() || problem["line"].as_u64() > Some(0));
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 120, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_changed_file_ends_in_a_report(
        project in proptest::collection::vec(change(), 0..4),
        sync in proptest::collection::vec(change(), 0..6),
    ) {
        let folder = Folder::empty();
        folder.write("outflow.yml", &mutated(PROJECT, &project));
        folder.write("syncs/usage.yml", &mutated(SYNC, &sync));
        survives(&folder);
    }

    #[test]
    fn any_text_ends_in_a_report(text in "\\PC{0,200}", lines in "[ \\ta-z:{}\\[\\]\\-#'\"&*!|>%@\n]{0,200}") {
        let folder = Folder::new();
        folder.write("syncs/a.yml", &text);
        folder.write("syncs/b.yml", &lines);
        survives(&folder);
    }
}
