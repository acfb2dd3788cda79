//! A project between a real PostgreSQL and the double of any vendor, for tests of the real binary.

use std::collections::BTreeSet;

use serde_json::Value;
use simulator::{LimitSwitch, Router, Running, Settings};

use crate::project::{Project, http};

/// A vendor, and how the sync of a test writes to it.
pub(crate) struct Vendor {
    pub(crate) build: fn(&Settings) -> Result<Router, String>,
    /// The connection, without its address.
    pub(crate) connection: &'static str,
    pub(crate) object: &'static str,
    pub(crate) match_on: &'static str,
    pub(crate) mappings: &'static str,
    /// What follows the mappings.
    pub(crate) rest: &'static str,
    /// How long jobs work is set by this option of the double, in milliseconds.
    pub(crate) work: &'static str,
}

pub(crate) const SALESFORCE: Vendor = Vendor {
    build: writer_crm::salesforce::simulator::build,
    connection: "type: salesforce, access_token: \"${HUBSPOT_TOKEN}\"",
    object: "Contact",
    match_on: "External_Id__c: id",
    mappings: "  LastName: name\n  Email: email\n",
    rest: "",
    work: "jobs_take",
};

pub(crate) const ZENDESK: Vendor = Vendor {
    build: writer_support::zendesk::simulator::build,
    connection: "type: zendesk, email: agent@example.com, token: \"${HUBSPOT_TOKEN}\", plan: high_volume",
    object: "users",
    match_on: "email: email",
    mappings: "  name: name\n  external_id: { from: id, as: string }\n",
    rest: "",
    work: "work_ms",
};

/// A project whose sync writes to the double of a vendor.
pub(crate) struct Bench {
    pub(crate) vendor: Vendor,
    pub(crate) project: Project,
    double: Running,
}

impl Bench {
    /// Nothing has run yet; jobs work so many milliseconds.
    pub(crate) async fn start(vendor: Vendor, work: u64) -> Self {
        let project = Project::new().await;
        let mut settings = Settings { limits: LimitSwitch::Off, ..Settings::default() };
        if !vendor.work.is_empty() {
            settings.options.insert(vendor.work.to_owned(), work.to_string());
        }
        let double = simulator::start(vendor.build, settings).await.expect("it starts");
        let connection = vendor.connection;
        let file = format!(
            "version: 1\nproject: test\nconnections:\n  \
             warehouse: {{ type: postgres, url: \"${{WAREHOUSE_URL}}\" }}\n  \
             tool: {{ {connection}, base_url: \"{}\" }}\n",
            double.url()
        );
        project.write("outflow.yml", &file);
        let bench = Self { vendor, project, double };
        bench.write_sync("upsert", bench.vendor.rest);
        bench
    }

    /// Writes the sync in that mode, with what follows its mappings.
    pub(crate) fn write_sync(&self, mode: &str, rest: &str) {
        let Vendor { object, match_on, mappings, .. } = &self.vendor;
        // A record that is deleted has no other fields.
        let mappings = match mode {
            "delete" => format!("  {match_on}\n"),
            _ => (*mappings).to_owned(),
        };
        let sync = format!(
            "version: 1\nsync: people\n\
             model: {{ connection: warehouse, table: people, primary_key: id }}\n\
             changes: {{ method: watermark, column: updated_at, lag: 5m }}\n\
             destination: {{ connection: tool, object: {object}, match_on: {{ {match_on} }} }}\n\
             mode: {mode}\nmappings:\n{mappings}{rest}"
        );
        self.project.write("syncs/people.yml", &sync);
    }

    /// One of the double's own routes.
    pub(crate) async fn asked(&self, path: &str) -> Value {
        let url = format!("{}/_sim/{path}", self.double.url());
        http().get(url).send().await.expect("an answer").json().await.expect("JSON")
    }

    /// Adds a rule of faults.
    pub(crate) async fn fault(&self, rule: &'static str) {
        let url = format!("{}/_sim/faults", self.double.url());
        let answer = http().post(url).body(rule).send().await.expect("an answer");
        assert!(answer.status().is_success(), "{}", answer.text().await.unwrap_or_default());
    }

    /// Jobs that were ever made.
    pub(crate) async fn jobs(&self) -> u64 {
        let stats = self.asked("stats").await;
        let jobs = stats["vendor"]["jobs"].as_u64();
        jobs.unwrap_or_else(|| panic!("no jobs in {stats:#}"))
    }

    /// Whether every fault has struck.
    pub(crate) async fn struck(&self) -> bool {
        let faults = self.asked("faults").await;
        let faults = faults.as_array().expect("a list");
        faults.iter().all(|fault| fault["fired"].as_u64() > Some(0))
    }

    /// The writes each record of the object has seen.
    pub(crate) async fn writes(&self) -> Vec<u64> {
        let records = self.asked(&format!("records/{}", self.vendor.object)).await;
        let records = records.as_array().expect("a list");
        let mails: BTreeSet<&str> = records
            .iter()
            .filter_map(|record| record["Email"].as_str().or(record["email"].as_str()))
            .collect();
        assert_eq!(mails.len(), records.len(), "a person is there twice");
        records.iter().filter_map(|record| record["writes"].as_u64()).collect()
    }

    /// Adds no more faults.
    pub(crate) async fn forget_faults(&self) {
        let url = format!("{}/_sim/faults", self.double.url());
        http().delete(url).send().await.expect("an answer");
    }

    /// Requests of that operation.
    pub(crate) async fn requests(&self, operation: &str) -> u64 {
        let stats = self.asked("stats").await;
        stats["by_operation"][operation]["total"].as_u64().unwrap_or_default()
    }
}
