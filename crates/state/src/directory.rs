//! The state's directory and files: only their owner may read them, and a new state appears complete or not
//! at all.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use flow::Result;

use crate::fault::While;

/// Tells apart the drafts of one process.
static DRAFTS: AtomicU32 = AtomicU32::new(0);

/// Makes the directory of a state where it is missing, and keeps others out of it.
///
/// # Errors
/// `E3001` when it cannot be made or protected.
pub fn prepare(dir: &Path) -> Result<()> {
    if !dir.exists() {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(dir)
            .during(&format!("making {}", dir.display()))?;
        // Keys and record ids are nobody's business in a repository. A missing file is no reason to stop.
        let _ = fs::write(dir.join(".gitignore"), "*\n");
    }
    let doing = format!("protecting {}", dir.display());
    let mode = fs::metadata(dir).during(&doing)?.permissions().mode();
    if mode & 0o077 != 0 {
        fs::set_permissions(dir, Permissions::from_mode(mode & 0o700)).during(&doing)?;
    }
    Ok(())
}

/// Makes a directory inside the prepared one.
pub(crate) fn prepare_inner(dir: &Path) -> Result<()> {
    match DirBuilder::new().mode(0o700).create(dir) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        made => made.during(&format!("making {}", dir.display())),
    }
}

/// Keeps others out of a file.
pub(crate) fn protect_file(path: &Path) -> Result<()> {
    fs::set_permissions(path, Permissions::from_mode(0o600))
        .during(&format!("protecting {}", path.display()))
}

/// An empty file beside `path`, to be filled and then published under `path`.
pub(crate) fn draft(path: &Path) -> Result<PathBuf> {
    let draft = path.with_extension(format!(
        "new-{}-{}",
        std::process::id(),
        DRAFTS.fetch_add(1, Ordering::Relaxed)
    ));
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&draft)
        .during(&format!("making {}", draft.display()))?;
    Ok(draft)
}

/// Gives a finished draft its name, unless another process has published one meanwhile.
pub(crate) fn publish(draft: &Path, path: &Path) -> Result<()> {
    let doing = format!("making {}", path.display());
    File::open(draft).and_then(|file| file.sync_all()).during(&doing)?;
    let linked = match fs::hard_link(draft, path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        other => other,
    };
    fs::remove_file(draft).during(&doing)?;
    linked.during(&doing)?;
    let dir = path.parent().unwrap_or(Path::new("."));
    File::open(dir).and_then(|dir| dir.sync_all()).during(&doing)
}
