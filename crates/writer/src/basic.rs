//! The `authorization: Basic` header (RFC 7617), for vendors whose tokens go with a name.

use flow::{Error, Result, Secret};
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};

use crate::codes::E2013_OPTIONS;

/// An `authorization: Basic` header of `name:secret` that shows itself nowhere.
///
/// # Errors
/// [`E2013_OPTIONS`] when one of them is empty, the name holds a colon, or either a control character.
pub fn basic(connection: &str, name: &str, secret: &Secret) -> Result<HeaderMap> {
    let secret = secret.expose().trim_end();
    let plain = |text: &str| !text.is_empty() && !text.chars().any(char::is_control);
    if !plain(name) || name.contains(':') || !plain(secret) {
        let reason =
            "name and token must not be empty, nor hold a control character, nor the name a colon";
        return Err(Error::new(&E2013_OPTIONS, format!("connection `{connection}`: {reason}")));
    }
    let coded = base64(format!("{name}:{secret}").as_bytes());
    let mut value = HeaderValue::try_from(format!("Basic {coded}")).map_err(|_| {
        Error::new(
            &E2013_OPTIONS,
            format!("connection `{connection}`: the token cannot be a header"),
        )
    })?;
    value.set_sensitive(true);
    Ok(HeaderMap::from_iter([(HeaderName::from_static("authorization"), value)]))
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let [a, b, c] = [0, 1, 2].map(|at| u32::from(chunk.get(at).copied().unwrap_or(0)));
        let bits = a << 16 | b << 8 | c;
        for at in 0..4 {
            // Six bits are below 64.
            let digit = DIGITS[(bits >> (18 - 6 * at) & 63) as usize];
            text.push(if at <= chunk.len() { char::from(digit) } else { '=' });
        }
    }
    text
}

/// Base64 for URLs, without padding (RFC 4648, section 5), as in the parts of a JSON Web Token.
pub fn base64_url(bytes: &[u8]) -> String {
    base64(bytes).trim_end_matches('=').replace('+', "-").replace('/', "_")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_examples_of_rfc_4648_and_7617_come_out() {
        for (plain, coded) in
            [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg==")]
        {
            assert_eq!(base64(plain.as_bytes()), coded);
            assert_eq!(base64_url(plain.as_bytes()), coded.trim_end_matches('='));
        }
        assert_eq!(base64_url(&[0xfb, 0xff, 0xfe]), "-__-");
        let headers = basic("crm", "Aladdin", &Secret::new("open sesame")).expect("valid");
        assert_eq!(headers["authorization"], "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==");
        assert!(!format!("{headers:?}").contains("QWxh"), "{headers:?}");
    }

    #[test]
    fn what_cannot_be_told_apart_is_refused_without_being_shown() {
        for (name, secret) in [("", "hunter2"), ("a:b", "hunter2"), ("a", ""), ("a", "hun\nter2")] {
            let error = basic("crm", name, &Secret::new(secret)).expect_err("refused");
            assert!(!error.message().contains("hun"), "{error}");
        }
    }
}
