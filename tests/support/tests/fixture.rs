//! The fixture itself: it must not leave anything behind, whatever happens to its owner.
#![expect(clippy::unwrap_used, reason = "a test may fail at any line")]

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use support::{Fault, Postgres, Proxy};

fn program(stdin: Stdio) -> (Child, String) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_private-postgres"))
        .stdin(stdin)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut url = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut url).unwrap();
    (child, url.trim().to_owned())
}

async fn folder_of(url: &str) -> String {
    let client = support::connect(url).await;
    client.query_one("SHOW unix_socket_directories", &[]).await.unwrap().get(0)
}

async fn vanishes(folder: &str) {
    let gone = async {
        while Path::new(folder).exists() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), gone).await.expect("the folder vanishes");
}

#[tokio::test]
async fn a_killed_owner_leaves_neither_a_server_nor_a_folder() {
    let (mut child, url) = program(Stdio::piped());
    let folder = folder_of(&url).await;
    child.kill().unwrap();
    child.wait().unwrap();
    vanishes(&folder).await;
    assert!(tokio_postgres::connect(&url, tokio_postgres::NoTls).await.is_err());
}

#[tokio::test]
async fn closing_stdin_or_sigterm_ends_the_program() {
    let (mut child, url) = program(Stdio::piped());
    let folder = folder_of(&url).await;
    drop(child.stdin.take());
    assert!(child.wait().unwrap().success());
    vanishes(&folder).await;

    let (mut child, url) = program(Stdio::piped());
    let folder = folder_of(&url).await;
    let pid = child.id().to_string();
    assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
    assert!(child.wait().unwrap().success());
    vanishes(&folder).await;
}

#[tokio::test]
async fn databases_are_apart_and_survive_a_restart() {
    let postgres = Postgres::start();
    let (one, two) = (postgres.database("one"), postgres.database(None));
    one.execute("CREATE TABLE t AS SELECT 1 AS a").await;
    assert!(two.client().await.query("SELECT a FROM t", &[]).await.is_err());
    postgres.restart(false);
    assert_eq!(one.client().await.query("SELECT a FROM t", &[]).await.unwrap().len(), 1);
    postgres.stop();
    assert!(tokio_postgres::connect(&one.url, tokio_postgres::NoTls).await.is_err());
    postgres.start_again();
    assert_eq!(one.client().await.query("SELECT a FROM t", &[]).await.unwrap().len(), 1);
}

#[tokio::test]
async fn the_proxy_forwards_and_cuts() {
    let database = Postgres::shared().database("proxy");
    let target = ([127, 0, 0, 1], Postgres::shared().port()).into();
    let proxy = Proxy::start(target, Fault::None).await;
    let sql = "SELECT repeat('x', 1000) FROM generate_series(1, 1000)";
    let client = support::connect(&proxy.url(&database.url)).await;
    assert_eq!(client.query(sql, &[]).await.unwrap().len(), 1000);
    for fault in [Fault::Close(100_000), Fault::Reset(100_000)] {
        proxy.set(fault);
        let client = support::connect(&proxy.url(&database.url)).await;
        assert!(client.query(sql, &[]).await.is_err());
    }
    proxy.set(Fault::Stall(100_000));
    let client = support::connect(&proxy.url(&database.url)).await;
    let waited = tokio::time::timeout(Duration::from_millis(300), client.query(sql, &[])).await;
    assert!(waited.is_err(), "a stalled connection neither answers nor fails");
}
