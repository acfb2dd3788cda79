//! Vendors' own and common clients as judges: they share no code with us.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use crate::borrowed;

/// A client, by its package.
#[derive(Debug, Clone, Copy)]
pub enum Client {
    /// Of PyPI, as `name==version`.
    Python(&'static str),
    /// Of npm, as `name@version`.
    Node(&'static str),
}

impl Client {
    /// Runs a script that uses the client, which is kept below `folder`. None, with the reason printed, where the
    /// client cannot be had.
    ///
    /// # Panics
    /// When the interpreter does not start or does not read the script.
    pub async fn run(
        self,
        folder: &'static str,
        script: &'static str,
        arguments: &[&str],
        environment: &[(&'static str, String)],
    ) -> Option<Output> {
        let arguments: Vec<String> = arguments.iter().map(|&one| one.to_owned()).collect();
        let environment = environment.to_vec();
        let run = move || {
            let mut child = self
                .interpreter(Path::new(folder))?
                .arg("-")
                .args(arguments)
                .envs(environment)
                .env("NO_PROXY", "127.0.0.1")
                .env("PYTHONUTF8", "1")
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .stderr(Stdio::piped())
                .spawn()
                .expect("the interpreter starts");
            let mut stdin = child.stdin.take().expect("a pipe");
            stdin.write_all(script.as_bytes()).expect("it reads the script");
            drop(stdin);
            Some(child.wait_with_output().expect("it ends"))
        };
        tokio::task::spawn_blocking(run).await.expect("it does not panic")
    }

    /// The interpreter that sees the client.
    fn interpreter(self, folder: &Path) -> Option<Command> {
        match self {
            Self::Python(package) => {
                let home = borrowed::python(folder, &[package])?;
                Some(Command::new(home.join("bin/python")))
            }
            Self::Node(package) => {
                let home = borrowed::node(folder, &[package])?;
                let mut node = Command::new("node");
                // What a script takes in is looked for below the folder it runs in.
                node.arg("--input-type=commonjs").current_dir(home);
                Some(node)
            }
        }
    }
}

/// What a client printed, when it ended well.
///
/// # Panics
/// When it did not.
#[must_use]
#[track_caller]
pub fn printed(output: &Output) -> String {
    let (out, err) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{out}\n{err}");
    out.into_owned()
}
