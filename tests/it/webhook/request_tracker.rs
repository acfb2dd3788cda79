//! Request Tracker 5: a 400 that means "exists already", and a 201 whose list holds an error in one slot.

use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};
use tempfile::TempDir;

use super::{project, rejects, run};
use crate::project::{eventually, http};

const SERVER: &str = "/usr/share/request-tracker5/libexec/rt-server";

/// A Request Tracker of its own: SQLite in a temporary folder, on a free port.
struct RequestTracker {
    url: String,
    server: Child,
    _folder: TempDir,
}

impl Drop for RequestTracker {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

impl RequestTracker {
    #[expect(clippy::print_stdout, reason = "a test that is skipped says why")]
    async fn start() -> Option<Self> {
        if !Path::new(SERVER).exists() {
            println!(
                "skipped, as Request Tracker is not installed: request-tracker5 rt5-db-sqlite rt5-standalone"
            );
            return None;
        }
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().display().to_string();
        let port = TcpListener::bind("127.0.0.1:0")
            .and_then(|port| port.local_addr())
            .expect("a port")
            .port();
        let parts = folder.path().join("RT_SiteConfig.d");
        std::fs::create_dir(&parts).expect("a folder");
        let config = folder.path().join("RT_SiteConfig.pm");
        let settings = format!(
            "Set($rtname, 'test'); Set($Organization, 'example.com'); Set($WebPath, '');\n\
             Set($WebDomain, '127.0.0.1'); Set($WebPort, {port}); Set($WebBaseURL, 'http://127.0.0.1:{port}');\n\
             Set($DatabaseType, 'SQLite'); Set($DatabaseName, '{path}/rt.db'); Set($DatabaseHost, '');\n\
             Set($DatabaseUser, ''); Set($DatabasePassword, ''); Set($MailCommand, 'testfile');\n\
             Set($WebSecureCookies, 0); Set($RestrictReferrer, 0); Set(%GnuPG, Enable => 0); Set(%SMIME, Enable => 0);\n\
             Set($LogToSTDERR, 'error'); Set($LogToSyslog, undef);\n1;\n"
        );
        std::fs::write(&config, settings).expect("a file");
        let command = |program: &str| {
            let mut command = Command::new(program);
            command
                .env("RT_SITE_CONFIG", &config)
                .env("RT_SITE_CONFIG_DIR", &parts)
                .current_dir(folder.path())
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::null());
            command
        };
        let filled =
            command("rt-setup-database-5").args(["--action", "init", "--skip-create"]).status();
        assert!(filled.is_ok_and(|status| status.success()), "its database is filled");
        let arguments = ["--server", "Starlet", "--host", "127.0.0.1", "--port", &port.to_string()];
        let server = command(SERVER).args(arguments).spawn().expect("it starts");
        let tracker = Self { url: format!("http://127.0.0.1:{port}"), server, _folder: folder };
        eventually("Request Tracker answers", async || tracker.get("rt").await.is_some()).await;
        Some(tracker)
    }

    async fn get(&self, path: &str) -> Option<Value> {
        let url = format!("{}/REST/2.0/{path}", self.url);
        let answer = http().get(url).basic_auth("root", Some("password")).send().await.ok()?;
        answer.json().await.ok()
    }

    async fn post(&self, path: &str, body: Value) {
        let url = format!("{}/REST/2.0/{path}", self.url);
        let request = http().post(url).basic_auth("root", Some("password")).json(&body);
        assert!(request.send().await.expect("an answer").status().is_success());
    }
}

const CONNECTION: &str = r#"
    auth: { basic: { user: root, password: password } }
    probe: /REST/2.0/rt
    objects:
      users:
        upsert:
          path: /REST/2.0/user
          if_exists: { method: PUT, path: "/REST/2.0/user/{{ Name }}" }
        answers:
          - { status: 400, contains: Name in use, means: exists }
        reply: {}
      tickets:
        rows_per_call: 10
        upsert: { path: /REST/2.0/tickets/bulk }
        reply: { rows: "", error: /message, id: /id }
"#;

const USERS: &str = r"
version: 1
sync: users
model: { connection: warehouse, table: staff, primary_key: id }
changes: { method: snapshot }
destination: { connection: api, object: users, match_on: { Name: login } }
mode: upsert
mappings: { RealName: name, EmailAddress: email }
";

const TICKETS: &str = r"
version: 1
sync: tickets
model: { connection: warehouse, table: cases, primary_key: id }
changes: { method: snapshot }
destination: { connection: api, object: tickets, match_on: { Subject: subject } }
mode: upsert
mappings: { Queue: queue }
";

#[tokio::test(flavor = "multi_thread")]
async fn request_tracker_gets_every_row_and_its_odd_answers_end_at_the_right_rows() {
    let Some(tracker) = RequestTracker::start().await else { return };
    tracker.post("user", json!({"Name": "bob", "RealName": "Somebody Else"})).await;
    let project = project(&tracker.url, CONNECTION).await;
    project.write("syncs/users.yml", USERS);
    project.write("syncs/tickets.yml", TICKETS);
    let tables = "create table staff (id int primary key, login text, name text, email text);
         insert into staff values (1, 'ann', 'Ann Ö''Brien', 'ann@example.com'), (2, 'bob', 'Bob', 'bob@example.com'),
         (3, 'c d', 'Cid', 'cid@example.com'), (4, 'dee', 'Dee', 'root@localhost');
         create table cases (id int primary key, subject text, queue text);
         insert into cases select i, 'case ' || i, case when i = 5 then 'Nowhere' else 'General' end
         from generate_series(1, 9) i";
    project.database.execute(tables).await;

    // A 400 that means conflict leads to an update; another 400 is a refusal of its row alone.
    let first = run(&project, "users").await.exits(0).balances();
    assert_eq!((first.count("delivered"), first.count("rejected")), (3, 1), "{}", first.stdout);
    let bob = tracker.get("user/bob").await.expect("he is there");
    assert_eq!(
        (bob["RealName"].as_str(), bob["EmailAddress"].as_str()),
        (Some("Bob"), Some("bob@example.com"))
    );
    assert_eq!(tracker.get("user/ann").await.expect("she is there")["RealName"], "Ann Ö'Brien");
    assert_eq!(tracker.get("user/c%20d").await.expect("he is there")["RealName"], "Cid");
    let refused = rejects(&project, "users").await;
    assert_eq!(refused.len(), 1, "{refused:?}");
    assert_eq!((refused[0].0.as_str(), refused[0].1.as_str()), ("4", "R201"));
    assert!(refused[0].3.contains("Email"), "{refused:?}");

    project
        .database
        .execute("update staff set name = 'Ann', email = 'ann@example.org' where id = 1")
        .await;
    let second = run(&project, "users").await.exits(0).balances();
    assert_eq!((second.count("delivered"), second.count("unchanged")), (1, 2), "{}", second.stdout);
    assert_eq!(tracker.get("user/ann").await.expect("she is there")["RealName"], "Ann");

    // 201, and one slot of the list says that there is no such queue.
    let bulk = run(&project, "tickets").await.exits(0).balances();
    assert_eq!(
        (bulk.count("delivered"), bulk.count("rejected"), bulk.count("requests")),
        (8, 1, 1)
    );
    let refused = rejects(&project, "tickets").await;
    let ticket = refused.iter().find(|reject| reject.0 == "5").expect("row 5 was refused");
    assert!(ticket.1 == "R201" && ticket.3.contains("Nowhere"), "{ticket:?}");
    let found = tracker.get("tickets?query=id>0&per_page=50&fields=Subject").await.expect("a list");
    assert_eq!(found["total"], 8, "{found}");
}
