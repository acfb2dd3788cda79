//! Which files a model's name means: one file, a folder of them, or a glob, below the connection's folder.

use std::collections::BTreeSet;
use std::path::{Component, Path, PathBuf};

use flow::{Error, Result};
use globset::{GlobBuilder, GlobMatcher};
use walkdir::WalkDir;

use super::generation::{Entry, Generation, Place, stamp};
use super::input::unreadable;
use super::options::Format;
use crate::codes;

/// Files of one model; more is a mistake in the glob.
const FILES_MAX: usize = 100_000;

/// Which files are meant.
pub(super) enum Wanted {
    /// This file, or every file of this folder.
    Path(String),
    /// Every file whose name below the folder matches.
    Glob(String, GlobMatcher),
}

impl Wanted {
    /// What a model's name means.
    ///
    /// # Errors
    /// `E1101` for a name that leads out of the folder or is no glob.
    pub(super) fn parse(name: &str) -> Result<Self> {
        let wrong = |why: &str| Error::new(&codes::E1101_NO_FILES, format!("`{name}` {why}"));
        let trimmed = name.strip_prefix("./").unwrap_or(name);
        let inside = |part| matches!(part, Component::Normal(_));
        if trimmed.is_empty() || !Path::new(trimmed).components().all(inside) {
            return Err(wrong("is no file, folder or glob below the connection's folder"));
        }
        if !trimmed.contains(['*', '?', '[', '{']) {
            return Ok(Self::Path(trimmed.trim_end_matches('/').to_owned()));
        }
        let glob = GlobBuilder::new(trimmed).literal_separator(true).build();
        let glob = glob.map_err(|error| wrong(&format!("is no glob: {}", error.kind())))?;
        Ok(Self::Glob(trimmed.to_owned(), glob.compile_matcher()))
    }

    /// The longest folder that holds everything that is meant.
    pub(super) fn folder(&self) -> String {
        match self {
            Self::Path(path) => path.clone(),
            Self::Glob(glob, _) => {
                let plain = glob.split('/').take_while(|part| !part.contains(['*', '?', '[', '{']));
                plain.collect::<Vec<_>>().join("/")
            }
        }
    }

    /// Whether a file below the connection's folder is meant.
    pub(super) fn covers(&self, name: &str) -> bool {
        match self {
            Self::Path(path) => {
                name == path
                    || name
                        .strip_prefix(path.as_str())
                        .is_some_and(|rest| rest.starts_with('/') && !is_hidden(rest))
            }
            Self::Glob(_, glob) => glob.is_match(name) && !is_hidden(name),
        }
    }

    pub(super) fn text(&self) -> &str {
        match self {
            Self::Path(text) | Self::Glob(text, _) => text,
        }
    }
}

/// Names that tools give to what is no data: `_SUCCESS`, `_delta_log/`, `.part-0.crc`.
fn is_hidden(name: &str) -> bool {
    name.split('/').any(|part| part.starts_with(['.', '_']))
}

/// What a file's name says it is, a `.gz` at its end aside.
pub(super) fn format_of(name: &str) -> Option<Format> {
    let lower = name.to_ascii_lowercase();
    let stem = lower.strip_suffix(".gz").unwrap_or(&lower);
    match stem.rsplit_once('.')?.1 {
        "parquet" | "parq" | "pq" => Some(Format::Parquet),
        "csv" | "tsv" => Some(Format::Csv),
        "jsonl" | "ndjson" | "json" => Some(Format::Jsonl),
        _ => None,
    }
}

/// Sorts out the files that were found.
///
/// # Errors
/// `E1101` when there are none, `E1104` when what they are is unknown or differs.
pub(super) fn settle(
    wanted: &Wanted,
    format: Option<Format>,
    mut entries: Vec<Entry>,
) -> Result<Generation> {
    let text = wanted.text();
    // Of a folder, what cannot be data is left out; what is named by itself must be known.
    let folder =
        matches!(wanted, Wanted::Path(path) if entries.iter().all(|entry| &entry.name != path));
    if folder && format.is_none() {
        entries.retain(|entry| format_of(&entry.name).is_some());
    }
    entries.sort_by(|a, b| a.name.cmp(&b.name));
    if entries.is_empty() {
        return Err(Error::new(&codes::E1101_NO_FILES, format!("there is no file `{text}`")));
    }
    if entries.len() > FILES_MAX {
        let message =
            format!("`{text}` means {} files; at most {FILES_MAX} are read", entries.len());
        return Err(Error::new(&codes::E1101_NO_FILES, message));
    }
    let mut found: Option<(Format, &str)> = None;
    for entry in &entries {
        let Some(of) = format.or_else(|| format_of(&entry.name)) else {
            let message = format!("the name of {} does not say what it is", entry.name);
            return Err(Error::new(&codes::E1104_FORMAT, message));
        };
        match found {
            Some((known, first)) if known != of => {
                let message = format!(
                    "`{text}` means files of two kinds: {first} is {}, {} is {}",
                    known.name(),
                    entry.name,
                    of.name()
                );
                return Err(Error::new(&codes::E1104_FORMAT, message));
            }
            Some(_) => {}
            None => found = Some((of, &entry.name)),
        }
    }
    let format = found.map_or(Format::Parquet, |(format, _)| format);
    Ok(Generation { format, entries })
}

/// The files below a folder of this machine that are meant.
///
/// # Errors
/// `E1101` when the folder is not there, `E1102` when it cannot be listed.
pub(super) fn local(root: &Path, wanted: &Wanted) -> Result<Vec<Entry>> {
    let mut entries = Vec::new();
    for (name, path) in walk(root, &wanted.folder())? {
        if wanted.covers(&name) {
            let meta = path.metadata().map_err(|error| unreadable(&name, error))?;
            entries.push(Entry {
                size: meta.len(),
                stamp: stamp(&meta),
                place: Place::Local(path),
                name,
            });
        }
    }
    Ok(entries)
}

/// Every file below `folder` of `root`, by its name below `root`.
fn walk(root: &Path, folder: &str) -> Result<Vec<(String, PathBuf)>> {
    if !root.is_dir() {
        let message = format!("there is no folder {}", root.display());
        return Err(Error::new(&codes::E1101_NO_FILES, message));
    }
    let start = root.join(folder);
    if !start.exists() {
        return Ok(Vec::new());
    }
    let mut found = Vec::new();
    for entry in WalkDir::new(&start).follow_links(true) {
        let entry = entry.map_err(|error| {
            let name = error.path().unwrap_or(root).display().to_string();
            let why =
                error.into_io_error().unwrap_or_else(|| std::io::Error::other("a loop of links"));
            unreadable(&name, why)
        })?;
        if entry.file_type().is_file() {
            let below = entry.path().strip_prefix(root).unwrap_or(entry.path());
            let Some(name) = below.to_str() else {
                let message = format!("the name of {} is not UTF-8", below.display());
                return Err(Error::new(&codes::E1104_FORMAT, message));
            };
            found.push((name.to_owned(), entry.into_path()));
        }
    }
    Ok(found)
}

/// Names that could be a model: files, and folders of files.
pub(super) fn models(names: impl Iterator<Item = String>) -> Vec<String> {
    let mut models = BTreeSet::new();
    for name in names.filter(|name| format_of(name).is_some() && !is_hidden(name)) {
        match name.split_once('/') {
            Some((folder, _)) => models.insert(folder.to_owned()),
            None => models.insert(name),
        };
    }
    models.into_iter().collect()
}

/// Names of every file below the folder.
///
/// # Errors
/// As [`local`].
pub(super) fn names(root: &Path) -> Result<Vec<String>> {
    Ok(walk(root, "")?.into_iter().map(|(name, _)| name).collect())
}
