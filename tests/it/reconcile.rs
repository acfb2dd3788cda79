//! Drift with the real binary: people edit and delete records in the tool; `reconcile` finds out, and its plan puts back what
//! is to be put back and nothing else.

use serde_json::{Value, json};

use crate::project::{Project, SYNC, http};

async fn edit(project: &Project, id: &str, properties: Value) {
    let url = format!("{}/crm/v3/objects/contacts/{id}", project.simulator.url());
    let edit = json!({ "properties": properties });
    let call = http().patch(url).bearer_auth(&project.token).json(&edit);
    let answer = call.send().await.expect("an answer");
    assert!(answer.status().is_success(), "{answer:?}");
}

async fn delete(project: &Project, id: &str) {
    let url = format!("{}/crm/v3/objects/contacts/{id}", project.simulator.url());
    let answer = http().delete(url).bearer_auth(&project.token).send().await.expect("an answer");
    assert!(answer.status().is_success(), "{answer:?}");
}

async fn contacts(project: &Project) -> Vec<Value> {
    project.admin("records/contacts").await.as_array().expect("a list").clone()
}

async fn id_of(project: &Project, email: &str) -> String {
    let contacts = contacts(project).await;
    let found = contacts.iter().find(|contact| contact["properties"]["email"] == email);
    found.and_then(|contact| contact["id"].as_str()).expect("it is there").to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_people_did_in_the_tool_is_found_and_put_back_but_for_what_they_may_do() {
    // D1, D8, D10
    let project = Project::new().await;
    project.insert(0, 250).await;
    let kept = "  score: { from: score, on_drift: keep_remote_edit }";
    project.write("syncs/people.yml", &SYNC.replace("  score: score", kept));
    project.run().await.exits(0);
    let reconcile = ["reconcile", "people", "--detailed-exitcode", "--output", "json"];
    let clean = project.outflow(&reconcile).await.exits(0).summary();
    assert_eq!(clean["syncs"][0]["status"], "matching");
    assert_eq!(clean["syncs"][0]["drift"]["matching"], 250);

    let email = |n: u32| format!("user{n}@example.com");
    let mut ids = Vec::new();
    for n in 0..6 {
        ids.push(id_of(&project, &email(n)).await);
    }
    delete(&project, &ids[0]).await;
    edit(&project, &ids[1], json!({ "firstname": "by hand" })).await;
    edit(&project, &ids[2], json!({ "score": "999" })).await;
    edit(&project, &ids[3], json!({ "firstname": "by hand", "score": "999" })).await;
    edit(&project, &ids[4], json!({ "email": "elsewhere@example.com" })).await;
    let stranger = json!({ "properties": { "email": "stranger@example.com" } });
    let url = format!("{}/crm/v3/objects/contacts", project.simulator.url());
    let call = http().post(url).bearer_auth(&project.token).json(&stranger);
    assert!(call.send().await.expect("an answer").status().is_success());

    assert_eq!(project.run().await.exits(0).count("delivered"), 0, "a run does not look for it");
    let found = project.outflow(&[&reconcile[..], &["--fix"]].concat()).await.exits(2).summary();
    let found = &found["syncs"][0];
    let expected = json!({
        "read": 250, "matching": 245, "kept": 1, "missing": 1, "edited": 3, "duplicate": 0, "orphan": 0, "behind": 0,
        "invalid": 0, "requests": found["drift"]["requests"],
    });
    assert_eq!(found["drift"], expected, "{found}");
    assert_eq!(found["fields"], json!({ "email": 1, "firstname": 2 }));
    let text = project.outflow(&["reconcile", "people", "--no-values"]).await.exits(0).stdout;
    assert!(text.contains("edited              3   firstname 2 · email 1"), "{text}");
    assert!(!text.contains("by hand"), "{text}");

    let applied = project.outflow(&["apply", "people.fix.outflow", "--output", "json"]).await;
    assert_eq!(applied.exits(0).balances().count("delivered"), 4);
    let after = contacts(&project).await;
    assert_eq!(after.len(), 251, "nothing is doubled, and the stranger's record is as it was");
    let property = |n: usize, name: &str| {
        let record = after.iter().find(|contact| contact["id"] == ids[n].as_str());
        record.map(|contact| contact["properties"][name].clone()).expect("it is there")
    };
    assert_ne!(property(1, "firstname"), "by hand");
    assert_eq!(property(2, "score"), "999", "it may be edited");
    assert_ne!(property(3, "firstname"), "by hand");
    assert_eq!(property(3, "score"), "999", "its record was written without it");
    assert_eq!(property(4, "email"), email(4), "the same record, by its id");
    assert!(after.iter().any(|contact| contact["properties"]["email"] == email(0)));
    let again = project.outflow(&reconcile).await.exits(0).summary();
    assert_eq!(again["syncs"][0]["drift"]["kept"], 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sync_that_cannot_be_reconciled_says_why() {
    let project = Project::new().await;
    project.insert(0, 5).await;
    project.outflow(&["reconcile", "nobody"]).await.exits(64);
    project.run().await.exits(0);
    project.outflow(&["reconcile", "people", "--fix=plan.outflow"]).await.exits(0);
    let applied = project.outflow(&["apply", "plan.outflow", "--output", "json"]).await.exits(0);
    assert_eq!(applied.count("requests"), 0, "nothing drifted");
    project.write("plan.outflow", "outflow plan");
    assert!(project.outflow(&["apply", "plan.outflow"]).await.exits(4).stderr.contains("E4031"));
}
