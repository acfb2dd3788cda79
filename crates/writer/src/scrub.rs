//! Making a stranger's text fit to show: no control characters, no secrets, no endless lines.

use flow::Secret;

/// Longest vendor message kept, in characters.
pub const MESSAGE_CHARS_MAX: usize = 300;

/// One printable line of at most [`MESSAGE_CHARS_MAX`] characters, with `secret` masked wherever it appears.
pub fn scrub(text: &str, secret: &Secret) -> String {
    let secret = secret.expose().trim();
    // Cut first, so that a huge text costs nothing.
    let room = MESSAGE_CHARS_MAX + 2 * secret.len();
    let mut rest = text.chars();
    let mut text: String = rest.by_ref().take(room).collect();
    if !secret.is_empty() {
        text = text.replace(secret, "***");
        if rest.next().is_some() {
            // The cut may have left the beginning of a secret at the end.
            let keep = text.chars().count().saturating_sub(secret.len());
            text = text.chars().take(keep).collect();
        }
    }
    let mut line = String::with_capacity(text.len());
    for c in text.chars() {
        // Besides controls: direction overrides and other invisible characters can forge a line.
        let shown = if c.is_control() || is_invisible(c) { ' ' } else { c };
        if shown != ' ' || !line.ends_with(' ') {
            line.push(shown);
        }
    }
    let line = line.trim();
    if line.chars().count() <= MESSAGE_CHARS_MAX {
        return line.to_owned();
    }
    let mut cut: String = line.chars().take(MESSAGE_CHARS_MAX - 1).collect();
    cut.push('…');
    cut
}

fn is_invisible(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_become_one_bounded_printable_line() {
        let secret = Secret::new("pat-1");
        assert_eq!(scrub("a\r\nb\u{1b}[31mc\0", &secret), "a b [31mc");
        assert_eq!(scrub("evil\u{202e}txt", &secret), "evil txt");
        let long = scrub(&"é".repeat(1_000_000), &secret);
        assert_eq!(long.chars().count(), MESSAGE_CHARS_MAX);
        assert!(long.ends_with('…'));
    }

    #[test]
    fn a_secret_that_comes_back_is_masked_also_at_the_cut() {
        let secret = Secret::new("pat-secret-token");
        assert_eq!(scrub("token pat-secret-token is bad", &secret), "token *** is bad");
        let text = format!("{}pat-secret-token", "x".repeat(MESSAGE_CHARS_MAX - 4));
        assert!(!scrub(&text, &secret).contains("pat"), "{}", scrub(&text, &secret));
        let text = "pat-secret-token".repeat(100);
        assert!(!scrub(&text, &secret).contains("pat"), "{}", scrub(&text, &secret));
        assert_eq!(scrub("plain", &Secret::new("")), "plain");
    }
}
