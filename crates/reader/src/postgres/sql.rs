//! The model's SQL as text: where its statement ends. Only comments, quotes and semicolons are understood;
//! the server remains the judge of everything else.

/// The statement without one trailing semicolon, so that it can be put in parentheses.
///
/// A comment after the semicolon stays. Further semicolons stay too, for the server to refuse.
pub(crate) fn statement(sql: &str) -> String {
    match only_trailing_semicolon(sql) {
        Some(at) => format!("{} {}", &sql[..at], &sql[at + 1..]),
        None => sql.to_owned(),
    }
}

/// Whether the text holds nothing but white space, comments and semicolons.
pub(super) fn is_blank(sql: &str) -> bool {
    !tokens(sql).any(|token| matches!(token, Token::Other))
}

/// Whether a semicolon outside of quotes and comments ends a statement in it.
pub(crate) fn has_semicolon(sql: &str) -> bool {
    tokens(sql).any(|token| matches!(token, Token::Semicolon(_)))
}

fn only_trailing_semicolon(sql: &str) -> Option<usize> {
    let mut semicolon = None;
    for token in tokens(sql) {
        match (token, semicolon) {
            (Token::Semicolon(at), None) => semicolon = Some(at),
            // A second semicolon, or text after the first: several statements.
            (_, Some(_)) => return None,
            (Token::Other, None) => {}
        }
    }
    semicolon
}

/// A part of the text that is not white space or a comment.
#[derive(Clone, Copy)]
enum Token {
    Semicolon(usize),
    Other,
}

fn tokens(sql: &str) -> impl Iterator<Item = Token> {
    let bytes = sql.as_bytes();
    let mut at = 0;
    std::iter::from_fn(move || {
        while at < bytes.len() {
            let rest = &bytes[at..];
            match rest[0] {
                byte if byte.is_ascii_whitespace() => at += 1,
                b'-' if rest.starts_with(b"--") => at += line_comment(rest),
                b'/' if rest.starts_with(b"/*") => at += block_comment(rest),
                b';' => {
                    at += 1;
                    return Some(Token::Semicolon(at - 1));
                }
                b'\'' => {
                    let escapes = at > 0
                        && matches!(bytes[at - 1], b'e' | b'E')
                        && !(at > 1 && is_word(bytes[at - 2]));
                    at += quoted(rest, b'\'', escapes);
                    return Some(Token::Other);
                }
                b'"' => {
                    at += quoted(rest, b'"', false);
                    return Some(Token::Other);
                }
                b'$' if at == 0 || !is_word(bytes[at - 1]) => {
                    at += dollar_quoted(rest);
                    return Some(Token::Other);
                }
                _ => {
                    at += 1;
                    return Some(Token::Other);
                }
            }
        }
        None
    })
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'$' || byte >= 0x80
}

fn line_comment(rest: &[u8]) -> usize {
    rest.iter().position(|byte| matches!(byte, b'\n' | b'\r')).unwrap_or(rest.len())
}

/// Block comments nest in PostgreSQL.
fn block_comment(rest: &[u8]) -> usize {
    let mut depth = 0;
    let mut at = 0;
    while at < rest.len() {
        if rest[at..].starts_with(b"/*") {
            depth += 1;
            at += 2;
        } else if rest[at..].starts_with(b"*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                break;
            }
        } else {
            at += 1;
        }
    }
    at
}

/// A doubled quote reads as the end of one string and the start of the next, which comes to the same.
fn quoted(rest: &[u8], quote: u8, escapes: bool) -> usize {
    let mut at = 1;
    while at < rest.len() {
        match rest[at] {
            b'\\' if escapes => at += 1,
            byte if byte == quote && escapes && rest.get(at + 1) == Some(&quote) => at += 1,
            byte if byte == quote => return at + 1,
            _ => {}
        }
        at += 1;
    }
    rest.len()
}

fn dollar_quoted(rest: &[u8]) -> usize {
    let tag = rest[1..].iter().position(|byte| *byte == b'$' || !is_word(*byte));
    let Some(end) = tag.map(|tag| tag + 1).filter(|end| rest[*end] == b'$') else { return 1 };
    if rest[1].is_ascii_digit() {
        return 1;
    }
    let tag = &rest[..=end];
    let body = &rest[end + 1..];
    let close = body.windows(tag.len()).position(|window| window == tag);
    close.map_or(rest.len(), |close| end + 1 + close + tag.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_trailing_semicolon_goes() {
        for (sql, expected) in [
            ("SELECT 1", "SELECT 1"),
            ("SELECT 1;", "SELECT 1 "),
            ("SELECT 1 ; -- done; really\n", "SELECT 1   -- done; really\n"),
            ("SELECT 1; /* a /* b */ ; */", "SELECT 1  /* a /* b */ ; */"),
            ("SELECT ';' AS a, \";\" FROM t -- ;", "SELECT ';' AS a, \";\" FROM t -- ;"),
            ("SELECT $$;$$, $x$ ; $$ $x$;", "SELECT $$;$$, $x$ ; $$ $x$ "),
            ("SELECT E'\\';';", "SELECT E'\\';' "),
            ("SELECT 'a''b;';", "SELECT 'a''b;' "),
            ("SELECT 'a\\';", "SELECT 'a\\' "),
            ("SELECT a$b;", "SELECT a$b "),
        ] {
            assert_eq!(statement(sql), expected, "{sql}");
        }
    }

    #[test]
    fn several_statements_are_left_for_the_server_to_refuse() {
        for sql in ["SELECT 1;;", "SELECT 1; DELETE FROM t", "SELECT 1; DELETE FROM t;"] {
            assert_eq!(statement(sql), sql);
        }
    }

    #[test]
    fn comments_alone_are_no_statement() {
        assert!(is_blank(" -- nothing\n/* here */ ;"));
        assert!(!is_blank("-- a\nSELECT 1"));
    }
}
