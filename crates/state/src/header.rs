//! What the first 100 bytes of the state file say, read before SQLite may touch the file: a file that is not
//! ours is refused without being changed.

use std::fs::{self, File};
use std::io::Read;
use std::path::Path;

use flow::{Error, Result};

use crate::codes;
use crate::fault::While;

/// Marks a SQLite file as an outflow state: "outf".
pub(crate) const APPLICATION_ID: i32 = 0x6f75_7466;

const MAGIC: &[u8; 16] = b"SQLite format 3\0";
const HEADER_BYTES: usize = 100;

/// Refuses a file that is cut off, not SQLite, of another program, or newer than `version_known`.
pub(crate) fn check(path: &Path, log: &Path, version_known: i32) -> Result<()> {
    let shown = path.display();
    let header = read(path)?;
    let magic = header.len().min(MAGIC.len());
    if header[..magic] != MAGIC[..magic] {
        return Err(Error::new(&codes::E3002_NOT_STATE, format!("{shown} is not a SQLite file.")));
    }
    if header.len() < HEADER_BYTES {
        return Err(cut(path));
    }
    if number(&header, 68) != APPLICATION_ID.cast_unsigned() {
        let text = format!("{shown} was made by another program than outflow.");
        return Err(Error::new(&codes::E3002_NOT_STATE, text));
    }
    let version = number(&header, 60);
    if version > version_known.cast_unsigned() {
        return Err(newer(path, version.into(), version_known));
    }
    // Another process may be folding its log into the file between two of our looks; twice in a row it is not.
    if is_cut(path, log)? && is_cut(path, log)? { Err(cut(path)) } else { Ok(()) }
}

fn read(path: &Path) -> Result<Vec<u8>> {
    let mut header = Vec::with_capacity(HEADER_BYTES);
    File::open(path)
        .and_then(|file| file.take(HEADER_BYTES as u64).read_to_end(&mut header))
        .during("reading the state file")?;
    Ok(header)
}

/// The state has a version this build does not know.
pub(crate) fn newer(path: &Path, version: i64, version_known: i32) -> Error {
    Error::new(
        &codes::E3005_NEWER,
        format!(
            "{} has state version {version}; this outflow knows versions up to {version_known}.",
            path.display()
        ),
    )
}

fn cut(path: &Path) -> Error {
    let text = format!("{} is shorter than it says itself.", path.display());
    Error::new(&codes::E3003_TRUNCATED, text)
}

/// Whether the file is shorter than its header says, or ends within a page, while no log holds the rest.
fn is_cut(path: &Path, log: &Path) -> Result<bool> {
    let header = read(path)?;
    let length = fs::metadata(path).during("reading the size of the state file")?.len();
    let logged = fs::metadata(log).map_or(0, |log| log.len());
    if logged > 0 || header.len() < HEADER_BYTES {
        return Ok(false);
    }
    let page = match u64::from(header[16]) << 8 | u64::from(header[17]) {
        1 => 65_536,
        size => size,
    };
    // A page size that cannot be is damage, which SQLite reports itself.
    if page < 512 {
        return Ok(false);
    }
    let pages_known = number(&header, 24) == number(&header, 92);
    let pages = u64::from(number(&header, 28));
    Ok(!length.is_multiple_of(page) || (pages_known && length < pages * page))
}

fn number(header: &[u8], at: usize) -> u32 {
    header[at..at + 4].iter().fold(0, |sum, byte| sum << 8 | u32::from(*byte))
}
