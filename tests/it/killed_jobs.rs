//! The whole system with vendors that take rows as jobs: a process that is killed at any moment of a job's life is followed
//! by one that finds the job again, and each row is applied once (D7).

use crate::project::{eventually, finish};
use crate::vendor::{Bench, SALESFORCE, Vendor, ZENDESK};

const ROWS: u64 = 250;
/// However few rows there are.
const JOBS: &str = "delivery: { api: bulk }\n";

/// The moment at which the process dies.
struct Moment {
    /// What holds the process there.
    fault: &'static str,
    /// How long jobs work, in milliseconds.
    work: u64,
    /// It has come when so many jobs are there, and the fault has struck.
    jobs: u64,
}

impl Bench {
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
        self.forget_faults().await;
    }
}

/// Kills a run at that moment and lets the next one finish the work.
async fn finished_by_the_next_run(vendor: Vendor, moment: Moment) {
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
    finished_by_the_next_run(ZENDESK, moment).await;
}

#[tokio::test]
async fn a_run_killed_before_zendesk_hears_of_a_job_doubles_nobody() {
    let fault = "op=create_or_update_many;do=delay:60000;times=*";
    finished_by_the_next_run(ZENDESK, Moment { fault, work: 0, jobs: 0 }).await;
}

#[tokio::test]
async fn a_run_killed_before_it_hears_a_zendesk_jobs_id_doubles_nobody() {
    let fault = "op=create_or_update_many;do=slow-body:1;times=*";
    finished_by_the_next_run(ZENDESK, Moment { fault, work: 2_000, jobs: 3 }).await;
}

#[tokio::test]
async fn a_run_killed_between_intent_and_job_doubles_nobody_in_salesforce() {
    let moment = Moment { fault: "op=job_create;do=delay:60000", work: 0, jobs: 0 };
    finished_by_the_next_run(Vendor { rest: JOBS, ..SALESFORCE }, moment).await;
}

#[tokio::test]
async fn a_run_killed_before_it_hears_a_salesforce_jobs_id_doubles_nobody() {
    let moment = Moment { fault: "op=job_create;do=slow-body:1", work: 0, jobs: 1 };
    finished_by_the_next_run(Vendor { rest: JOBS, ..SALESFORCE }, moment).await;
}

#[tokio::test]
async fn a_run_killed_between_job_and_upload_doubles_nobody_in_salesforce() {
    let moment = Moment { fault: "op=job_upload;do=delay:60000", work: 0, jobs: 1 };
    finished_by_the_next_run(Vendor { rest: JOBS, ..SALESFORCE }, moment).await;
}

#[tokio::test]
async fn a_run_killed_between_upload_and_close_doubles_nobody_in_salesforce() {
    let moment = Moment { fault: "op=job_state;do=delay:60000", work: 0, jobs: 1 };
    finished_by_the_next_run(Vendor { rest: JOBS, ..SALESFORCE }, moment).await;
}

#[tokio::test]
async fn a_run_killed_between_close_and_poll_doubles_nobody_in_salesforce() {
    let moment = Moment { fault: "op=job_get;do=delay:60000", work: 1_000, jobs: 1 };
    finished_by_the_next_run(Vendor { rest: JOBS, ..SALESFORCE }, moment).await;
}

#[tokio::test]
async fn a_run_killed_while_it_reads_a_salesforce_jobs_results_doubles_nobody() {
    let moment = Moment { fault: "op=job_results;do=slow-body:1", work: 0, jobs: 1 };
    finished_by_the_next_run(Vendor { rest: JOBS, ..SALESFORCE }, moment).await;
}
