//! Children that are associated with their parents in HubSpot, by the ids of the records that another sync wrote: read back
//! by HubSpot's own client.

use std::collections::BTreeMap;

use crate::judged::python;
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
  associations.companies.Primary: { lookup: { sync: z_firms, key: firm }, on_null: skip }
"#;

async fn project() -> Project {
    let project = Project::new().await;
    let properties = "companies:firm_key:string:unique\ncompanies:size:enumeration:small|big";
    let url = format!("{}/_sim/properties", project.simulator.url());
    let added = http().post(url).body(properties).send().await.expect("an answer");
    assert!(added.status().is_success(), "{}", added.text().await.unwrap_or_default());
    project.write("syncs/people.yml", PEOPLE);
    project.write("syncs/a_firms.yml", FIRMS);
    let sql = "create table firms (id text primary key, name text, size text);
        insert into firms values ('f1', 'One', 'small'), ('f2', 'Two', 'huge'), ('f3', 'Three', 'big');
        alter table people add firm text;
        insert into people (id, email, name, firm, updated_at) values
          (1, 'a@example.com', 'A', 'f1', now()), (2, 'b@example.com', 'B', 'f2', now()),
          (3, 'c@example.com', 'C', null, now()), (4, 'd@example.com', 'D', 'f3', now())";
    project.database.execute(sql).await;
    project
}

/// Every contact's companies, `name` and with a star where it is the primary one, by e-mail. Asked by HubSpot's own client,
/// where that is to be had, or of the double itself.
async fn firms(project: &Project) -> BTreeMap<String, Vec<String>> {
    let names = |records: &serde_json::Value, name: &str| -> BTreeMap<String, String> {
        let text = |one: &serde_json::Value| {
            let value = one["properties"][name].as_str().unwrap_or_default();
            (one["id"].as_str().unwrap_or_default().to_owned(), value.to_owned())
        };
        records.as_array().expect("a list").iter().map(text).collect()
    };
    let companies = names(&project.admin("records/companies").await, "name");
    let contacts = names(&project.admin("records/contacts").await, "email");
    let mut found = BTreeMap::new();
    for (contact, email) in contacts {
        let answer = linked(project, &contact).await;
        let shown = |one: &serde_json::Value| {
            let name = &companies[one["toObjectId"].as_str().expect("an id")];
            let types = one["associationTypes"].as_array().expect("types");
            let primary = types.iter().any(|kind| kind["label"] == "Primary");
            format!("{name}{}", if primary { "*" } else { "" })
        };
        found.insert(email, answer.iter().map(shown).collect());
    }
    found
}

async fn linked(project: &Project, contact: &str) -> Vec<serde_json::Value> {
    let base = project.simulator.url();
    let url = format!("{base}/crm/v4/objects/contacts/{contact}/associations/companies");
    let answer = http().get(url).bearer_auth("t").send().await.expect("an answer");
    let answer = answer.text().await.expect("text");
    let answer: serde_json::Value = serde_json::from_str(&answer).expect("JSON");
    answer["results"].as_array().expect("a list").clone()
}

fn expected(pairs: &[(&str, &[&str])]) -> BTreeMap<String, Vec<String>> {
    let owned = |(email, firms): &(&str, &[&str])| {
        let firms = firms.iter().map(|firm| (*firm).to_owned()).collect();
        (format!("{email}@example.com"), firms)
    };
    pairs.iter().map(owned).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn children_are_associated_with_their_parents_wait_for_missing_ones_and_follow_changes() {
    // D1, D6, D9
    let project = project().await;
    // The first answer about associations is lost; what it made is not made twice.
    project.faults("match=/batch/create;op=association_create;do=apply-then-reset").await;
    project.outflow(&["run", "--all"]).await.exits(0);
    let first = expected(&[("a", &["One*"]), ("c", &[]), ("d", &["Three*"])]);
    assert_eq!(firms(&project).await, first, "the child of the refused parent waits");

    // The parent is mended, and its child comes by itself although it did not change.
    project.database.execute("update firms set size = 'big' where id = 'f2'").await;
    project.outflow(&["run", "--all"]).await.exits(0);
    let second = expected(&[("a", &["One*"]), ("b", &["Two*"]), ("c", &[]), ("d", &["Three*"])]);
    assert_eq!(firms(&project).await, second);

    // Another company: the label goes along.
    let sql = "update people set firm = 'f3', updated_at = now() where id = 1";
    project.database.execute(sql).await;
    project.outflow(&["run", "--all"]).await.exits(0);
    assert_eq!(firms(&project).await["a@example.com"], ["One", "Three*"]);

    // The lost call was confirmed once; from then on nothing is sent.
    let before = project.writes().await;
    project.outflow(&["run", "--all"]).await.exits(0);
    assert_eq!(project.writes().await, before);

    let url = project.simulator.url();
    let Some(read) = python::links(&url, "contacts", "companies").await else { return };
    let made: usize = read.iter().map(|one| one["to"].as_array().expect("a list").len()).sum();
    assert_eq!((read.len(), made), (4, 4), "{read:?}");
}
