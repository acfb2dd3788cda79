//! The engine's world is broken on purpose, once per oracle, to show that each of them notices.

use super::life::live;
use super::universe::Sabotage;
use super::weather::Season;

/// Seeds within which a breach must show.
const SEEDS: u64 = 2_000;

/// Some history with this sabotage breaks a promise of this name, and the same history without it breaks none.
#[track_caller]
fn notices(sabotage: Sabotage, season: Season, name: &str) {
    let broken = |seed: &u64| {
        let breaches = live(*seed, season, Some(sabotage)).breaches;
        breaches.iter().any(|breach| breach.starts_with(name))
    };
    let seed = (0..SEEDS).find(broken);
    let seed = seed.unwrap_or_else(|| panic!("{sabotage:?} goes unnoticed by {name}"));
    assert!(live(seed, season, None).breaches.is_empty(), "seed {seed} is clean without it");
}

#[test]
fn d1_notices_renames_that_double_the_record() {
    notices(Sabotage::RenamesDouble, Season::Gentle, "D1");
}

#[test]
fn d1_notices_a_ledger_that_never_comes_to_rest() {
    notices(Sabotage::Amnesia, Season::Gentle, "D1: calm runs still send");
}

#[test]
fn d1_and_d4_notice_a_store_that_does_not_forget_what_is_about_to_change() {
    notices(Sabotage::ForgetsDirty, Season::Mixed, "D2");
}

#[test]
fn d4_notices_a_late_call_over_a_newer_version_that_nobody_confirms() {
    notices(Sabotage::ForgetsUnconfirmed, Season::LateApplies, "D2");
}

#[test]
fn d4_notices_a_call_of_a_dead_process_that_comes_late() {
    notices(Sabotage::ForgetsCrashes, Season::LateApplies, "D2");
}

#[test]
fn d8_notices_removals_of_rows_that_never_left() {
    // R3
    notices(Sabotage::SeesNobody, Season::Mirror, "D8");
}

#[test]
fn d2_notices_rows_that_are_called_delivered_and_are_not() {
    // D6: a row without an answer is unknown.
    notices(Sabotage::UnknownIsDelivered, Season::Mixed, "D2");
}

#[test]
fn d2_notices_answers_that_are_given_to_the_wrong_rows() {
    // D6
    notices(Sabotage::AnswersShift, Season::Mixed, "D2");
}

#[test]
fn d3_notices_two_calls_for_one_row() {
    notices(Sabotage::SendsTwice, Season::Gentle, "D3");
}

#[test]
fn d5_notices_a_call_after_the_end_of_its_run() {
    notices(Sabotage::Lingers, Season::Gentle, "D5");
}

#[test]
fn d3_notices_a_newer_version_that_overtakes_a_job() {
    notices(Sabotage::ForgetsJobs, Season::LateApplies, "D3");
}

#[test]
fn d7_notices_rows_of_a_job_that_could_not_be_found_again() {
    notices(Sabotage::HidesJobIds, Season::Gentle, "D7");
}

#[test]
fn d9_notices_rejects_that_are_lost() {
    notices(Sabotage::LosesRejects, Season::Mixed, "D9");
}

#[test]
fn d9_notices_books_that_do_not_balance() {
    notices(Sabotage::Miscounts, Season::Gentle, "D9");
}

#[test]
fn r1_notices_rows_that_committed_late_and_are_never_read() {
    notices(Sabotage::IgnoresLag, Season::Mixed, "R1: the watermark passed");
}

#[test]
fn r1_notices_a_watermark_that_is_too_early() {
    notices(Sabotage::WatermarkEarly, Season::Mixed, "R1: the watermark passed");
}

#[test]
fn r1_notices_a_watermark_that_goes_back() {
    notices(Sabotage::WatermarkBack, Season::Mixed, "R1: the watermark went back");
}

#[test]
fn r3_notices_a_cut_that_looks_like_the_end() {
    notices(Sabotage::CutLooksClean, Season::Mixed, "R3");
}

#[test]
fn l1_notices_a_call_before_the_time_that_was_asked_for() {
    notices(Sabotage::HurriesRetry, Season::Mixed, "L1");
}

#[test]
fn s2_notices_a_commit_of_an_owner_that_was_replaced() {
    notices(Sabotage::NoFence, Season::Mixed, "S2");
}
