//! What the documents say is tried on the real binary: commands, options, exit codes, and the projects they show.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use regex::Regex;

use crate::project::{binary, root};

fn outflow(args: &[&str]) -> (i32, String) {
    outflow_in(root(), args)
}

fn outflow_in(folder: &Path, args: &[&str]) -> (i32, String) {
    let output = Command::new(binary())
        .args(args)
        .current_dir(folder)
        .env_clear()
        .env("WAREHOUSE_URL", "postgres://reader@127.0.0.1/warehouse")
        .env("HUBSPOT_TOKEN", "pat-not-a-token")
        .output()
        .expect("outflow starts");
    let text =
        [output.stdout, output.stderr].map(|part| String::from_utf8_lossy(&part).into_owned());
    (output.status.code().unwrap_or(-1), text.concat())
}

fn read(file: &str) -> String {
    std::fs::read_to_string(root().join(file)).unwrap_or_else(|error| panic!("{file}: {error}"))
}

/// The documents a user follows.
fn documents() -> Vec<(String, String)> {
    let files = [
        "README.md",
        "CONTRIBUTING.md",
        "ARCHITECTURE.md",
        "SECURITY.md",
        "examples/employees/README.md",
        "examples/itsm-cases/README.md",
        "examples/product-usage/README.md",
    ];
    files.iter().map(|file| ((*file).to_owned(), read(file))).collect()
}

/// Names in the list of commands of a help text.
fn commands_of(help: &str) -> Vec<String> {
    let list = help.split("Commands:\n").nth(1).unwrap_or_default();
    let name = Regex::new(r"^  ([a-z]+)\s").expect("valid");
    list.lines()
        .take_while(|line| !line.is_empty())
        .filter_map(|line| Some(name.captures(line)?[1].to_owned()))
        .collect()
}

/// Every `outflow ...` a document shows, in code blocks and between backticks, up to the end of the command.
fn shown_commands(text: &str) -> Vec<String> {
    let mut shown = Vec::new();
    let inline = Regex::new(r"`outflow ([^`\n]+)`").expect("valid");
    shown.extend(inline.captures_iter(text).map(|found| found[1].to_owned()));
    let line = Regex::new(r"(?m)^\s*(?:\$ )?outflow +([a-z][^#\n|&;>]*)").expect("valid");
    let mut fenced = false;
    for part in text.split("```") {
        if fenced && !part.starts_with("yaml") && !part.starts_with("rust") {
            shown.extend(line.captures_iter(part).map(|found| found[1].to_owned()));
        }
        fenced = !fenced;
    }
    shown
}

#[test]
fn every_command_and_option_in_the_documents_exists() {
    let known = commands_of(&outflow(&["--help"]).1);
    assert!(known.len() > 10, "{known:?}");
    let option = Regex::new(r"(?:^|\s)(--[a-z][a-z-]*|-[a-zA-Z])\b").expect("valid");
    let mut helps: BTreeMap<String, String> = BTreeMap::new();
    let mut wrong = Vec::new();
    for (file, text) in documents() {
        for shown in shown_commands(&text) {
            let words: Vec<&str> = shown.split_whitespace().collect();
            let Some(first) = words.first().filter(|word| known.contains(&(**word).to_owned()))
            else {
                if !shown.starts_with('-') && !shown.starts_with("COMMAND") {
                    wrong.push(format!("{file}: outflow {shown}"));
                }
                continue;
            };
            let mut topic = vec!["help", *first];
            let family = commands_of(&outflow(&topic).1);
            if !family.is_empty() {
                match words.get(1) {
                    Some(second) if family.contains(&(*second).to_owned()) => topic.push(second),
                    Some(second) if !second.starts_with('-') => {
                        wrong.push(format!("{file}: outflow {shown}"));
                        continue;
                    }
                    _ => continue,
                }
            }
            let help = helps.entry(topic.join(" ")).or_insert_with(|| outflow(&topic).1);
            for found in option.captures_iter(&shown) {
                if !help.contains(&found[1]) {
                    wrong.push(format!("{file}: outflow {shown}: no option {}", &found[1]));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "commands that do not exist:\n  {}", wrong.join("\n  "));
}

#[test]
fn the_readme_lists_every_command() {
    let readme = read("README.md");
    let section = readme
        .split("## Commands")
        .nth(1)
        .and_then(|rest| rest.split("\n## ").next())
        .unwrap_or_default();
    let missing: Vec<_> = commands_of(&outflow(&["--help"]).1)
        .into_iter()
        .filter(|command| !section.contains(&format!("`{command}")))
        .collect();
    assert!(missing.is_empty(), "commands the README does not list: {missing:?}");
}

#[test]
fn the_readme_lists_every_exit_code_as_the_binary_has_it() {
    let listed: Vec<u64> = read("README.md")
        .split("## Exit codes")
        .nth(1)
        .and_then(|rest| rest.split("\n## ").next())
        .unwrap_or_default()
        .lines()
        .filter_map(|line| line.strip_prefix("| ")?.split(' ').next()?.parse().ok())
        .collect();
    let (code, text) = outflow(&["help", "exit-codes"]);
    let known: Vec<u64> =
        text.lines().filter_map(|line| line.split_whitespace().next()?.parse().ok()).collect();
    assert_eq!((code, known.len() > 8), (0, true), "{text}");
    assert_eq!(listed, known);
}

#[test]
fn the_project_in_the_readme_is_valid() {
    let file = Regex::new(r"(?s)\n`([a-z_/]+\.yml)`\n```yaml\n(.*?)```").expect("valid");
    let readme = read("README.md");
    let folder = tempfile::tempdir().expect("a folder");
    let mut files = 0;
    for found in file.captures_iter(&readme) {
        let path = folder.path().join(&found[1]);
        std::fs::create_dir_all(path.parent().expect("inside the folder")).expect("a folder");
        std::fs::write(path, &found[2]).expect("a file");
        files += 1;
    }
    assert_eq!(files, 2, "outflow.yml and one sync");
    let (code, text) = outflow_in(folder.path(), &["validate"]);
    assert_eq!(code, 0, "{text}");
}

/// A sync with these of its parts written anew.
fn with_part(sync: &str, part: &str) -> String {
    let key = Regex::new(r"(?m)^([a-z_]+):").expect("valid");
    let mut text = sync.to_owned();
    for found in key.captures_iter(part) {
        let section = format!(r"(?m)^{}:[^\n]*\n(?:  [^\n]*\n)*", &found[1]);
        text = Regex::new(&section).expect("valid").replace(&text, "").into_owned();
    }
    text + part
}

#[test]
fn the_parts_in_the_readme_are_valid_in_its_sync() {
    let readme = read("README.md");
    let file = Regex::new(r"(?s)\n`([a-z_/]+\.yml)`\n```yaml\n(.*?)```").expect("valid");
    let part = Regex::new(r"(?s)a valid part of the sync above -->\n```yaml\n(.*?)```");
    let parts: Vec<_> =
        part.expect("valid").captures_iter(&readme).map(|c| c[1].to_owned()).collect();
    assert!(parts.len() >= 2, "the log and a mirror");
    for part in parts {
        let folder = tempfile::tempdir().expect("a folder");
        for found in file.captures_iter(&readme) {
            let path = folder.path().join(&found[1]);
            std::fs::create_dir_all(path.parent().expect("inside the folder")).expect("a folder");
            let text = match found[2].contains("mappings:") {
                true => with_part(&found[2], &part),
                false => found[2].to_owned(),
            };
            std::fs::write(path, text).expect("a file");
        }
        let (code, text) = outflow_in(folder.path(), &["validate"]);
        assert_eq!(code, 0, "{text}\n{part}");
    }
}

#[test]
fn the_example_projects_are_valid() {
    let examples = std::fs::read_dir(root().join("examples")).expect("examples are here");
    for example in examples.flatten().filter(|entry| entry.path().join("outflow.yml").exists()) {
        let (code, text) = outflow_in(&example.path(), &["validate"]);
        assert_eq!(code, 0, "{}:\n{text}", example.path().display());
    }
}

#[test]
fn the_makefile_has_the_targets_the_documents_name() {
    let makefile = read("Makefile");
    let target = Regex::new(r"`?\bmake ([a-z]+)\b").expect("valid");
    let code = Regex::new(r"(?s)```.*?```|`[^`\n]+`").expect("valid");
    for (file, text) in documents() {
        for part in code.find_iter(&text) {
            for found in target.captures_iter(part.as_str()) {
                assert!(
                    makefile.contains(&format!("\n{}: ", &found[1])),
                    "{file}: make {}",
                    &found[1]
                );
            }
        }
    }
}
