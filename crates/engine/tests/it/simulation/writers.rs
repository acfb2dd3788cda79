//! The people and programs that change the warehouse's table while the engine runs.

use std::sync::Arc;
use std::time::Duration;

use super::oracle;
use super::table::{Change, Row};
use super::universe::{State, Universe};
use super::weather::Season;

const NAMES: [&str; 5] = ["ann", "bob", "cid", "dee", "eve"];
/// A name that the vendor refuses for good, and one that makes it refuse the whole call.
pub(crate) const REFUSED: &str = "refused";
pub(crate) const POISON: &str = "poison";

/// Makes all changes of the history, one after the other.
pub(crate) async fn write(universe: Arc<Universe>) {
    let (changes, pause) = {
        let state = universe.lock();
        (state.weather.changes, state.weather.change_pause_ms)
    };
    for _ in 0..changes {
        let wait = {
            let mut state = universe.lock();
            change(&mut state);
            state.dice.u64(0..pause)
        };
        tokio::time::sleep(Duration::from_millis(wait)).await;
    }
}

/// One transaction.
pub(crate) fn change(state: &mut State) {
    let now = state.now();
    oracle::settle(state, now);
    // The moment the transaction began, sometimes rounded, so that rows share it.
    let dated = if state.chance(0.3) { now - now % 500_000 } else { now };
    let changes = draw(state, dated);
    if changes.is_empty() {
        return;
    }
    // It commits before the lag is over.
    let late = state.table.lag_micros - (now - dated) - 1_000;
    let delay = if state.chance(0.3) { state.dice.i64(0..late) } else { 0 };
    state.note(format_args!("writes {changes:?}, visible in {} ms", delay / 1000));
    state.table.change(now + delay, changes);
    oracle::settle(state, now);
}

/// What the transaction does.
fn draw(state: &mut State, dated: i64) -> Vec<Change> {
    let unlocked = state.table.unlocked();
    let kind = state.dice.u8(0..100);
    if unlocked.len() < 2 || kind < 25 {
        return insert(state, dated);
    }
    let place = unlocked[state.dice.usize(0..unlocked.len())];
    let other = unlocked[state.dice.usize(0..unlocked.len())];
    let mut row = Row { updated_at: Some(dated), ..state.table.row(place).clone() };
    let gentle = state.weather.season == Season::Gentle;
    match kind {
        25..45 => row.name = name(state),
        45..57 => row.email = Some(email(state)),
        57..73 if gentle => {}
        57..69 => return exchange(state, (place, other), kind, dated),
        69..73 => row.email = row.email.map(|email| swap_case(&email)),
        73..80 => return delete(state, place, dated),
        80..83 if !gentle => {
            row.name = name(state);
            return vec![(state.table.new_place(), Some(row))];
        }
        83..85 if !gentle => {
            row.id = None;
            return vec![(state.table.new_place(), Some(row))];
        }
        85..90 => row.updated_at = odd_moment(state, dated),
        90..92 if !gentle => row.email = None,
        _ => {}
    }
    vec![(place, Some(row))]
}

fn insert(state: &mut State, dated: i64) -> Vec<Change> {
    let id = state.dice.i64(0..state.weather.keys);
    if state.table.known().any(|row| row.id == Some(id)) {
        return Vec::new();
    }
    let row =
        Row { id: Some(id), email: Some(email(state)), name: name(state), updated_at: Some(dated) };
    vec![(state.table.new_place(), Some(row))]
}

/// A swap, a chain, or a row that takes the place of one that leaves.
fn exchange(state: &mut State, (a, b): (u64, u64), kind: u8, dated: i64) -> Vec<Change> {
    if a == b {
        return Vec::new();
    }
    let mut first = Row { updated_at: Some(dated), ..state.table.row(a).clone() };
    let mut second = Row { updated_at: Some(dated), ..state.table.row(b).clone() };
    std::mem::swap(&mut first.email, &mut second.email);
    match kind {
        57..61 => {}
        61..65 => second.email = Some(email(state)),
        _ => {
            let mut changes = delete(state, b, dated);
            if changes.iter().any(|(place, _)| *place == a) {
                return Vec::new();
            }
            changes.push((a, Some(first)));
            return changes;
        }
    }
    vec![(a, Some(first)), (b, Some(second))]
}

/// A row leaves. Rows that had the same key are dated anew: nothing else tells that one of them counts again.
fn delete(state: &State, place: u64, dated: i64) -> Vec<Change> {
    let id = state.table.row(place).id;
    let unlocked = state.table.unlocked();
    let mut changes = vec![(place, None)];
    for (at, row) in state.table.rows().filter(|(at, row)| *at != place && row.id == id) {
        if id.is_some() {
            if !unlocked.contains(&at) {
                return Vec::new();
            }
            changes.push((at, Some(Row { updated_at: Some(dated), ..row.clone() })));
        }
    }
    changes
}

fn name(state: &mut State) -> String {
    let name = match state.dice.u8(0..40) {
        0 => REFUSED,
        1 => POISON,
        _ => NAMES[state.dice.usize(0..NAMES.len())],
    };
    name.to_owned()
}

fn email(state: &mut State) -> String {
    let number = match state.weather.season {
        Season::Gentle => i64::try_from(state.table.new_place()).unwrap(),
        _ => state.dice.i64(0..state.weather.keys * 3),
    };
    format!("User{number}@example.com")
}

fn swap_case(email: &str) -> String {
    match email.starts_with('U') {
        true => email.to_lowercase(),
        false => email.replacen('u', "U", 1),
    }
}

fn odd_moment(state: &mut State, dated: i64) -> Option<i64> {
    match state.dice.u8(0..5) {
        0 => Some(i64::MAX),
        1 => Some(i64::MIN),
        2 => Some(dated + state.dice.i64(0..3_600_000_000)),
        3 => Some(dated + 1),
        _ => None,
    }
}
