//! The parts of a sync as they are written, and the checked sync they make.

use std::sync::Arc;

use engine::{RemovalLimit, Removed};
use flow::{Changes, Limits, Log, LogTable, Mode};
use serde::de::DeserializeOwned;

use super::model::Model;
use super::removed;
use crate::codes::E0019_SCHEMA_BUG;
use crate::config::amount::Share;
use crate::config::checked::{CheckedSync, Places};
use crate::config::file::Place;
use crate::config::node::{Entry, Node};
use crate::config::written::{
    ChangesSection, Continuous, DeliverySection, DestinationSection, FirstRun, FollowedTable,
    Freshness, Guards, LedTable, Name, OnReject, PrivacySection, Remember, RemovedSection,
    Schedule,
};
use crate::diagnostic::Diagnostic;

/// A change waits at most so long, where nothing is written.
const FLUSH_EVERY: std::time::Duration = std::time::Duration::from_millis(500);
/// So many changes are not waited for.
const FLUSH_ROWS: u64 = 1000;

/// Every part but the model; `None` for one that is missing or cannot be read.
pub(super) struct Parts {
    name: Option<Name>,
    pub(super) mode: Option<Mode>,
    changes: Option<ChangesSection>,
    destination: Option<DestinationSection>,
    mappings: Option<transform::Mappings>,
    removed: Option<RemovedSection>,
    schedule: Option<Schedule>,
    pub(super) delivery: DeliverySection,
    pub(super) guards: Guards,
    pub(super) freshness: Option<Freshness>,
    privacy: PrivacySection,
}

impl Parts {
    /// Reads each part by itself, so that a wrong one hides no problem of another. What cannot be read in a
    /// file that is not well formed was already reported.
    pub(super) fn read(node: &Node, well_formed: bool, problems: &mut Vec<Diagnostic>) -> Self {
        let mut sections = Sections { node, well_formed, problems };
        Self {
            name: sections.read("sync"),
            mode: sections.read("mode"),
            changes: sections.read("changes"),
            destination: sections.read("destination"),
            mappings: sections.read("mappings"),
            removed: sections.read("removed"),
            schedule: sections.read("schedule"),
            delivery: sections.read("delivery").unwrap_or_default(),
            guards: sections.read("guards").unwrap_or_default(),
            freshness: sections.read("freshness"),
            privacy: sections.read("privacy").unwrap_or_default(),
        }
    }

    /// What becomes of rows that left the model.
    pub(super) fn removed(
        &self,
        node: &Node,
        limits: Option<&Limits>,
        problems: &mut Vec<Diagnostic>,
    ) -> Option<Removed> {
        let match_on = self.destination.as_ref().and_then(|one| one.match_on.as_ref());
        let about = removed::About { node, mode: self.mode, limits, match_on };
        let removed = removed::check(&about, self.removed.as_ref(), problems)?;
        Some(Removed { limit: removal_limit(&self.guards), ..removed })
    }

    /// The checked sync; `None` when a part that it needs is not there.
    pub(super) fn assemble(
        self,
        node: &Node,
        model: Model,
        removed: Option<Removed>,
    ) -> Option<CheckedSync> {
        let removed_when = text_at(node, &["changes", "removed_when"]);
        let places = places(node, model.place)?;
        let destination = self.destination?;
        let changes = self.changes?;
        let compare_every = compare_every_micros(&changes);
        let sync = engine::Sync {
            name: self.name?.0,
            model: Arc::new(flow::Model {
                relation: model.relation,
                primary_key: model.primary_key,
                changes: flow_changes(changes)?,
                removed_when,
            }),
            source: model.connection,
            destination: destination.connection.0,
            object: destination.object,
            match_on: destination.match_on.map(|pairs| pairs.0).unwrap_or_default(),
            mode: self.mode?,
            mappings: self.mappings?,
            removed,
            delivery: engine::Delivery {
                batch_rows: self.delivery.batch_rows,
                max_concurrency: self.delivery.max_concurrency,
                stop_on_reject: self.delivery.on_reject == Some(OnReject::Stop),
                api: self.delivery.api.map(Into::into).unwrap_or_default(),
                remember: match self.delivery.remember {
                    None => engine::Remember::Nothing,
                    Some(Remember::Fields) => engine::Remember::Fields,
                    Some(Remember::Values) => engine::Remember::Values,
                },
            },
            compare_every_micros: compare_every,
            guards: engine_guards(&self.guards),
            private: [self.privacy.deny_columns.clone(), self.privacy.mask_in_logs].concat(),
        };
        let (every, continuous) = match self.schedule {
            Some(schedule) => (schedule.every, schedule.continuous.map(|one| follow(&one))),
            None => (None, None),
        };
        Some(CheckedSync {
            sync,
            description: text(node, "description"),
            owner: text(node, "owner"),
            tags: tags(node),
            enabled: node.entry("enabled").is_none_or(|entry| entry.value.to_json() != false),
            model_name: model.name,
            expected_interval_seconds: every.map(|every| every.seconds()),
            continuous,
            deny_columns: self.privacy.deny_columns,
            places,
        })
    }
}

fn places(node: &Node, relation: Place) -> Option<Places> {
    let place = |path: &[&str]| node.entry_at(path).map(|entry| entry.value_place().clone());
    Some(Places {
        name: place(&["sync"])?,
        relation,
        primary_key: place(&["model", "primary_key"])?,
        watermark: place(&["changes", "column"]),
        slot: place(&["changes", "slot"]),
        object: place(&["destination", "object"])?,
        match_on: pair_places(node),
        mappings: key_places(node.entry("mappings")),
        removed_when: place(&["changes", "removed_when"]),
        removed_action: place(&["removed", "action"]),
        removed_set: key_places(node.entry_at(&["removed", "set"])),
        deny_columns: place(&["privacy", "deny_columns"]),
    })
}

/// Reads parts by key.
struct Sections<'a> {
    node: &'a Node,
    well_formed: bool,
    problems: &'a mut Vec<Diagnostic>,
}

impl Sections<'_> {
    fn read<T: DeserializeOwned>(&mut self, key: &str) -> Option<T> {
        let entry = self.node.entry(key)?;
        match serde_json::from_value(entry.value.to_json()) {
            Ok(value) => Some(value),
            Err(error) => {
                if self.well_formed {
                    self.problems.push(
                        Diagnostic::error(
                            &E0019_SCHEMA_BUG,
                            format!("`{key}` cannot be used: {error}"),
                        )
                        .at(&entry.place, "in this part"),
                    );
                }
                None
            }
        }
    }
}

/// What a guard allows is allowed at the moment of removal, too.
fn removal_limit(guards: &Guards) -> RemovalLimit {
    guards.max_removed.as_ref().map_or_else(RemovalLimit::default, |share| RemovalLimit {
        share: share.0,
        floor: guards.max_removed_floor.unwrap_or(0),
    })
}

fn engine_guards(guards: &Guards) -> engine::Guards {
    let share = |share: Option<Share>| share.map(|share| share.0);
    engine::Guards {
        min_rows: guards.min_rows,
        max_removed: share(guards.max_removed),
        max_removed_floor: guards.max_removed_floor.unwrap_or(0),
        max_changed: share(guards.max_changed),
        max_null_out: share(guards.max_null_out),
        max_rejected: share(guards.max_rejected),
        max_invalid: share(guards.max_invalid),
        max_requests: guards.max_requests,
        confirm_first_run: guards.first_run == Some(FirstRun::Confirm),
    }
}

/// The changes the engine can follow; the others were refused with their own code.
fn flow_changes(changes: ChangesSection) -> Option<Changes> {
    match changes {
        ChangesSection::Watermark { column, lag, .. } => {
            let lag_micros = lag.map_or(0, |lag| lag.micros);
            Some(Changes::Watermark { column, lag_micros })
        }
        ChangesSection::Snapshot { .. } => Some(Changes::Snapshot),
        ChangesSection::Log { slot, publication, tables, retained_max_mib, .. } => {
            let table = |table| match table {
                FollowedTable::Name(name) => LogTable { name, keys: None },
                FollowedTable::Led(LedTable { name, keys }) => LogTable { name, keys: Some(keys) },
            };
            let tables = tables.unwrap_or_default().into_iter().map(table).collect();
            let retained_bytes_max = retained_max_mib.map(|mib| mib.saturating_mul(1 << 20));
            Some(Changes::Log(Log { slot, publication, tables, retained_bytes_max }))
        }
    }
}

/// How a run without an end collects changes.
fn follow(written: &Continuous) -> engine::Follow {
    let micros = written.flush_every.as_ref().map(|every| every.micros.unsigned_abs());
    engine::Follow {
        flush_every: micros.map_or(FLUSH_EVERY, std::time::Duration::from_micros),
        flush_rows: written.flush_rows.unwrap_or(FLUSH_ROWS),
    }
}

/// Time between two compares of every row.
fn compare_every_micros(changes: &ChangesSection) -> Option<i64> {
    match changes {
        ChangesSection::Watermark { reconcile, .. } | ChangesSection::Log { reconcile, .. } => {
            reconcile.as_ref().map(|reconcile| reconcile.every.micros)
        }
        ChangesSection::Snapshot { .. } => None,
    }
}

fn text(node: &Node, key: &str) -> Option<String> {
    text_at(node, &[key])
}

fn text_at(node: &Node, path: &[&str]) -> Option<String> {
    node.entry_at(path).and_then(|entry| entry.value.as_text()).map(str::to_owned)
}

fn tags(node: &Node) -> Vec<String> {
    let items = node.entry("tags").map(|entry| entry.value.items()).unwrap_or_default();
    items.iter().filter_map(|item| item.as_text().map(str::to_owned)).collect()
}

fn key_places(map: Option<&Entry>) -> Vec<(String, Place)> {
    let entries = map.map(|entry| entry.value.entries()).unwrap_or_default();
    entries.iter().map(|entry| (entry.key.clone(), entry.place.clone())).collect()
}

fn pair_places(node: &Node) -> Vec<(String, String, Place)> {
    let pairs = node.entry_at(&["destination", "match_on"]);
    let entries = pairs.map(|entry| entry.value.entries()).unwrap_or_default();
    entries
        .iter()
        .filter_map(|entry| {
            let column = entry.value.as_text()?.to_owned();
            Some((entry.key.clone(), column, entry.place.clone()))
        })
        .collect()
}
