//! What HubSpot's answers about associations mean, pair by pair (D6, F16), and which calls lead from what there is to what
//! the rows want.

use std::collections::HashMap;

use flow::{Error, Secret};
use writer::conformance::refusals::reply;

use super::super::classify::Judge;
use super::steps::{Held, Pair, Steps, parted, typed};
use super::wish::{Target, Wish};
use super::*;

fn pair(row: usize, from: &str, to: &str) -> Pair {
    Pair { row, from: from.to_owned(), to: to.to_owned(), ways: vec![0] }
}

fn pairs() -> [Pair; 3] {
    [pair(0, "1", "7"), pair(0, "1", "8"), pair(1, "2", "7")]
}

fn judged<T>(read: impl FnOnce(Judge<'_>) -> T) -> T {
    let token = Secret::new("pat-secret");
    read(Judge { token: &token, now_micros: 0, rows: 3 })
}

fn read(body: &str) -> Result<Rests, Error> {
    judged(|judge| answer::made(&reply(201, &[], body), judge, &pairs()))
}

fn word(outcome: &Option<Outcome>) -> String {
    match outcome {
        None => "made".to_owned(),
        Some(Outcome::Rejected { code, message, .. }) => format!("{} {message}", code.id),
        Some(Outcome::Retry { .. }) => "retry".to_owned(),
        Some(Outcome::Unknown { reason }) => format!("? {reason}"),
        Some(other) => format!("{other:?}"),
    }
}

const SILENT: &str = "? no answer for the association";

#[test]
fn every_pair_has_the_outcome_the_answer_gives_it() {
    let made = |from: &str, to: &str| format!(r#"{{"fromObjectId":"{from}","toObjectId":{to}}}"#);
    let all = [made("1", "7"), made("1", "8"), made("2", "7")].join(",");
    let refused = |context: &str, more: &str| {
        format!(
            r#"{{"status":"error","category":"VALIDATION_ERROR","message":"no pat-secret","context":{context}{more}}}"#
        )
    };
    let no = "R222 no ***";
    for (results, errors, expected) in [
        (all.clone(), String::new(), ["made", "made", "made"]),
        (made("2", "7"), String::new(), [SILENT, SILENT, "made"]),
        (String::new(), String::new(), [SILENT; 3]),
        (made("3", "7"), String::new(), [SILENT; 3]),
        // By both ends, by one, by either's id.
        (
            [made("1", "8"), made("2", "7")].join(","),
            refused(r#"{"fromObjectId":["1"],"toObjectId":["7"]}"#, ""),
            [no, "made", "made"],
        ),
        (made("2", "7"), refused(r#"{"fromObjectId":["1"]}"#, ""), [no, no, "made"]),
        (made("1", "8"), refused(r#"{"toObjectId":[7]}"#, ""), [no, "made", no]),
        (made("1", "8"), refused(r#"{"ids":["7"]}"#, ""), [no, "made", no]),
        (
            String::new(),
            refused(r#"{"fromObjectId":["1","2"],"toObjectId":["8","7"]}"#, ""),
            [SILENT, no, no],
        ),
        // An error that names nobody is about the one that is left; about two it says nothing.
        ([made("1", "7"), made("2", "7")].join(","), refused("{}", ""), ["made", no, "made"]),
        (made("1", "7"), refused("{}", ""), ["made", SILENT, SILENT]),
        (made("1", "7"), refused(r#"{"fromObjectId":["9"]}"#, ""), ["made", SILENT, SILENT]),
        // Both made and refused is neither.
        (
            all,
            refused(r#"{"fromObjectId":["2"],"toObjectId":["7"]}"#, ""),
            ["made", "made", "? more than one answer"],
        ),
    ] {
        let body = format!(r#"{{"status":"COMPLETE","results":[{results}],"errors":[{errors}]}}"#);
        let words: Vec<String> = read(&body).expect("readable").iter().map(word).collect();
        assert_eq!(words, expected, "{body}");
    }
}

#[test]
fn what_is_wrong_for_a_while_is_no_refusal() {
    for (category, status, expected) in [
        ("RATE_LIMITS", "error", "retry"),
        ("", "429", "retry"),
        ("LOCKED", "error", "retry"),
        ("INTERNAL_ERROR", "error", "? server error for the row"),
        ("OBJECT_NOT_FOUND", "error", "R222 gone"),
        ("CONFLICT", "error", "R222 gone"),
    ] {
        let body = format!(
            r#"{{"errors":[{{"status":"{status}","category":"{category}","message":"gone","context":{{"fromObjectId":["2"]}}}}]}}"#
        );
        let words: Vec<String> = read(&body).expect("readable").iter().map(word).collect();
        assert_eq!(words, [SILENT, SILENT, expected], "{body}");
    }
}

#[test]
fn hostile_and_cut_answers_say_nothing() {
    for body in ["", "<html>", "[]", r#"{"results":[{"fromObjectId""#, "null", "{\"results\": [}"] {
        let error = read(body).expect_err("unreadable");
        assert!(error.code().id == "E2004" && error.is_ambiguous(), "{body}");
        let held =
            judged(|judge| answer::found(&reply(200, &[], body), judge, &mut HashMap::new()));
        assert_eq!(held.expect_err("unreadable").code().id, "E2004", "{body}");
    }
    for body in ["{}", r#"{"results":7,"errors":"x"}"#, r#"{"results":[{},{"fromObjectId":{}}]}"#] {
        assert!(read(body).expect("lenient").iter().all(|one| word(one) == SILENT), "{body}");
    }
}

#[test]
fn what_there_is_already_is_read_page_by_page() {
    let body = r#"{"results":[
        {"from":{"id":1},"to":[{"toObjectId":7,"associationTypes":[{"typeId":279},{"typeId":"x"}]},
            {"toObjectId":"8","associationTypes":[{"typeId":279},{"typeId":1}]}],
         "paging":{"next":{"after":"p2"}}}],
        "errors":[{"category":"OBJECT_NOT_FOUND","context":{"fromObjectId":["2"]}},
                  {"subCategory":"crm.associations.NO_ASSOCIATIONS_FOUND"}]}"#;
    let mut held = HashMap::new();
    let more = judged(|judge| answer::found(&reply(207, &[], body), judge, &mut held));
    assert_eq!(more.expect("readable"), [("1".to_owned(), Some("p2".to_owned()))]);
    assert_eq!(held["1"]["7"], [279]);
    assert_eq!(held["1"]["8"], [279, 1]);
    assert!(!held.contains_key("2"));
    // HubSpot could not look: nothing may be concluded from what is not there.
    let body = r#"{"results":[],"errors":[{"category":"INTERNAL_ERROR"}]}"#;
    let error = judged(|judge| answer::found(&reply(207, &[], body), judge, &mut held));
    assert_eq!(error.expect_err("unknown").code().id, "E2004");
}

fn way(label: Option<&str>, type_id: u32) -> Way {
    let category = "USER_DEFINED".to_owned();
    let (field, to) = (format!("associations.x.{type_id}"), "x".to_owned());
    Way { field, to, category, type_id, label: label.map(str::to_owned) }
}

/// One row's steps: `+7:0,1` makes, `-7` parts, `~7:1` takes a label away.
fn steps(replace: bool, wanted: &[(&str, &[usize])], held: Option<&[(&str, &[u32])]>) -> String {
    let wish = Wish {
        wanted: wanted.iter().map(|(id, ways)| ((*id).to_owned(), ways.to_vec())).collect(),
        said: vec![0, 1],
    };
    let target = Target {
        to: "x".to_owned(),
        replace,
        ways: vec![way(None, 279), way(Some("Boss"), 37)],
        rows: vec![Some(wish), None],
    };
    let held = held.map(|held| {
        let held: Held = held.iter().map(|(id, ids)| ((*id).to_owned(), ids.to_vec())).collect();
        HashMap::from([("1".to_owned(), held)])
    });
    let steps = Steps::new(&target, &[Some("1"), Some("2")], held.as_ref());
    let shown = |sign: char, pairs: Vec<Pair>| {
        pairs.into_iter().map(move |pair| format!("{sign}{}{:?}", pair.to, pair.ways))
    };
    let all = shown('-', steps.part).chain(shown('~', steps.unlabel));
    all.chain(shown('+', steps.join)).collect::<Vec<_>>().join(" ")
}

#[test]
fn only_what_is_missing_is_made_and_only_what_the_row_decides_about_is_taken_away() {
    assert_eq!(steps(false, &[("7", &[0])], None), "+7[0]");
    assert_eq!(steps(false, &[("7", &[0, 1])], Some(&[("7", &[279])])), "+7[1]");
    assert_eq!(steps(false, &[("7", &[0, 1])], Some(&[("7", &[279, 37])])), "");
    assert_eq!(steps(false, &[("7", &[1])], Some(&[("8", &[279, 37])])), "~8[1] +7[1]");
    // Without `replace` one without a label stays, and so does one with a label nobody mapped.
    assert_eq!(steps(false, &[("7", &[0])], Some(&[("8", &[279]), ("9", &[279, 50])])), "+7[0]");
    assert_eq!(steps(true, &[("7", &[0])], Some(&[("8", &[279, 37])])), "-8[] +7[0]");
    assert_eq!(steps(true, &[("7", &[0])], Some(&[("7", &[279, 37])])), "~7[1]");
    assert_eq!(steps(true, &[], Some(&[("7", &[279]), ("8", &[279, 37])])), "-7[] -8[]");
    assert_eq!(steps(true, &[], Some(&[])), "");
}

#[test]
fn calls_are_spelled_as_hubspot_documents_them() {
    let ways = [way(None, 279), way(Some("Boss"), 37)];
    let pair = Pair { ways: vec![0, 1], ..pair(0, "1", "7") };
    let typed = String::from_utf8(typed(std::slice::from_ref(&pair), &ways)).unwrap();
    assert_eq!(
        typed,
        r#"{"inputs":[{"from":{"id":"1"},"to":{"id":"7"},"types":[{"associationCategory":"USER_DEFINED","associationTypeId":279},{"associationCategory":"USER_DEFINED","associationTypeId":37}]}]}"#
    );
    let parted = String::from_utf8(parted(&[pair])).unwrap();
    assert_eq!(parted, r#"{"inputs":[{"from":{"id":"1"},"to":[{"id":"7"}]}]}"#);
}

#[test]
fn of_several_things_about_a_row_the_one_that_leaves_most_open_counts() {
    let unknown = || Some(Outcome::Unknown { reason: "x" });
    let retry = || Some(Outcome::Retry { after: None, reason: "x" });
    let no = || {
        let message = "no".to_owned();
        Some(Outcome::Rejected { code: &R222_ASSOCIATION, message, field: None })
    };
    assert_eq!(word(&worse(None, no())), "R222 no");
    assert_eq!(word(&worse(no(), retry())), "retry");
    assert_eq!(word(&worse(unknown(), retry())), "? x");
    assert_eq!(word(&worse(retry(), unknown())), "? x");
    assert_eq!(word(&worse(None, None)), "made");
}
