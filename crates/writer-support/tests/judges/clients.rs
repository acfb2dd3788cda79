//! Clients from PyPI and npm in folders of their own, made once and kept between runs. Where one cannot be had, the
//! answer is `None` and the reason is printed.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// A client, and how it is run.
#[derive(Clone, Copy)]
pub(crate) enum Client {
    /// A package of PyPI.
    Python(&'static str),
    /// A package of npm.
    Node(&'static str),
}

/// Runs a script with a client; none when the client is not to be had.
#[expect(clippy::print_stdout, reason = "a test that is skipped says why")]
pub(crate) async fn run(
    client: Client,
    script: &'static str,
    arguments: &[&str],
    environment: &[(&'static str, String)],
) -> Option<Output> {
    let arguments: Vec<String> = arguments.iter().map(|&argument| argument.to_owned()).collect();
    let environment = environment.to_vec();
    let run = move || {
        let mut command = match install(client) {
            Ok(command) => command,
            Err(reason) => {
                println!("skipped, as the client cannot be installed: {reason}");
                return None;
            }
        };
        let mut child = command
            .arg("-")
            .args(&arguments)
            .envs(environment)
            .env("NO_PROXY", "127.0.0.1")
            .env("PYTHONUTF8", "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(script.as_bytes()).unwrap();
        Some(child.wait_with_output().unwrap())
    };
    tokio::task::spawn_blocking(run).await.unwrap()
}

/// What a client printed, when it is content.
#[track_caller]
pub(crate) fn content(output: &Output) -> String {
    let (out, err) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{out}\n{err}");
    out.into_owned()
}

/// The interpreter that sees the client.
fn install(client: Client) -> Result<Command, String> {
    let (Client::Python(package) | Client::Node(package)) = client;
    let tmp = Path::new(env!("CARGO_TARGET_TMPDIR"));
    fs::create_dir_all(tmp).map_err(|error| error.to_string())?;
    let name = package.replace(['@', '=', '/'], "-");
    let folder = tmp.join(&name);
    // Several tests may come at the same time.
    let lock = File::create(tmp.join(format!("{name}.lock"))).map_err(|error| error.to_string())?;
    lock.lock().map_err(|error| error.to_string())?;
    let made = folder.join("installed").exists();
    let command = match client {
        Client::Python(_) => python(&folder, package, made)?,
        Client::Node(_) => node(&folder, package, made)?,
    };
    File::create(folder.join("installed")).map_err(|error| error.to_string())?;
    Ok(command)
}

fn python(folder: &PathBuf, package: &str, made: bool) -> Result<Command, String> {
    let python = folder.join("bin/python");
    if !made {
        finish(Command::new("python3").args(["-m", "venv", "--clear"]).arg(folder))?;
        let pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check"];
        let patience = ["--retries", "1", "--timeout", "15"];
        finish(Command::new(&python).args(pip).args(patience).arg(package))?;
    }
    Ok(Command::new(python))
}

fn node(folder: &PathBuf, package: &str, made: bool) -> Result<Command, String> {
    if !made {
        fs::create_dir_all(folder).map_err(|error| error.to_string())?;
        let quiet = ["install", "--silent", "--no-audit", "--no-fund", "--fetch-retries=1"];
        finish(Command::new("npm").args(quiet).arg("--prefix").arg(folder).arg(package))?;
    }
    let mut command = Command::new("node");
    // What a script takes in is looked for below the folder it runs in.
    command.current_dir(folder);
    Ok(command)
}

fn finish(command: &mut Command) -> Result<(), String> {
    let output = command.output().map_err(|error| format!("{command:?}: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    let text = String::from_utf8_lossy(&output.stderr);
    Err(format!("{command:?}: {}", text.lines().last().unwrap_or("failed")))
}
