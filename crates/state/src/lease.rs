//! The right to run a sync: an operating-system lock on a file, which a killed process gives back at once.
//! The epoch in the database fences off whoever still believes to hold it (S2).

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{Read, Seek, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use flow::{Code, Error, Result, Watermark};

use crate::fault::While;
use crate::{codes, directory};

/// Who holds a lease, as it wrote down itself.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Holder {
    /// Process id on its host.
    pub pid: u32,
    /// Host name; empty where it is not known.
    pub host: String,
    /// When it took the lease, in microseconds since 1970.
    pub since: i64,
}

/// A locked lock file; closing it gives the lease back.
pub(crate) struct Held {
    _file: File,
    /// Why this lease may do nothing but reset the sync.
    pub(crate) damage: Option<(&'static Code, String)>,
}

/// Refuses a name that would not stay inside the directory of leases.
pub(crate) fn check_name(sync: &str) -> Result<()> {
    let plain = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'_';
    if (1..=100).contains(&sync.len()) && sync.bytes().all(plain) {
        return Ok(());
    }
    Err(Error::new(
        &codes::E3012_SYNC_NAME,
        format!("The sync name `{}` cannot be used.", sync.escape_debug()),
    ))
}

fn path_of(dir: &Path, sync: &str) -> PathBuf {
    dir.join("leases").join(format!("{sync}.lock"))
}

/// Takes the lock of `sync`; `None` while somebody else holds it.
pub(crate) fn take(dir: &Path, sync: &str, at: i64) -> Result<Option<Held>> {
    check_name(sync)?;
    let doing = format!("taking the lease of sync `{sync}`");
    directory::prepare_inner(&dir.join("leases"))?;
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path_of(dir, sync))
        .during(&doing)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Ok(None),
        Err(TryLockError::Error(error)) => return Err(error).during(&doing),
    }
    // The lock is what counts; the text is only for the message of whoever finds it taken.
    let text = format!("{} {at} {}\n", std::process::id(), host());
    let _ =
        file.set_len(0).and_then(|()| file.rewind()).and_then(|()| file.write_all(text.as_bytes()));
    Ok(Some(Held { _file: file, damage: None }))
}

/// Who holds the lease of `sync` now.
pub(crate) fn holder(dir: &Path, sync: &str) -> Option<Holder> {
    let mut file = File::open(path_of(dir, sync)).ok()?;
    if file.try_lock_shared().is_ok() {
        return None;
    }
    let mut text = String::new();
    file.read_to_string(&mut text).ok()?;
    parse(&text)
}

fn parse(text: &str) -> Option<Holder> {
    let mut words = text.trim_end().splitn(3, ' ');
    Some(Holder {
        pid: words.next()?.parse().ok()?,
        since: words.next()?.parse().ok()?,
        host: words.next().unwrap_or_default().to_owned(),
    })
}

/// The refusal that names the holder.
pub(crate) fn held(dir: &Path, sync: &str) -> Error {
    let who = match holder(dir, sync) {
        Some(Holder { pid, host, since }) => {
            let on = if host.is_empty() { String::new() } else { format!(" on {host}") };
            format!("process {pid}{on} since {}", Watermark(since))
        }
        None => "another process".to_owned(),
    };
    Error::new(&codes::E3010_LEASE_HELD, format!("Sync `{sync}` is held by {who}."))
}

/// This host's name; empty where it is not known.
pub(crate) fn host() -> String {
    fs::read_to_string("/proc/sys/kernel/hostname")
        .map(|name| name.trim().to_owned())
        .unwrap_or_default()
}
