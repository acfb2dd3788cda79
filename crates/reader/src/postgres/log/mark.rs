//! How far the log was followed, and when that says nothing.

use flow::Finding;
use serde::{Deserialize, Serialize};

use super::super::mark::{Server, finding};
use super::slot::{Lsn, Slot};
use super::ways::Ways;
use crate::codes;

/// How far the log was followed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(in super::super) struct LogMark {
    pub(super) system: String,
    pub(super) timeline: i32,
    /// Everything before is settled.
    pub(super) lsn: Lsn,
    /// The tables followed, each with the publication's own row of it.
    pub(super) published: Vec<(u32, u32)>,
}

impl LogMark {
    pub(super) fn of(server: &Server, lsn: Lsn, ways: &Ways) -> Self {
        let (system, timeline) = (server.system.clone(), server.timeline);
        Self { system, timeline, lsn, published: ways.published.clone() }
    }

    pub(super) fn parse(mark: &flow::Mark) -> Option<Self> {
        serde_json::from_str(&mark.0).ok()
    }

    pub(super) fn store(&self) -> flow::Mark {
        flow::Mark(serde_json::to_string(self).unwrap_or_default())
    }

    /// Why the log from here on does not hold every change since this mark; `None` where it does.
    pub(super) fn says_nothing(&self, now: &Self, slot: &Slot) -> Option<Finding> {
        let other = self.system != now.system || self.timeline != now.timeline;
        let (code, message) = if other || self.lsn > slot.flushed {
            (&codes::E1061_OTHER_SERVER, "the warehouse is another server than in the last run")
        } else if slot.confirmed > self.lsn {
            (&codes::E1064_LOG_GAP, "the slot was moved on or made anew by somebody else")
        } else if self.published != now.published {
            (
                &codes::E1062_REBUILT,
                "a followed table was rebuilt, or published anew, since the last run",
            )
        } else {
            return None;
        };
        Some(finding(code, message.to_owned()))
    }
}
