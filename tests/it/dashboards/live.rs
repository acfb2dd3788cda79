//! A real Prometheus, private to one test, that scrapes an exposition and answers every query of the boards.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use serde_json::Value;
use tempfile::TempDir;
use tokio::process::{Child, Command};
use tokio::time::Instant;

use super::rehearsal::Rehearsal;
use super::{Board, Query, folder, prometheus_is_here, promtool, read, text};

/// Everything must have been answered by then.
const DEADLINE: Duration = Duration::from_secs(150);
/// Between two looks at something that is not there yet.
const PAUSE: Duration = Duration::from_millis(250);

#[tokio::test]
async fn a_real_prometheus_answers_every_panel_with_data() {
    if !prometheus_is_here() {
        return;
    }
    let rehearsal = Rehearsal::new();
    check_exposition(&rehearsal.expose());
    every_panel_has_data(move || rehearsal.expose()).await;
}

/// What `promtool check metrics` has to say about an exposition.
#[track_caller]
fn check_exposition(exposition: &str) {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("metrics");
    fs::write(&file, exposition).unwrap();
    let done = std::process::Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(fs::File::open(&file).unwrap())
        .output()
        .unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
}

/// Lets a Prometheus scrape what `expose` gives, and waits until every query of every board has an answer.
pub(crate) async fn every_panel_has_data(expose: impl Fn() -> String + Send + Sync + 'static) {
    let target = serve(expose).await;
    let prometheus = Prometheus::start(target).await;
    let mut waiting: Vec<(Query, Option<String>)> =
        Board::all().iter().flat_map(Board::queries).map(|query| (query, None)).collect();
    let deadline = Instant::now() + DEADLINE;
    while !waiting.is_empty() {
        let mut left = Vec::new();
        for (query, _) in waiting {
            if let Err(why) = prometheus.has_data(&query).await {
                left.push((query, Some(why)));
            }
        }
        waiting = left;
        assert!(Instant::now() < deadline, "queries without data: {waiting:#?}");
        if !waiting.is_empty() {
            tokio::time::sleep(PAUSE).await;
        }
    }
    prometheus.check_variables().await;
    prometheus.check_rules().await;
}

/// Serves the exposition on loopback until the test ends.
async fn serve(expose: impl Fn() -> String + Send + Sync + 'static) -> SocketAddr {
    let expose = Arc::new(expose);
    let answer = move || {
        let expose = Arc::clone(&expose);
        async move { ([("content-type", "text/plain; version=0.0.4")], expose()) }
    };
    let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let router = Router::new().route("/metrics", get(answer));
    tokio::spawn(async move { axum::serve(listener, router).await });
    address
}

struct Prometheus {
    api: String,
    client: reqwest::Client,
    _process: Child,
    _dir: TempDir,
}

impl Prometheus {
    async fn start(target: SocketAddr) -> Self {
        let dir = tempfile::tempdir().unwrap();
        configure(dir.path(), target);
        let port =
            TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port();
        let log = fs::File::create(dir.path().join("log")).unwrap();
        let process = Command::new("prometheus")
            .arg("--config.file=prometheus.yml")
            .arg("--storage.tsdb.path=data")
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .current_dir(dir.path())
            .stdout(Stdio::null())
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        // The first one installed stays; another test may have been faster.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = reqwest::Client::builder().timeout(DEADLINE).no_proxy().build().unwrap();
        let started =
            Self { api: format!("http://127.0.0.1:{port}"), client, _process: process, _dir: dir };
        started.wait_until_ready().await;
        started
    }

    async fn wait_until_ready(&self) {
        let deadline = Instant::now() + DEADLINE;
        let ready = format!("{}/-/ready", self.api);
        while !self.client.get(&ready).send().await.is_ok_and(|reply| reply.status().is_success()) {
            let log = read(&self._dir.path().join("log"));
            assert!(Instant::now() < deadline, "Prometheus did not start:\n{log}");
            tokio::time::sleep(PAUSE).await;
        }
    }

    async fn get(&self, path: &str, parameters: &[(&str, &str)]) -> Result<Value, String> {
        let url = reqwest::Url::parse_with_params(&format!("{}{path}", self.api), parameters)
            .map_err(|error| error.to_string())?;
        let reply = self.client.get(url).send().await.map_err(|error| error.to_string())?;
        let body = reply.text().await.map_err(|error| error.to_string())?;
        let answer: Value = serde_json::from_str(&body).map_err(|_| body)?;
        if answer["status"] == "success" {
            Ok(answer["data"].clone())
        } else {
            Err(answer.to_string())
        }
    }

    /// Whether the query answers with a number. A query that is wrong in itself fails the test at once.
    async fn has_data(&self, query: &Query) -> Result<(), String> {
        let expr = substitute(&query.expr);
        let now = self.get("/api/v1/query", &[("query", "time()")]).await?;
        let end = now["result"][0].as_f64().ok_or("no time")?;
        let (start, end) = ((end - 30.0).to_string(), end.to_string());
        let answer = if query.instant {
            self.get("/api/v1/query", &[("query", &expr)]).await
        } else {
            let range = [("query", &*expr), ("start", &start), ("end", &end), ("step", "1")];
            self.get("/api/v1/query_range", &range).await
        };
        let answer = answer.unwrap_or_else(|why| panic!("{}: {expr}: {why}", query.place));
        let series = answer["result"].as_array().ok_or("no result")?;
        let numbers = series.iter().flat_map(|one| {
            let many = one["values"].as_array().into_iter().flatten();
            many.chain(one.get("value")).filter_map(|pair| text(&pair[1]).parse::<f64>().ok())
        });
        match numbers.filter(|number| number.is_finite()).count() {
            0 => Err(format!("{expr} answers {answer}")),
            _ => Ok(()),
        }
    }

    /// Every variable that asks Prometheus for the values of a label gets some.
    async fn check_variables(&self) {
        let asked = regex::Regex::new(r"^label_values\((.*), (\w+)\)$").unwrap();
        for board in Board::all() {
            for variable in board.list("/templating/list").iter().skip(1) {
                let definition = substitute(text(&variable["definition"]));
                let parts = asked.captures(&definition).unwrap_or_else(|| panic!("{definition}"));
                let path = format!("/api/v1/label/{}/values", &parts[2]);
                let values = self.get(&path, &[("match[]", &parts[1])]).await.unwrap();
                assert!(!values.as_array().unwrap().is_empty(), "{}: {definition}", board.uid);
            }
        }
    }

    /// Every rule was evaluated without an error.
    async fn check_rules(&self) {
        let deadline = Instant::now() + DEADLINE;
        loop {
            let answer = self.get("/api/v1/rules", &[]).await.unwrap();
            let groups = answer["groups"].as_array().unwrap();
            let rules: Vec<&Value> =
                groups.iter().flat_map(|group| group["rules"].as_array().unwrap()).collect();
            for rule in &rules {
                assert!(rule["lastError"].is_null(), "{rule:#}");
            }
            if !rules.is_empty() && rules.iter().all(|rule| rule["health"] == "ok") {
                return;
            }
            assert!(Instant::now() < deadline, "rules were not evaluated: {rules:#?}");
            tokio::time::sleep(PAUSE).await;
        }
    }
}

/// Our rules as they are, but evaluated as often as the short scrapes.
fn configure(dir: &Path, target: SocketAddr) {
    let rules = read(&folder().join("prometheus/rules.yml"));
    assert!(rules.contains("interval: 30s"));
    fs::write(dir.join("rules.yml"), rules.replace("interval: 30s", "interval: 1s")).unwrap();
    let config = format!(
        "global: {{ scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 1s }}\n\
         rule_files: [rules.yml]\n\
         scrape_configs:\n\
         \x20 - job_name: outflow\n\
         \x20   static_configs: [{{ targets: ['{target}'] }}]\n"
    );
    fs::write(dir.join("prometheus.yml"), config).unwrap();
    promtool(&["check", "config", &dir.join("prometheus.yml").to_string_lossy()]);
}

/// What Grafana puts in for its variables when everything is selected.
fn substitute(expr: &str) -> String {
    let mut expr = expr.replace("$__rate_interval", "20s").replace("$__range", "5m");
    for variable in ["datasource", "job", "instance", "sync", "destination"] {
        expr = expr.replace(&format!("\"${variable}\""), "\".*\"");
    }
    assert!(!expr.contains('$'), "a variable is left in {expr}");
    expr
}
