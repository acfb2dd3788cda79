//! Unleash 7: a 409 that leads to an update, a 400 that names its field, and a 413 that is an HTML page.

use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::Value;
use support::{Postgres, borrowed};

use super::{project, rejects, run};
use crate::project::{eventually, http};

const PACKAGE: &str = "unleash-server@7.5.1";
/// Starts Unleash: database URL, port.
const START: &str = "
const [url, port] = process.argv.slice(1);
const at = new URL(url);
require('unleash-server').start({
  db: { ssl: false, host: at.hostname, port: +at.port, user: at.username, password: at.password, database: at.pathname.slice(1) },
  server: { host: '127.0.0.1', port: +port },
  authentication: { type: 'none' }, versionCheck: { enable: false }, telemetry: false,
});";

struct Unleash {
    url: String,
    server: Child,
}

impl Drop for Unleash {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

impl Unleash {
    async fn start() -> Option<Self> {
        let kept = Path::new(env!("CARGO_TARGET_TMPDIR"));
        let install = move || borrowed::node(kept, &[PACKAGE]);
        let folder = tokio::task::spawn_blocking(install).await.expect("it does not panic")?;
        let database = Postgres::shared().database(None);
        let port = TcpListener::bind("127.0.0.1:0")
            .and_then(|port| port.local_addr())
            .expect("a port")
            .port();
        let server = Command::new("node")
            .args(["-e", START, &database.url, &port.to_string()])
            .current_dir(folder)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("node starts");
        let unleash = Self { url: format!("http://127.0.0.1:{port}"), server };
        let answers = async || http().get(format!("{}/health", unleash.url)).send().await.is_ok();
        eventually("Unleash answers", answers).await;
        Some(unleash)
    }

    /// A feature's type and description.
    async fn feature(&self, name: &str) -> Option<(String, String)> {
        let url = format!("{}/api/admin/projects/default/features/{name}", self.url);
        let answer = http().get(url).send().await.expect("an answer");
        let found: Value = answer.error_for_status().ok()?.json().await.ok()?;
        let text = |name: &str| found[name].as_str().unwrap_or_default().to_owned();
        Some((text("type"), text("description")))
    }
}

const CONNECTION: &str = r#"
    objects:
      features:
        bytes_per_call: 10000000
        upsert:
          path: /api/admin/projects/default/features
          if_exists: { method: PUT, path: "/api/admin/projects/default/features/{{ name }}" }
        delete: { path: "/api/admin/projects/default/features/{{ id }}" }
        reply: { id: /name, message: /details/0/message, field: /details/0/path }
"#;

const FEATURES: &str = r"
version: 1
sync: features
model: { connection: warehouse, table: flags, primary_key: id }
changes: { method: snapshot }
destination: { connection: api, object: features, match_on: { name: name } }
mode: upsert
mappings: { type: kind, description: about }
";

#[tokio::test(flavor = "multi_thread")]
async fn unleash_gets_every_row_and_its_odd_answers_end_at_the_right_rows() {
    let Some(unleash) = Unleash::start().await else { return };
    let project = project(&unleash.url, CONNECTION).await;
    project.write("syncs/features.yml", FEATURES);
    let tables = "create table flags (id int primary key, name text, kind text, about text);
         insert into flags values (1, 'checkout', 'release', 'New \"checkout\"'), (2, 'dark-mode', 'experiment', null),
         (3, 'broken', 'nonsense', 'x'), (4, 'huge', 'release', repeat('a', 3000000)), (5, 'not a name', 'release', 'x')";
    project.database.execute(tables).await;

    let first = run(&project, "features").await.exits(0).balances();
    assert_eq!((first.count("delivered"), first.count("rejected")), (2, 3), "{}", first.stdout);
    let refused = rejects(&project, "features").await;
    let codes: Vec<_> = refused
        .iter()
        .map(|reject| (reject.0.as_str(), reject.1.as_str(), reject.2.as_str()))
        .collect();
    assert_eq!(codes, [("3", "R201", "type"), ("4", "R213", ""), ("5", "R201", "")], "{refused:?}");
    assert!(refused[1].3.contains("an HTML page"), "{refused:?}");

    let change = "update flags set about = 'Newer' where id = 1; update flags set kind = 'release' where id = 3";
    project.database.execute(change).await;
    let second = run(&project, "features").await.exits(0).balances();
    assert_eq!((second.count("delivered"), second.count("unchanged")), (2, 1), "{}", second.stdout);
    assert_eq!(unleash.feature("checkout").await, Some(("release".to_owned(), "Newer".to_owned())));
    assert_eq!(unleash.feature("broken").await, Some(("release".to_owned(), "x".to_owned())));
    assert_eq!(unleash.feature("dark-mode").await, Some(("experiment".to_owned(), String::new())));
}
