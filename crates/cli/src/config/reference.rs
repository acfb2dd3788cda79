//! `${...}` in scalars: reads the forms, and substitutes them where that is allowed.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use super::file::Place;
use super::files::reason;
use super::node::{Node, Text, Value};
use crate::codes::{
    E0020_UNDEFINED_VARIABLE, E0021_BAD_REFERENCE, E0022_REFERENCE_NOT_HERE,
    E0023_UNREADABLE_SECRET,
};
use crate::diagnostic::Diagnostic;

/// Bytes of the longest secret file that is read.
const SECRET_BYTES_MAX: u64 = 64 << 10;

const NOT_IN_PROJECT: &str =
    "write the value out: only `connections`, `state` and `alerts` take it from outside";

/// A part of a scalar.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Piece<'t> {
    Plain(&'t str),
    /// What is between `${` and `}`.
    Reference(&'t str),
    /// `${` without an end.
    Unclosed(&'t str),
}

pub(super) fn pieces(text: &str) -> Vec<Piece<'_>> {
    let mut pieces = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find("${") {
        let (before, after) = rest.split_at(at);
        if let Some(before) = before.strip_suffix('$') {
            pieces.push(Piece::Plain(before));
            pieces.push(Piece::Plain("${"));
            rest = &after[2..];
            continue;
        }
        pieces.push(Piece::Plain(before));
        let Some(end) = after.find('}') else {
            pieces.push(Piece::Unclosed(after));
            return pieces;
        };
        pieces.push(Piece::Reference(&after[2..end]));
        rest = &after[end + 1..];
    }
    pieces.push(Piece::Plain(rest));
    pieces
}

/// Where values of the project file come from.
#[derive(Clone, Copy)]
pub(crate) struct Outside<'a> {
    /// The process's environment.
    pub(crate) variable: &'a dyn Fn(&str) -> Option<String>,
    /// What relative paths of `${file:...}` start from.
    pub(crate) root: &'a Path,
}

/// Substitutes environment variables and files in every scalar below. What is not there leaves an
/// unresolved node; what cannot be understood is a problem.
pub(super) fn substitute(node: &mut Node, outside: Outside<'_>, problems: &mut Vec<Diagnostic>) {
    node.scalars_mut(&mut |scalar| {
        let result = expand(scalar, |inside| outside_value(inside, outside));
        apply(scalar, result, problems);
    });
}

/// Any reference below is a problem: nothing is substituted here.
pub(super) fn refuse(node: &mut Node, problems: &mut Vec<Diagnostic>) {
    node.scalars_mut(&mut |scalar| {
        let result = expand(scalar, |_| Err(not_here().with_help(NOT_IN_PROJECT)));
        apply(scalar, result, problems);
    });
}

/// The text with every reference replaced, and whether there was one; `None` when there is nothing to do.
pub(super) fn expand(
    scalar: &Node,
    mut value: impl FnMut(&str) -> Result<String, Diagnostic>,
) -> Result<Option<(String, bool)>, Diagnostic> {
    let Some(text) = scalar.as_text().filter(|text| text.contains("${")) else { return Ok(None) };
    let mut out = String::with_capacity(text.len());
    let mut substituted = false;
    for piece in pieces(text) {
        match piece {
            Piece::Plain(text) => out.push_str(text),
            Piece::Reference(inside) => {
                substituted = true;
                out.push_str(&value(inside).map_err(|problem| {
                    let label = match problem.code.id {
                        "E0020" => "not set",
                        "E0022" => "not substituted here",
                        "E0023" => "cannot be read",
                        "E0024" => "not declared",
                        _ => "not understood",
                    };
                    problem.at(&reference_place(scalar, inside), label)
                })?);
            }
            Piece::Unclosed(_) => {
                return Err(Diagnostic::error(&E0021_BAD_REFERENCE, "a `${` has no `}`")
                    .at(&scalar.place, "not closed"));
            }
        }
    }
    Ok(Some((out, substituted)))
}

pub(super) fn apply(
    scalar: &mut Node,
    result: Result<Option<(String, bool)>, Diagnostic>,
    problems: &mut Vec<Diagnostic>,
) {
    match (result, &scalar.value) {
        (Ok(Some((text, substituted))), Value::Text(old)) => {
            let unquoted = old.unquoted;
            scalar.value = Value::Text(Text { text, unquoted, substituted });
        }
        (Err(problem), _) if is_unresolved(&problem) => {
            scalar.value = Value::Unresolved(Box::new(problem));
        }
        (Err(problem), _) => {
            scalar.value = Value::Unresolved(Box::new(problem.clone()));
            problems.push(problem);
        }
        (Ok(_), _) => {}
    }
}

/// Whether the project is right and only its surroundings are not.
fn is_unresolved(problem: &Diagnostic) -> bool {
    problem.code == &E0020_UNDEFINED_VARIABLE || problem.code == &E0023_UNREADABLE_SECRET
}

/// The reference as written, where it can be found in the scalar.
pub(super) fn reference_place(scalar: &Node, inside: &str) -> Place {
    let written = format!("${{{inside}}}");
    match scalar.place.text().find(&written) {
        Some(at) => {
            let start = scalar.place.start + at;
            Place::new(&scalar.place.file, start, start + written.len())
        }
        None => scalar.place.clone(),
    }
}

fn outside_value(inside: &str, outside: Outside<'_>) -> Result<String, Diagnostic> {
    if let Some(path) = inside.strip_prefix("file:") {
        return read_secret(&outside.root.join(path), path);
    }
    if inside.starts_with("var:") {
        return Err(Diagnostic::error(
            &E0021_BAD_REFERENCE,
            format!("`${{{inside}}}` is for sync files"),
        )
        .with_help("use an environment variable: `${NAME}` or `${NAME:-default}`"));
    }
    let end = inside.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(inside.len());
    let (name, rest) = inside.split_at(end);
    let starts_well = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    let set = if starts_well { (outside.variable)(name) } else { None };
    let set_and_full = set.clone().filter(|value| !value.is_empty());
    let undefined = || {
        Diagnostic::error(
            &E0020_UNDEFINED_VARIABLE,
            format!("the environment variable `{name}` is not set"),
        )
    };
    if !starts_well {
        Err(malformed(inside))
    } else if rest.is_empty() {
        set.ok_or_else(|| {
            undefined().with_help(format!(
                "set it for this process (`export {name}=…`), or give a default: `${{{name}:-default}}`"
            ))
        })
    } else if let Some(default) = rest.strip_prefix(":-") {
        Ok(set_and_full.unwrap_or_else(|| default.to_owned()))
    } else if let Some(message) = rest.strip_prefix(":?") {
        set_and_full.ok_or_else(|| {
            let help = if message.is_empty() { "set it for this process" } else { message };
            undefined().with_help(help)
        })
    } else {
        Err(malformed(inside))
    }
}

fn malformed(inside: &str) -> Diagnostic {
    Diagnostic::error(&E0021_BAD_REFERENCE, format!("`${{{inside}}}` cannot be understood"))
}

pub(super) fn not_here() -> Diagnostic {
    Diagnostic::error(&E0022_REFERENCE_NOT_HERE, "`${...}` is not substituted here")
}

/// The file's text without its last line break.
fn read_secret(path: &Path, written: &str) -> Result<String, Diagnostic> {
    let fail = |why: String| {
        Err(Diagnostic::error(
            &E0023_UNREADABLE_SECRET,
            format!("the file `{written}` cannot be read: {why}"),
        ))
    };
    let mut text = String::new();
    let limited = File::open(path).map(|file| file.take(SECRET_BYTES_MAX + 1));
    match limited.and_then(|mut file| file.read_to_string(&mut text)) {
        Err(error) => fail(reason(&error)),
        Ok(read) if read as u64 > SECRET_BYTES_MAX => {
            fail(format!("it is larger than {} KiB", SECRET_BYTES_MAX >> 10))
        }
        Ok(_) => {
            let line = text.strip_suffix('\n').unwrap_or(&text);
            Ok(line.strip_suffix('\r').unwrap_or(line).to_owned())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outside_of(inside: &str) -> Result<String, &'static str> {
        let variable = |name: &str| match name {
            "SET" => Some("value".to_owned()),
            "EMPTY" => Some(String::new()),
            _ => None,
        };
        let outside = Outside { variable: &variable, root: Path::new("/") };
        outside_value(inside, outside).map_err(|problem| problem.code.id)
    }

    #[test]
    fn variables_defaults_and_messages_are_those_of_a_shell() {
        assert_eq!(outside_of("SET"), Ok("value".into()));
        assert_eq!(outside_of("EMPTY"), Ok(String::new()));
        assert_eq!(outside_of("NONE"), Err("E0020"));
        assert_eq!(outside_of("EMPTY:-d"), Ok("d".into()));
        assert_eq!(outside_of("NONE:-"), Ok(String::new()));
        assert_eq!(outside_of("EMPTY:?say"), Err("E0020"));
        assert_eq!(outside_of("SET:?say"), Ok("value".into()));
        for bad in ["", "1X", "SET-d", "SET:d", "a b", "var:x"] {
            assert_eq!(outside_of(bad), Err("E0021"), "{bad}");
        }
    }

    #[test]
    fn two_dollars_before_a_brace_stand_for_the_text() {
        assert_eq!(
            pieces("a $${x} ${y}$"),
            [
                Piece::Plain("a "),
                Piece::Plain("${"),
                Piece::Plain("x} "),
                Piece::Reference("y"),
                Piece::Plain("$")
            ]
        );
        assert_eq!(pieces("${x"), [Piece::Plain(""), Piece::Unclosed("${x")]);
    }
}
