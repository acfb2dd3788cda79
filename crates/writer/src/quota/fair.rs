//! Who gets how much of a budget: the live lane first, then the backfill lane, evenly within a lane, nobody more than it
//! wants.

use std::collections::BTreeMap;

use flow::Lane;

/// A budget of at least so many slots keeps a fiftieth of them for the backfill lane, so that it stands still never.
const TRICKLE_FROM: u32 = 10;
const TRICKLE: u32 = 50;
/// A budget is dealt in so many rounds at most.
const ROUNDS: u32 = 1_000;

/// Somebody who wants part of a budget.
#[derive(Debug, Clone)]
pub(super) struct Claim<'a> {
    pub(super) who: &'a str,
    pub(super) lane: Lane,
    pub(super) wants: u32,
    /// Those of one connection have at most `cap` together.
    pub(super) connection: &'a str,
    pub(super) cap: u32,
}

/// Deals `budget` to the claims; what each one may hold. The same for whoever computes it.
pub(super) fn deal<'a>(budget: u32, claims: &[Claim<'a>]) -> BTreeMap<&'a str, u32> {
    let mut dealt = Dealt { shares: BTreeMap::new(), connections: BTreeMap::new(), left: budget };
    let slow = claims.iter().any(|claim| claim.lane == Lane::Backfill && claim.wants > 0);
    let kept = if slow && budget >= TRICKLE_FROM { (budget / TRICKLE).max(1) } else { 0 };
    dealt.left = budget - kept;
    dealt.round(claims, Lane::Live);
    dealt.left += kept;
    dealt.round(claims, Lane::Backfill);
    // What the backfill lane did not want.
    dealt.round(claims, Lane::Live);
    dealt.shares
}

struct Dealt<'a> {
    shares: BTreeMap<&'a str, u32>,
    connections: BTreeMap<&'a str, u32>,
    left: u32,
}

impl<'a> Dealt<'a> {
    fn round(&mut self, claims: &[Claim<'a>], lane: Lane) {
        let step = (self.left / ROUNDS).max(1);
        loop {
            let mut moved = false;
            for claim in claims.iter().filter(|claim| claim.lane == lane) {
                let share = self.shares.entry(claim.who).or_default();
                let connection = self.connections.entry(claim.connection).or_default();
                let open = claim.wants.saturating_sub(*share);
                let more = open.min(claim.cap.saturating_sub(*connection)).min(self.left).min(step);
                *share += more;
                *connection += more;
                self.left -= more;
                moved |= more > 0;
            }
            if !moved {
                break;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claim(who: &str, lane: Lane, wants: u32) -> Claim<'_> {
        Claim { who, lane, wants, connection: "crm", cap: u32::MAX }
    }

    fn dealt(budget: u32, claims: &[Claim<'_>]) -> Vec<u32> {
        let shares = deal(budget, claims);
        claims.iter().map(|claim| shares.get(claim.who).copied().unwrap_or(0)).collect()
    }

    use Lane::{Backfill, Live};

    #[test]
    fn nobody_has_more_than_it_wants_and_the_rest_is_even() {
        assert_eq!(dealt(100, &[claim("a", Live, 10), claim("b", Live, 500)]), [10, 90]);
        assert_eq!(dealt(100, &[claim("a", Live, 500), claim("b", Live, 500)]), [50, 50]);
        assert_eq!(dealt(3, &[claim("a", Live, 9), claim("b", Live, 9)]), [2, 1]);
        assert_eq!(dealt(0, &[claim("a", Live, 9)]), [0]);
        let big = u32::MAX / 2;
        assert_eq!(dealt(big, &[claim("a", Live, u32::MAX)]), [big]);
    }

    #[test]
    fn a_backfill_has_what_live_runs_leave_and_never_quite_nothing() {
        assert_eq!(dealt(100, &[claim("a", Live, 500), claim("b", Backfill, 500)]), [98, 2]);
        assert_eq!(dealt(100, &[claim("a", Live, 30), claim("b", Backfill, 500)]), [30, 70]);
        assert_eq!(dealt(100, &[claim("a", Live, 500), claim("b", Backfill, 1)]), [99, 1]);
        assert_eq!(dealt(100, &[claim("b", Backfill, 500)]), [100]);
        assert_eq!(dealt(4, &[claim("a", Live, 500), claim("b", Backfill, 500)]), [4, 0]);
    }

    #[test]
    fn the_share_of_a_connection_holds_for_all_its_processes_together() {
        let crm = |who, wants| Claim { cap: 40, ..claim(who, Live, wants) };
        let other = Claim { connection: "crm2", ..claim("c", Live, 500) };
        assert_eq!(dealt(100, &[crm("a", 500), crm("b", 500), other]), [20, 20, 60]);
    }
}
