//! What destinations read out of JSON answers, whatever a vendor or somebody in between put there (F13).

use serde_json::Value;

use crate::Reply;

/// Largest JSON that is taken apart: a hundred records with all their fields. As a tree it needs several times as much.
const JSON_BYTES_MAX: usize = 8 * 1024 * 1024;

/// A body as JSON; `None` where it is not complete, is something else, or is larger than any answer of sense.
pub fn json(reply: &Reply) -> Option<Value> {
    let body =
        Some(&reply.body).filter(|body| reply.fault.is_none() && body.len() <= JSON_BYTES_MAX)?;
    serde_json::from_slice(body).ok()
}

/// A member that is text, a number or a truth value, as text; `None` where it is empty or anything else.
pub fn text(value: &Value, name: &str) -> Option<String> {
    match value.get(name)? {
        Value::String(text) if !text.is_empty() => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(truth) => Some(truth.to_string()),
        _ => None,
    }
}

/// A value in a path or a query, percent-encoded (RFC 3986).
pub fn percent(value: &str) -> String {
    use std::fmt::Write as _;
    value.bytes().fold(String::with_capacity(value.len()), |mut text, byte| {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                text.push(char::from(byte));
            }
            // Writing to a String cannot fail.
            _ => _ = write!(text, "%{byte:02X}"),
        }
        text
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn reply(body: Vec<u8>) -> Reply {
        let headers = reqwest::header::HeaderMap::new();
        Reply { status: 200, headers, body: body.into(), fault: None }
    }

    #[test]
    fn only_a_complete_answer_of_sane_size_is_read() {
        assert_eq!(json(&reply(b"{\"a\":1}".to_vec())), Some(json!({"a": 1})));
        assert_eq!(json(&reply(b"<html>".to_vec())), None);
        assert_eq!(json(&reply(vec![b'['; 1000])), None, "too deep");
        let huge = format!("[{}0]", "0,".repeat(JSON_BYTES_MAX / 2));
        assert_eq!(json(&reply(huge.into_bytes())), None);
        let cut = Reply { fault: Some("cut"), ..reply(b"{}".to_vec()) };
        assert_eq!(json(&cut), None);
    }

    #[test]
    fn members_are_text_or_missing() {
        let value = json!({"a": "x", "b": 7, "c": true, "d": "", "e": [], "f": null});
        let texts = ["a", "b", "c", "d", "e", "f", "g"].map(|name| text(&value, name));
        assert_eq!(texts.map(Option::unwrap_or_default), ["x", "7", "true", "", "", "", ""]);
        assert_eq!(percent("a b/ü?,~"), "a%20b%2F%C3%BC%3F%2C~");
    }
}
