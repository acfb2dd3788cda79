//! Associations after the upsert: made, changed, taken away, refused, lost; each row has its own outcome (D6), and a record
//! that was written without them is never taken for the row (D1).

use std::sync::{Arc, Once};

use flow::arrow::array::{ArrayRef, StringArray};
use flow::{Destination, Kind, Mode, Outcome, Receipt, WriteBatch};
use serde_json::{Value, json};
use simulator::Running;

use crate::{batch, records, started, text, write};

const OWN: &[(&str, &str)] = &[
    (
        "property",
        "companies:key:string:unique;deals:key:string:unique;tickets:key:string:unique;p_license:key:string:unique",
    ),
    ("object", "license:key"),
    ("label", "contacts:companies:Decision maker;p_license:companies:Payer"),
];

struct Scene {
    server: Running,
    hubspot: Arc<dyn Destination>,
    /// Record ids of companies.
    firms: Vec<String>,
}

impl Scene {
    async fn new() -> Self {
        Self::with(OWN, json!({})).await
    }

    async fn with(options: &[(&str, &str)], connection: Value) -> Self {
        let (server, plain) = started(options).await;
        let hubspot = match connection.as_object().is_some_and(|more| !more.is_empty()) {
            true => crate::open(&server, connection),
            false => plain,
        };
        let names: Vec<String> = (0..40).map(|n| format!("f{n}")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let made = write(&hubspot, &batch("companies", "key", vec![("key", text(&names))])).await;
        let firms = ids(&made.expect("an answer"));
        Self { server, hubspot, firms }
    }

    /// Contacts `a`, `b` and so on, with one value each for the field.
    async fn contacts(&self, field: &str, values: &[Option<&str>]) -> Receipt {
        self.try_contacts(field, values).await.expect("an answer")
    }

    async fn try_contacts(&self, field: &str, values: &[Option<&str>]) -> flow::Result<Receipt> {
        let mails: Vec<String> = (0..values.len()).map(|n| format!("c{n}@example.com")).collect();
        let mails: Vec<&str> = mails.iter().map(String::as_str).collect();
        let columns = vec![("email", text(&mails)), (field, nullable(values))];
        write(&self.hubspot, &batch("contacts", "email", columns)).await
    }

    /// Companies of a contact, with the labels: `f0`, `f1 (Primary)`.
    async fn firms_of(&self, contact: &str) -> Vec<String> {
        self.linked("contacts", contact, "companies", &self.firms).await
    }

    async fn linked(&self, from: &str, id: &str, to: &str, names: &[String]) -> Vec<String> {
        let path = format!("/crm/v4/objects/{from}/{id}/associations/{to}");
        let request = http().get(format!("{}{path}", self.server.url()));
        let answer = request.bearer_auth("t").send().await.expect("an answer");
        let answer: Value =
            serde_json::from_str(&answer.text().await.expect("text")).expect("JSON");
        let shown = |one: &Value| {
            let at = names.iter().position(|id| one["toObjectId"] == json!(id)).expect("known");
            let labels = one["associationTypes"].as_array().expect("types");
            let labels: Vec<&str> =
                labels.iter().filter_map(|kind| kind["label"].as_str()).collect();
            if labels.is_empty() {
                format!("f{at}")
            } else {
                format!("f{at} ({})", labels.join(", "))
            }
        };
        let mut shown: Vec<String> =
            answer["results"].as_array().expect("a list").iter().map(shown).collect();
        shown.sort();
        shown
    }

    async fn faults(&self, rules: &str) {
        let url = format!("{}/_sim/faults", self.server.url());
        let answer = http().post(url).body(rules.to_owned()).send().await;
        assert!(answer.expect("an answer").status().is_success());
    }

    async fn calls(&self, operation: &str) -> u64 {
        let url = format!("{}/_sim/stats", self.server.url());
        let stats = http().get(url).send().await.expect("an answer").text().await.expect("text");
        let stats: Value = serde_json::from_str(&stats).expect("JSON");
        stats["by_operation"][operation]["total"].as_u64().unwrap_or(0)
    }
}

fn http() -> reqwest::Client {
    static PROVIDER: Once = Once::new();
    PROVIDER.call_once(|| {
        rustls::crypto::ring::default_provider().install_default().expect("the first one");
    });
    reqwest::Client::new()
}

fn nullable(values: &[Option<&str>]) -> ArrayRef {
    Arc::new(values.iter().copied().collect::<StringArray>())
}

fn ids(receipt: &Receipt) -> Vec<String> {
    let id = |outcome: &Outcome| match outcome {
        Outcome::Delivered { remote_id: Some(id), .. } => id.clone(),
        Outcome::InPart { remote_id: Some(id), .. } => id.clone(),
        other => panic!("{other:?}"),
    };
    receipt.outcomes.iter().map(id).collect()
}

/// `delivered`, or what is wrong: `R222 field: message`, `in part: ...`.
fn word(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Delivered { .. } => "delivered".to_owned(),
        Outcome::Rejected { code, field, message } => {
            format!("{} {}: {message}", code.id, field.as_deref().unwrap_or("-"))
        }
        Outcome::InPart { rest, .. } => format!("in part: {}", word(rest)),
        Outcome::Retry { after, .. } => format!("retry {}", after.is_some()),
        other => format!("{other:?}").split([' ', '{']).next().unwrap_or_default().to_lowercase(),
    }
}

fn words(receipt: &Receipt) -> Vec<String> {
    receipt.outcomes.iter().map(word).collect()
}

#[tokio::test]
async fn rows_are_associated_with_the_records_they_name_by_one_more_call() {
    let scene = Scene::new().await;
    let schema = scene.hubspot.describe("contacts").await.expect("described");
    for field in [
        "companies",
        "companies.Primary",
        "companies.Decision maker",
        "contacts",
        "deals",
        "tickets",
        "p_license",
    ] {
        assert!(schema.field(&format!("associations.{field}")).is_some(), "{field}");
    }
    let [one, two] = [&scene.firms[1], &scene.firms[2]];
    let several = format!(" {one}; {two};{one}");
    let values = [Some(one.as_str()), Some(&several), None, Some("")];
    let receipt = scene.contacts("associations.companies", &values).await;
    assert_eq!(words(&receipt), ["delivered"; 4]);
    let contacts = ids(&receipt);
    assert_eq!(scene.firms_of(&contacts[0]).await, ["f1"]);
    assert_eq!(scene.firms_of(&contacts[1]).await, ["f1", "f2"]);
    assert!(scene.firms_of(&contacts[2]).await.is_empty());
    assert_eq!(scene.calls("association_create").await, 1, "all rows by one call");
    // Again: the same, and nothing twice.
    assert_eq!(words(&scene.contacts("associations.companies", &values).await), ["delivered"; 4]);
    assert_eq!(scene.firms_of(&contacts[1]).await, ["f1", "f2"]);
    scene.server.stop().await;
}

#[tokio::test]
async fn a_failed_association_is_the_rows_own_and_its_record_is_written_in_part() {
    let scene = Scene::new().await;
    let firm = &scene.firms[0];
    let lost = format!("{firm};999");
    let values = [Some(firm.as_str()), Some(&lost), Some("999"), None];
    let receipt = scene.contacts("associations.companies", &values).await;
    let words = words(&receipt);
    assert_eq!((&*words[0], &*words[3]), ("delivered", "delivered"));
    for row in [1, 2] {
        assert!(words[row].starts_with("in part: R222 associations.companies: "), "{}", words[row]);
    }
    assert_eq!(ids(&receipt).len(), 4, "each record has its id all the same");
    assert_eq!(records(&scene.server, "contacts").await.len(), 4);
    assert_eq!(scene.firms_of(&ids(&receipt)[1]).await, ["f0"], "what could be made is made");

    // What is no record id is not sent at all, and stops nobody.
    let values = [Some("Acme"), Some(firm.as_str()), Some("-1"), Some("123456789012345678901")];
    let receipt = scene.contacts("associations.companies", &values).await;
    let said: Vec<String> =
        receipt.outcomes.iter().map(|o| word(o).chars().take(9).collect()).collect();
    assert_eq!(said, ["R223 asso", "delivered", "R223 asso", "R223 asso"]);
    assert_eq!(scene.calls("batch_upsert").await, 3);
    scene.server.stop().await;
}

#[tokio::test]
async fn a_label_follows_the_row_and_other_labels_and_companies_stay() {
    let scene = Scene::new().await;
    let firm = |n: usize| Some(scene.firms[n].as_str());
    let label = "associations.companies.Decision maker";
    let contact = &ids(&scene.contacts(label, &[firm(1)]).await)[0];
    // Somebody adds a company by hand.
    scene.contacts("associations.companies.Primary", &[firm(3)]).await;
    assert_eq!(scene.firms_of(contact).await, ["f1 (Decision maker)", "f3 (Primary)"]);
    scene.contacts(label, &[firm(2)]).await;
    assert_eq!(scene.firms_of(contact).await, ["f1", "f2 (Decision maker)", "f3 (Primary)"]);
    // The same again costs a look and nothing else.
    let before =
        (scene.calls("association_create").await, scene.calls("association_archive").await);
    scene.contacts(label, &[firm(2)]).await;
    let after = (scene.calls("association_create").await, scene.calls("association_archive").await);
    assert_eq!(before, after);
    scene.contacts(label, &[None]).await;
    assert_eq!(scene.firms_of(contact).await, ["f1", "f2", "f3 (Primary)"]);
    // The primary one moves, as HubSpot has it.
    scene.contacts("associations.companies.Primary", &[firm(1)]).await;
    assert_eq!(scene.firms_of(contact).await, ["f1 (Primary)", "f2", "f3"]);
    scene.server.stop().await;
}

#[tokio::test]
async fn without_a_label_associations_are_added_and_only_replaced_where_the_connection_says_so() {
    let scene = Scene::new().await;
    let firm = |n: usize| Some(scene.firms[n].as_str());
    let contact = ids(&scene.contacts("associations.companies", &[firm(1)]).await)[0].clone();
    scene.contacts("associations.companies", &[firm(2)]).await;
    // Nobody can tell whether people made the first one meanwhile theirs.
    assert_eq!(scene.firms_of(&contact).await, ["f1", "f2"]);
    scene.server.stop().await;

    let replace = json!({ "replace_associations": ["contacts.companies"] });
    let scene = Scene::with(OWN, replace).await;
    let firm = |n: usize| Some(scene.firms[n].as_str());
    let contact = ids(&scene.contacts("associations.companies", &[firm(1)]).await)[0].clone();
    scene.contacts("associations.companies", &[firm(2)]).await;
    assert_eq!(scene.firms_of(&contact).await, ["f2"]);
    scene.contacts("associations.companies", &[None]).await;
    assert!(scene.firms_of(&contact).await.is_empty(), "NULL empties");
    scene.server.stop().await;
}

#[tokio::test]
async fn what_fails_as_a_whole_is_unknown_tried_again_or_ends_the_run() {
    let scene = Scene::new().await;
    let firm = Some(scene.firms[0].as_str());
    let create = "match=/batch/create";
    let field = "associations.companies";
    for (rule, expected) in [
        ("do=apply-then-reset", "in part: unknown"),
        ("do=status:503", "in part: unknown"),
        ("do=truncate", "in part: unknown"),
        ("do=status:429;policy=TEN_SECONDLY_ROLLING;retry-after=1", "in part: retry true"),
        ("do=status:423", "in part: retry true"),
    ] {
        scene.faults(&format!("{create};{rule}")).await;
        let receipt = scene.contacts(field, &[firm, None]).await;
        assert_eq!(words(&receipt), [expected, "delivered"], "{rule}");
    }
    for (rule, code) in [
        ("do=unauthorized", "E2009"),
        ("do=status:403", "E2010"),
        ("do=status:429;policy=DAILY", "E2007"),
    ] {
        scene.faults(&format!("{create};{rule}")).await;
        let error = scene.try_contacts(field, &[firm, None]).await.expect_err(rule);
        assert_eq!(error.code().id, code, "{rule}");
    }
    scene.server.stop().await;

    // A call that is refused for a pair it does not name: halved by the engine, and the row's own in the end.
    let scene = Scene::new().await;
    let firm = Some(scene.firms[0].as_str());
    scene
        .faults(&format!("op=association_create;do=poison-row:to={};code=400", scene.firms[1]))
        .await;
    let bad = Some(scene.firms[1].as_str());
    let error = scene.try_contacts(field, &[firm, bad]).await.expect_err("poison");
    assert_eq!((error.kind(), error.is_ambiguous()), (Kind::Poison, true));
    let alone = scene.contacts(field, &[bad]).await;
    assert!(
        words(&alone)[0].starts_with("in part: R222 associations.companies: "),
        "{:?}",
        words(&alone)
    );
    scene.server.stop().await;
}

#[tokio::test]
async fn calls_about_associations_have_limits_of_their_own() {
    let scene = Scene::new().await;
    let all = scene.firms.join(";");
    let values = vec![Some(all.as_str()); 100];
    let receipt = scene.contacts("associations.companies", &values).await;
    assert_eq!(words(&receipt), vec!["delivered"; 100]);
    assert_eq!(scene.calls("association_create").await, 2, "4,000 associations, 2,000 a call");
    assert_eq!(scene.firms_of(&ids(&receipt)[99]).await.len(), 40);
    scene.server.stop().await;
}

#[tokio::test]
async fn custom_objects_are_described_written_associated_and_archived_like_all_others() {
    let scene = Scene::new().await;
    let firm = &scene.firms[7];
    for object in ["p_license", "2-1000001", "p62515_license"] {
        let schema = scene.hubspot.describe(object).await.expect(object);
        let key = schema.field("key").expect("there");
        assert!(key.unique && key.required, "{object}");
        assert!(schema.field("associations.companies.Payer").is_some(), "{object}");
    }
    for object in ["deals", "tickets", "p_license"] {
        let way = match object {
            "p_license" => "associations.companies.Payer",
            _ => "associations.companies",
        };
        let columns = vec![("key", text(&["k1"])), (way, text(&[firm]))];
        let receipt = write(&scene.hubspot, &batch(object, "key", columns)).await.expect(object);
        assert_eq!(words(&receipt), ["delivered"], "{object}");
        let id = ids(&receipt).remove(0);
        let found = scene.linked(object, &id, "companies", &scene.firms).await;
        assert!(found[0].starts_with("f7"), "{object}: {found:?}");
        archive(&scene, object, &id).await;
    }
    let contact = ids(&scene.contacts("associations.companies", &[Some(firm)]).await).remove(0);
    for (object, id) in [("contacts", &contact), ("companies", firm)] {
        archive(&scene, object, id).await;
    }
    scene.server.stop().await;
}

/// Archives a record by its id, twice: the second time there is nothing to do.
async fn archive(scene: &Scene, object: &str, id: &str) {
    let there = records(&scene.server, object).await.len();
    let payload = flow::Payload::without_fields(1).expect("a row");
    let batch = WriteBatch {
        mode: Mode::Delete,
        record_ids: vec![id.to_owned()],
        payload,
        ..batch(object, "key", vec![("key", text(&["-"]))])
    };
    for _ in 0..2 {
        let receipt = write(&scene.hubspot, &batch).await.expect(object);
        assert_eq!(words(&receipt), ["delivered"], "{object}");
        assert_eq!(records(&scene.server, object).await.len(), there - 1, "{object}");
    }
}
