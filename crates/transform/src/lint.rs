//! Finds in a template's source what minijinja would only find while rendering: unknown filters and tests,
//! comparisons with none, which SQL's NULL does not answer, and columns that have the name of a function.

use minijinja::Environment;

use crate::codes;
use crate::error::Misfit;

/// Checks the names of filters and tests in every expression of `source`, whichever branch it is in.
pub(crate) fn check(source: &str, env: &Environment<'_>) -> Result<(), Misfit> {
    let tokens = tokens(source);
    let functions: Vec<&str> = env.globals().map(|(name, _)| name).collect();
    for (at, token) in tokens.iter().enumerate() {
        let next = |by: usize| tokens.get(at + by).copied().unwrap_or("");
        let before = at.checked_sub(1).and_then(|at| tokens.get(at)).copied().unwrap_or("");
        match *token {
            "|" if is_name(next(1)) => known("filter", next(1), env)?,
            "filter" if matches!(before, "%" | "-") => known("filter", next(1), env)?,
            "is" if next(1) == "not" && is_name(next(2)) => known("test", next(2), env)?,
            "is" if is_name(next(1)) => known("test", next(1), env)?,
            "==" | "!=" if [before, next(1)].iter().any(|side| is_none(side)) => {
                return Err(Misfit::new(
                    &codes::E0202_TEMPLATE,
                    format!(
                        "the template compares with none by `{token}`, which NULL never answers"
                    ),
                    "write `is none` or `is not none`",
                ));
            }
            name if functions.contains(&name) && next(1) != "(" && before != "." => {
                return Err(Misfit::new(
                    &codes::E0202_TEMPLATE,
                    format!("the template uses the function `{name}` without calling it"),
                    "a column of that name needs another one in the model's SQL",
                ));
            }
            _ => {}
        }
    }
    Ok(())
}

fn is_name(token: &str) -> bool {
    token.starts_with(|c: char| c.is_alphabetic() || c == '_')
}

fn is_none(token: &str) -> bool {
    matches!(token, "none" | "None")
}

/// Asks the environment itself, since minijinja does not list its filters.
fn known(what: &str, name: &str, env: &Environment<'_>) -> Result<(), Misfit> {
    let question = format!("{{{{ \"{name}\" is {what} }}}}");
    match env.render_str(&question, ()) {
        Ok(answer) if answer == "false" => Err(Misfit::new(
            &codes::E0202_TEMPLATE,
            format!("the template uses the {what} `{name}`, which does not exist"),
            "use minijinja's built-in filters and tests, or the mapping's own `transform`",
        )),
        _ => Ok(()),
    }
}

/// The tokens inside `{{ }}` and `{% %}`, without string literals; the delimiters' `%` stays as a token.
fn tokens(source: &str) -> Vec<&str> {
    let mut found = Vec::new();
    let mut rest = source;
    while let Some(at) = rest.find('{') {
        let inner = &rest[at + 1..];
        let (body, closing) = match inner.bytes().next() {
            Some(b'{') => (&inner[1..], "}}"),
            Some(b'%') => {
                found.push("%");
                (&inner[1..], "%}")
            }
            Some(b'#') => {
                rest = inner.find("#}").map_or("", |end| &inner[end + 2..]);
                continue;
            }
            _ => {
                rest = inner;
                continue;
            }
        };
        let raw = body.trim_start_matches(['-', '+']).trim_start().starts_with("raw");
        rest = expression(body, closing, &mut found);
        if closing == "%}" && raw {
            rest = rest.find("endraw").map_or("", |end| &rest[end..]);
        }
    }
    found
}

/// Tokens up to `closing`; gives what follows it.
fn expression<'a>(body: &'a str, closing: &str, found: &mut Vec<&'a str>) -> &'a str {
    let mut rest = body;
    loop {
        rest = rest.trim_start();
        if rest.is_empty() || rest.starts_with(closing) {
            return rest.get(closing.len()..).unwrap_or("");
        }
        let length = match rest.as_bytes()[0] {
            quote @ (b'"' | b'\'') => {
                let end = literal_end(rest, quote);
                found.push("\"\"");
                rest = &rest[end..];
                continue;
            }
            b'=' | b'!' if rest.as_bytes().get(1) == Some(&b'=') => 2,
            _ if is_name(rest) => {
                rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len())
            }
            _ => rest.chars().next().map_or(1, char::len_utf8),
        };
        found.push(&rest[..length]);
        rest = &rest[length..];
    }
}

/// Where a string literal ends, after its closing quote.
fn literal_end(text: &str, quote: u8) -> usize {
    let mut escaped = false;
    for (at, byte) in text.bytes().enumerate().skip(1) {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            _ if byte == quote => return at + 1,
            _ => {}
        }
    }
    text.len()
}
