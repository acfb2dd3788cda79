//! The examples from end to end, by the script behind `make demo NAME=...`: a first load, a run that sends nothing, an hour of
//! changes, and after each every record of the tools against the warehouse (D1), in SQL and not by outflow.

use std::time::Duration;

use tokio::process::Command;

use crate::project::{binary, root};

/// Runs an example and returns what it said.
async fn example(name: &str) -> String {
    let script = root().join("tests/demo/example.sh");
    let programs = binary().parent().expect("a folder").to_owned();
    // It stops what it has started when `timeout` tells it to.
    let mut command = Command::new("timeout");
    command.arg("150").arg("bash").arg(script).arg(name).env("BUILT", programs);
    command.current_dir(root()).env_remove("KEEP").stdin(std::process::Stdio::null());
    let output = tokio::time::timeout(Duration::from_secs(200), command.output()).await;
    let output = output.expect("it ends in time").expect("it starts");
    let out = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{out}\n{}", String::from_utf8_lossy(&output.stderr));
    out
}

#[track_caller]
fn says(said: &str, words: &[&str]) {
    for word in words {
        assert!(said.contains(word), "{word} is missing in:\n{said}");
    }
}

#[tokio::test]
async fn product_usage_becomes_contacts_of_companies_and_mixpanel_profiles() {
    let said = example("product-usage").await;
    says(
        &said,
        &[
            "contacts: 2000 of 2000 are exactly",
            "companies: 100 of 100 are exactly",
            "profiles: 2000 of 2000 are exactly",
            "the company of 2000 contacts is their account's",
            "0 write calls",
        ],
    );
}

#[tokio::test]
async fn incidents_become_cases_of_their_callers_contacts() {
    let said = example("itsm-cases").await;
    says(&said, &["cases: 2416 of 2416", "0 write calls", "cases: 2501 of 2501", "R119  84 rows"]);
}

#[tokio::test]
async fn employees_become_users_and_leavers_are_suspended() {
    let said = example("employees").await;
    says(
        &said,
        &[
            "waits for somebody to look at its plan",
            "users: 420 of 420",
            "0 write calls",
            "users: 421 of 421",
            "3 leavers are suspended, and nobody is deleted",
            "nobody is suspended",
        ],
    );
}
