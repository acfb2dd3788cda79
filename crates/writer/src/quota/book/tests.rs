//! The page of an account, in conversations of several processes.

use super::*;

const SECOND: i64 = 1_000_000;
const WALL: i64 = 1_700_000_000 * SECOND;

fn moment(micros: i64) -> QuotaMoment<'static> {
    QuotaMoment { clock: "boot", micros, wall_micros: WALL + micros, is_gone: &|_| false }
}

fn window(wants: u32) -> WindowStatement {
    let cap = Cap { ratio: 1.0, fixed: None };
    let (name, length) = ("10s", 10 * SECOND);
    WindowStatement { name, length, max: 100, cap, wants, ..WindowStatement::default() }
}

fn says(holder: &str, window: WindowStatement) -> Statement {
    let (holder, connection) = (holder.to_owned(), "crm".to_owned());
    Statement { holder, connection, windows: vec![window], ..Statement::default() }
}

fn granted(answer: &Answer) -> u32 {
    answer.windows[0].granted.iter().map(|(_, slots)| slots).sum()
}

#[test]
fn a_page_is_read_as_it_was_written_and_one_that_is_none_says_nothing() {
    let mut book = Book::default();
    book.exchange(&says("a", window(40)), &moment(5 * SECOND));
    assert_eq!(Book::read(Some(&book.page())), book);
    for odd in ["", "{}", "null", "[1]", "{\"version\":2}", "\u{feff}{"] {
        assert_eq!(Book::read(Some(odd)), Book::default(), "{odd}");
    }
}

#[test]
fn slots_are_held_by_one_at_a_time_and_change_hands_with_the_moment_they_are_free() {
    let mut book = Book::default();
    let now = 5 * SECOND;
    assert_eq!(granted(&book.exchange(&says("a", window(500)), &moment(now))), 100);
    let other = book.exchange(&says("b", window(500)), &moment(now));
    assert_eq!((granted(&other), other.windows[0].fair, other.windows[0].others), (0, 50, 100));
    let returns = vec![(4 * SECOND, 20), (0, 30)];
    let answer =
        book.exchange(&says("a", WindowStatement { returns, ..window(500) }), &moment(now));
    assert_eq!((answer.windows[0].held, answer.windows[0].fair), (50, 50));
    let other = book.exchange(&says("b", window(500)), &moment(now));
    assert_eq!(other.windows[0].held, 50);
    let [(0, 30), (later, 20)] = other.windows[0].granted[..] else { panic!("{other:?}") };
    assert!((4 * SECOND..5 * SECOND).contains(&later), "{later}");
}

#[test]
fn who_is_silent_has_nothing_any_more_and_its_slots_are_free_after_a_window() {
    let mut book = Book::default();
    book.exchange(&says("a", window(80)), &moment(0));
    let soon = book.exchange(&says("b", window(500)), &moment(LEASE));
    assert_eq!(granted(&soon), 20);
    let late = book.exchange(&says("b", window(500)), &moment(LEASE + 1));
    assert_eq!(late.windows[0].held, 100);
    let waits: Vec<i64> = late.windows[0].granted.iter().map(|(wait, _)| *wait).collect();
    assert!(waits.iter().all(|wait| *wait >= 10 * SECOND), "{waits:?}");
    // The silent one comes back, and hears that it has nothing.
    let back = book.exchange(&says("a", window(80)), &moment(LEASE + 2));
    assert_eq!((back.windows[0].held, granted(&back)), (0, 0));
}

#[test]
fn what_a_dead_process_did_not_use_is_free_once_the_destination_has_counted() {
    let mut book = Book::default();
    book.exchange(&says("a", window(90)), &moment(0));
    let gone = |name: &str| name == "a";
    let moment = |micros| QuotaMoment { clock: "boot", micros, wall_micros: WALL, is_gone: &gone };
    let first = book.exchange(&says("b", window(10)), &moment(SECOND));
    assert_eq!(granted(&first), 10);
    let reported = Some(Seen { max: 100, length: None, counted: 13, ours: 1, others: 90 });
    let said = WindowStatement { reported, ..window(500) };
    let second = book.exchange(&says("b", said), &moment(SECOND));
    let free: u32 =
        second.windows[0].granted.iter().filter(|(wait, _)| *wait == 0).map(|(_, n)| n).sum();
    assert_eq!(free, 77, "13 of 100 may be in use, 10 are held: {second:?}");
}

#[test]
fn requests_of_other_programs_take_slots_for_a_window() {
    let mut book = Book::default();
    book.exchange(&says("a", window(500)), &moment(0));
    let reported = Some(Seen { max: 100, length: None, counted: 60, ours: 10, others: 0 });
    let said = WindowStatement { reported, ..window(500) };
    let answer = book.exchange(&says("a", said), &moment(SECOND));
    assert_eq!(answer.windows[0].fair, 50, "{answer:?}");
    let later = book.exchange(&says("a", window(500)), &moment(12 * SECOND));
    assert_eq!(later.windows[0].fair, 100);
}

#[test]
fn a_machine_that_was_started_anew_reads_the_old_page_by_the_time_of_day() {
    let mut book = Book::default();
    let pause = Some(Duration::from_secs(100));
    let far = 1_000_000 * SECOND;
    book.exchange(&Statement { pause, ..says("a", window(80)) }, &moment(far));
    let booted = QuotaMoment {
        clock: "next boot",
        micros: 3 * SECOND,
        wall_micros: WALL + far + 60 * SECOND,
        is_gone: &|_| false,
    };
    let answer = book.exchange(&says("b", window(500)), &booted);
    assert_eq!(answer.pause, 40 * SECOND);
    assert_eq!(answer.windows[0].held, 100);
}

#[test]
fn a_look_changes_nothing() {
    let mut book = Book::default();
    book.exchange(&says("a", window(80)), &moment(0));
    let before = book.clone();
    let looks = Statement { looks: true, ..says("", window(0)) };
    let answer = book.exchange(&looks, &moment(0));
    assert_eq!((answer.windows[0].left, answer.windows[0].others), (20, 80));
    assert_eq!(book, before);
}

#[test]
fn a_parked_account_wakes_up_and_a_nonsense_moment_does_not_park_it() {
    let mut book = Book::default();
    let park =
        |until| Statement { park: Some((until, "used up".to_owned())), ..says("a", window(1)) };
    let day = Some(DayReport { limit: 9, remaining: 0, resets_wall: None });
    let said = Statement { day, ..park(WALL + 60 * SECOND) };
    assert!(book.exchange(&said, &moment(0)).parked.is_some());
    let answer = book.exchange(&says("b", window(1)), &moment(59 * SECOND));
    assert!(answer.parked.is_some() && answer.day.is_some());
    let answer = book.exchange(&says("b", window(1)), &moment(60 * SECOND));
    assert!(answer.parked.is_none() && answer.day.is_none());
    assert!(book.exchange(&park(i64::MAX), &moment(61 * SECOND)).parked.is_none());
}
