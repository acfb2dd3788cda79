//! What our writer wrote, read back by HubSpot's own Python client: a judge that shares nothing with us.

use crate::project::Project;

#[path = "../../crates/writer-crm/tests/simulator/python.rs"]
#[expect(clippy::unwrap_used, reason = "shared with another test binary")]
pub(crate) mod python;

#[tokio::test(flavor = "multi_thread")]
async fn hubspots_own_client_reads_every_record_we_wrote() {
    let project = Project::new().await;
    project.insert(0, 250).await;
    project.run().await.exits(0).balances();
    let properties = ["email", "firstname", "score", "seen_at", "plan_tier"];
    let url = project.simulator.url();
    let Some(records) = python::read_back(&url, "contacts", &properties).await else { return };
    assert_eq!(records.len(), 250);
    let record = records
        .iter()
        .find(|record| record["properties"]["email"] == "user7@example.com")
        .expect("row 7 is there");
    let properties = &record["properties"];
    assert_eq!(properties["firstname"], "Näme \"7\" 🦀");
    assert_eq!(properties["score"], "1.75");
    assert_eq!(properties["plan_tier"], "Professional");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_e_mail_address_renames_the_contact_and_makes_no_second_one() {
    let project = Project::new().await;
    project.insert(0, 20).await;
    project.run().await.exits(0);
    project
        .database
        .execute("update people set email = 'moved@example.com', updated_at = now() where id = 3")
        .await;
    let run = project.run().await.exits(0).balances();
    assert_eq!((run.count("updated"), run.count("created")), (1, 0));
    project.converged(&[]).await;
}
