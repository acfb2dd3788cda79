//! Signs requests, so that the receiver knows who sent them and when.

use flow::{Error, Result, Secret};
use ring::hmac;
use writer::codes::E2013_OPTIONS;
use writer::header::{HeaderMap, HeaderName, HeaderValue};

use super::options::Sign;

/// Signs bodies with HMAC-SHA-256 (RFC 2104).
pub(super) struct Signer {
    key: hmac::Key,
    secret: Secret,
    header: HeaderName,
    timestamp_header: HeaderName,
}

impl std::fmt::Debug for Signer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Signer({})", self.header)
    }
}

impl Signer {
    pub(super) fn new(connection: &str, options: Sign) -> Result<Self> {
        let wrong = |key: &str, what: &str| {
            Error::new(&E2013_OPTIONS, format!("connection `{connection}`: `sign.{key}` {what}"))
        };
        if options.secret.expose().is_empty() {
            return Err(wrong("secret", "is empty"));
        }
        let name = |key: &str, name: Option<&str>, usual: &str| {
            HeaderName::try_from(name.unwrap_or(usual))
                .map_err(|_| wrong(key, "is not a header's name"))
        };
        Ok(Self {
            key: hmac::Key::new(hmac::HMAC_SHA256, options.secret.expose().as_bytes()),
            header: name("header", options.header.as_deref(), "x-signature-256")?,
            timestamp_header: name(
                "timestamp_header",
                options.timestamp_header.as_deref(),
                "x-timestamp",
            )?,
            secret: options.secret,
        })
    }

    pub(super) fn secret(&self) -> &Secret {
        &self.secret
    }

    /// Adds the time and the signature over `TIME.BODY`.
    pub(super) fn sign(&self, now_micros: i64, body: &[u8], headers: &mut HeaderMap) {
        let time = now_micros.div_euclid(1_000_000);
        let signature = hmac::sign(&self.key, &[time.to_string().as_bytes(), b".", body].concat());
        let hex: String = signature.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
        headers.insert(self.timestamp_header.clone(), HeaderValue::from(time));
        if let Ok(value) = HeaderValue::try_from(format!("sha256={hex}")) {
            headers.insert(self.header.clone(), value);
        }
    }
}
