//! Takes the markup out of a piece of HTML and leaves its text. Simple on purpose: no document is built.

use std::borrow::Cow;

/// Elements whose content is not text.
const SILENT: [&str; 2] = ["script", "style"];
/// Tags that end a line.
const BREAKS: [&str; 13] =
    ["br", "p", "div", "li", "tr", "h1", "h2", "h3", "h4", "h5", "h6", "blockquote", "pre"];

/// The text of `html`: tags and comments are removed, the content of `script` and `style` too, `br` and the
/// end of a block become one line break, the entities `&amp; &lt; &gt; &quot; &apos; &nbsp;` and numeric ones
/// are decoded, and white space at both ends is trimmed. A `<` that begins no tag is text.
pub(crate) fn strip(html: &str) -> Cow<'_, str> {
    if !html.contains(['<', '&']) {
        return Cow::Borrowed(html);
    }
    let mut out = String::with_capacity(html.len());
    let mut rest = html;
    while let Some(at) = rest.find(['<', '&']) {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        rest = if rest.starts_with('&') { entity(rest, &mut out) } else { tag(rest, &mut out) };
    }
    out.push_str(rest);
    Cow::Owned(out.trim().to_owned())
}

/// Handles what begins with `<` and gives what is left.
fn tag<'a>(rest: &'a str, out: &mut String) -> &'a str {
    if let Some(comment) = rest.strip_prefix("<!--") {
        return comment.find("-->").map_or("", |end| &comment[end + 3..]);
    }
    let inner = &rest[1..];
    let closing = inner.starts_with('/');
    let name_at = &inner[usize::from(closing)..];
    let begins_tag = name_at.starts_with(|c: char| c.is_ascii_alphabetic())
        || (!closing && name_at.starts_with(['!', '?']));
    let Some(end) = rest.find('>').filter(|_| begins_tag) else {
        out.push('<');
        return inner;
    };
    let length = name_at.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(name_at.len());
    let name = name_at[..length].to_ascii_lowercase();
    let after = &rest[end + 1..];
    if !closing && SILENT.contains(&name.as_str()) {
        return after_closing(after, &name);
    }
    let ends_line = BREAKS.contains(&name.as_str()) && (closing || name == "br");
    if ends_line && !out.is_empty() && !out.ends_with('\n') {
        out.push('\n');
    }
    after
}

/// What follows `</name>`; nothing where the element is never closed.
fn after_closing<'a>(rest: &'a str, name: &str) -> &'a str {
    let mut from = 0;
    while let Some(at) = rest[from..].find("</").map(|at| from + at) {
        let candidate = &rest[at + 2..];
        if candidate.get(..name.len()).is_some_and(|text| text.eq_ignore_ascii_case(name)) {
            return candidate.find('>').map_or("", |end| &candidate[end + 1..]);
        }
        from = at + 2;
    }
    ""
}

/// Handles what begins with `&` and gives what is left; an unknown entity is text.
fn entity<'a>(rest: &'a str, out: &mut String) -> &'a str {
    let end = rest.bytes().take(12).position(|b| b == b';');
    if let Some(end) = end
        && let Some(c) = decoded(&rest[1..end])
    {
        out.push(c);
        return &rest[end + 1..];
    }
    out.push('&');
    &rest[1..]
}

fn decoded(name: &str) -> Option<char> {
    let code = match name {
        "amp" => return Some('&'),
        "lt" => return Some('<'),
        "gt" => return Some('>'),
        "quot" => return Some('"'),
        "apos" => return Some('\''),
        "nbsp" => return Some(' '),
        _ => name.strip_prefix('#')?,
    };
    let number = match code.strip_prefix(['x', 'X']) {
        Some(hex) => u32::from_str_radix(hex, 16).ok()?,
        None => code.parse().ok()?,
    };
    char::from_u32(number).filter(|c| !c.is_control() || matches!(c, '\n' | '\t'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markup_goes_and_text_stays() {
        for (html, text) in [
            ("plain", "plain"),
            ("<p>Hello <b>world</b></p>", "Hello world"),
            ("a<br>b<br/>c", "a\nb\nc"),
            ("<p>one</p><p>two</p>", "one\ntwo"),
            ("a &amp; b &lt;c&gt; &#39;d&#x27; &nbsp;e", "a & b <c> 'd'  e"),
            ("x<script>alert('<b>')</script>y<style>p{}</STYLE >z", "xyz"),
            ("a <!-- no > text --> b", "a  b"),
            ("1 < 2 && 3 > 2", "1 < 2 && 3 > 2"),
            ("a<b", "a<b"),
            ("&bogus; &;", "&bogus; &;"),
            ("&#0;&#xD800;", "&#0;&#xD800;"),
            ("<script>never closed", ""),
            ("żółć <i>ł</i> &ł;", "żółć ł &ł;"),
            ("<", "<"),
            ("<!DOCTYPE html>t", "t"),
        ] {
            assert_eq!(strip(html), text, "{html:?}");
        }
    }
}
