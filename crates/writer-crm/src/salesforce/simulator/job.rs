//! Jobs of Bulk API 2.0: their states, and the work on their files when the time has come.

use std::collections::HashMap;
use std::ops::Range;

use bytes::Bytes;
use serde_json::{Value, json};
use simulator::Moment;

use super::csv::{self, Csv};
use super::id;
use super::org::{Org, USER};
use super::reply::{Fault, moment};
use super::save::{Cell, Saving, Verb, parse};
use super::schema::Object;
use super::value::Sent;

/// Where a job stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    Open,
    UploadComplete,
    InProgress,
    JobComplete,
    Failed,
    Aborted,
}

impl State {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Open => "Open",
            Self::UploadComplete => "UploadComplete",
            Self::InProgress => "InProgress",
            Self::JobComplete => "JobComplete",
            Self::Failed => "Failed",
            Self::Aborted => "Aborted",
        }
    }

    pub(super) fn is_ended(self) -> bool {
        matches!(self, Self::JobComplete | Self::Failed | Self::Aborted)
    }
}

/// What became of one row of a job.
#[derive(Debug, Clone)]
pub(super) enum Done {
    Saved {
        id: String,
        created: bool,
    },
    Refused {
        id: Option<String>,
        fault: Fault,
    },
    /// A row that cannot be read as CSV.
    Broken(String),
    Unprocessed,
}

/// What a job is asked to do.
#[derive(Debug, Clone)]
pub(super) struct Order {
    pub(super) object: String,
    pub(super) operation: String,
    pub(super) external: Option<String>,
    pub(super) delimiter: (&'static str, char),
    pub(super) line_ending: (&'static str, &'static str),
}

/// One job.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) id: String,
    pub(super) order: Order,
    pub(super) state: State,
    pub(super) file: Option<Bytes>,
    pub(super) created_ms: i64,
    /// From when to when it is worked on, in microseconds since the start.
    work: Range<u64>,
    /// Rows after which the job fails.
    fail_after: Option<usize>,
    /// Rows the script refuses, by their key.
    pub(super) scripted: HashMap<usize, Fault>,
    pub(super) error: Option<String>,
    pub(super) header: Vec<String>,
    pub(super) rows: Vec<csv::Row>,
    pub(super) done: Vec<Done>,
}

/// All jobs.
#[derive(Debug, Default)]
pub(super) struct Jobs {
    pub(super) all: Vec<Job>,
    /// The next job that is closed fails after so many rows.
    pub(super) fail_next: Option<usize>,
    /// Microseconds a job takes, where a test changed them.
    pub(super) takes_us: Option<u64>,
}

impl Jobs {
    pub(super) fn create(&mut self, order: Order, now: Moment) -> &Job {
        let id = id::spell("750", self.all.len() as u64 + 1);
        self.all.push(Job {
            id,
            order,
            state: State::Open,
            file: None,
            created_ms: now.unix_ms,
            work: 0..0,
            fail_after: None,
            scripted: HashMap::new(),
            error: None,
            header: Vec::new(),
            rows: Vec::new(),
            done: Vec::new(),
        });
        &self.all[self.all.len() - 1]
    }

    pub(super) fn get(&mut self, id: &str) -> Option<&mut Job> {
        let same = |job: &&mut Job| job.id == id || (id.len() == 15 && job.id.starts_with(id));
        self.all.iter_mut().find(same)
    }

    /// The file is complete: the work begins.
    pub(super) fn close(&mut self, org: &Org, id: &str, now: Moment) {
        let takes = self.takes_us.unwrap_or_else(|| {
            u64::try_from(org.options.jobs_take.as_micros()).unwrap_or(u64::MAX)
        });
        let fail_after = self.fail_next.take();
        if let Some(job) = self.get(id) {
            job.state = State::UploadComplete;
            job.fail_after = fail_after;
            let middle = now.since_start_us.saturating_add(takes / 4);
            job.work = middle..now.since_start_us.saturating_add(takes);
        }
    }

    /// Brings every job to where it is by now.
    pub(super) fn work(&mut self, org: &Org, now: Moment) {
        for job in &mut self.all {
            if job.state == State::UploadComplete && now.since_start_us >= job.work.start {
                job.state = State::InProgress;
            }
            if job.state == State::InProgress && now.since_start_us >= job.work.end {
                job.finish(org, now);
            }
        }
    }
}

impl Job {
    /// Reads what was uploaded, so that results and the script know its rows.
    pub(super) fn read(&mut self) -> Result<(), String> {
        let bytes = self.file.clone().unwrap_or_default();
        let text =
            std::str::from_utf8(&bytes).map_err(|_| "InvalidBatch : The file is not UTF-8")?;
        let Csv { header, rows } =
            csv::read(text, self.order.delimiter.1, self.order.line_ending.1)?;
        (self.header, self.rows) = (header, rows);
        Ok(())
    }

    fn finish(&mut self, org: &Org, now: Moment) {
        let Some(object) = org.find(&self.order.object) else {
            return self.fail("InvalidBatch : no object");
        };
        if self.rows.is_empty()
            && let Err(why) = self.read()
        {
            return self.fail(&why);
        }
        if let Err(why) = self.check_header(org, &object) {
            return self.fail(&why);
        }
        let twice = self.twice();
        let mut stores = org.stores();
        let mut saving = Saving { org, stores: &mut stores, now_ms: now.unix_ms };
        let rows = std::mem::take(&mut self.rows);
        let most = self.fail_after.unwrap_or(usize::MAX);
        let mut done = Vec::with_capacity(rows.len());
        for (place, row) in rows.iter().enumerate() {
            done.push(match row {
                _ if place >= most => Done::Unprocessed,
                Err(why) => Done::Broken(why.clone()),
                Ok(cells) => match self.scripted.get(&place) {
                    Some(fault) => Done::Refused { id: None, fault: fault.clone() },
                    None if twice[place] => {
                        let fault =
                            Fault::new("DUPLICATE_VALUE", "Duplicate external id specified", &[]);
                        Done::Refused { id: None, fault }
                    }
                    None => self.save(&mut saving, &object, cells),
                },
            });
        }
        self.rows = rows;
        self.done = done;
        self.file = None;
        self.state = State::JobComplete;
        if most < self.rows.len() {
            self.state = State::Failed;
            self.error = Some("InternalServerError : Unable to process all rows".to_owned());
        }
    }

    fn fail(&mut self, why: &str) {
        self.state = State::Failed;
        self.error = Some(why.to_owned());
        self.done = vec![Done::Unprocessed; self.rows.len()];
    }

    fn place_of(&self, name: &str) -> Option<usize> {
        self.header.iter().position(|known| known.eq_ignore_ascii_case(name))
    }

    fn check_header(&self, org: &Org, object: &Object) -> Result<(), String> {
        let not_found = |name: &str| format!("InvalidBatch : Field name not found : {name}");
        let deletes = matches!(self.order.operation.as_str(), "delete" | "hardDelete");
        for (place, name) in self.header.iter().enumerate() {
            if self.header[..place].iter().any(|before| before.eq_ignore_ascii_case(name)) {
                return Err(format!("InvalidBatch : Duplicate column name : {name}"));
            }
            if name.eq_ignore_ascii_case("Id") {
                continue;
            }
            if deletes {
                return Err("InvalidBatch : delete takes the column Id only".to_owned());
            }
            let known = match name.split_once('.') {
                None => object.find(name).is_some(),
                Some((relationship, name)) => object
                    .parent(relationship)
                    .and_then(|(_, to)| org.find(to))
                    .is_some_and(|to| to.find(name).is_some()),
            };
            if !known {
                return Err(not_found(name));
            }
        }
        match &self.order.external {
            Some(external) if self.place_of(external).is_none() => Err(not_found(external)),
            None if self.order.operation != "insert" && self.place_of("Id").is_none() => {
                Err(not_found("Id"))
            }
            _ => Ok(()),
        }
    }

    /// Rows whose key another row has too.
    fn twice(&self) -> Vec<bool> {
        let column = self.order.external.as_ref().and_then(|external| self.place_of(external));
        let key = |row: &csv::Row| Some(row.as_ref().ok()?.get(column?)?.to_lowercase());
        let keys: Vec<Option<String>> = self.rows.iter().map(key).collect();
        let mut counts: HashMap<&str, usize> = HashMap::new();
        for key in keys.iter().flatten() {
            *counts.entry(key).or_default() += 1;
        }
        keys.iter().map(|key| key.as_deref().is_some_and(|key| counts[key] > 1)).collect()
    }

    fn save(&self, saving: &mut Saving<'_>, object: &Object, cells: &[String]) -> Done {
        let id = self.place_of("Id").map(|place| cells[place].clone()).filter(|id| !id.is_empty());
        let refused = |fault: Fault| Done::Refused { id: id.clone(), fault };
        let external = self.order.external.as_ref().and_then(|name| object.find(name));
        let verb = match (self.order.operation.as_str(), external, &id) {
            ("delete" | "hardDelete", _, Some(id)) => {
                let for_good = self.order.operation == "hardDelete";
                return match saving.delete(object, id, for_good) {
                    Ok(id) => Done::Saved { id, created: false },
                    Err(fault) => refused(fault),
                };
            }
            ("insert", _, None) => Verb::Create,
            ("upsert", Some((field, _)), None) => Verb::Upsert { field },
            ("update", _, Some(id)) => Verb::Update { id: id.clone() },
            _ => return refused(Fault::new("MISSING_ARGUMENT", "Id not specified", &["Id"])),
        };
        let named = self.header.iter().zip(cells);
        let sent: Vec<Cell<'_>> = named
            .filter(|(name, cell)| !name.eq_ignore_ascii_case("Id") && !cell.is_empty())
            .map(|(name, cell)| {
                let (name, of_parent) = match name.split_once('.') {
                    Some((relationship, name)) => (relationship, Some(name)),
                    None => (name.as_str(), None),
                };
                Cell { name, of_parent, sent: (cell != "#N/A").then_some(Sent::Csv(cell)) }
            })
            .collect();
        let found_by = external.map(|(field, _)| field);
        let creates = !matches!(verb, Verb::Update { .. });
        let parsed = match parse(saving.org, object, &sent, (creates, found_by)) {
            Ok(parsed) => parsed,
            Err(fault) => return refused(fault),
        };
        match saving.save(object, &verb, parsed) {
            Ok(saved) => Done::Saved { id: saved.id, created: saved.created },
            Err(fault) => refused(fault),
        }
    }

    /// What every answer about the job tells.
    pub(super) fn brief(&self) -> Value {
        let mut job = json!({
            "id": self.id, "operation": self.order.operation, "object": self.order.object,
            "createdById": USER, "createdDate": moment(self.created_ms),
            "systemModstamp": moment(self.created_ms), "state": self.state.name(),
            "concurrencyMode": "Parallel", "contentType": "CSV", "apiVersion": 62.0,
        });
        if let Some(external) = &self.order.external {
            job["externalIdFieldName"] = external.as_str().into();
        }
        job
    }

    /// The answer to a question after the job.
    pub(super) fn full(&self) -> Value {
        let mut job = self.brief();
        let processed = self.done.iter().filter(|done| !matches!(done, Done::Unprocessed)).count();
        let failed = |done: &&Done| matches!(done, Done::Refused { .. } | Done::Broken(_));
        job["jobType"] = "V2Ingest".into();
        job["lineEnding"] = self.order.line_ending.0.into();
        job["columnDelimiter"] = self.order.delimiter.0.into();
        job["contentUrl"] = self.content_url().into();
        job["numberRecordsProcessed"] = processed.into();
        job["numberRecordsFailed"] = self.done.iter().filter(failed).count().into();
        job["retries"] = 0.into();
        for time in ["totalProcessingTime", "apiActiveProcessingTime", "apexProcessingTime"] {
            job[time] = 0.into();
        }
        if let Some(error) = &self.error {
            job["errorMessage"] = error.as_str().into();
        }
        job
    }

    pub(super) fn content_url(&self) -> String {
        format!("services/data/v62.0/jobs/ingest/{}/batches", self.id)
    }
}
