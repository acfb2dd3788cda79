//! A project of one sync between a real PostgreSQL database and a HubSpot simulator, and the real binary run in it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;
use simulator::{Running, Settings};
use support::{Database, Postgres};
use tempfile::TempDir;
use tokio::process::{Child, Command};

/// What a command printed and exited with.
#[derive(Debug)]
pub(crate) struct Output {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Output {
    /// Fails the test unless the command exited like this.
    #[track_caller]
    pub(crate) fn exits(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "stdout:\n{}\nstderr:\n{}", self.stdout, self.stderr);
        self
    }

    /// The summary object in the last line of stdout.
    #[track_caller]
    pub(crate) fn summary(&self) -> Value {
        let last = self.stdout.lines().last().unwrap_or_default();
        serde_json::from_str(last)
            .unwrap_or_else(|error| panic!("{error}: {last}\nstderr:\n{}", self.stderr))
    }

    /// One count of the only sync.
    #[track_caller]
    pub(crate) fn count(&self, name: &str) -> u64 {
        let summary = self.summary();
        summary["syncs"][0]["counts"][name]
            .as_u64()
            .unwrap_or_else(|| panic!("no count {name} in {summary:#}"))
    }

    /// Checks `read = unchanged + delivered + rejected + parked`.
    #[track_caller]
    pub(crate) fn balances(self) -> Self {
        let sum: u64 =
            ["unchanged", "delivered", "rejected", "parked"].iter().map(|c| self.count(c)).sum();
        assert_eq!(self.count("read"), sum, "{:#}", self.summary());
        self
    }
}

/// The project, its database and its simulator.
pub(crate) struct Project {
    pub(crate) dir: TempDir,
    pub(crate) database: Database,
    pub(crate) simulator: Running,
    pub(crate) warehouse_url: String,
    pub(crate) token: String,
}

/// Custom properties of contacts that the tests' mappings use.
const PROPERTIES: [(&str, &str); 3] = [
    ("property.score", "contacts:score:number"),
    ("property.plan_tier", "contacts:plan_tier:enumeration:Free|Professional|Enterprise"),
    ("property.seen_at", "contacts:seen_at:datetime"),
];

pub(crate) const SYNC: &str = r#"
version: 1
sync: people
model: { connection: warehouse, table: people, primary_key: id }
changes: { method: watermark, column: updated_at, lag: 5m }
destination: { connection: hubspot, object: contacts, match_on: { email: email } }
mode: upsert
mappings:
  firstname: name
  score: score
  seen_at: seen_at
  plan_tier: { from: plan, values: { free: Free, pro: Professional, ent: Enterprise }, otherwise: keep }
"#;

const TABLE: &str =
    "create table people (id bigint primary key, email text, name text, score numeric(12,2),
    seen_at timestamptz, plan text, updated_at timestamptz not null);
    create index on people (updated_at, id)";

impl Project {
    /// How its simulator is started, apart from the rate limits.
    pub(crate) fn settings() -> Settings {
        let options = PROPERTIES.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        Settings { limits: simulator::LimitSwitch::Off, options, ..Settings::default() }
    }

    /// An empty table `people`, a sync of it, and a simulator without rate limits.
    pub(crate) async fn new() -> Self {
        Self::with_limits(simulator::LimitSwitch::Off).await
    }

    pub(crate) async fn with_limits(limits: simulator::LimitSwitch) -> Self {
        let database = Postgres::shared().database(None);
        Self::on(database, limits).await
    }

    /// With the limits of an account that has these options beside the usual ones.
    pub(crate) async fn of_account(options: &[(&str, &str)]) -> Self {
        let database = Postgres::shared().database(None);
        let mut settings = Self::settings();
        settings.options.extend(options.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())));
        settings.limits = simulator::LimitSwitch::Vendor;
        Self::between(database, settings).await
    }

    pub(crate) async fn on(database: Database, limits: simulator::LimitSwitch) -> Self {
        let settings = Settings { limits, ..Self::settings() };
        Self::between(database, settings).await
    }

    async fn between(database: Database, settings: Settings) -> Self {
        database.execute(TABLE).await;
        // Without limits over there, none are kept here.
        let pace = match settings.limits {
            simulator::LimitSwitch::Off => ", requests_per_10s: 1000000",
            simulator::LimitSwitch::Vendor => "",
        };
        let simulator = simulator::start(writer_crm::hubspot::simulator::build, settings)
            .await
            .expect("the simulator starts");
        let dir = tempfile::tempdir().expect("a folder");
        let project = Self {
            dir,
            warehouse_url: database.url.clone(),
            database,
            simulator,
            token: "pat-test-token".to_owned(),
        };
        project.write(
            "outflow.yml",
            "version: 1\nproject: test\nconnections:\n  \
             warehouse: { type: postgres, url: \"${WAREHOUSE_URL}\" }\n  \
             hubspot: { type: hubspot, token: \"${HUBSPOT_TOKEN}\", base_url: \"${HUBSPOT_BASE_URL}\"PACE }\n"
                .replace("PACE", pace)
                .as_str(),
        );
        project.write("syncs/people.yml", SYNC);
        project
    }

    pub(crate) fn write(&self, path: &str, text: &str) {
        let path = self.dir.path().join(path);
        std::fs::create_dir_all(path.parent().expect("inside the project")).expect("a folder");
        std::fs::write(path, text).expect("a file");
    }

    pub(crate) fn path(&self, path: &str) -> PathBuf {
        self.dir.path().join(path)
    }

    /// Rows `from..to`, each changed one second after the one before, from 2026-03-01 on.
    pub(crate) async fn insert(&self, from: u64, to: u64) {
        let sql = format!(
            "insert into people select i, 'user' || i || '@example.com', 'Näme \"' || i || '\" 🦀',
             (i % 1000)::numeric / 4, '2026-02-01T00:00:00Z'::timestamptz + i * interval '1 minute',
             (array['free','pro','ent'])[i % 3 + 1], '2026-03-01T00:00:00Z'::timestamptz + i * interval '1 second'
             from generate_series({from}, {}) i",
            to - 1
        );
        self.database.execute(&sql).await;
    }

    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(binary());
        command
            .args(args)
            .current_dir(self.dir.path())
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("WAREHOUSE_URL", &self.warehouse_url)
            .env("HUBSPOT_TOKEN", &self.token)
            .env("HUBSPOT_BASE_URL", self.simulator.url())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        command
    }

    /// Runs `outflow ARGS` to its end.
    pub(crate) async fn outflow(&self, args: &[&str]) -> Output {
        let child = self.command(args).spawn().expect("outflow starts");
        finish(child).await
    }

    /// Runs the sync once and gives back its summary.
    pub(crate) async fn run(&self) -> Output {
        self.outflow(&["run", "-s", "people", "--output", "json"]).await
    }

    pub(crate) fn spawn(&self, args: &[&str]) -> Child {
        self.command(args).spawn().expect("outflow starts")
    }

    /// Adds fault rules, one a line.
    pub(crate) async fn faults(&self, rules: &str) {
        let url = format!("{}/_sim/faults", self.simulator.url());
        let answer = http().post(url).body(rules.to_owned()).send().await.expect("an answer");
        assert!(answer.status().is_success(), "{}", answer.text().await.unwrap_or_default());
    }

    pub(crate) async fn clear_faults(&self) {
        let url = format!("{}/_sim/faults", self.simulator.url());
        http().delete(url).send().await.expect("an answer");
    }

    pub(crate) async fn stats(&self) -> Value {
        self.admin("stats").await
    }

    pub(crate) async fn admin(&self, path: &str) -> Value {
        let url = format!("{}/_sim/{path}", self.simulator.url());
        http().get(url).send().await.expect("an answer").json().await.expect("JSON")
    }

    /// Write calls the simulator has seen.
    pub(crate) async fn writes(&self) -> u64 {
        let stats = self.stats().await;
        stats["writes"].as_u64().unwrap_or_else(|| panic!("no writes in {stats:#}"))
    }

    /// All contacts, by e-mail: properties. Fails when two records have one e-mail.
    pub(crate) async fn contacts(&self) -> BTreeMap<String, BTreeMap<String, String>> {
        let records = self.admin("records/contacts").await;
        let mut contacts = BTreeMap::new();
        for record in records.as_array().expect("a list") {
            let properties: BTreeMap<String, String> = record["properties"]
                .as_object()
                .expect("properties")
                .iter()
                .map(|(name, value)| (name.clone(), value.as_str().unwrap_or_default().to_owned()))
                .collect();
            let email = properties.get("email").cloned().unwrap_or_default();
            assert!(contacts.insert(email.clone(), properties).is_none(), "twice: {email}");
        }
        contacts
    }

    /// D1: the destination holds exactly what the mapping makes of the source, for every row but `except`.
    pub(crate) async fn converged(&self, except: &[i64]) {
        let rows = self
            .database
            .client()
            .await
            .query(
                "select id, lower(email), coalesce(name, ''), coalesce(trim_scale(score)::text, ''),
                 coalesce(to_char(seen_at at time zone 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"'), ''),
                 coalesce(case plan when 'free' then 'Free' when 'pro' then 'Professional' when 'ent' then 'Enterprise'
                 else plan end, '') from people order by id",
                &[],
            )
            .await
            .expect("the source can be read");
        let contacts = self.contacts().await;
        let mut expected = 0;
        for row in &rows {
            let id: i64 = row.get(0);
            if except.contains(&id) {
                continue;
            }
            expected += 1;
            let email: String = row.get(1);
            let contact = contacts.get(&email).unwrap_or_else(|| panic!("row {id} is missing"));
            let got = |name: &str| contact.get(name).cloned().unwrap_or_default();
            assert_eq!(got("firstname"), row.get::<_, String>(2), "row {id}");
            assert_eq!(got("score"), row.get::<_, String>(3), "row {id}");
            assert_eq!(instant(&got("seen_at")), instant(&row.get::<_, String>(4)), "row {id}");
            assert_eq!(got("plan_tier"), row.get::<_, String>(5), "row {id}");
        }
        assert_eq!(contacts.len(), expected, "records that no row accounts for");
    }
}

/// A HubSpot datetime without its spelling: `...00Z` and `...00.000Z` are one moment.
fn instant(text: &str) -> String {
    text.trim_end_matches('Z').trim_end_matches(".000").to_owned()
}

pub(crate) fn http() -> reqwest::Client {
    static PROVIDER: std::sync::Once = std::sync::Once::new();
    PROVIDER.call_once(|| {
        let _ = rustls::crypto::ring::default_provider().install_default();
    });
    reqwest::Client::new()
}

/// Waits for the end of a command.
pub(crate) async fn finish(child: Child) -> Output {
    let output = tokio::time::timeout(Duration::from_secs(240), child.wait_with_output())
        .await
        .expect("outflow ends in time")
        .expect("outflow ran");
    Output {
        code: output.status.code(),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// The binary that cargo built beside this test; builds it when only this package was asked for.
pub(crate) fn binary() -> &'static Path {
    static BINARY: std::sync::OnceLock<PathBuf> = std::sync::OnceLock::new();
    BINARY.get_or_init(|| {
        let test = std::env::current_exe().expect("this test has a path");
        let folder = test.ancestors().nth(2).expect("target/PROFILE/deps/it");
        let binary = folder.join("outflow");
        if !binary.exists() || !folder.join("private-postgres").exists() {
            let built = std::process::Command::new(env!("CARGO"))
                .args(["build", "--locked", "--workspace", "--bins"])
                .current_dir(root())
                .status();
            assert!(built.is_ok_and(|status| status.success()), "outflow can be built");
        }
        binary
    })
}

/// The workspace's folder.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests lies in the workspace")
}

/// Looks again until `look` is true or the time is over.
pub(crate) async fn eventually<F: Future<Output = bool>>(what: &str, look: impl Fn() -> F) {
    let deadline = tokio::time::Instant::now() + Duration::from_secs(60);
    while !look().await {
        assert!(tokio::time::Instant::now() < deadline, "not in time: {what}");
        tokio::task::yield_now().await;
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
