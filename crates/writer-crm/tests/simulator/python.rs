//! HubSpot's own Python client in a private venv, as a judge over the double and as a second pair of
//! eyes on what our writer wrote.
//!
//! Another test binary takes this file in with
//! `#[path = ".../crates/writer-crm/tests/simulator/python.rs"] mod python;` and calls [`read_back`].
//! It needs `tokio` and `serde_json`. The venv lives in cargo's directory for test files and is made
//! once; where Python or PyPI cannot be had, the answer is `None` and the reason is printed.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;

const PACKAGE: &str = "hubspot-api-client==12.0.0";
const SCRIPT: &str = include_str!("judge.py");

/// Runs `judge.py` with these arguments; none when the client is not to be had.
#[expect(clippy::print_stdout, reason = "a test that is skipped says why")]
pub(crate) async fn run(arguments: &[&str]) -> Option<Output> {
    let arguments: Vec<String> = arguments.iter().map(|&argument| argument.to_owned()).collect();
    let run = move || {
        let python = match install() {
            Ok(python) => python,
            Err(reason) => {
                println!("skipped, as HubSpot's client cannot be installed: {reason}");
                return None;
            }
        };
        let mut child = Command::new(python)
            .arg("-")
            .args(&arguments)
            .env("NO_PROXY", "127.0.0.1")
            .env("PYTHONUTF8", "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(SCRIPT.as_bytes()).unwrap();
        Some(child.wait_with_output().unwrap())
    };
    tokio::task::spawn_blocking(run).await.unwrap()
}

/// Every record of an object type, read by HubSpot's own client: `{"id", "properties"}`, by id.
#[allow(dead_code, reason = "for test binaries that take this file in")]
pub(crate) async fn read_back(url: &str, object: &str, properties: &[&str]) -> Option<Vec<Value>> {
    let output = run(&["read-back", url, object, &properties.join(",")]).await?;
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    Some(text.lines().map(|line| serde_json::from_str(line).unwrap()).collect())
}

/// The venv's Python, with the client installed; made once and kept between runs.
fn install() -> Result<PathBuf, String> {
    let tmp = Path::new(env!("CARGO_TARGET_TMPDIR"));
    fs::create_dir_all(tmp).map_err(|error| error.to_string())?;
    let venv = tmp.join("hubspot-api-client-12.0.0");
    let python = venv.join("bin/python");
    let done = venv.join("installed");
    // Two test binaries may come at the same time.
    let lock = File::create(tmp.join("hubspot-api-client.lock")).map_err(|e| e.to_string())?;
    lock.lock().map_err(|error| error.to_string())?;
    if done.exists() {
        return Ok(python);
    }
    command(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&venv))?;
    let pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check"];
    let patience = ["--retries", "1", "--timeout", "15"];
    command(Command::new(&python).args(pip).args(patience).arg(PACKAGE))?;
    File::create(done).map_err(|error| error.to_string())?;
    Ok(python)
}

fn command(command: &mut Command) -> Result<(), String> {
    let output = command.output().map_err(|error| format!("{command:?}: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    let text = String::from_utf8_lossy(&output.stderr);
    Err(format!("{command:?}: {}", text.lines().last().unwrap_or("failed")))
}
