//! Software that tests borrow from PyPI and npm, in cargo's folder for test files: fetched once, or a printed reason why
//! the test is skipped.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Makes `name` with `make` in a folder of its own, once; `None`, with the reason printed, where that fails.
#[expect(clippy::print_stdout, reason = "a test that is skipped says why")]
pub(crate) fn once(name: &str, make: fn(&Path) -> Result<(), String>) -> Option<PathBuf> {
    let made = || -> Result<PathBuf, String> {
        let tmp = Path::new(env!("CARGO_TARGET_TMPDIR"));
        fs::create_dir_all(tmp).map_err(|error| error.to_string())?;
        // Two tests may come at the same time.
        let lock = File::create(tmp.join(format!("{name}.lock"))).map_err(|e| e.to_string())?;
        lock.lock().map_err(|error| error.to_string())?;
        let (dir, done) = (tmp.join(name), tmp.join(name).join("installed"));
        if !done.exists() {
            let _ = fs::remove_dir_all(&dir);
            fs::create_dir_all(&dir).map_err(|error| error.to_string())?;
            make(&dir)?;
            File::create(done).map_err(|error| error.to_string())?;
        }
        Ok(dir)
    };
    match made() {
        Ok(dir) => Some(dir),
        Err(reason) => {
            println!("skipped, as {name} cannot be had: {reason}");
            None
        }
    }
}

/// Runs a command; its words are the error.
pub(crate) fn command(command: &mut Command) -> Result<(), String> {
    let output = command.output().map_err(|error| format!("{command:?}: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    let stderr = String::from_utf8_lossy(&output.stderr);
    Err(format!("{command:?}: {}", stderr.lines().last().unwrap_or_default()))
}

/// The virtual environment in `dir` with these packages.
pub(crate) fn venv(dir: &Path, packages: &[&str]) -> Result<(), String> {
    command(Command::new("python3").args(["-m", "venv"]).arg(dir))?;
    let pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check"];
    let patience = ["--retries", "1", "--timeout", "15"];
    command(Command::new(dir.join("bin/python")).args(pip).args(patience).args(packages))
}
