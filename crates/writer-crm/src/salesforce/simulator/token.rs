//! The token endpoint: assertions, client credentials and refresh tokens, and which tokens are good.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs;
use std::path::Path;
use std::sync::{Arc, PoisonError};

use axum::Extension;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use axum::response::Response;
use bytes::Bytes;
use ring::signature::{RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey};
use serde_json::{Value, json};
use simulator::Call;

use super::options::Options;
use super::org::Org;
use super::reply::answer;

/// The grant of an assertion.
const JWT: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";
/// An assertion's time is at most so far away, in seconds.
const ASSERTION_SECONDS_MAX: i64 = 300;

/// Tokens that were given out.
#[derive(Debug)]
pub(super) struct Sessions {
    /// Calls left of each; none where they never end.
    given: HashMap<String, Option<u64>>,
    next: u64,
    /// The refresh token that is good now, and those that were.
    refresh: Option<String>,
    used: BTreeSet<String>,
}

impl Sessions {
    pub(super) fn new(options: &Options) -> Self {
        Self {
            given: HashMap::new(),
            next: 1,
            refresh: options.refresh_token.clone(),
            used: BTreeSet::new(),
        }
    }

    /// Whether a token is good for one more call.
    pub(super) fn admits(&mut self, options: &Options, token: &str) -> bool {
        if let Some(left) = self.given.get_mut(token) {
            return match left {
                None => true,
                Some(0) => false,
                Some(left) => {
                    *left -= 1;
                    true
                }
            };
        }
        match &options.token {
            Some(only) => only == token,
            None => options.client_id.is_none() && !token.is_empty(),
        }
    }

    fn give(&mut self, options: &Options) -> String {
        let token =
            format!("{}!AQ{:06}", &options.org_id[..15.min(options.org_id.len())], self.next);
        self.next += 1;
        self.given.insert(token.clone(), options.session_calls);
        token
    }

    /// Uses a refresh token. One that was used before revokes all that came of it.
    fn refresh(&mut self, options: &Options, token: &str) -> Result<Option<String>, &'static str> {
        if self.used.contains(token) {
            self.refresh = None;
            self.given.clear();
            return Err("token was used before; all tokens of the grant are revoked");
        }
        if self.refresh.as_deref() != Some(token) {
            return Err("expired access/refresh token");
        }
        if !options.rotate {
            return Ok(None);
        }
        self.used.insert(token.to_owned());
        let next = format!("5Aep861-{}", self.used.len());
        self.refresh = Some(next.clone());
        Ok(Some(next))
    }
}

fn refuse(status: u16, error: &str, description: &str) -> Response {
    answer(status, &json!({ "error": error, "error_description": description }))
}

pub(super) async fn grant(
    State(org): State<Arc<Org>>,
    Extension(call): Extension<Call>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let form = form(&body);
    let get = |name: &str| form.get(name).map_or("", String::as_str);
    let options = &org.options;
    let (id, secret) =
        basic(&headers).unwrap_or((get("client_id").into(), get("client_secret").into()));
    let known =
        |given: &str, wanted: &Option<String>| wanted.as_ref().is_none_or(|wanted| wanted == given);
    let mut sessions = org.sessions.lock().unwrap_or_else(PoisonError::into_inner);
    let mut next = None;
    let refused = match get("grant_type") {
        JWT => {
            let now = call.arrived().unix_ms.div_euclid(1_000);
            assertion(options, get("assertion"), now).err().map(|why| ("invalid_grant", why))
        }
        "client_credentials" | "refresh_token"
            if !known(&id, &options.client_id) || id.is_empty() =>
        {
            Some(("invalid_client_id", "client identifier invalid"))
        }
        "client_credentials" if !known(&secret, &options.client_secret) || secret.is_empty() => {
            Some(("invalid_client", "invalid client credentials"))
        }
        "client_credentials" => None,
        "refresh_token" if !known(&secret, &options.client_secret) => {
            Some(("invalid_client", "invalid client credentials"))
        }
        "refresh_token" => match sessions.refresh(options, get("refresh_token")) {
            Ok(replaced) => {
                next = replaced;
                None
            }
            Err(why) => Some(("invalid_grant", why)),
        },
        _ => Some(("unsupported_grant_type", "grant type not supported")),
    };
    if let Some((error, description)) = refused {
        return refuse(if error == "invalid_client" { 401 } else { 400 }, error, description);
    }
    let host = headers.get("host").and_then(|host| host.to_str().ok()).unwrap_or("localhost");
    let mut body = json!({
        "access_token": sessions.give(options), "instance_url": format!("https://{host}"),
        "id": org.identity_url(), "token_type": "Bearer",
        "issued_at": call.arrived().unix_ms.to_string(), "signature": "not-simulated",
        "scope": "api refresh_token",
    });
    if let Some(next) = next {
        body["refresh_token"] = next.into();
    }
    answer(200, &body)
}

/// Checks an assertion: its form, its claims, its time, and its signature where the key is known.
fn assertion(options: &Options, text: &str, now: i64) -> Result<(), &'static str> {
    let mut parts = text.split('.');
    let (Some(head), Some(claims), Some(signature), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err("invalid assertion");
    };
    let read = |part: &str| -> Option<Value> { serde_json::from_slice(&base64(part)?).ok() };
    let (Some(header), Some(body)) = (read(head), read(claims)) else {
        return Err("invalid assertion");
    };
    let says = |value: &Value, name: &str| -> String {
        match &value[name] {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        }
    };
    if says(&header, "alg") != "RS256" {
        return Err("invalid assertion");
    }
    if options.client_id.as_ref().is_some_and(|id| *id != says(&body, "iss")) {
        return Err("client identifier invalid");
    }
    let hosts = ["https://login.salesforce.com", "https://test.salesforce.com"];
    if !hosts.contains(&says(&body, "aud").as_str()) {
        return Err("audience is invalid");
    }
    let expires: f64 = says(&body, "exp").parse().unwrap_or(0.0);
    let left = expires as i64 - now;
    if !(1..=ASSERTION_SECONDS_MAX).contains(&left) {
        return Err("assertion expired or not valid yet");
    }
    if options.username.as_ref().is_some_and(|name| *name != says(&body, "sub")) {
        return Err("user hasn't approved this consumer");
    }
    let Some(path) = &options.jwt_public_key else { return Ok(()) };
    let key = public_key(path).ok_or("the double cannot read its key")?;
    let signature = base64(signature).ok_or("invalid assertion")?;
    let signed = format!("{head}.{claims}");
    UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, key)
        .verify(signed.as_bytes(), &signature)
        .map_err(|_| "invalid assertion signature")
}

/// The RSA key inside a PEM file `PUBLIC KEY`: the bits after the algorithm's name.
fn public_key(path: &Path) -> Option<Vec<u8>> {
    let text = fs::read_to_string(path).ok()?;
    let inner: String = text.lines().filter(|line| !line.starts_with("-----")).collect();
    let der = base64(&inner)?;
    let (outer, _) = element(&der)?;
    let (_, rest) = element(outer)?;
    let (bits, _) = element(rest)?;
    bits.get(1..).map(<[u8]>::to_vec)
}

/// One element of DER: its content, and what comes after it.
fn element(der: &[u8]) -> Option<(&[u8], &[u8])> {
    let first = usize::from(*der.get(1)?);
    let (length, start) = match first {
        0..=0x7f => (first, 2),
        _ => {
            let count = first & 0x7f;
            let bytes = der.get(2..2 + count)?;
            (bytes.iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte)), 2 + count)
        }
    };
    Some((der.get(start..start + length)?, der.get(start + length..)?))
}

/// Base64 in either alphabet, with or without padding.
fn base64(text: &str) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(text.len() * 3 / 4);
    let (mut bits, mut count) = (0_u32, 0);
    for byte in text.trim_end_matches('=').bytes() {
        let six = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' | b'-' => 62,
            b'/' | b'_' => 63,
            _ => return None,
        };
        bits = bits << 6 | u32::from(six);
        count += 6;
        if count >= 8 {
            count -= 8;
            out.push(u8::try_from(bits >> count & 0xff).unwrap_or(0));
        }
    }
    Some(out)
}

fn basic(headers: &HeaderMap) -> Option<(String, String)> {
    let text = headers.get(AUTHORIZATION)?.to_str().ok()?.strip_prefix("Basic ")?;
    let pair = String::from_utf8(base64(text)?).ok()?;
    let (id, secret) = pair.split_once(':')?;
    Some((id.to_owned(), secret.to_owned()))
}

fn form(body: &[u8]) -> BTreeMap<String, String> {
    let text = String::from_utf8_lossy(body);
    let pairs = text.split('&').filter_map(|pair| pair.split_once('='));
    pairs.map(|(name, value)| (decoded(name), decoded(value))).collect()
}

fn decoded(text: &str) -> String {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        match byte {
            b'+' => out.push(b' '),
            b'%' => {
                let hex = [rest.next().unwrap_or(b'0'), rest.next().unwrap_or(b'0')];
                let hex = std::str::from_utf8(&hex).ok();
                out.push(hex.and_then(|hex| u8::from_str_radix(hex, 16).ok()).unwrap_or(b'?'));
            }
            byte => out.push(byte),
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}
