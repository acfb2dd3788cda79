//! Projects in temporary folders, good ones and broken ones.

mod agreement;
mod broken_files;
mod broken_meaning;
mod broken_shapes;
mod guards;
mod mutation;
mod online;
mod removed;
mod secrets;
mod valid;

use std::path::Path;

use tempfile::TempDir;

use super::{Project, load};
use crate::diagnostic::{Report, Style};

pub(super) const PROJECT: &str = "\
version: 1
project: acme
connections:
  warehouse:
    type: postgres
    url: ${WAREHOUSE_URL}
    statement_timeout: 10m
  hubspot:
    type: hubspot
    token: ${HUBSPOT_TOKEN}
  other:
    type: hubspot
    token: ${OTHER_TOKEN}
defaults:
  delivery:
    on_reject: quarantine
environments:
  dev:
    connections:
      hubspot: { type: simulator, profile: hubspot, url: \"http://127.0.0.1:8701\" }
vars:
  region: eu
";

pub(super) const SYNC: &str = "\
version: 1
sync: usage
description: Usage per user.
owner: growth@acme.example
tags: [growth]
model:
  connection: warehouse
  table: analytics.users
  primary_key: user_id
changes:
  method: watermark
  column: updated_at
  lag: 5m
destination:
  connection: hubspot
  object: contacts
  match_on:
    email: email
mode: upsert
mappings:
  firstname: first_name
  plan: { from: plan, values: { free: Free, pro: Pro }, otherwise: reject }
  phone: { from: phone, transform: [trim, e164], on_null: skip }
schedule:
  every: 15m
delivery:
  batch_rows: 100
guards:
  max_rejected: 0.5%
";

/// A project in a folder of its own.
pub(super) struct Folder {
    dir: TempDir,
    variables: Vec<(&'static str, &'static str)>,
    pub(super) environment: Option<&'static str>,
}

impl Folder {
    /// The good project.
    pub(super) fn new() -> Self {
        let folder = Self::empty();
        folder.write("outflow.yml", PROJECT);
        folder.write("syncs/usage.yml", SYNC);
        folder
    }

    pub(super) fn empty() -> Self {
        Self {
            dir: tempfile::tempdir().expect("a temporary folder"),
            variables: vec![
                ("WAREHOUSE_URL", "postgres://outflow@localhost/db"),
                ("HUBSPOT_TOKEN", "pat-from-environment"),
            ],
            environment: None,
        }
    }

    pub(super) fn set(&mut self, name: &'static str, value: &'static str) {
        self.variables.retain(|(known, _)| *known != name);
        self.variables.push((name, value));
    }

    pub(super) fn unset(&mut self, name: &str) {
        self.variables.retain(|(known, _)| *known != name);
    }

    pub(super) fn root(&self) -> &Path {
        self.dir.path()
    }

    pub(super) fn write(&self, name: &str, text: &str) {
        let path = self.root().join(name);
        std::fs::create_dir_all(path.parent().expect("a file has a folder")).expect("folders");
        std::fs::write(path, text).expect("a file");
    }

    /// Replaces a part of a file, which must be there.
    #[track_caller]
    pub(super) fn edit(&self, name: &str, from: &str, to: &str) {
        let text = std::fs::read_to_string(self.root().join(name)).expect("a file");
        assert!(text.contains(from), "{from:?} is not in {name}");
        self.write(name, &text.replacen(from, to, 1));
    }

    pub(super) fn load(&self) -> Result<Project, Report> {
        let variable = |name: &str| {
            let found = self.variables.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| (*value).to_owned())
        };
        load(self.root(), self.environment, &variable)
    }

    /// The project, which must be good.
    #[track_caller]
    pub(super) fn project(&self) -> Project {
        self.load().unwrap_or_else(|report| panic!("{}", shown(&report)))
    }

    /// The problems of the project, which must be bad.
    #[track_caller]
    pub(super) fn report(&self) -> Report {
        match self.load() {
            Err(report) => report,
            Ok(_) => panic!("the project is good"),
        }
    }
}

/// The report as plain text.
pub(super) fn shown(report: &Report) -> String {
    report.render(Style::PLAIN)
}

/// `code file:line:column` of every problem.
pub(super) fn places(report: &Report) -> Vec<String> {
    report
        .diagnostics()
        .iter()
        .map(|problem| match problem.place() {
            Some(place) => format!("{} {place:?}", problem.code.id),
            None => problem.code.id.to_owned(),
        })
        .collect()
}

/// A title, edits of the good project as (file, old, new), and the problems they make.
pub(super) type Case<'a> = (&'a str, &'a [(&'a str, &'a str, &'a str)], &'a [&'a str]);

/// Breaks the good project in each of these ways, checks code and place of every problem, and returns what
/// people see.
#[track_caller]
pub(super) fn broken(cases: &[Case<'_>]) -> String {
    let mut out = String::new();
    let mut wrong = Vec::new();
    for (title, edits, expected) in cases {
        let folder = Folder::new();
        for (file, from, to) in *edits {
            if from.is_empty() { folder.write(file, to) } else { folder.edit(file, from, to) }
        }
        match folder.load() {
            Ok(_) => wrong.push(format!("{title}: accepted")),
            Err(report) => {
                let found = places(&report);
                if found != *expected {
                    wrong.push(format!("{title}: {found:?} instead of {expected:?}"));
                }
                out.push_str(&format!("======== {title}\n{}\n", shown(&report)));
            }
        }
    }
    assert!(wrong.is_empty(), "{}\n{out}", wrong.join("\n"));
    out
}
