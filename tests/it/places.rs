//! D1: what was acknowledged by one place says nothing about another; no run finds rows unchanged that were never sent
//! there.

use crate::project::{Project, SYNC, eventually, finish};

#[tokio::test(flavor = "multi_thread")]
async fn d1_another_account_under_the_same_state_is_refused_and_a_reset_sends_everything_there() {
    let mut project = Project::new().await;
    project.insert(0, 30).await;
    project.run().await.exits(0);

    let mut settings = Project::settings();
    settings.options.insert("portal_id".to_owned(), "777".to_owned());
    project.simulator = simulator::start(writer_crm::hubspot::simulator::build, settings)
        .await
        .expect("the simulator starts");
    for command in
        [&["run", "--all"][..], &["plan"], &["backfill", "-s", "people", "--where", "true"]]
    {
        let refused = project.outflow(command).await.exits(4);
        assert!(refused.stderr.contains("G001"), "{}", refused.stderr);
        assert!(refused.stderr.contains("62515") && refused.stderr.contains("777"));
    }
    project.outflow(&["preview", "-s", "people"]).await.exits(0);
    assert_eq!(project.writes().await, 0);

    project.outflow(&["state", "reset", "-s", "people", "--yes"]).await.exits(0);
    assert_eq!(project.run().await.exits(0).balances().count("delivered"), 30);
    project.converged(&[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn d1_an_environment_remembers_its_own_account_only() {
    let project = Project::new().await;
    project.insert(0, 10).await;
    let yaml = std::fs::read_to_string(project.path("outflow.yml")).expect("the project file");
    let dev = "environments:\n  dev:\n    connections:\n      hubspot: { type: hubspot, token: \"${HUBSPOT_TOKEN}\", \
               base_url: \"${HUBSPOT_BASE_URL}\" }\n";
    project.write("outflow.yml", &format!("{yaml}{dev}"));
    project.run().await.exits(0);
    let dev = ["run", "--all", "--env", "dev", "--output", "json"];
    assert_eq!(project.outflow(&dev).await.exits(0).count("delivered"), 10);
    assert_eq!(project.run().await.exits(0).count("delivered"), 0);
    assert_eq!(project.outflow(&dev).await.exits(0).count("delivered"), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn another_object_or_primary_key_is_refused_before_anything_is_sent() {
    let project = Project::new().await;
    project.insert(0, 10).await;
    project.run().await.exits(0);
    let writes = project.writes().await;
    project.write("syncs/people.yml", &SYNC.replace("primary_key: id", "primary_key: email"));
    let refused = project.run().await.exits(4);
    assert!(refused.stderr.contains("primary key"), "{}", refused.stderr);
    assert_eq!(project.writes().await, writes);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backfill_that_is_killed_goes_on_near_where_it_was_also_within_one_batch() {
    let project = Project::new().await;
    project.insert(0, 3_000).await;
    project.write("syncs/people.yml", &format!("{SYNC}delivery: {{ max_concurrency: 1 }}\n"));
    project.run().await.exits(0);
    project.faults("op=batch_upsert;do=delay:120;times=*").await;
    for scope in [&["--from", "2026-01-01", "--to", "2027-01-01"][..], &["--where", "true"]] {
        let backfill = [&["backfill", "-s", "people", "--output", "json"], scope].concat();
        let before = project.writes().await;
        let mut killed = project.spawn(&backfill);
        eventually("calls of the backfill", || async { project.writes().await > before + 22 })
            .await;
        killed.start_kill().expect("killed");
        finish(killed).await;
        let rest = project.outflow(&backfill).await.exits(0).balances().count("read");
        assert!((500..2_500).contains(&rest), "{rest} rows were read again of {scope:?}");
    }
    project.converged(&[]).await;
}
