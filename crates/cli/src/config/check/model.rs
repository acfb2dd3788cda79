//! The model of a sync: where its rows come from.

use std::fs::File;
use std::io::Read;
use std::path::{Component, Path};

use flow::Relation;

use super::{Setting, Side, connection};
use crate::codes::{E0106_EMPTY_SQL, E0107_SQL_FILE};
use crate::config::file::Place;
use crate::config::files::reason;
use crate::config::node::{Entry, Node};
use crate::config::open::Opened;
use crate::config::vars::substitute_sql;
use crate::config::written::OneOrMore;
use crate::diagnostic::Diagnostic;

/// Bytes of the largest SQL file.
const SQL_BYTES_MAX: u64 = 1 << 20;

/// A checked model.
pub(super) struct Model {
    pub(super) connection: String,
    pub(super) relation: Relation,
    pub(super) primary_key: Vec<String>,
    /// What people call it.
    pub(super) name: String,
    /// Where the relation is written.
    pub(super) place: Place,
}

/// Checks `model:` part by part; `None` when one is missing or wrong.
pub(super) fn check(
    node: &Node,
    setting: &Setting<'_>,
    opened: &mut Opened,
    problems: &mut Vec<Diagnostic>,
) -> Option<Model> {
    let found = connection(node, ["model", "connection"], Side::Warehouse, setting);
    let connection = found.map_err(|problem| problems.push(problem)).ok().flatten();
    if let Some(connection) = connection {
        opened.source(connection, problems);
    }
    let model = &node.entry("model")?.value;
    let (relation, name, place) = relation(model, setting, problems)?;
    let primary_key = model.entry("primary_key")?.value.to_json();
    let primary_key: OneOrMore = serde_json::from_value(primary_key).ok()?;
    Some(Model {
        connection: connection?.name.clone(),
        relation,
        primary_key: primary_key.0,
        name,
        place,
    })
}

fn relation(
    model: &Node,
    setting: &Setting<'_>,
    problems: &mut Vec<Diagnostic>,
) -> Option<(Relation, String, Place)> {
    let text = |key: &str| model.entry(key).and_then(|entry| Some((entry, entry.value.as_text()?)));
    if let Some((entry, table)) = text("table") {
        let place = entry.value_place().clone();
        return Some((Relation::Table(table.to_owned()), table.to_owned(), place));
    }
    if let Some((entry, sql)) = text("sql") {
        if is_empty(sql) {
            problems.push(empty(entry, "no statement here"));
            return None;
        }
        return Some((Relation::Sql(sql.to_owned()), "sql".to_owned(), entry.place.clone()));
    }
    let (entry, path) = text("sql_file")?;
    let sql = match read(setting.root, path) {
        Ok(sql) => sql,
        Err(why) => {
            problems.push(
                Diagnostic::error(
                    &E0107_SQL_FILE,
                    format!("the SQL file `{path}` cannot be used: {why}"),
                )
                .at(entry.value_place(), "this file"),
            );
            return None;
        }
    };
    let place = entry.value_place().clone();
    let sql = substitute_sql(&sql, setting.vars, &place, problems);
    if is_empty(&sql) {
        problems.push(empty(entry, "this file has no statement"));
        return None;
    }
    Some((Relation::Sql(sql), path.to_owned(), place))
}

fn empty(entry: &Entry, label: &str) -> Diagnostic {
    Diagnostic::error(&E0106_EMPTY_SQL, "the model's SQL is empty").at(entry.value_place(), label)
}

/// Whether there is nothing but white space, comments and semicolons.
fn is_empty(sql: &str) -> bool {
    let mut rest = sql.trim_start();
    loop {
        rest = if let Some(comment) = rest.strip_prefix("--") {
            comment.find('\n').map_or("", |end| &comment[end..])
        } else if let Some(comment) = rest.strip_prefix("/*") {
            comment.find("*/").map_or("", |end| &comment[end + 2..])
        } else if let Some(rest) = rest.strip_prefix(';') {
            rest
        } else {
            return rest.is_empty();
        }
        .trim_start();
    }
}

fn read(root: &Path, written: &str) -> Result<String, String> {
    let path = Path::new(written);
    let inside = |part| matches!(part, Component::Normal(_) | Component::CurDir);
    if !path.components().all(inside) {
        return Err("it must lie in the project folder".to_owned());
    }
    let real = root.join(path).canonicalize().map_err(|error| reason(&error))?;
    let root = root.canonicalize().map_err(|error| reason(&error))?;
    if !real.starts_with(&root) {
        return Err("a link leads out of the project folder".to_owned());
    }
    if !real.is_file() {
        return Err("it is not a file".to_owned());
    }
    let mut text = String::new();
    let read = File::open(&real)
        .and_then(|file| file.take(SQL_BYTES_MAX + 1).read_to_string(&mut text))
        .map_err(|error| reason(&error))?;
    if read as u64 > SQL_BYTES_MAX {
        return Err(format!("it is larger than {} MiB", SQL_BYTES_MAX >> 20));
    }
    Ok(text.strip_prefix('\u{feff}').map(str::to_owned).unwrap_or(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_and_semicolons_are_no_statement() {
        for sql in ["", " \n", "-- x", "/* a */ ; -- b\n", "/* open", ";"] {
            assert!(is_empty(sql), "{sql}");
        }
        for sql in ["select 1", "-- x\nselect 1", "/**/select 1"] {
            assert!(!is_empty(sql), "{sql}");
        }
    }
}
