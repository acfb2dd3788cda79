//! The boards, rules and runbooks of `dashboards/`: sound by themselves, true to the metrics the code has, and
//! answered with data by a real Prometheus.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test may fail, and says why it is skipped"
)]

pub(crate) mod live;
mod real_run;
mod rehearsal;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use flow::metrics::Metrics;
use regex::Regex;
use serde_json::Value;

/// Metrics that are on no panel and in no rule, each with its reason.
const NOT_SHOWN: &[(&str, &str)] = &[
    ("outflow_reconcile_drift_rows", "known only where somebody reconciles, which no run does"),
    ("outflow_reconcile_last_success_timestamp_seconds", "as the one above"),
];

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("dashboards")
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The files of a folder with this ending, by name without it.
fn files(folder: &Path, ending: &str) -> BTreeMap<String, PathBuf> {
    fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|found| found == ending))
        .map(|path| (path.file_stem().unwrap().to_string_lossy().into_owned(), path))
        .collect()
}

/// One query of a board, and where it stands.
#[derive(Debug, Clone)]
struct Query {
    /// Board and panel, for messages.
    place: String,
    expr: String,
    instant: bool,
}

/// A Grafana board.
struct Board {
    uid: String,
    json: Value,
}

impl Board {
    fn all() -> Vec<Self> {
        files(&folder().join("grafana"), "json")
            .into_iter()
            .map(|(uid, path)| Self { uid, json: serde_json::from_str(&read(&path)).unwrap() })
            .collect()
    }

    fn list(&self, pointer: &str) -> &[Value] {
        self.json.pointer(pointer).and_then(Value::as_array).map_or(&[], Vec::as_slice)
    }

    /// Panels that show something; rows only group them.
    fn panels(&self) -> impl Iterator<Item = &Value> {
        self.list("/panels").iter().filter(|panel| panel["type"] != "row")
    }

    fn queries(&self) -> Vec<Query> {
        let of_panel = |panel: &Value| -> Vec<Query> {
            let targets = panel["targets"].as_array().cloned().unwrap_or_default();
            targets
                .into_iter()
                .map(|target| Query {
                    place: format!("{} / {}", self.uid, text(&panel["title"])),
                    expr: text(&target["expr"]).to_owned(),
                    instant: target["instant"] == true,
                })
                .collect()
        };
        self.panels().flat_map(of_panel).collect()
    }

    /// Expressions beside the panels: annotations and the series behind the variables.
    fn other_expressions(&self) -> Vec<String> {
        let annotations = self.list("/annotations/list").iter().map(|entry| text(&entry["expr"]));
        let variables =
            self.list("/templating/list").iter().map(|entry| text(&entry["definition"]));
        annotations.chain(variables).filter(|expr| !expr.is_empty()).map(str::to_owned).collect()
    }
}

/// A string, or nothing.
fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn yaml(path: &Path) -> Value {
    serde_saphyr::from_str(&read(path))
        .unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Every rule of rules.yml.
fn rules() -> Vec<Value> {
    let file = yaml(&folder().join("prometheus/rules.yml"));
    let groups = file["groups"].as_array().unwrap();
    groups.iter().flat_map(|group| group["rules"].as_array().unwrap().clone()).collect()
}

/// Names in an expression that can only be metrics: ours, the process's, and recorded ones.
fn metrics_in(expr: &str) -> BTreeSet<String> {
    let quoted = Regex::new(r#""[^"]*""#).unwrap();
    let name = Regex::new(r"\b(?:outflow|process|sync:outflow)_[a-z0-9_:]+").unwrap();
    let bare = quoted.replace_all(expr, "\"\"");
    name.find_iter(&bare).map(|found| found.as_str().to_owned()).collect()
}

/// The metric of the code behind a series: a histogram has three.
fn known<'a>(name: &'a str, metrics: &BTreeSet<String>) -> Option<&'a str> {
    if metrics.contains(name) {
        return Some(name);
    }
    ["_bucket", "_sum", "_count"]
        .iter()
        .filter_map(|suffix| name.strip_suffix(suffix))
        .find(|base| metrics.contains(*base))
}

#[test]
fn every_expression_names_metrics_the_code_has_and_every_metric_is_used() {
    let metrics: BTreeSet<String> = Metrics::new("0", "0").names().into_iter().collect();
    let rules = rules();
    let recorded: BTreeSet<&str> = rules.iter().map(|rule| text(&rule["record"])).collect();
    let mut expressions: Vec<(String, String)> = rules
        .iter()
        .map(|rule| {
            let name = format!("{}{}", text(&rule["record"]), text(&rule["alert"]));
            (name, text(&rule["expr"]).to_owned())
        })
        .collect();
    for board in Board::all() {
        expressions.extend(board.queries().into_iter().map(|query| (query.place, query.expr)));
        expressions
            .extend(board.other_expressions().into_iter().map(|expr| (board.uid.clone(), expr)));
    }
    let mut used = BTreeSet::new();
    for (place, expr) in &expressions {
        let names = metrics_in(expr);
        assert!(!names.is_empty(), "{place} names no metric: {expr}");
        for name in names {
            if recorded.contains(name.as_str()) {
                used.insert(name);
                continue;
            }
            let Some(metric) = known(&name, &metrics) else {
                panic!("{place} names {name}, which crates/flow/src/metrics.rs does not have");
            };
            used.insert(metric.to_owned());
        }
    }
    let not_shown: BTreeSet<&str> = NOT_SHOWN.iter().map(|(name, _)| *name).collect();
    for metric in &metrics {
        let excused = not_shown.contains(metric.as_str());
        assert!(
            used.contains(metric) != excused,
            "{metric} is shown nowhere, or excused for nothing"
        );
    }
    for name in recorded.iter().filter(|name| !name.is_empty()) {
        assert!(used.contains(*name), "the recorded {name} is used nowhere");
    }
}

#[test]
fn every_board_is_complete() {
    let boards = Board::all();
    assert!(boards.len() >= 2);
    for board in &boards {
        let uid = &board.uid;
        assert_eq!(board.json["uid"], uid.as_str(), "the uid is the file's name");
        assert_eq!(board.json["schemaVersion"], 39, "{uid}");
        assert_eq!(board.json["timezone"], "utc", "{uid}");
        assert!(board.list("/tags").contains(&"outflow".into()), "{uid}");
        for pointer in ["/title", "/description", "/refresh"] {
            assert!(!text(&board.json[&pointer[1..]]).is_empty(), "{uid}{pointer}");
        }
        let menu = &board.list("/links")[0];
        for on in ["asDropdown", "includeVars", "keepTime"] {
            assert_eq!(menu[on], true, "{uid}: {on} of the link to the other boards");
        }
        check_variables(board);
        check_layout(board);
        for panel in board.panels() {
            check_panel(uid, panel);
        }
    }
}

fn check_variables(board: &Board) {
    let variables: Vec<_> = board.list("/templating/list").iter().collect();
    let names: Vec<_> = variables.iter().map(|variable| text(&variable["name"])).collect();
    for wanted in ["datasource", "job", "instance", "sync"] {
        assert!(names.contains(&wanted), "{} has no variable {wanted}", board.uid);
    }
    assert_eq!(variables[0]["type"], "datasource", "{}: the data source comes first", board.uid);
    for variable in &variables[1..] {
        assert_eq!(variable["datasource"]["uid"], "${datasource}", "{}", board.uid);
        assert!(!text(&variable["label"]).is_empty() && !text(&variable["description"]).is_empty());
    }
}

/// No panel twice, none over another, none beyond the right edge.
fn check_layout(board: &Board) {
    let mut ids = BTreeSet::new();
    let mut cells = BTreeSet::new();
    for panel in board.list("/panels") {
        let title = text(&panel["title"]);
        assert!(
            ids.insert(panel["id"].as_u64().unwrap()),
            "{}: the id of {title} is used twice",
            board.uid
        );
        let [x, y, w, h] =
            ["x", "y", "w", "h"].map(|side| panel["gridPos"][side].as_u64().unwrap());
        assert!(x + w <= 24, "{title}");
        for cell in (x..x + w).flat_map(|column| (y..y + h).map(move |line| (column, line))) {
            assert!(cells.insert(cell), "{}: {title} lies over another panel", board.uid);
        }
    }
}

#[track_caller]
fn check_panel(board: &str, panel: &Value) {
    let place = format!("{board} / {}", text(&panel["title"]));
    assert!(!text(&panel["title"]).is_empty(), "{place}: no title");
    assert!(text(&panel["description"]).ends_with('.'), "{place}: no sentence that describes it");
    assert!(!text(&panel["fieldConfig"]["defaults"]["unit"]).is_empty(), "{place}: no unit");
    let steps = panel["fieldConfig"]["defaults"]["thresholds"]["steps"].as_array();
    assert!(steps.is_some_and(|steps| !steps.is_empty()), "{place}: no thresholds");
    assert_eq!(panel["datasource"]["uid"], "${datasource}", "{place}");
    if panel["type"] == "timeseries" {
        let legend = &panel["options"]["legend"];
        assert_eq!(legend["displayMode"], "table", "{place}: the legend is a table");
        assert!(!text(&panel["interval"]).is_empty(), "{place}: no least interval");
    }
    let targets = panel["targets"].as_array().unwrap();
    assert!(!targets.is_empty(), "{place}: no query");
    let ranged = Regex::new(r"\b(?:rate|increase|changes)\([^()]*\[([^\]]*)\]").unwrap();
    for target in targets {
        assert_eq!(target["datasource"]["uid"], "${datasource}", "{place}");
        let expr = text(&target["expr"]);
        for window in ranged.captures_iter(expr) {
            assert_eq!(&window[1], "$__rate_interval", "{place}: {expr}");
        }
        if !expr.contains("sync:") {
            for label in ["job=~\"$job\"", "instance=~\"$instance\""] {
                assert!(expr.contains(label), "{place} does not heed {label}");
            }
        }
    }
}

#[test]
fn every_alert_says_what_to_do_and_is_tested() {
    let alerts: Vec<Value> =
        rules().into_iter().filter(|rule| !text(&rule["alert"]).is_empty()).collect();
    let mut runbooks = files(&folder().join("runbooks"), "md");
    let tests = yaml(&folder().join("prometheus/rules_test.yml"));
    let fired: BTreeSet<String> = tests["tests"]
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|test| test["alert_rule_test"].as_array().cloned().unwrap_or_default())
        .filter(|check| check["exp_alerts"].as_array().is_some_and(|alerts| !alerts.is_empty()))
        .map(|check| text(&check["alertname"]).to_owned())
        .collect();
    for alert in &alerts {
        let name = text(&alert["alert"]);
        assert!(name.starts_with("Outflow"), "{name}");
        assert!(["critical", "warning"].contains(&text(&alert["labels"]["severity"])), "{name}");
        for annotation in ["summary", "description", "dashboard_url"] {
            assert!(!text(&alert["annotations"][annotation]).is_empty(), "{name}: {annotation}");
        }
        let url = format!("dashboards/runbooks/{name}.md");
        assert_eq!(text(&alert["annotations"]["runbook_url"]), url, "{name}");
        let page = runbooks.remove(name).unwrap_or_else(|| panic!("{name} has no runbook"));
        check_runbook(name, &read(&page));
        assert!(fired.contains(name), "no test in rules_test.yml lets {name} fire");
    }
    assert!(runbooks.is_empty(), "runbooks without an alert: {runbooks:?}");
}

#[track_caller]
fn check_runbook(name: &str, page: &str) {
    assert!(page.starts_with(&format!("# {name}\n")), "{name}");
    for heading in ["## Look", "## Do"] {
        assert!(page.contains(heading), "{name}: {heading}");
    }
    assert!(page.contains("outflow "), "{name} names no command");
    let link = Regex::new(r"\]\(([A-Za-z]+\.md)\)").unwrap();
    for found in link.captures_iter(page) {
        assert!(
            folder().join("runbooks").join(&found[1]).exists(),
            "{name} links to {}",
            &found[1]
        );
    }
}

#[test]
fn provisioning_is_valid_yaml() {
    for kind in ["dashboards", "datasources"] {
        for (name, path) in files(&folder().join("provisioning").join(kind), "yml") {
            assert_eq!(yaml(&path)["apiVersion"], 1, "{name}");
        }
    }
}

/// Whether `prometheus` and `promtool` are here, after trying to install Debian's package where we may.
fn prometheus_is_here() -> bool {
    static HERE: OnceLock<bool> = OnceLock::new();
    let found = || {
        ["prometheus", "promtool"].iter().all(|program| {
            Command::new(program).arg("--version").output().is_ok_and(|done| done.status.success())
        })
    };
    let here = *HERE.get_or_init(|| {
        if found() {
            return true;
        }
        let setup = folder().parent().unwrap().join("tests/demo/setup.sh");
        let _ = Command::new(setup).arg("prometheus").output();
        found()
    });
    if !here {
        println!("skipped: Debian's `prometheus` is not installed and cannot be (`make setup`)");
    }
    here
}

#[track_caller]
fn promtool(arguments: &[&str]) {
    let done = Command::new("promtool")
        .args(arguments)
        .current_dir(folder().join("prometheus"))
        .output()
        .unwrap();
    let (out, err) = (String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
    assert!(done.status.success(), "promtool {arguments:?}:\n{out}\n{err}");
}

#[test]
fn promtool_accepts_the_rules_and_their_tests() {
    if !prometheus_is_here() {
        return;
    }
    promtool(&["check", "rules", "rules.yml"]);
    promtool(&["test", "rules", "rules_test.yml"]);
}
