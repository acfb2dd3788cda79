//! Takes a call whose body is labelled as JSON; anything else is answered with 415.

use axum::extract::{FromRequest, Request};
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use simulator::Call;

use super::reply::Problem;

/// A call with a JSON body that is not parsed yet.
pub(super) struct Posted {
    pub(super) call: Call,
    pub(super) bytes: Bytes,
}

impl<S: Send + Sync> FromRequest<S> for Posted {
    type Rejection = Response;

    async fn from_request(request: Request, state: &S) -> Result<Self, Response> {
        let label = request.headers().get(CONTENT_TYPE).and_then(|label| label.to_str().ok());
        let essence = label.unwrap_or_default().split(';').next().unwrap_or_default().trim();
        if !essence.eq_ignore_ascii_case("application/json") {
            let message = "HTTP 415 Unsupported Media Type: send application/json";
            return Err(Problem::new(415, "UNSUPPORTED_MEDIA_TYPE", message).into_response());
        }
        let Some(call) = request.extensions().get::<Call>().cloned() else {
            return Err(Problem::new(500, "INTERNAL_ERROR", "internal error").into_response());
        };
        let bytes = Bytes::from_request(request, state).await;
        bytes.map(|bytes| Self { call, bytes }).map_err(IntoResponse::into_response)
    }
}
