//! The files of a project: where they are, and how they are read.

use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::Path;
use std::sync::Arc;

use walkdir::{DirEntry, WalkDir};

use super::file::SourceFile;
use crate::codes::{E0001_NO_PROJECT, E0002_UNREADABLE_FILE};
use crate::diagnostic::Diagnostic;

/// The project file's name.
pub const PROJECT_FILE: &str = "outflow.yml";

/// Bytes of the largest project or sync file.
const BYTES_MAX: u64 = 1 << 20;
/// Folders below `syncs/`.
const DEPTH_MAX: usize = 16;

/// The project file.
pub(super) fn project(root: &Path, problems: &mut Vec<Diagnostic>) -> Option<Arc<SourceFile>> {
    let path = root.join(PROJECT_FILE);
    if !path.exists() {
        let folder = match root.to_str() {
            Some("." | "") => "this folder".to_owned(),
            _ => root.display().to_string(),
        };
        let wrong_name = root.join("outflow.yaml").exists();
        let help = match wrong_name {
            true => "rename outflow.yaml to outflow.yml",
            false => E0001_NO_PROJECT.remedy,
        };
        problems.push(
            Diagnostic::error(&E0001_NO_PROJECT, format!("there is no {PROJECT_FILE} in {folder}"))
                .with_help(help),
        );
        return None;
    }
    read(&path, PROJECT_FILE, problems)
}

/// Every sync file below `syncs/`, by path. Hidden files and folders are passed over.
pub(super) fn syncs(root: &Path, problems: &mut Vec<Diagnostic>) -> Vec<Arc<SourceFile>> {
    let folder = root.join("syncs");
    if !folder.exists() {
        return Vec::new();
    }
    let shown = |entry: &DirEntry| {
        entry.depth() == 0 || !entry.file_name().to_string_lossy().starts_with('.')
    };
    let walk = WalkDir::new(&folder).max_depth(DEPTH_MAX).sort_by_file_name();
    let mut files = Vec::new();
    for entry in walk.into_iter().filter_entry(shown) {
        match entry {
            // A link that leads nowhere is a sync somebody counts on.
            Ok(entry)
                if is_yaml(entry.path())
                    && (entry.path().is_file()
                        || entry.path_is_symlink() && !entry.path().exists()) =>
            {
                let name = name_of(entry.path(), root);
                files.extend(read(entry.path(), &name, problems));
            }
            Ok(_) => {}
            Err(error) => {
                let path = error.path().map_or("syncs".into(), |path| name_of(path, root));
                problems.push(Diagnostic::error(
                    &E0002_UNREADABLE_FILE,
                    format!("{path} cannot be read"),
                ));
            }
        }
    }
    files
}

fn is_yaml(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "yml" || extension == "yaml")
}

fn name_of(path: &Path, root: &Path) -> String {
    let inside = path.strip_prefix(root).unwrap_or(path);
    inside.components().map(|part| part.as_os_str().to_string_lossy()).collect::<Vec<_>>().join("/")
}

fn read(path: &Path, name: &str, problems: &mut Vec<Diagnostic>) -> Option<Arc<SourceFile>> {
    let mut bytes = Vec::new();
    let result = File::open(path).and_then(|file| file.take(BYTES_MAX + 1).read_to_end(&mut bytes));
    let why = match result {
        Err(error) => reason(&error),
        Ok(read) if read as u64 > BYTES_MAX => {
            format!("it is larger than {} MiB", BYTES_MAX >> 20)
        }
        Ok(_) => match String::from_utf8(bytes) {
            Ok(text) => return Some(SourceFile::new(name, &text)),
            Err(error) => {
                let valid = &error.as_bytes()[..error.utf8_error().valid_up_to()];
                let line = valid.iter().filter(|byte| **byte == b'\n').count() + 1;
                format!("it is not UTF-8 text (line {line})")
            }
        },
    };
    problems
        .push(Diagnostic::error(&E0002_UNREADABLE_FILE, format!("{name} cannot be read: {why}")));
    None
}

/// Why a file cannot be read, in words.
pub(super) fn reason(error: &std::io::Error) -> String {
    match error.kind() {
        ErrorKind::NotFound => "there is no such file".to_owned(),
        ErrorKind::PermissionDenied => "it may not be read".to_owned(),
        ErrorKind::InvalidData => "it is not UTF-8 text".to_owned(),
        _ => error.to_string(),
    }
}
