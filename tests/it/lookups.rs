//! Children that carry their parents' record ids: parents go first, a child whose parent is not there waits and comes by
//! itself.

use serde_json::Value;

use crate::project::{Project, http};

const FIRMS: &str = r#"
version: 1
sync: z_firms
model: { connection: warehouse, table: firms, primary_key: id }
changes: { method: snapshot }
destination: { connection: hubspot, object: companies, match_on: { firm_key: id } }
mode: upsert
mappings: { name: name, size: { from: size, otherwise: reject, values: { small: small, big: big } } }
"#;

const PEOPLE: &str = r#"
version: 1
sync: people
model: { connection: warehouse, table: people, primary_key: id }
changes: { method: watermark, column: updated_at, lag: 0s }
destination: { connection: hubspot, object: contacts, match_on: { email: email } }
mode: upsert
mappings:
  firstname: name
  firm_id: { lookup: { sync: z_firms, key: firm }, on_null: skip }
"#;

async fn project() -> Project {
    let project = Project::new().await;
    let properties = "companies:firm_key:string:unique\ncompanies:size:enumeration:small|big\ncontacts:firm_id:string";
    let url = format!("{}/_sim/properties", project.simulator.url());
    let added = http().post(url).body(properties).send().await.expect("an answer");
    assert!(added.status().is_success(), "{}", added.text().await.unwrap_or_default());
    project.write("syncs/people.yml", PEOPLE);
    project.write("syncs/a_firms.yml", FIRMS);
    let sql = "create table firms (id text primary key, name text, size text);
        insert into firms values ('f1', 'One', 'small'), ('f2', 'Two', 'huge');
        alter table people add firm text;
        insert into people (id, email, name, firm, updated_at) values
          (1, 'a@example.com', 'A', 'f1', now()), (2, 'b@example.com', 'B', 'f2', now()),
          (3, 'c@example.com', 'C', null, now()), (4, 'd@example.com', 'D', 'f9', now())";
    project.database.execute(sql).await;
    project
}

/// Every contact's firm, by the contact's e-mail, as the firm's key.
async fn firms(project: &Project) -> Vec<(String, Option<String>)> {
    let companies = project.admin("records/companies").await;
    let key_of = |id: &str| {
        let company = companies.as_array().expect("a list").iter().find(|one| one["id"] == id)?;
        company["properties"]["firm_key"].as_str().map(str::to_owned)
    };
    let contacts = project.admin("records/contacts").await;
    let mut found: Vec<_> = contacts
        .as_array()
        .expect("a list")
        .iter()
        .map(|contact| {
            let text =
                |name: &str| contact["properties"][name].as_str().unwrap_or_default().to_owned();
            (text("email"), key_of(&text("firm_id")))
        })
        .collect();
    found.sort();
    found
}

fn counts(summary: &Value, sync: &str, name: &str) -> u64 {
    let of = summary["syncs"].as_array().expect("syncs").iter().find(|one| one["sync"] == sync);
    of.and_then(|one| one["counts"][name].as_u64()).unwrap_or_else(|| panic!("{summary:#}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn parents_go_first_and_children_of_missing_ones_wait_and_come_by_themselves() {
    let project = project().await;
    let run =
        async || project.outflow(&["run", "--all", "--output", "json"]).await.exits(0).summary();
    let summary = run().await;
    let order: Vec<&str> = summary["syncs"]
        .as_array()
        .expect("syncs")
        .iter()
        .filter_map(|one| one["sync"].as_str())
        .collect();
    assert_eq!(order, ["z_firms", "people"], "whoever is looked up goes first");
    // The firm `f2` was refused, so that its people wait; so does whoever names a firm that is not there at all.
    assert_eq!(counts(&summary, "people", "rejected"), 2, "{summary:#}");
    let some = |key: &str| Some(key.to_owned());
    let mail = |name: &str| format!("{name}@example.com");
    assert_eq!(firms(&project).await, [(mail("a"), some("f1")), (mail("c"), None)]);

    // No row of `people` changes; its parent is mended, and the child comes along.
    project.database.execute("update firms set size = 'big' where id = 'f2'").await;
    let summary = run().await;
    assert_eq!(counts(&summary, "people", "delivered"), 1, "{summary:#}");
    let expected = [(mail("a"), some("f1")), (mail("b"), some("f2")), (mail("c"), None)];
    assert_eq!(firms(&project).await, expected);

    // The last one still waits, at no call.
    let before = project.writes().await;
    let summary = run().await;
    assert_eq!(counts(&summary, "people", "rejected"), 1, "{summary:#}");
    assert_eq!(project.writes().await, before);
    project.database.execute("insert into firms values ('f9', 'Nine', 'big')").await;
    run().await;
    assert_eq!(firms(&project).await.len(), 4);
    let listed = project.outflow(&["rejects", "ls", "--output", "json"]).await.exits(0);
    assert!(!listed.stdout.contains("R119"), "{}", listed.stdout);
}
