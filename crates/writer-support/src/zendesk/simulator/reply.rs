//! Answers in Zendesk's shapes: errors, single records, and lists with cursors or pages.

use std::collections::BTreeMap;

use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderValue, StatusCode};
use axum::response::Response;
use serde_json::{Value, json};

use super::field::Refused;

/// A body of JSON as Zendesk labels it.
pub(super) fn answer(status: u16, body: &Value) -> Response {
    let mut answer = Response::new(body.to_string().into());
    *answer.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_GATEWAY);
    let json = HeaderValue::from_static("application/json; charset=utf-8");
    answer.headers_mut().insert(CONTENT_TYPE, json);
    answer
}

pub(super) fn not_found() -> Response {
    answer(404, &json!({ "error": "RecordNotFound", "description": "Not found" }))
}

pub(super) fn bad_request(text: &str) -> Response {
    answer(400, &json!({ "error": "RequestInvalid", "description": text }))
}

/// A refusal of the only record of a call.
pub(super) fn refused(refused: &Refused) -> Response {
    if refused.word == "RecordNotFound" {
        return not_found();
    }
    let detail = json!([{ "description": refused.text, "error": refused.word }]);
    answer(
        422,
        &json!({
            "error": "RecordInvalid",
            "description": "Record validation errors",
            "details": { &*refused.field: detail },
        }),
    )
}

/// A list, with a cursor where the query asks for one, else in pages. Whoever follows `at` sees more of it.
pub(super) fn list(
    name: &str,
    items: Vec<Value>,
    (query, at): (&BTreeMap<String, String>, &str),
) -> Response {
    let number = |key: &str| query.get(key).and_then(|text| text.parse::<usize>().ok());
    let total = items.len();
    if let Some(size) = number("page[size]") {
        let from =
            query.get("page[after]").and_then(|cursor| cursor.strip_prefix('c')?.parse().ok());
        let from: usize = from.unwrap_or(0);
        let size = size.clamp(1, 100);
        let page: Vec<Value> = items.into_iter().skip(from).take(size).collect();
        let next = from + page.len();
        let more = next < total;
        let link = format!("{at}?page[size]={size}&page[after]=c{next}");
        return answer(
            200,
            &json!({
                name: page,
                "meta": { "has_more": more, "after_cursor": format!("c{next}"), "before_cursor": format!("c{from}") },
                "links": { "next": more.then_some(link), "prev": null },
            }),
        );
    }
    let size = number("per_page").unwrap_or(100).clamp(1, 100);
    let page = number("page").unwrap_or(1).max(1);
    let shown: Vec<Value> = items.into_iter().skip((page - 1) * size).take(size).collect();
    let more = page * size < total;
    let next = more.then(|| format!("{at}?page={}&per_page={size}", page + 1));
    answer(200, &json!({ name: shown, "count": total, "next_page": next, "previous_page": null }))
}
