//! The clients, installed once into cargo's directory for test files; where npm or PyPI cannot be had, the reason is printed.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// A client and how it is run.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Judge {
    Jsforce,
    SimpleSalesforce,
}

impl Judge {
    fn package(self) -> &'static str {
        match self {
            Self::Jsforce => "@jsforce/jsforce-node@3.10.16",
            Self::SimpleSalesforce => "simple-salesforce==1.12.10",
        }
    }

    fn folder(self) -> &'static str {
        match self {
            Self::Jsforce => "jsforce-node-3.10.16",
            Self::SimpleSalesforce => "simple-salesforce-1.12.10",
        }
    }

    /// Runs the judge's script with these arguments; none when the client is not to be had.
    #[expect(clippy::print_stdout, reason = "a test that is skipped says why")]
    pub(crate) async fn run(
        self,
        arguments: &[&str],
        certificate: Option<&Path>,
    ) -> Option<Output> {
        let arguments: Vec<String> = arguments.iter().map(|&one| one.to_owned()).collect();
        let certificate = certificate.map(Path::to_owned);
        let run = move || {
            let folder = match self.install() {
                Ok(folder) => folder,
                Err(reason) => {
                    println!("skipped, as {} cannot be installed: {reason}", self.package());
                    return None;
                }
            };
            let mut command = self.command(&folder);
            if let Some(certificate) = &certificate {
                command
                    .env("REQUESTS_CA_BUNDLE", certificate)
                    .env("NODE_EXTRA_CA_CERTS", certificate);
            }
            let mut child = command
                .args(&arguments)
                .current_dir(&folder)
                .env("NO_PROXY", "127.0.0.1")
                .env("PYTHONUTF8", "1")
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .stderr(Stdio::piped())
                .spawn()
                .unwrap();
            let script = match self {
                Self::Jsforce => include_str!("jsforce.cjs"),
                Self::SimpleSalesforce => include_str!("simple_salesforce.py"),
            };
            child.stdin.take().unwrap().write_all(script.as_bytes()).unwrap();
            Some(child.wait_with_output().unwrap())
        };
        tokio::task::spawn_blocking(run).await.unwrap()
    }

    fn command(self, folder: &Path) -> Command {
        match self {
            Self::Jsforce => {
                let mut node = Command::new("node");
                node.args(["--input-type=commonjs", "-"]);
                node
            }
            Self::SimpleSalesforce => {
                let mut python = Command::new(folder.join("bin/python"));
                python.arg("-");
                python
            }
        }
    }

    fn install(self) -> Result<PathBuf, String> {
        let tmp = Path::new(env!("CARGO_TARGET_TMPDIR"));
        let folder = tmp.join(self.folder());
        fs::create_dir_all(&folder).map_err(|error| error.to_string())?;
        let lock = File::create(tmp.join(format!("{}.lock", self.folder())));
        let lock = lock.map_err(|error| error.to_string())?;
        lock.lock().map_err(|error| error.to_string())?;
        let done = folder.join("installed");
        if !done.exists() {
            match self {
                Self::Jsforce => done_by(
                    Command::new("npm")
                        .args([
                            "install",
                            "--silent",
                            "--no-audit",
                            "--no-fund",
                            "--fetch-retries=1",
                            "--prefix",
                        ])
                        .arg(&folder)
                        .arg(self.package()),
                )?,
                Self::SimpleSalesforce => {
                    done_by(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&folder))?;
                    let pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check"];
                    let patience = ["--retries", "1", "--timeout", "15"];
                    let python = folder.join("bin/python");
                    done_by(Command::new(python).args(pip).args(patience).arg(self.package()))?;
                }
            }
            File::create(&done).map_err(|error| error.to_string())?;
        }
        Ok(folder)
    }
}

fn done_by(command: &mut Command) -> Result<(), String> {
    let output = command.output().map_err(|error| format!("{command:?}: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    let text = String::from_utf8_lossy(&output.stderr);
    Err(format!("{command:?}: {}", text.lines().last().unwrap_or("failed")))
}
