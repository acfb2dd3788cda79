//! The running fault script: which rules hold, how often each has fired, and what they do to one call.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError};

use crate::{Action, FaultRule};

/// A rule with its counters.
#[derive(Debug)]
pub(crate) struct Armed {
    pub(crate) rule: FaultRule,
    matched: AtomicU64,
    fired: AtomicU64,
}

impl Armed {
    fn new(rule: FaultRule) -> Arc<Self> {
        Arc::new(Self { rule, matched: AtomicU64::new(0), fired: AtomicU64::new(0) })
    }

    /// Counts one match and says whether the rule fires at it.
    pub(crate) fn fires(&self) -> bool {
        let match_no = self.matched.fetch_add(1, Ordering::Relaxed) + 1;
        if match_no < self.rule.nth || !(match_no - self.rule.nth).is_multiple_of(self.rule.every) {
            return false;
        }
        if let Some(share) = self.rule.probability
            && fastrand::Rng::with_seed(self.rule.seed.wrapping_add(match_no)).f64() >= share
        {
            return false;
        }
        let allowed = |fired| match self.rule.times {
            Some(times) if fired >= times => None,
            _ => Some(fired + 1),
        };
        self.fired.fetch_update(Ordering::Relaxed, Ordering::Relaxed, allowed).is_ok()
    }

    /// How many calls or rows matched, and how many of those fired.
    pub(crate) fn counts(&self) -> (u64, u64) {
        (self.matched.load(Ordering::Relaxed), self.fired.load(Ordering::Relaxed))
    }

    fn about_rows(&self) -> bool {
        matches!(self.rule.action, Action::RejectRow(_) | Action::PoisonRow(..))
    }

    fn fits(&self, facts: &Facts<'_>) -> bool {
        let rule = &self.rule;
        rule.path.as_deref().is_none_or(|text| facts.path.contains(text))
            && rule.method.as_deref().is_none_or(|method| method == facts.method)
            && rule.operation.as_deref().is_none_or(|name| name == facts.operation)
            && rule.contains.as_deref().is_none_or(|text| holds(facts.body, text.as_bytes()))
    }
}

/// What a rule can look at.
pub(crate) struct Facts<'a> {
    pub(crate) path: &'a str,
    pub(crate) method: &'a str,
    pub(crate) operation: &'a str,
    pub(crate) body: &'a [u8],
}

/// What the script does to one call.
#[derive(Debug, Default, Clone)]
pub(crate) struct Chosen {
    /// Rules about the call that fire, in the order of the script.
    pub(crate) wire: Vec<Arc<Armed>>,
    /// Rules about rows; the vendor asks them row by row.
    pub(crate) rows: Vec<Arc<Armed>>,
}

/// All rules in force.
#[derive(Debug, Default)]
pub(crate) struct Script {
    rules: Mutex<Vec<Arc<Armed>>>,
    /// Saves the lock on the common path.
    any: AtomicBool,
}

impl Script {
    pub(crate) fn new(rules: Vec<FaultRule>) -> Self {
        let script = Self::default();
        script.add(rules);
        script
    }

    pub(crate) fn add(&self, rules: Vec<FaultRule>) {
        let mut armed = self.rules.lock().unwrap_or_else(PoisonError::into_inner);
        armed.extend(rules.into_iter().map(Armed::new));
        self.any.store(!armed.is_empty(), Ordering::Relaxed);
    }

    pub(crate) fn clear(&self) {
        self.rules.lock().unwrap_or_else(PoisonError::into_inner).clear();
        self.any.store(false, Ordering::Relaxed);
    }

    pub(crate) fn rules(&self) -> Vec<Arc<Armed>> {
        self.rules.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn choose(&self, facts: &Facts<'_>) -> Chosen {
        let mut chosen = Chosen::default();
        if !self.any.load(Ordering::Relaxed) {
            return chosen;
        }
        for armed in self.rules() {
            if !armed.fits(facts) {
                continue;
            }
            if armed.about_rows() {
                chosen.rows.push(armed);
            } else if armed.fires() {
                chosen.wire.push(armed);
            }
        }
        chosen
    }
}

fn holds(body: &[u8], text: &[u8]) -> bool {
    text.is_empty() || body.windows(text.len()).any(|window| window == text)
}

#[cfg(test)]
mod tests {
    use super::*;

    const CALL: Facts<'static> = Facts {
        path: "/crm/v3/objects/contacts/batch/upsert",
        method: "POST",
        operation: "batch_upsert",
        body: br#"{"id":"ada@x.io"}"#,
    };

    /// The numbers, from 1, of the calls out of `calls` at which the rule fires.
    fn fires(rule: &str, calls: u64) -> Vec<u64> {
        let script = Script::new(vec![rule.parse().unwrap()]);
        (1..=calls).filter(|_| !script.choose(&CALL).wire.is_empty()).collect()
    }

    #[test]
    fn nth_times_and_every_say_when_a_rule_fires() {
        assert_eq!(fires("do=reset", 4), [1]);
        assert_eq!(fires("do=reset;nth=3", 6), [3]);
        assert_eq!(fires("do=reset;nth=2;times=2", 6), [2, 3]);
        assert_eq!(fires("do=reset;every=3", 9), [1, 4, 7]);
        assert_eq!(fires("do=reset;every=2;nth=4;times=2", 12), [4, 6]);
        assert_eq!(fires("do=reset;times=*", 3), [1, 2, 3]);
    }

    #[test]
    fn a_rule_is_only_about_the_calls_it_describes() {
        assert_eq!(fires("do=reset;match=/batch/upsert;method=post;op=batch_upsert", 1), [1]);
        assert_eq!(fires("do=reset;contains=ada@x.io", 1), [1]);
        assert!(fires("do=reset;match=/batch/read", 3).is_empty());
        assert!(fires("do=reset;method=GET", 3).is_empty());
        assert!(fires("do=reset;op=search", 3).is_empty());
        assert!(fires("do=reset;contains=bob@x.io", 3).is_empty());
    }

    #[test]
    fn the_same_seed_gives_the_same_faults() {
        let first = fires("do=reset;p=0.2;seed=7", 1_000);
        assert_eq!(first, fires("do=reset;p=0.2;seed=7", 1_000));
        assert_ne!(first, fires("do=reset;p=0.2;seed=8", 1_000));
        assert!((120..280).contains(&first.len()), "{} of 1000 at p=0.2", first.len());
    }
}
