//! Vendors' own clients, installed once into a folder that is kept between runs, as judges that share no code with us.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The Python of a virtual environment with these PyPI packages (`name==version`), below `folder`.
///
/// # Errors
/// Why it cannot be had, for the line a skipped test prints.
pub fn python(folder: &Path, packages: &[&str]) -> Result<PathBuf, String> {
    let home = home(folder, packages);
    let python = home.join("bin/python");
    once(&home, || {
        run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&home))?;
        let pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check"];
        let patience = ["--retries", "1", "--timeout", "15"];
        run(Command::new(&python).args(pip).args(patience).args(packages))
    })?;
    Ok(python)
}

/// A folder in which Node finds these npm packages (`name@version`), below `folder`.
///
/// # Errors
/// Why it cannot be had.
pub fn node(folder: &Path, packages: &[&str]) -> Result<PathBuf, String> {
    let home = home(folder, packages);
    once(&home, || {
        fs::create_dir_all(&home).map_err(|error| error.to_string())?;
        // Without a file of its own npm would look for one above, and install there.
        fs::write(home.join("package.json"), "{}").map_err(|error| error.to_string())?;
        let npm = ["install", "--no-audit", "--no-fund", "--ignore-scripts", "--fetch-retries=1"];
        run(Command::new("npm").args(npm).args(packages).current_dir(&home))
    })?;
    Ok(home)
}

/// One folder per list of packages, so that another version is another folder.
fn home(folder: &Path, packages: &[&str]) -> PathBuf {
    let plain = |c: char| if c.is_ascii_alphanumeric() || c == '.' { c } else { '-' };
    folder.join(packages.join("+").chars().map(plain).collect::<String>())
}

/// Does the work unless it was done before. Two test binaries may come at the same time.
fn once(home: &Path, work: impl FnOnce() -> Result<(), String>) -> Result<(), String> {
    let beside = |ending: &str| PathBuf::from(format!("{}.{ending}", home.display()));
    let said = |error: std::io::Error| error.to_string();
    fs::create_dir_all(home.parent().unwrap_or(home)).map_err(said)?;
    let lock = File::create(beside("lock")).map_err(said)?;
    lock.lock().map_err(said)?;
    if beside("done").exists() {
        return Ok(());
    }
    work()?;
    File::create(beside("done")).map(|_| ()).map_err(said)
}

fn run(command: &mut Command) -> Result<(), String> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output =
        command.stdin(Stdio::null()).output().map_err(|error| format!("{program}: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    let text = String::from_utf8_lossy(&output.stderr);
    Err(format!("{program}: {}", text.lines().last().unwrap_or("failed")))
}
