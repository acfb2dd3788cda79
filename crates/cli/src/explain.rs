//! The registry of every error code of every crate, for `outflow explain` and for what is said about rejects.

use std::sync::LazyLock;

use flow::Code;

use crate::config::{CATALOG, nearest};
use crate::{codes, exit};

/// Every documented code, by id.
static CODES: LazyLock<Vec<&'static Code>> = LazyLock::new(|| {
    let shared = [
        codes::CODES,
        reader::CODES,
        transform::codes::CODES,
        writer::codes::CODES,
        state::codes::CODES,
        engine::codes::CODES,
    ];
    let destinations = CATALOG.destinations().map(|kind| kind.codes);
    let mut all: Vec<&Code> = shared.into_iter().chain(destinations).flatten().copied().collect();
    all.sort_by_key(|code| code.id);
    all.dedup_by_key(|code| code.id);
    all
});

/// Every documented code, by id.
pub fn all() -> &'static [&'static Code] {
    &CODES
}

/// The code with that id, in any letter case.
pub fn code(id: &str) -> Option<&'static Code> {
    let id = id.trim();
    CODES.iter().find(|code| code.id.eq_ignore_ascii_case(id)).copied()
}

/// The code whose id is nearest to a mistyped one.
pub fn nearest_code(id: &str) -> Option<&'static Code> {
    nearest(id.trim(), CODES.iter().map(|code| code.id)).and_then(code)
}

/// Everything there is to say about a code.
pub fn text(code: &Code) -> String {
    let meaning = exit::TABLE.iter().find(|(number, ..)| *number == exit::of(code.kind));
    let exit = match (code.kind, meaning) {
        (flow::Kind::Row | flow::Kind::Poison, _) | (_, None) => {
            "A row at fault does not end a run; more of them than `guards.max_rejected` allows exit with 3."
                .to_owned()
        }
        (_, Some((number, meaning, _))) => format!("Exits with {number}: {meaning}."),
    };
    format!("{}: {}\n\n{}\n\n{exit}\n\nhelp: {}", code.id, code.title, code.cause, code.remedy)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_an_id_of_its_own_and_something_to_say() {
        for code in all() {
            let range = matches!(
                code.id.as_bytes(),
                [b'E', b'0'..=b'4', ..] | [b'G', b'0', ..] | [b'R', b'1'..=b'4', ..]
            );
            assert!(range && (code.id.len() == 5 || code.id.len() == 4), "{}", code.id);
            assert!(!code.title.is_empty(), "{} has no title", code.id);
            assert!(code.cause.len() > 20, "{} has no cause", code.id);
            assert!(code.remedy.len() > 5, "{} has no remedy", code.id);
        }
    }

    #[test]
    fn no_two_codes_share_an_id() {
        for table in [
            codes::CODES,
            reader::CODES,
            transform::codes::CODES,
            state::codes::CODES,
            engine::codes::CODES,
        ] {
            for known in table {
                assert!(
                    code(known.id).is_some_and(|found| found == *known),
                    "{} means two things",
                    known.id
                );
            }
        }
    }

    #[test]
    fn a_code_is_found_in_any_case_and_a_mistyped_one_has_a_neighbour() {
        assert_eq!(code("e0010").map(|code| code.id), Some("E0010"));
        assert_eq!(code("E9999"), None);
        assert!(nearest_code("E00100").is_some());
    }

    #[test]
    fn the_text_of_a_code_names_its_exit_code() {
        let code = code("E0010").expect("known");
        assert!(text(code).contains("Exits with 78"), "{}", text(code));
    }
}
