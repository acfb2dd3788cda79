//! The smallest vendor there is: one route, no records.

use std::sync::{Arc, Once};

use axum::Router;
use axum::body::Bytes;
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde_json::{Value, json};
use simulator::{
    Double, Level, Manners, Operation, RecordQuery, Records, Refusal, Settings, assemble,
};

struct Shop;

impl Manners for Shop {
    fn operation(&self, method: &Method, _path: &str) -> Operation {
        Operation { name: "items", write: method == Method::POST }
    }

    fn admit(&self, _request: &Parts, _operation: Operation) -> Result<(), Response> {
        Ok(())
    }

    fn refuse(&self, refusal: &Refusal) -> Response {
        StatusCode::from_u16(refusal.status).unwrap().into_response()
    }

    fn stamp(&self, _operation: Operation, _levels: &[Level], _headers: &mut HeaderMap) {}
}

impl Records for Shop {
    fn page(&self, _object: &str, _query: &RecordQuery) -> Option<(Vec<String>, u64)> {
        None
    }

    fn stats(&self) -> Value {
        json!({})
    }

    fn reset(&self) {}
}

pub(crate) fn build(settings: &Settings) -> Result<Router, String> {
    settings.refuse_unknown(&[])?;
    let posted = |body: Bytes| std::future::ready(body.len().to_string());
    let double = Double {
        routes: Router::new().route("/items", get(|| std::future::ready("[]")).post(posted)),
        admin: Router::new(),
        quotas: Vec::new(),
        manners: Arc::new(Shop),
        records: Arc::new(Shop),
    };
    assemble(double, settings)
}

pub(crate) fn settings(options: &[(&str, &str)]) -> Settings {
    let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    Settings { options: options.iter().map(own).collect(), ..Settings::default() }
}

pub(crate) fn http() -> reqwest::Client {
    static PROVIDER: Once = Once::new();
    PROVIDER.call_once(|| {
        rustls::crypto::ring::default_provider().install_default().unwrap();
    });
    reqwest::Client::builder().no_proxy().build().unwrap()
}
