//! Other people's software from PyPI and npm, fetched once into a folder that is kept between runs. Where it cannot be
//! had the answer is none, and the reason is printed for the test that is skipped.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A virtual environment with these packages of PyPI (`name==version`), below `folder`.
#[must_use]
pub fn python(folder: &Path, packages: &[&str]) -> Option<PathBuf> {
    once(folder, &packages.join("+"), |home| {
        command(Command::new("python3").args(["-m", "venv"]).arg(home))?;
        let pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check"];
        let patience = ["--retries", "1", "--timeout", "15"];
        command(Command::new(home.join("bin/python")).args(pip).args(patience).args(packages))
    })
}

/// A folder in which Node finds these packages of npm (`name@version`), below `folder`.
#[must_use]
pub fn node(folder: &Path, packages: &[&str]) -> Option<PathBuf> {
    once(folder, &packages.join("+"), |home| {
        // Without a file of its own npm would look for one above, and install there.
        fs::write(home.join("package.json"), "{}").map_err(|error| error.to_string())?;
        let npm = ["install", "--no-audit", "--no-fund", "--ignore-scripts", "--fetch-retries=1"];
        command(Command::new("npm").args(npm).args(packages).current_dir(home))
    })
}

/// What `make` puts into a folder of its own below `folder`, unless it did before. Another name is another folder.
#[expect(clippy::print_stdout, reason = "a test that is skipped says why")]
pub fn once(
    folder: &Path,
    name: &str,
    make: impl FnOnce(&Path) -> Result<(), String>,
) -> Option<PathBuf> {
    made(folder, name, make)
        .inspect_err(|reason| println!("skipped, as {name} cannot be had: {reason}"))
        .ok()
}

fn made(
    folder: &Path,
    name: &str,
    make: impl FnOnce(&Path) -> Result<(), String>,
) -> Result<PathBuf, String> {
    let plain = |c: char| if c.is_ascii_alphanumeric() || c == '.' { c } else { '-' };
    let name: String = name.chars().map(plain).collect();
    let said = |error: std::io::Error| error.to_string();
    fs::create_dir_all(folder).map_err(said)?;
    // Two tests may come at the same time.
    let lock = File::create(folder.join(format!("{name}.lock"))).map_err(said)?;
    lock.lock().map_err(said)?;
    let (home, done) = (folder.join(&name), folder.join(format!("{name}.done")));
    if !done.exists() {
        let _ = fs::remove_dir_all(&home);
        fs::create_dir_all(&home).map_err(said)?;
        make(&home)?;
        File::create(done).map_err(said)?;
    }
    Ok(home)
}

/// Runs a command to its end.
///
/// # Errors
/// Its last words.
pub fn command(command: &mut Command) -> Result<(), String> {
    let output =
        command.stdin(Stdio::null()).output().map_err(|error| format!("{command:?}: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    let text = String::from_utf8_lossy(&output.stderr);
    Err(format!("{command:?}: {}", text.lines().last().unwrap_or("failed")))
}
