//! The whole system with vendors that take rows as jobs: a process that is killed at any moment of a job's life is followed
//! by one that finds the job again, and each row is applied once (D7).

use std::collections::BTreeSet;

use serde_json::Value;
use simulator::{LimitSwitch, Router, Running, Settings};

use crate::project::{Project, eventually, finish, http};

const ROWS: u64 = 250;

/// A vendor with jobs, as the projects of these tests use it.
struct Vendor {
    build: fn(&Settings) -> Result<Router, String>,
    /// The connection, without its address.
    connection: &'static str,
    object: &'static str,
    match_on: &'static str,
    mappings: &'static str,
    /// How long jobs work is set by this option, in milliseconds.
    work: &'static str,
}

const SALESFORCE: Vendor = Vendor {
    build: writer_crm::salesforce::simulator::build,
    connection: "type: salesforce, access_token: \"${HUBSPOT_TOKEN}\", api: bulk",
    object: "Contact",
    match_on: "External_Id__c: id",
    mappings: "  LastName: name\n  Email: email\n",
    work: "jobs_take",
};

const ZENDESK: Vendor = Vendor {
    build: writer_support::zendesk::simulator::build,
    connection: "type: zendesk, email: agent@example.com, token: \"${HUBSPOT_TOKEN}\", plan: high_volume",
    object: "users",
    match_on: "email: email",
    mappings: "  name: name\n  external_id: { from: id, as: string }\n",
    work: "work_ms",
};

/// The moment at which the process dies.
struct Moment {
    /// What holds the process there.
    fault: &'static str,
    /// How long jobs work, in milliseconds.
    work: u64,
    /// It has come when so many jobs are there, and the fault has struck.
    jobs: u64,
}

struct Bench {
    vendor: &'static Vendor,
    project: Project,
    double: Running,
}

impl Bench {
    async fn start(vendor: &'static Vendor, work: u64) -> Self {
        let project = Project::new().await;
        let mut settings = Settings { limits: LimitSwitch::Off, ..Settings::default() };
        settings.options.insert(vendor.work.to_owned(), work.to_string());
        let double = simulator::start(vendor.build, settings).await.expect("it starts");
        let connection = vendor.connection;
        let file = format!(
            "version: 1\nproject: test\nconnections:\n  \
             warehouse: {{ type: postgres, url: \"${{WAREHOUSE_URL}}\" }}\n  \
             tool: {{ {connection}, base_url: \"{}\" }}\n",
            double.url()
        );
        project.write("outflow.yml", &file);
        let Vendor { object, match_on, mappings, .. } = vendor;
        let sync = format!(
            "version: 1\nsync: people\n\
             model: {{ connection: warehouse, table: people, primary_key: id }}\n\
             changes: {{ method: watermark, column: updated_at, lag: 5m }}\n\
             destination: {{ connection: tool, object: {object}, match_on: {{ {match_on} }} }}\n\
             mode: upsert\nmappings:\n{mappings}"
        );
        project.write("syncs/people.yml", &sync);
        Self { vendor, project, double }
    }

    async fn asked(&self, path: &str) -> Value {
        let url = format!("{}/_sim/{path}", self.double.url());
        http().get(url).send().await.expect("an answer").json().await.expect("JSON")
    }

    async fn fault(&self, rule: &'static str) {
        let url = format!("{}/_sim/faults", self.double.url());
        let answer = http().post(url).body(rule).send().await.expect("an answer");
        assert!(answer.status().is_success(), "{}", answer.text().await.unwrap_or_default());
    }

    async fn jobs(&self) -> u64 {
        let stats = self.asked("stats").await;
        let jobs = stats["vendor"]["jobs"].as_u64();
        jobs.unwrap_or_else(|| panic!("no jobs in {stats:#}"))
    }

    /// Whether every fault has struck.
    async fn struck(&self) -> bool {
        let faults = self.asked("faults").await;
        let faults = faults.as_array().expect("a list");
        faults.iter().all(|fault| fault["fired"].as_u64() > Some(0))
    }

    /// The writes each record of the object has seen.
    async fn writes(&self) -> Vec<u64> {
        let records = self.asked(&format!("records/{}", self.vendor.object)).await;
        let records = records.as_array().expect("a list");
        let mails: BTreeSet<&str> = records
            .iter()
            .filter_map(|record| record["Email"].as_str().or(record["email"].as_str()))
            .collect();
        assert_eq!(mails.len(), records.len(), "a person is there twice");
        records.iter().filter_map(|record| record["writes"].as_u64()).collect()
    }

    /// Runs the sync, and kills it at that moment.
    async fn killed(&self, moment: &Moment) {
        self.project.insert(0, ROWS).await;
        if !moment.fault.is_empty() {
            self.fault(moment.fault).await;
        }
        let mut child = self.project.spawn(&["run", "-s", "people", "--output", "json"]);
        let come = async || self.struck().await && self.jobs().await >= moment.jobs;
        eventually(moment.fault, come).await;
        child.start_kill().expect("SIGKILL");
        finish(child).await;
        let url = format!("{}/_sim/faults", self.double.url());
        http().delete(url).send().await.expect("an answer");
    }
}

/// Kills a run at that moment and lets the next one finish the work.
async fn finished_by_the_next_run(vendor: &'static Vendor, moment: Moment) {
    let bench = Bench::start(vendor, moment.work).await;
    bench.killed(&moment).await;
    let output = bench.project.run().await.exits(0).balances();
    // Each row is delivered once: by a job that was found again, whose rows are in the books beside those that were
    // read, or by this run. What a job delivered is unchanged when it is read.
    assert_eq!(output.count("delivered"), ROWS, "{}", moment.fault);
    assert_eq!(output.count("read"), ROWS + output.count("unchanged"), "{}", moment.fault);
    let writes = bench.writes().await;
    assert_eq!(writes, vec![1; ROWS as usize], "{}: everybody once, written once", moment.fault);
    // Nothing is left to do.
    let jobs = bench.jobs().await;
    let output = bench.project.run().await.exits(0).balances();
    assert_eq!((output.count("delivered"), bench.jobs().await), (0, jobs), "{}", moment.fault);
}

#[tokio::test]
async fn a_run_killed_while_a_zendesk_job_is_at_work_doubles_nobody() {
    let moment = Moment { fault: "", work: 2_000, jobs: 1 };
    finished_by_the_next_run(&ZENDESK, moment).await;
}

#[tokio::test]
async fn a_run_killed_before_zendesk_hears_of_a_job_doubles_nobody() {
    let fault = "op=create_or_update_many;do=delay:60000;times=*";
    finished_by_the_next_run(&ZENDESK, Moment { fault, work: 0, jobs: 0 }).await;
}

#[tokio::test]
async fn a_run_killed_before_it_hears_a_zendesk_jobs_id_doubles_nobody() {
    let fault = "op=create_or_update_many;do=slow-body:1;times=*";
    finished_by_the_next_run(&ZENDESK, Moment { fault, work: 2_000, jobs: 3 }).await;
}

#[tokio::test]
async fn a_run_killed_between_intent_and_job_doubles_nobody_in_salesforce() {
    let moment = Moment { fault: "op=job_create;do=delay:60000", work: 0, jobs: 0 };
    finished_by_the_next_run(&SALESFORCE, moment).await;
}

#[tokio::test]
async fn a_run_killed_before_it_hears_a_salesforce_jobs_id_doubles_nobody() {
    let moment = Moment { fault: "op=job_create;do=slow-body:1", work: 0, jobs: 1 };
    finished_by_the_next_run(&SALESFORCE, moment).await;
}

#[tokio::test]
async fn a_run_killed_between_job_and_upload_doubles_nobody_in_salesforce() {
    let moment = Moment { fault: "op=job_upload;do=delay:60000", work: 0, jobs: 1 };
    finished_by_the_next_run(&SALESFORCE, moment).await;
}

#[tokio::test]
async fn a_run_killed_between_upload_and_close_doubles_nobody_in_salesforce() {
    let moment = Moment { fault: "op=job_state;do=delay:60000", work: 0, jobs: 1 };
    finished_by_the_next_run(&SALESFORCE, moment).await;
}

#[tokio::test]
async fn a_run_killed_between_close_and_poll_doubles_nobody_in_salesforce() {
    let moment = Moment { fault: "op=job_get;do=delay:60000", work: 1_000, jobs: 1 };
    finished_by_the_next_run(&SALESFORCE, moment).await;
}

#[tokio::test]
async fn a_run_killed_while_it_reads_a_salesforce_jobs_results_doubles_nobody() {
    let moment = Moment { fault: "op=job_results;do=slow-body:1", work: 0, jobs: 1 };
    finished_by_the_next_run(&SALESFORCE, moment).await;
}
