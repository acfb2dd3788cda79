//! The queue of jobs: thirty at once, done in order, shown for an hour, with result rows in several dialects.

use serde_json::{Value, json};
use simulator::{Call, RowFault};

use super::account::Inner;
use super::field::Refused;
use super::options::{Dialect, Options};
use super::table::{Ask, Table, id_text};

/// Jobs Zendesk still shows.
const KEPT_MAX: usize = 100;

/// One job.
#[derive(Debug)]
pub(super) struct Job {
    id: String,
    object: String,
    ask: Ask,
    items: Vec<Value>,
    call: Call,
    run_at_ms: i64,
    done_at_ms: i64,
    killed: bool,
    results: Option<Vec<Value>>,
}

/// All jobs, oldest first.
#[derive(Debug, Default)]
pub(super) struct Jobs {
    all: Vec<Job>,
    made: u64,
}

/// What a new job is to do.
pub(super) struct Order {
    pub(super) object: String,
    pub(super) ask: Ask,
    pub(super) items: Vec<Value>,
}

impl Jobs {
    /// Takes a job; `None` when too many are queued or running.
    pub(super) fn take(&mut self, options: &Options, order: Order, call: &Call) -> Option<Value> {
        let now = call.arrived().unix_ms;
        let active = self.all.iter().filter(|job| job.done_at_ms > now).count();
        if active >= options.jobs_max {
            return None;
        }
        self.made += 1;
        let before = self.all.last().map_or(0, |job| job.run_at_ms);
        let run_at_ms = (now + options.queue_ms).max(before);
        let mixed = self.made.wrapping_mul(0x9E37_79B9_7F4A_7C15);
        self.all.push(Job {
            id: format!("{mixed:016x}{:016x}", self.made),
            object: order.object,
            ask: order.ask,
            items: order.items,
            call: call.clone(),
            run_at_ms,
            done_at_ms: run_at_ms + options.work_ms,
            killed: options.kill_every > 0 && self.made.is_multiple_of(options.kill_every),
            results: None,
        });
        let ended = |job: &Job| job.done_at_ms <= now && job.results.is_some();
        while self.all.len() > KEPT_MAX && self.all.first().is_some_and(ended) {
            self.all.remove(0);
        }
        self.all.last().map(|job| job.view(options, now))
    }

    pub(super) fn show(&self, options: &Options, id: &str, now: i64) -> Option<Value> {
        let job = self.all.iter().find(|job| job.id == id)?;
        (now < job.done_at_ms + options.job_ttl_ms).then(|| job.view(options, now))
    }

    /// Those that ended last come first.
    pub(super) fn list(&self, options: &Options, now: i64) -> Vec<Value> {
        self.all.iter().rev().filter_map(|job| self.show(options, &job.id, now)).collect()
    }

    pub(super) fn count(&self) -> u64 {
        self.made
    }
}

impl Inner {
    /// Does the work of every job that is due; of all of them without a time.
    pub(super) fn work(&mut self, options: &Options, now: Option<i64>) {
        for at in 0..self.jobs.all.len() {
            let job = &self.jobs.all[at];
            if job.results.is_some() || now.is_some_and(|now| job.run_at_ms > now) {
                continue;
            }
            let Some(table) = self.tables.get_mut(&job.object) else { continue };
            let results = job.work(options, table);
            self.jobs.all[at].results = Some(results);
        }
    }
}

impl Job {
    fn work(&self, options: &Options, table: &mut Table) -> Vec<Value> {
        let end = if self.killed { self.items.len() / 2 } else { self.items.len() };
        let mut results: Vec<Value> = Vec::with_capacity(end);
        for (index, item) in self.items.iter().take(end).enumerate() {
            let done = match refused_by_script(&self.call, item) {
                Some(refused) => Err(refused),
                None => table.apply(self.ask, item, self.run_at_ms),
            };
            results.push(self.result(options, (index, item), done, table));
        }
        let shape = self.call.shape();
        if options.shuffle {
            self.call.dice().shuffle(&mut results);
        }
        if shape.reorder {
            results.reverse();
        }
        results.truncate(results.len().saturating_sub(shape.drop_rows));
        results.extend_from_within(..shape.duplicate_rows.min(results.len()));
        if shape.empty.is_some() {
            results.clear();
        }
        results
    }

    fn result(
        &self,
        options: &Options,
        (index, item): (usize, &Value),
        done: Result<(String, bool), Refused>,
        table: &Table,
    ) -> Value {
        let number = |id: &str| id.parse::<u64>().map_or_else(|_| json!(id), |id| json!(id));
        let upsert = matches!(self.ask, Ask::Upsert | Ask::UpsertByName);
        let action = match self.ask {
            Ask::Update => "update",
            Ask::Delete | Ask::DeleteByExternalId => "delete",
            _ => "create",
        };
        let (id, new) = match done {
            Ok(done) => done,
            Err(refused) => {
                let addressed = if item.is_object() {
                    item.get("id").map(id_text)
                } else {
                    Some(id_text(item))
                };
                return match (options.dialect, upsert || self.ask == Ask::Create) {
                    (Dialect::Indexed, _) => {
                        json!({ "index": index, "id": addressed, "action": action,
                        "success": false, "error": refused.word, "details": refused.text })
                    }
                    (_, true) => {
                        json!({ "id": index, "error": "UserUpdateError", "details": refused.text,
                        "status": "Failed" })
                    }
                    (_, false) => {
                        json!({ "id": number(&addressed.unwrap_or_default()), "action": action,
                        "success": false, "error": refused.word, "details": refused.text })
                    }
                };
            }
        };
        let id_shown = number(&id);
        let status = if new { "Created" } else { "Updated" };
        match (options.dialect, self.ask) {
            (Dialect::Plain, _) if upsert => json!({ "id": id_shown, "status": status }),
            (Dialect::Indexed, _) => json!({ "id": id_shown, "index": index, "action": action,
                "status": if action == "delete" { "Deleted" } else { status }, "success": true }),
            (_, Ask::Create) => json!({ "id": id_shown, "index": index }),
            (_, Ask::Update) => {
                json!({ "id": id_shown, "action": "update", "status": "Updated", "success": true })
            }
            (_, Ask::Delete | Ask::DeleteByExternalId) => {
                json!({ "id": id_shown, "action": "delete", "status": "Deleted", "success": true })
            }
            _ => {
                let view = table.get(&id).map(|record| table.view(record)).unwrap_or_default();
                let mut row = json!({ "id": id_shown, "status": status });
                for name in ["email", "external_id"] {
                    // The address that was sent, which need not be the main one.
                    let shown = item.get(name).or(view.get(name)).filter(|value| !value.is_null());
                    if let Some(shown) = shown {
                        row[name] = shown.clone();
                    }
                }
                row
            }
        }
    }

    fn view(&self, options: &Options, now: i64) -> Value {
        let total = self.items.len();
        let (status, progress) = match self.results {
            _ if now < self.run_at_ms => ("queued", 0),
            _ if now < self.done_at_ms => ("working", total / 2),
            None => ("queued", 0),
            Some(_) if self.killed => ("killed", total / 2),
            Some(_) => ("completed", total),
        };
        let ended = matches!(status, "completed" | "killed");
        let at = chrono::DateTime::from_timestamp_millis(self.done_at_ms).unwrap_or_default();
        let message = (status == "completed")
            .then(|| format!("Completed at {}", at.format("%Y-%m-%d %H:%M:%S +0000")));
        let results = self.results.as_ref().filter(|_| ended && options.dialect != Dialect::None);
        json!({
            "id": self.id, "job_type": format!("Bulk {} {:?}", self.object, self.ask),
            "url": format!("/api/v2/job_statuses/{}.json", self.id), "total": total,
            "progress": progress, "status": status, "message": message, "results": results,
        })
    }
}

fn refused_by_script(call: &Call, item: &Value) -> Option<Refused> {
    match row_fault(call, item)? {
        RowFault::Reject { message, .. } => {
            let text = message.unwrap_or_else(|| "Refused by the script".to_owned());
            Some(Refused::new("InvalidValue", "base", text))
        }
        RowFault::Poison(_) => None,
    }
}

/// What the script does to a row; a row that is no object is known by its `id` alone.
pub(super) fn row_fault(call: &Call, item: &Value) -> Option<RowFault> {
    if !call.has_row_faults() {
        return None;
    }
    let whole = id_text(item);
    let texts: Vec<(String, String)> = item.as_object().map_or_else(
        || vec![("id".to_owned(), whole)],
        |row| {
            let nested = ["user_fields", "organization_fields", "custom_object_fields"];
            let inner = nested.iter().filter_map(|member| row.get(*member)?.as_object()).flatten();
            row.iter().chain(inner).map(|(name, value)| (name.clone(), id_text(value))).collect()
        },
    );
    call.row_fault(|name| {
        texts.iter().find(|(known, _)| known == name).map(|(_, text)| text.as_str())
    })
}
