//! Bodies that arrive wrong: cut short, halved, slow, huge, or not JSON at all.

use std::io::{Error, ErrorKind};
use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, RETRY_AFTER};
use axum::http::{HeaderValue, StatusCode};
use axum::response::Response;
use bytes::Bytes;
use futures::stream;

use crate::fault::Body as Kind;
use crate::manners::{Manners, Refusal};
use crate::{Action, FaultRule};

const HTML: &str = "<!DOCTYPE html><html><head><title>502 Bad Gateway</title></head>\
                    <body><center><h1>502 Bad Gateway</h1></center></body></html>";

/// The answer of a rule that scripts a status.
pub(crate) fn scripted(rule: &FaultRule, status: u16, manners: &dyn Manners) -> Response {
    let mut answer = match rule.body {
        Kind::Vendor => manners.refuse(&Refusal {
            status,
            policy: rule.policy.clone(),
            wait_ms: None,
            category: rule.category.clone(),
            message: rule.message.clone(),
        }),
        Kind::Html => plain(status, "text/html; charset=utf-8", Body::from(HTML)),
        Kind::Empty => plain(status, "application/json", Body::empty()),
        Kind::Text => plain(status, "application/json;charset=utf-8", Body::from("upstream error")),
        Kind::Gzip(mebibytes) => {
            let mut answer = plain(status, "application/json;charset=utf-8", bomb(mebibytes));
            answer.headers_mut().insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
            answer
        }
        Kind::Huge(mebibytes) => plain(status, "text/html; charset=utf-8", huge(mebibytes)),
    };
    if let Some(text) = &rule.retry_after
        && let Ok(value) = HeaderValue::from_str(text)
    {
        answer.headers_mut().insert(RETRY_AFTER, value);
    }
    answer
}

fn plain(status: u16, content_type: &'static str, body: Body) -> Response {
    let mut answer = Response::new(body);
    *answer.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_GATEWAY);
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    answer
}

fn huge(mebibytes: u32) -> Body {
    let page = Bytes::from(vec![b'x'; 1024 * 1024]);
    Body::from_stream(stream::iter((0..mebibytes).map(move |_| Ok::<_, Error>(page.clone()))))
}

/// A gzip body of one `x`, repeated in fixed Huffman codes: 13 bits stand for 258 bytes.
fn bomb(mebibytes: u32) -> Body {
    const HEAD: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];
    // Eight repetitions fill 13 whole bytes: length 258 is 11000101, distance 1 is 00000.
    const REPETITION: [bool; 13] =
        [true, true, false, false, false, true, false, true, false, false, false, false, false];
    // The block begins with "last" and "fixed codes"; the `x` is 10101000.
    let start = [true, true, false, true, false, true, false, true, false, false, false];
    let repetitions = usize::try_from(mebibytes).unwrap_or(0) * 1024 * 1024 / 258;
    let mut packed = HEAD.to_vec();
    let (mut byte, mut filled) = (0_u8, 0);
    for bit in start.iter().chain(REPETITION.iter().cycle().take(13 * repetitions)) {
        byte |= u8::from(*bit) << filled;
        filled += 1;
        if filled == 8 {
            packed.push(byte);
            (byte, filled) = (0, 0);
        }
    }
    Body::from(packed)
}

/// Bends a good answer as the action says; other actions leave it alone.
pub(crate) async fn bend(answer: Response, action: &Action) -> Response {
    let (mut head, body) = answer.into_parts();
    let bytes = to_bytes(body, usize::MAX).await.unwrap_or_default();
    let body = match action {
        Action::Truncate => {
            head.headers.insert(CONTENT_LENGTH, HeaderValue::from(bytes.len()));
            cut_short(bytes.slice(..bytes.len() / 2))
        }
        Action::HalfBody => {
            head.headers.remove(CONTENT_LENGTH);
            Body::from(bytes.slice(..bytes.len() / 2))
        }
        Action::SlowBody(rate) => {
            head.headers.insert(CONTENT_LENGTH, HeaderValue::from(bytes.len()));
            dribble(bytes, *rate)
        }
        _ => Body::from(bytes),
    };
    Response::from_parts(head, body)
}

/// Sends the bytes and then fails, so that the connection ends in the middle of the body.
fn cut_short(bytes: Bytes) -> Body {
    Body::from_stream(stream::unfold(Some(bytes), |rest| async move {
        if let Some(bytes) = rest.filter(|bytes| !bytes.is_empty()) {
            return Some((Ok(bytes), None));
        }
        // The pause lets the first half leave before the error ends the connection.
        tokio::time::sleep(Duration::from_millis(20)).await;
        Some((Err(Error::from(ErrorKind::ConnectionAborted)), None))
    }))
}

fn dribble(bytes: Bytes, rate: u32) -> Body {
    let chunk = usize::try_from(rate / 10).unwrap_or(1).max(1);
    let pause = Duration::from_secs_f64(chunk as f64 / f64::from(rate));
    Body::from_stream(stream::unfold(bytes, move |mut rest| async move {
        if rest.is_empty() {
            return None;
        }
        tokio::time::sleep(pause).await;
        let next = rest.split_to(chunk.min(rest.len()));
        Some((Ok::<_, Error>(next), rest))
    }))
}
