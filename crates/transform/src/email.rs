//! Which text is surely not an e-mail address. Conservative: what may be one is left to the destination.

/// Whether a destination could take this as an address.
///
/// One `@`; before it 1 to 64 characters without spaces, control characters, quotes, brackets, commas, colons
/// and semicolons, and without a dot at either end or two in a row; after it at least two labels of letters,
/// digits and hyphens, the last of them at least two characters and not only digits; 254 bytes at most.
pub(crate) fn plausible(text: &str) -> bool {
    let Some((local, domain)) = text.split_once('@') else { return false };
    text.len() <= 254 && local_part(local) && domain_part(domain)
}

fn local_part(local: &str) -> bool {
    let refused = |c: char| c.is_whitespace() || c.is_control() || "\"()<>[]\\,:;".contains(c);
    (1..=64).contains(&local.chars().count())
        && !local.contains(refused)
        && local.split('.').all(|part| !part.is_empty())
}

fn domain_part(domain: &str) -> bool {
    let label_fits = |label: &str| {
        (1..=63).contains(&label.chars().count())
            && label.chars().all(|c| c.is_alphanumeric() || c == '-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let last = domain.rsplit('.').next().unwrap_or("");
    domain.contains('.')
        && domain.split('.').all(label_fits)
        && last.chars().count() >= 2
        && !last.chars().all(|c| c.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_pass_and_others_do_not() {
        for good in [
            "ada@x.io",
            "a.b+c@sub.example.com",
            "o'hara@example.ie",
            "x_y-z@exa-mple.co.uk",
            "żółć@przykład.pl",
            "a@b.xn--p1ai",
            "1@2.com",
            "a/b@x.org",
        ] {
            assert!(plausible(good), "{good}");
        }
        let long_local = format!("{}@x.io", "a".repeat(65));
        let long = format!("a@{}.io", "b.".repeat(140));
        for bad in [
            "",
            "a",
            "@",
            "a@",
            "@x.io",
            "a@x",
            "a@@x.io",
            "a@x@y.io",
            "a b@x.io",
            " a@x.io",
            "a@x.io ",
            "a@x .io",
            ".a@x.io",
            "a.@x.io",
            "a..b@x.io",
            "a@.io",
            "a@x.",
            "a@x..io",
            "a@-x.io",
            "a@x-.io",
            "a@x.i",
            "a@1.2.3.4",
            "a,b@x.io",
            "<a@x.io>",
            "\"a\"@x.io",
            "a@x_y.io",
            "a\u{0}@x.io",
            &long_local,
            &long,
        ] {
            assert!(!plausible(bad), "{bad}");
        }
    }
}
