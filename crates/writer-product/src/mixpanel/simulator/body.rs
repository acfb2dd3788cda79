//! The ways in which Mixpanel takes data: JSON, lines of JSON, a form, and a query in base64.

use axum::body::Bytes;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, Uri};
use serde_json::Value;

/// What a request says, apart from its headers.
pub(super) struct Said {
    pub(super) data: Option<Value>,
    /// Query and form values.
    values: Vec<(String, String)>,
}

impl Said {
    pub(super) fn read(uri: &Uri, headers: &HeaderMap, body: &Bytes) -> Self {
        let mut values = pairs(uri.query().unwrap_or_default());
        let kind =
            headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
        let text = String::from_utf8_lossy(body);
        let data = if kind.starts_with("application/x-www-form-urlencoded") {
            values.extend(pairs(&text));
            values.iter().find(|(name, _)| name == "data").map(|(_, data)| data.clone())
        } else if body.is_empty() {
            let coded =
                values.iter().find(|(name, _)| name == "data").map(|(_, data)| data.clone());
            coded
                .and_then(|data| base64_decoded(&data))
                .and_then(|bytes| String::from_utf8(bytes).ok())
        } else if kind.starts_with("application/x-ndjson") {
            let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
            Some(format!("[{}]", lines.join(",")))
        } else {
            Some(text.into_owned())
        };
        let data = data.and_then(|data| serde_json::from_str(&data).ok());
        // One object may come without its list.
        let data =
            data.map(|data: Value| if data.is_object() { Value::Array(vec![data]) } else { data });
        Self { data, values }
    }

    pub(super) fn value(&self, name: &str) -> Option<&str> {
        self.values.iter().rev().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    pub(super) fn is_on(&self, name: &str) -> bool {
        self.value(name) == Some("1")
    }
}

fn pairs(text: &str) -> Vec<(String, String)> {
    text.split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (plain(name), plain(value))
        })
        .collect()
}

fn plain(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let hex = text.get(at + 1..at + 3).and_then(|hex| u8::from_str_radix(hex, 16).ok());
        match (bytes[at], hex) {
            (b'%', Some(byte)) => {
                out.push(byte);
                at += 2;
            }
            (b'+', _) => out.push(b' '),
            (byte, _) => out.push(byte),
        }
        at += 1;
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// RFC 4648, both alphabets, with or without padding.
pub(super) fn base64_decoded(text: &str) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    let (mut bits, mut count) = (0_u32, 0);
    for byte in text.bytes().filter(|byte| *byte != b'=') {
        let digit = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' | b'-' => 62,
            b'/' | b'_' => 63,
            _ => return None,
        };
        bits = bits << 6 | u32::from(digit);
        count += 6;
        if count >= 8 {
            count -= 8;
            out.push((bits >> count & 0xFF) as u8);
        }
    }
    Some(out)
}
