//! A project folder and the binary run in it.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use serde_json::Value;
use tempfile::TempDir;

/// A project whose warehouse and destination refuse every connection.
pub(crate) const PROJECT: &str = "version: 1
project: test
connections:
  warehouse: { type: postgres, url: \"postgres://reader@127.0.0.1:1/warehouse\", tls: off, connect_timeout: 2s }
  hubspot: { type: hubspot, token: \"${HUBSPOT_TOKEN}\", base_url: \"http://127.0.0.1:1\" }
";

/// A sync of that project.
pub(crate) fn sync(name: &str, tag: &str, field: &str) -> String {
    format!(
        "version: 1
sync: {name}
tags: [{tag}]
model: {{ connection: warehouse, table: people, primary_key: id }}
changes: {{ method: watermark, column: updated_at }}
destination: {{ connection: hubspot, object: contacts, match_on: {{ email: email }} }}
mode: upsert
mappings:
  {field}: name
"
    )
}

/// What a command printed and exited with.
#[derive(Debug)]
pub(crate) struct Printed {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Printed {
    /// Fails the test unless the command exited like this.
    #[track_caller]
    pub(crate) fn exits(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "stdout:\n{}\nstderr:\n{}", self.stdout, self.stderr);
        assert!(!self.stderr.contains("panicked"), "{}", self.stderr);
        self
    }

    /// The summary object in the last line of stdout.
    #[track_caller]
    pub(crate) fn summary(&self) -> Value {
        let last = self.stdout.lines().last().unwrap_or_default();
        serde_json::from_str(last).unwrap_or_else(|error| panic!("{error}: {last}"))
    }
}

/// A folder.
pub(crate) struct Folder {
    dir: TempDir,
}

impl Folder {
    /// An empty one.
    pub(crate) fn empty() -> Self {
        Self { dir: tempfile::tempdir().expect("a folder") }
    }

    /// A project of three syncs.
    pub(crate) fn project() -> Self {
        let folder = Self::empty();
        folder.write("outflow.yml", PROJECT);
        folder.write(
            "syncs/people_to_hubspot.yml",
            &sync("people_to_hubspot", "hourly", "firstname"),
        );
        folder.write("syncs/phones_to_hubspot.yml", &sync("phones_to_hubspot", "hourly", "phone"));
        folder
            .write("syncs/titles_to_hubspot.yml", &sync("titles_to_hubspot", "daily", "jobtitle"));
        folder
    }

    pub(crate) fn write(&self, path: &str, text: &str) {
        let path = self.path(path);
        std::fs::create_dir_all(path.parent().expect("inside the folder")).expect("a folder");
        std::fs::write(path, text).expect("a file");
    }

    pub(crate) fn path(&self, path: &str) -> PathBuf {
        self.dir.path().join(path)
    }

    pub(crate) fn read(&self, path: &str) -> String {
        std::fs::read_to_string(self.path(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_outflow"));
        command
            .args(args)
            .current_dir(self.dir.path())
            .env_clear()
            .env("HUBSPOT_TOKEN", "pat-secret-token")
            .stdin(Stdio::null());
        command
    }

    pub(crate) fn outflow(&self, args: &[&str]) -> Printed {
        run(&mut self.command(args))
    }
}

pub(crate) fn run(command: &mut Command) -> Printed {
    let output = command.output().expect("outflow starts");
    Printed {
        code: output.status.code(),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}
