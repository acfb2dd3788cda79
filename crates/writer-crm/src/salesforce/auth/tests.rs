//! Signing in against the double: each way, the one renewal, and the refresh token that is never lost.

use std::collections::BTreeMap;

use flow::metrics::Metrics;
use flow::{Destination, Kind};
use serde_json::{Value, json};
use simulator::{Running, Settings};
use writer::OpenArgs;

use super::*;
use crate::salesforce::{open, simulator::build};

/// Made for these tests and used nowhere else.
const KEY: &str = include_str!("key.pem");
const PUBLIC: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src/salesforce/auth/key.pub.pem");

#[derive(Debug)]
struct Now;

impl Clock for Now {
    #[expect(
        clippy::disallowed_methods,
        reason = "the double has a clock of its own, and compares"
    )]
    fn now_micros(&self) -> i64 {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        since.map_or(0, |since| since.as_micros() as i64)
    }
}

async fn double(options: &[(&str, &str)]) -> Running {
    let options: BTreeMap<String, String> =
        options.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    simulator::start(build, Settings { options, ..Settings::default() }).await.expect("it starts")
}

fn opened(double: &Running, mut options: Value) -> Result<Arc<dyn Destination>> {
    options["base_url"] = double.url().into();
    open(OpenArgs {
        connection: "crm".to_owned(),
        options: options.as_object().expect("an object").clone(),
        metrics: Metrics::new("0", "0"),
        clock: Arc::new(Now),
    })
}

async fn requests(double: &Running, operation: &str) -> u64 {
    let url = format!("{}/_sim/stats", double.url());
    let base =
        writer::BaseUrl::new("t", Some(&double.url()), "https://localhost").expect("loopback");
    let client = Client::new(writer::ClientOptions {
        connection: "t".to_owned(),
        base_url: base,
        ca_file: None,
        request_timeout: std::time::Duration::from_secs(10),
        headers: HeaderMap::new(),
        metrics: Metrics::new("0", "0"),
    });
    let request =
        Request { method: Method::GET, path: "/_sim/stats".to_owned(), operation: "t", body: None };
    let reply = client.expect("a client").send(request).await.expect(&url);
    let stats: Value = serde_json::from_slice(&reply.body).expect("JSON");
    stats["by_operation"][operation]["total"].as_u64().unwrap_or(0)
}

#[tokio::test]
async fn an_assertion_signs_in_with_either_form_of_the_key() {
    let options =
        [("client_id", "app"), ("username", "u@acme.example"), ("jwt_public_key", PUBLIC)];
    let double = double(&options).await;
    for key in [KEY, include_str!("key.pkcs1.pem")] {
        let options = json!({"client_id": "app", "username": "u@acme.example", "private_key": key});
        let org = opened(&double, options).expect("valid").account().await.expect("signed in");
        assert_eq!(org.as_deref(), Some("Salesforce org 00D000000000001EAA"));
    }
    let options = json!({"client_id": "app", "username": "other@acme.example", "private_key": KEY});
    let error = opened(&double, options).expect("valid").account().await.expect_err("not approved");
    assert_eq!((error.code().id, error.kind()), ("E2100", Kind::Credentials));
    assert!(error.message().contains("hasn't approved"), "{error}");
}

#[tokio::test]
async fn a_key_that_cannot_sign_is_named_and_not_shown() {
    let double = double(&[]).await;
    let swapped = KEY.replace("PRIVATE KEY", "EC PRIVATE KEY");
    for key in [
        "hunter2",
        "-----BEGIN PRIVATE KEY-----\naHVudGVyMg==\n-----END PRIVATE KEY-----",
        &swapped,
    ] {
        let options = json!({"client_id": "app", "username": "u", "private_key": key});
        let error = opened(&double, options).expect("valid").account().await.expect_err("no key");
        assert_eq!(error.code().id, "E2101");
        assert!(!format!("{error:?}").contains("hunter2"), "{error:?}");
    }
}

#[tokio::test]
async fn client_credentials_sign_in_and_a_wrong_secret_does_not() {
    let double = double(&[("client_id", "app"), ("client_secret", "s3cret/+=")]).await;
    let good = json!({"client_id": "app", "client_secret": "s3cret/+="});
    opened(&double, good).expect("valid").describe("Contact").await.expect("signed in");
    let bad = json!({"client_id": "app", "client_secret": "hunter2"});
    let error =
        opened(&double, bad).expect("valid").describe("Contact").await.expect_err("refused");
    assert_eq!(error.code().id, "E2100");
    assert!(!format!("{error:?}").contains("hunter2"), "{error:?}");
}

#[tokio::test]
async fn a_session_that_ends_is_renewed_once_for_all_who_wait() {
    let double = double(&[("client_id", "app"), ("session_calls", "1")]).await;
    let options = json!({"client_id": "app", "client_secret": "x"});
    let org = opened(&double, options).expect("valid");
    org.account().await.expect("signed in");
    let answers = futures::future::join(org.account(), org.account()).await;
    assert!(answers.0.is_ok() || answers.1.is_ok(), "the new session is good for one call");
    let tokens = requests(&double, "token").await;
    assert!((2..=4).contains(&tokens), "{tokens}");
}

#[tokio::test]
async fn a_given_token_is_not_renewed() {
    let double = double(&[("token", "good")]).await;
    let error = opened(&double, json!({"access_token": "bad"})).expect("valid").account().await;
    assert_eq!(error.expect_err("refused").code().id, "E2009");
    assert_eq!(requests(&double, "token").await, 0);
    assert!(
        opened(&double, json!({"access_token": "good"})).expect("valid").account().await.is_ok()
    );
}

#[tokio::test]
async fn a_refresh_token_that_is_replaced_is_kept_before_it_is_used() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("token.json");
    let double =
        double(&[("client_id", "app"), ("refresh_token", "first"), ("rotate", "true")]).await;
    let options = json!({"client_id": "app", "refresh_token": "first", "token_file": file});
    for _ in 0..3 {
        // A new process each time: used twice, the token would be revoked.
        let org = opened(&double, options.clone()).expect("valid");
        org.account().await.expect("signed in");
    }
    let kept = fs::read_to_string(&file).expect("the file");
    assert!(kept.contains("5Aep861-3") && !kept.contains("first"), "{kept}");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = fs::metadata(&file).expect("the file").permissions().mode();
        assert_eq!(mode & 0o077, 0, "only its owner can read it");
    }
}

#[tokio::test]
async fn two_processes_share_one_refresh_token() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("token.json");
    let double =
        double(&[("client_id", "app"), ("refresh_token", "first"), ("rotate", "true")]).await;
    let options = json!({"client_id": "app", "refresh_token": "first", "token_file": file});
    let orgs: Vec<_> = (0..8).map(|_| opened(&double, options.clone()).expect("valid")).collect();
    let tasks: Vec<_> =
        orgs.into_iter().map(|org| tokio::spawn(async move { org.account().await })).collect();
    for task in tasks {
        task.await.expect("it ends").expect("signed in");
    }
}

#[tokio::test]
async fn a_new_refresh_token_in_the_configuration_comes_before_the_file() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("token.json");
    let old = double(&[("client_id", "app"), ("refresh_token", "old"), ("rotate", "true")]).await;
    let options =
        |token: &str| json!({"client_id": "app", "refresh_token": token, "token_file": file});
    opened(&old, options("old")).expect("valid").account().await.expect("signed in");
    let new = double(&[("client_id", "app"), ("refresh_token", "new"), ("rotate", "true")]).await;
    opened(&new, options("new")).expect("valid").account().await.expect("signed in");
}

#[tokio::test]
async fn nothing_is_asked_while_the_file_cannot_be_kept() {
    let folder = tempfile::tempdir().expect("a folder");
    let double =
        double(&[("client_id", "app"), ("refresh_token", "first"), ("rotate", "true")]).await;
    let missing = folder.path().join("no/such/folder/token.json");
    let broken = folder.path().join("broken.json");
    fs::write(&broken, "not ours").expect("written");
    for file in [missing, broken] {
        let options = json!({"client_id": "app", "refresh_token": "first", "token_file": file});
        let error = opened(&double, options).expect("valid").account().await.expect_err("refused");
        assert_eq!(error.code().id, "E2102");
    }
    assert_eq!(requests(&double, "token").await, 0);
}

#[test]
fn the_options_describe_one_way_to_sign_in() {
    let wrong = [
        json!({}),
        json!({"client_id": "a"}),
        json!({"access_token": "a", "client_id": "a"}),
        json!({"access_token": "a", "client_secret": "a"}),
        json!({"client_id": "a", "username": "a"}),
        json!({"client_id": "a", "private_key": "a"}),
        json!({"client_id": "a", "username": "a", "private_key": "a", "client_secret": "a"}),
        json!({"client_id": "a", "refresh_token": "a"}),
        json!({"client_id": "a", "client_secret": "a", "token_file": "a"}),
        json!({"username": "a", "private_key": "a"}),
        json!({"refresh_token": "a", "token_file": "a"}),
    ];
    let opened = |options: &Value| {
        let mut options = options.as_object().expect("an object").clone();
        options.entry("instance_url").or_insert_with(|| "https://acme.my.salesforce.com".into());
        open(OpenArgs {
            connection: "crm".to_owned(),
            options,
            metrics: Metrics::new("0", "0"),
            clock: Arc::new(Now),
        })
    };
    for options in wrong {
        let error = opened(&options).err().unwrap_or_else(|| panic!("{options}"));
        assert_eq!(error.code().id, "E2013", "{options}");
    }
    for (options, code) in [
        (json!({"access_token": "a", "instance_url": "https://login.salesforce.com"}), "E2107"),
        (json!({"access_token": "a", "api_version": "52.0"}), "E2013"),
        (json!({"access_token": "a", "api_version": "../x"}), "E2013"),
        (json!({"access_token": "a", "instance_url": "http://acme.my.salesforce.com"}), "E2014"),
    ] {
        assert_eq!(opened(&options).err().expect("refused").code().id, code, "{options}");
    }
    assert!(opened(&json!({"access_token": "a", "api_version": "61.0"})).is_ok());
}
