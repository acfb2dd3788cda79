//! What a project can ask of each vendor, from the word in its files to the call at the vendor's double.

use crate::vendor::{Bench, SALESFORCE, Vendor, ZENDESK};

const INTERCOM: Vendor = Vendor {
    build: writer_support::intercom::simulator::build,
    connection: "type: intercom, token: \"${HUBSPOT_TOKEN}\"",
    object: "contacts",
    match_on: "external_id: id",
    mappings: "  email: email\n  name: name\n",
    rest: "",
    work: "",
};

const MIXPANEL: Vendor = Vendor {
    build: writer_product::mixpanel::simulator::build,
    connection: "type: mixpanel, token: t, project_id: \"1\", service_account_user: u, \
                 service_account_secret: \"${HUBSPOT_TOKEN}\"",
    object: "profiles",
    match_on: "distinct_id: id",
    mappings: "  $name: name\n  plan: plan\n",
    rest: "",
    work: "",
};

/// Runs the sync over so many rows.
async fn run(bench: &Bench, rows: u64) {
    bench.project.insert(1, rows + 1).await;
    let output = bench.project.run().await.exits(0).balances();
    assert_eq!(output.count("delivered"), rows);
}

/// Makes every row's record, then empties the state and runs the sync by `mode: delete`.
async fn made_and_deleted(bench: &Bench, rows: u64) {
    run(bench, rows).await;
    bench.write_sync("delete", "");
    bench.project.outflow(&["state", "reset", "-s", "people", "--yes"]).await.exits(0);
    bench.project.run().await.exits(0).balances();
    let left = bench.asked(&format!("records/{}", bench.vendor.object)).await;
    assert_eq!(left.as_array().map(Vec::len), Some(0), "{left}");
}

#[tokio::test]
async fn salesforce_is_sent_a_job_where_enough_rows_wait_and_calls_otherwise() {
    let bench = Bench::start(SALESFORCE, 0).await;
    run(&bench, 450).await;
    assert_eq!((bench.jobs().await, bench.requests("collection_upsert").await), (0, 3));
    let bench = Bench::start(SALESFORCE, 0).await;
    run(&bench, 2_100).await;
    assert_eq!((bench.jobs().await, bench.requests("collection_upsert").await), (1, 0));
}

#[tokio::test]
async fn salesforce_is_sent_calls_or_jobs_only_where_the_sync_says_so() {
    let calls = "delivery: { api: collections }\n";
    let bench = Bench::start(Vendor { rest: calls, ..SALESFORCE }, 0).await;
    run(&bench, 2_100).await;
    assert_eq!((bench.jobs().await, bench.requests("collection_upsert").await), (0, 11));
    let jobs = "delivery: { api: bulk }\n";
    let bench = Bench::start(Vendor { rest: jobs, ..SALESFORCE }, 0).await;
    run(&bench, 5).await;
    assert_eq!((bench.jobs().await, bench.requests("collection_upsert").await), (1, 0));
}

#[tokio::test]
async fn a_way_the_destination_does_not_have_is_refused_before_anything_is_sent() {
    for (vendor, rest) in [
        (ZENDESK, "delivery: { api: collections }\n"),
        (INTERCOM, "delivery: { api: bulk }\n"),
        (MIXPANEL, "delivery: { api: bulk }\n"),
    ] {
        let bench = Bench::start(Vendor { rest, ..vendor }, 0).await;
        let output = bench.project.outflow(&["validate"]).await.exits(78);
        assert!(output.stderr.contains("E2111"), "{}", output.stderr);
    }
}

#[tokio::test]
async fn salesforce_records_are_deleted_to_the_bin_or_for_good() {
    let bench = Bench::start(SALESFORCE, 0).await;
    made_and_deleted(&bench, 3).await;
    assert_eq!(bench.requests("collection_delete").await, 1);
    let connection = "type: salesforce, access_token: \"${HUBSPOT_TOKEN}\", hard_delete: true";
    let bench = Bench::start(Vendor { connection, ..SALESFORCE }, 0).await;
    made_and_deleted(&bench, 3).await;
    let jobs = bench.asked("jobs").await;
    assert_eq!(jobs[0]["operation"], "hardDelete", "{jobs}");
}

#[tokio::test]
async fn zendesk_users_are_deleted_softly_or_permanently() {
    let by_id = Vendor {
        match_on: "external_id: id",
        mappings: "  name: name\n  email: email\n",
        ..ZENDESK
    };
    let bench = Bench::start(Vendor { ..by_id }, 0).await;
    made_and_deleted(&bench, 3).await;
    let gone = async |bench: &Bench| {
        let bin = bench.asked("records/users?archived=true").await;
        let bin = bin.as_array().expect("a list").iter();
        bin.filter(|user| user["gone"] == true).count()
    };
    assert_eq!(gone(&bench).await, 0);
    let connection = "type: zendesk, email: agent@example.com, token: \"${HUBSPOT_TOKEN}\", \
                      plan: high_volume, permanently_delete: true";
    let bench = Bench::start(Vendor { connection, ..by_id }, 0).await;
    made_and_deleted(&bench, 3).await;
    assert_eq!(gone(&bench).await, 3);
}

#[tokio::test]
async fn zendesk_users_are_suspended_by_a_field() {
    let mappings = "  name: name\n  suspended: { const: true }\n";
    let bench = Bench::start(Vendor { mappings, ..ZENDESK }, 0).await;
    run(&bench, 3).await;
    let users = bench.asked("records/users").await;
    let users = users.as_array().expect("a list");
    assert!(users.iter().all(|user| user["suspended"] == true), "{users:?}");
}

#[tokio::test]
async fn intercom_takes_companies_and_tags() {
    let companies = Vendor {
        object: "companies",
        match_on: "company_id: id",
        mappings: "  name: name\n  plan: plan\n",
        ..INTERCOM
    };
    let bench = Bench::start(companies, 0).await;
    run(&bench, 3).await;
    let held = bench.asked("records/companies").await;
    assert_eq!(held.as_array().map(Vec::len), Some(3), "{held}");
    let tags =
        Vendor { object: "tags", match_on: "name: name", mappings: "  name: name\n", ..INTERCOM };
    let bench = Bench::start(tags, 0).await;
    run(&bench, 3).await;
    let held = bench.asked("records/tags").await;
    assert_eq!(held.as_array().map(Vec::len), Some(3), "{held}");
}

#[tokio::test]
async fn mixpanel_takes_profiles_groups_and_events() {
    let bench = Bench::start(MIXPANEL, 0).await;
    run(&bench, 3).await;
    assert_eq!(bench.requests("engage").await, 1);
    let groups = Vendor { object: "groups.company", match_on: "group_id: id", ..MIXPANEL };
    let bench = Bench::start(groups, 0).await;
    run(&bench, 3).await;
    assert_eq!(bench.requests("groups").await, 1);
    let events = Vendor {
        object: "events",
        match_on: "insert_id: id",
        mappings: "  event: { const: Order }\n  time: seen_at\n  distinct_id: { from: id, as: string }\n",
        ..MIXPANEL
    };
    let bench = Bench::start(events, 0).await;
    bench.write_sync("append", "");
    run(&bench, 3).await;
    assert_eq!(bench.requests("import").await, 1);
    let held = bench.asked("records/events").await;
    assert_eq!(held.as_array().map(Vec::len), Some(3), "{held}");
}
