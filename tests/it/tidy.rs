//! The house rules that a machine can hold: crate edges, file shapes, words, versions, and documents that keep to the code.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use regex::Regex;

/// Which of our crates a crate may build on. A new edge is a decision: change it here, in its own commit.
const EDGES: &[(&str, &[&str])] = &[
    ("flow", &[]),
    ("simulator", &[]),
    ("link", &["flow"]),
    ("reader", &["flow", "link"]),
    ("transform", &["flow"]),
    ("state", &["flow", "link"]),
    ("writer", &["flow", "simulator"]),
    ("writer-crm", &["flow", "simulator", "writer"]),
    ("writer-support", &["flow", "simulator", "writer"]),
    ("writer-product", &["flow", "simulator", "writer"]),
    ("writer-http", &["flow", "writer"]),
    ("engine", &["flow", "transform"]),
    (
        "outflow",
        &[
            "engine",
            "flow",
            "reader",
            "simulator",
            "state",
            "transform",
            "writer",
            "writer-crm",
            "writer-support",
            "writer-product",
            "writer-http",
        ],
    ),
    ("support", &["flow"]),
];

/// Files that may be longer than 500 lines without their tests, each with its reason.
const LONG_FILES: &[(&str, &str)] = &[(
    "crates/flow/src/metrics.rs",
    "one facade: every metric's name, help and labels in one place",
)];

/// Crates of which the tree has exactly one version, because their types cross our own borders or they are big.
const ONE_VERSION: &[&str] = &[
    "arrow",
    "arrow-array",
    "arrow-schema",
    "axum",
    "http",
    "hyper",
    "parquet",
    "prometheus",
    "reqwest",
    "rusqlite",
    "rustls",
    "schemars",
    "tokio",
    "tokio-postgres",
];

/// Files with a name that says little elsewhere, each with its reason.
const NAMED_PLAINLY: &[(&str, &str)] = &[
    ("crates/reader/src/postgres/types.rs", "PostgreSQL's types are what it is about"),
    ("crates/reader/tests/it/types.rs", "and what it tests"),
];

const LINES_MAX: usize = 500;
const README_LINES_MAX: usize = 40;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ lies in the root").to_owned()
}

/// Every file that belongs to the repository, relative to its root: what git tracks or would, else a walk.
fn files() -> Vec<String> {
    let listed = Command::new("git")
        .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
        .current_dir(root())
        .output();
    let mut files: Vec<String> = match listed {
        Ok(output) if output.status.success() => String::from_utf8_lossy(&output.stdout)
            .split('\0')
            .filter(|name| !name.is_empty() && root().join(name).is_file())
            .map(str::to_owned)
            .collect(),
        _ => {
            let mut found = Vec::new();
            walk(&root(), &mut found);
            found
        }
    };
    files.sort();
    assert!(files.iter().any(|file| file == "Cargo.toml"), "the list of files is empty");
    files
}

fn walk(folder: &Path, found: &mut Vec<String>) {
    for entry in fs::read_dir(folder).expect("the folder is there").flatten() {
        let (path, name) = (entry.path(), entry.file_name());
        if path.is_dir() {
            if name != "target" && name != ".git" && name != ".venv" && name != ".outflow" {
                walk(&path, found);
            }
        } else if let Ok(relative) = path.strip_prefix(root()) {
            found.push(relative.to_string_lossy().into_owned());
        }
    }
}

fn text(file: &str) -> String {
    fs::read_to_string(root().join(file)).unwrap_or_else(|error| panic!("{file}: {error}"))
}

fn with_extension(extension: &str) -> Vec<(String, String)> {
    let ending = format!(".{extension}");
    files()
        .into_iter()
        .filter(|file| file.ends_with(&ending))
        .map(|f| (f.clone(), text(&f)))
        .collect()
}

fn is_test(file: &str) -> bool {
    file.starts_with("tests/") || file.contains("/tests/") || file.ends_with("tests.rs")
}

/// The lines before a file's own unit tests.
fn without_tests(source: &str) -> &str {
    source.find("#[cfg(test)]\nmod tests {").map_or(source, |at| &source[..at])
}

#[track_caller]
fn none(what: &str, wrong: &[String]) {
    assert!(wrong.is_empty(), "{what}:\n  {}\n", wrong.join("\n  "));
}

/// The crates of the workspace: name, folder, manifest.
fn crates() -> Vec<(String, String, String)> {
    let name = Regex::new(r#"(?m)^name = "([^"]+)""#).expect("valid");
    files()
        .into_iter()
        .filter_map(|file| {
            let folder = file.strip_suffix("/Cargo.toml")?.to_owned();
            let manifest = text(&file);
            let name = name.captures(&manifest)?[1].to_owned();
            Some((name, folder, manifest))
        })
        .collect()
}

/// Names under `[dependencies]` and `[build-dependencies]`.
fn dependencies(manifest: &str) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    let mut section = "";
    for line in manifest.lines() {
        if let Some(header) = line.strip_prefix('[') {
            section = header.trim_end_matches(']');
        } else if matches!(section, "dependencies" | "build-dependencies")
            && let Some((name, _)) = line.split_once(['.', '=', ' '])
            && !name.is_empty()
            && !name.starts_with('#')
        {
            names.insert(name.to_owned());
        }
    }
    names
}

#[test]
fn crates_rest_only_on_the_crates_of_the_table() {
    let ours: BTreeSet<String> = crates().into_iter().map(|(name, ..)| name).collect();
    let mut wrong = Vec::new();
    for (name, folder, manifest) in crates() {
        // The test and bench packages are at the very end and may see everything.
        if folder == "tests" || folder == "tests/bench" {
            continue;
        }
        let Some((_, allowed)) = EDGES.iter().find(|(listed, _)| *listed == name) else {
            wrong.push(format!("{name} ({folder}) is not in the table EDGES"));
            continue;
        };
        for edge in dependencies(&manifest).intersection(&ours) {
            if !allowed.contains(&edge.as_str()) {
                wrong.push(format!("{name} -> {edge}"));
            }
        }
    }
    none("edges that the table EDGES does not allow", &wrong);
}

#[test]
fn engine_and_transform_know_no_network_and_no_database() {
    let banned: &[(&str, &[&str])] = &[
        ("engine", &["reqwest", "axum", "hyper", "tokio-postgres", "rusqlite"]),
        ("transform", &["tokio", "async-trait", "reqwest", "futures"]),
        ("flow", &["tokio", "reqwest", "rusqlite", "tokio-postgres"]),
    ];
    let mut wrong = Vec::new();
    for (name, _, manifest) in crates() {
        let names =
            banned.iter().find(|(crate_, _)| *crate_ == name).map_or(&[][..], |(_, names)| names);
        let has = dependencies(&manifest);
        wrong.extend(names.iter().filter(|b| has.contains(**b)).map(|b| format!("{name} -> {b}")));
    }
    none("dependencies that would break an absence of ARCHITECTURE.md", &wrong);
}

#[test]
fn every_crate_inherits_the_workspace_lints_and_is_not_published() {
    let wrong: Vec<_> = crates()
        .into_iter()
        .filter(|(_, _, manifest)| {
            !manifest.contains("[lints]\nworkspace = true")
                || !manifest.contains("publish.workspace = true")
        })
        .map(|(_, folder, _)| folder)
        .collect();
    none("manifests without `[lints] workspace = true` or `publish.workspace = true`", &wrong);
}

#[test]
fn every_crate_has_a_short_readme_that_is_its_front_page() {
    let mut wrong = Vec::new();
    for (_, folder, _) in crates()
        .into_iter()
        .filter(|(_, folder, _)| folder.starts_with("crates/") || folder == "tests/support")
    {
        let readme = fs::read_to_string(root().join(&folder).join("README.md")).unwrap_or_default();
        let lib = fs::read_to_string(root().join(&folder).join("src/lib.rs")).unwrap_or_default();
        match readme.lines().count() {
            0 => wrong.push(format!("{folder} has no README.md")),
            1..=README_LINES_MAX => {}
            lines => wrong.push(format!("{folder}/README.md has {lines} lines")),
        }
        if !lib.contains(r#"#![doc = include_str!("../README.md")]"#) {
            wrong.push(format!("{folder}/src/lib.rs does not include the README"));
        }
    }
    none(&format!("crate READMEs (at most {README_LINES_MAX} lines)"), &wrong);
}

#[test]
fn every_source_file_opens_by_saying_why_it_exists() {
    let wrong: Vec<_> = with_extension("rs")
        .into_iter()
        .filter(|(_, source)| {
            !source.starts_with("//! ") && !source.starts_with("#![doc = include_str!")
        })
        .map(|(file, _)| file)
        .collect();
    none("files that do not open with `//!`", &wrong);
}

#[test]
fn source_files_stay_short_enough_to_read() {
    let excused: BTreeMap<_, _> = LONG_FILES.iter().copied().collect();
    let mut wrong = Vec::new();
    for (file, source) in with_extension("rs").into_iter().filter(|(file, _)| !is_test(file)) {
        let lines = without_tests(&source).lines().count();
        if lines > LINES_MAX && !excused.contains_key(file.as_str()) {
            wrong.push(format!("{file}: {lines} lines"));
        } else if lines <= LINES_MAX && excused.contains_key(file.as_str()) {
            wrong.push(format!("{file} needs no excuse any more"));
        }
    }
    none(&format!("files over {LINES_MAX} lines without their tests"), &wrong);
}

#[test]
fn no_unfinished_skipped_or_sleeping_code() {
    // Put together here, so that this file does not find itself.
    let banned = [
        concat!("to", "do!("),
        concat!("unimpl", "emented!("),
        concat!("#[ign", "ore"),
        concat!("thread::sl", "eep"),
        concat!("dbg", "!("),
        concat!("FIX", "ME"),
    ];
    let mut wrong = Vec::new();
    for (file, source) in with_extension("rs") {
        for (number, line) in source.lines().enumerate() {
            wrong.extend(
                banned
                    .iter()
                    .filter(|b| line.contains(**b))
                    .map(|b| format!("{file}:{}: {b}", number + 1)),
            );
        }
    }
    none("words that have no place in finished code", &wrong);
}

#[test]
fn modules_are_named_after_things() {
    let banned = ["utils", "util", "common", "helpers", "helper", "types", "misc", "shared"];
    let wrong: Vec<_> = files()
        .into_iter()
        .filter(|file| !NAMED_PLAINLY.iter().any(|(named, _)| named == file))
        .filter(|file| {
            file.strip_suffix(".rs")
                .is_some_and(|path| path.split('/').any(|part| banned.contains(&part)))
        })
        .collect();
    none("modules named after nothing in particular", &wrong);
}

#[test]
fn tests_are_named_by_a_sentence_without_a_prefix() {
    let test =
        Regex::new(r"#\[(?:tokio::)?test[^\]]*\]\s+(?:async )?fn (test_\w+)").expect("valid");
    let mut wrong = Vec::new();
    for (file, source) in with_extension("rs") {
        wrong.extend(test.captures_iter(&source).map(|found| format!("{file}: {}", &found[1])));
    }
    none("tests named test_", &wrong);
}

#[test]
fn the_tree_has_one_version_of_what_crosses_borders() {
    let entry = Regex::new(r#"name = "([^"]+)"\nversion = "([^"]+)""#).expect("valid");
    let mut versions: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for found in entry.captures_iter(&text("Cargo.lock")) {
        versions.entry(found[1].to_owned()).or_default().push(found[2].to_owned());
    }
    let wrong: Vec<_> = ONE_VERSION
        .iter()
        .filter(|name| versions.get(**name).map_or(0, Vec::len) != 1)
        .map(|name| format!("{name}: {:?}", versions.get(*name)))
        .collect();
    none("crates with none or several versions in Cargo.lock", &wrong);
    let backoff: Vec<_> = crates()
        .into_iter()
        .filter(|(.., m)| dependencies(m).contains("backoff"))
        .map(|c| c.0)
        .collect();
    assert_eq!(backoff, ["engine"], "only the engine retries");
}

#[test]
fn every_dependency_is_used_and_has_its_reason_in_contributing() {
    let manifest = text("Cargo.toml");
    let section = manifest
        .split("[workspace.dependencies]")
        .nth(1)
        .and_then(|rest| rest.split("\n[").next())
        .expect("the workspace lists its dependencies");
    let ours: BTreeSet<String> = crates().into_iter().map(|(name, ..)| name).collect();
    let used: String = crates().into_iter().map(|(.., manifest)| manifest).collect();
    let reasons = text("CONTRIBUTING.md");
    let mut wrong = Vec::new();
    for name in section.lines().filter_map(|line| line.split_once(" = ")).map(|(name, _)| name) {
        if !used.contains(&format!("\n{name}.workspace = true"))
            && !used.contains(&format!("\n{name} = {{ workspace = true"))
        {
            wrong.push(format!("{name} is used by no crate"));
        }
        let word =
            Regex::new(&format!(r"(?m)^\|[^|]*\b{}\b[^|]*\|", regex::escape(name))).expect("valid");
        if !ours.contains(name) && !word.is_match(&reasons) {
            wrong.push(format!("{name} has no reason in CONTRIBUTING.md"));
        }
    }
    none("workspace dependencies", &wrong);
}

#[test]
fn a_simulator_shares_no_code_with_its_writer() {
    let shared = Regex::new(r"\b(?:flow|writer|engine|transform)::|\bcrate::[a-z_]+::(?:[a-z_]+)")
        .expect("valid");
    let mut wrong = Vec::new();
    for (file, source) in with_extension("rs").into_iter().filter(|(file, _)| !is_test(file)) {
        let Some((vendor, _)) =
            file.strip_prefix("crates/writer-").and_then(|f| f.split_once("/simulator/"))
        else {
            continue;
        };
        let own = format!("crate::{}::simulator", vendor.rsplit('/').next().unwrap_or_default());
        wrong.extend(
            shared
                .find_iter(without_tests(&source))
                .filter(|found| !found.as_str().starts_with(&own))
                .map(|found| format!("{file}: {}", found.as_str())),
        );
    }
    none("names a simulator takes from its writer or from our own vocabulary", &wrong);
}

#[test]
fn every_table_of_destinations_passes_the_conformance_suite() {
    let sources = with_extension("rs");
    let tables = sources.iter().filter_map(|(file, source)| {
        source.contains("pub const DESTINATIONS:").then(|| file.strip_suffix("src/lib.rs"))?
    });
    let tables: Vec<&str> = tables.collect();
    assert!(tables.len() >= 4, "tables are found by their name: {tables:?}");
    let suite = ["conformance::run(", "for kind in DESTINATIONS"];
    let runs = |table: &&str| {
        let own = |file: &str| file.starts_with(&format!("{table}tests/"));
        !sources
            .iter()
            .any(|(file, source)| own(file) && suite.iter().all(|part| source.contains(part)))
    };
    let wrong: Vec<String> = tables.into_iter().filter(runs).map(str::to_owned).collect();
    none("tables of destinations that are not in the conformance suite", &wrong);
}

#[test]
fn metric_names_are_written_in_one_file() {
    let home = "crates/flow/src/metrics.rs";
    let literal = Regex::new(r#""(outflow_[a-z0-9_]+)""#).expect("valid");
    let names: BTreeSet<String> =
        literal.captures_iter(&text(home)).map(|found| found[1].to_owned()).collect();
    assert!(names.len() > 20, "{home} declares the metrics");
    let mut wrong = Vec::new();
    for (file, source) in with_extension("rs") {
        if file == home || is_test(&file) || !file.starts_with("crates/") {
            continue;
        }
        for found in literal.captures_iter(without_tests(&source)) {
            let name = &found[1];
            if names.contains(name) || name.ends_with("_total") || name.ends_with("_seconds") {
                wrong.push(format!("{file}: {name}"));
            }
        }
    }
    none(&format!("metric names outside of {home}"), &wrong);
}

#[test]
fn no_file_names_a_place_on_somebodys_machine() {
    // Put together here, so that this file does not find itself.
    let banned = Regex::new(&format!(
        r"(^|[^\w./-])/({}|{}/\w|{}/\w|{}|{})(/|\b)",
        concat!("wo", "rk"),
        concat!("ho", "me"),
        concat!("Us", "ers"),
        concat!("ro", "ot"),
        concat!("opt/whe", "els"),
    ))
    .expect("valid");
    let mut wrong = Vec::new();
    for file in files() {
        // Binary files have no text to look at.
        let Ok(content) = fs::read_to_string(root().join(&file)) else { continue };
        for (number, line) in content.lines().enumerate() {
            if let Some(found) = banned.find(line) {
                wrong.push(format!("{file}:{}: {}", number + 1, found.as_str().trim()));
            }
        }
    }
    none("paths of one machine", &wrong);
}

#[test]
fn error_codes_are_unique_and_lie_in_the_range_of_their_crate() {
    let ranges: &[(&str, &str)] = &[
        ("crates/cli/", "^E0[01]"),
        ("crates/transform/", "^(E02|R1)"),
        ("crates/reader/", "^E1"),
        ("crates/writer", "^(E2|R2)"),
        ("crates/state/", "^E3"),
        ("crates/engine/", "^(E4|G0|R4)"),
    ];
    let mut seen: BTreeMap<String, String> = BTreeMap::new();
    let mut wrong = Vec::new();
    for (code, file) in codes() {
        match ranges.iter().find(|(folder, _)| file.starts_with(folder)) {
            Some((_, range)) if Regex::new(range).expect("valid").is_match(&code) => {}
            _ => wrong.push(format!("{code} in {file} is out of range")),
        }
        if let Some(other) = seen.insert(code.clone(), file.clone()) {
            wrong.push(format!("{code} in {file} and {other}"));
        }
    }
    none("error codes", &wrong);
}

/// Every declared error code and the file that declares it.
fn codes() -> Vec<(String, String)> {
    let id = Regex::new(r#"\bid: "([EGR]\d{3,4})""#).expect("valid");
    let mut codes = Vec::new();
    for (file, source) in with_extension("rs") {
        if file.starts_with("crates/") && !file.contains("/tests/") {
            codes.extend(
                id.captures_iter(without_tests(&source))
                    .map(|found| (found[1].to_owned(), file.clone())),
            );
        }
    }
    assert!(!codes.is_empty(), "codes are declared as `id: \"E1001\"`");
    codes
}

#[test]
fn documents_name_only_codes_that_exist() {
    let known: BTreeSet<String> = codes().into_iter().map(|(code, _)| code).collect();
    let named = Regex::new(r"\b(?:E\d{4}|[GR]\d{3})\b").expect("valid");
    let mut wrong = Vec::new();
    for (file, content) in with_extension("md") {
        wrong.extend(
            named
                .find_iter(&content)
                .filter(|n| !known.contains(n.as_str()))
                .map(|n| format!("{file}: {}", n.as_str())),
        );
    }
    none("codes in documents that no crate declares", &wrong);
}

#[test]
fn the_tests_that_architecture_names_hold_their_invariants() {
    let row = Regex::new(r"(?m)^\| ([RDLSX]\d+) \|.*$").expect("valid");
    let link = Regex::new(r"\]\(([^)]+\.rs)\)").expect("valid");
    let architecture = text("ARCHITECTURE.md");
    let mut wrong = Vec::new();
    let mut rows = 0;
    for found in row.captures_iter(&architecture) {
        rows += 1;
        let named = Regex::new(&format!(r"\b{}\b", &found[1])).expect("valid");
        let files: Vec<_> = link.captures_iter(&found[0]).map(|link| link[1].to_owned()).collect();
        if files.is_empty() {
            wrong.push(format!("{} has no test", &found[1]));
        }
        for file in files {
            if !named.is_match(&fs::read_to_string(root().join(&file)).unwrap_or_default()) {
                wrong.push(format!("{file} does not name {}", &found[1]));
            }
        }
    }
    assert!(rows > 15, "ARCHITECTURE.md lists the invariants");
    none("invariants without the test that ARCHITECTURE.md promises", &wrong);
}

#[test]
fn links_between_documents_lead_somewhere() {
    let link = Regex::new(r"\]\(([^)\s]+)\)").expect("valid");
    let mut wrong = Vec::new();
    for (file, content) in with_extension("md") {
        for found in link.captures_iter(&content) {
            let target = &found[1];
            if target.contains("://") || target.starts_with("mailto:") {
                continue;
            }
            let (path, anchor) = target.split_once('#').unwrap_or((target, ""));
            let folder = Path::new(&file).parent().expect("a file has a folder");
            let to = if path.is_empty() { PathBuf::from(&file) } else { folder.join(path) };
            if !root().join(&to).exists() {
                wrong.push(format!("{file}: {target}"));
            } else if !anchor.is_empty()
                && !anchors(&fs::read_to_string(root().join(&to)).unwrap_or_default())
                    .contains(anchor)
            {
                wrong.push(format!("{file}: no heading #{anchor} in {}", to.display()));
            }
        }
    }
    none("dead links", &wrong);
}

/// The anchors of a document's headings, as the usual web views make them.
fn anchors(content: &str) -> BTreeSet<String> {
    content
        .lines()
        .filter_map(|line| line.strip_prefix('#'))
        .map(|heading| {
            let heading = heading.trim_start_matches('#').trim().to_lowercase();
            let kept =
                heading.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
            kept.collect::<String>().replace(' ', "-")
        })
        .collect()
}

#[test]
fn the_changelog_has_room_for_the_next_change() {
    assert!(
        text("CHANGELOG.md").contains("\n## [Unreleased]\n"),
        "CHANGELOG.md has an Unreleased section"
    );
}

#[test]
fn both_licences_are_here_in_full() {
    assert!(
        text("LICENSE-APACHE")
            .contains("TERMS AND CONDITIONS FOR USE, REPRODUCTION, AND DISTRIBUTION")
    );
    assert!(text("LICENSE-MIT").contains("Permission is hereby granted, free of charge"));
    assert!(text("Cargo.toml").contains(r#"license = "Apache-2.0 OR MIT""#));
}
