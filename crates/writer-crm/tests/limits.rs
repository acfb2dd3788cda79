//! HubSpot's rate limits, kept against servers that count for themselves (L1).

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::extract::State;
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use flow::metrics::Metrics;
use flow::{Clock, Destination};
use serde_json::json;
use simulator::Settings;
use tokio::time::Instant;

#[derive(Debug)]
struct Epoch;

impl Clock for Epoch {
    fn now_micros(&self) -> i64 {
        0
    }
}

fn opened(base_url: &str, tier: &str) -> (Arc<dyn Destination>, Arc<Metrics>) {
    let metrics = Metrics::new("0", "0");
    let options = json!({"token": "t", "base_url": base_url, "tier": tier});
    let destination = writer_crm::hubspot::open(writer::OpenArgs {
        connection: "crm".to_owned(),
        options: options.as_object().expect("an object").clone(),
        metrics: Arc::clone(&metrics),
        clock: Arc::new(Epoch),
    });
    (destination.expect("valid options"), metrics)
}

/// A vendor with a window small enough to watch: 40 calls in any 300 ms.
#[derive(Default)]
struct Vendor {
    counted: Mutex<Vec<Instant>>,
    refused: AtomicUsize,
    served: AtomicUsize,
}

const MAX: usize = 40;
const WINDOW: Duration = Duration::from_millis(300);

async fn serve(State(vendor): State<Arc<Vendor>>) -> Response {
    let served = vendor.served.fetch_add(1, Ordering::Relaxed) as u64;
    // Calls take different times on the way there and back.
    tokio::time::sleep(Duration::from_millis(served * 7 % 23)).await;
    let used = {
        let now = Instant::now();
        let mut counted = vendor.counted.lock().expect("no panic");
        counted.retain(|at| now - *at < WINDOW);
        counted.push(now);
        counted.len()
    };
    let mut response = match used > MAX {
        true => {
            vendor.refused.fetch_add(1, Ordering::Relaxed);
            (StatusCode::TOO_MANY_REQUESTS, r#"{"policyName":"TEN_SECONDLY_ROLLING"}"#)
        }
        false => (StatusCode::OK, r#"{"results":[]}"#),
    }
    .into_response();
    for (name, value) in [
        ("x-hubspot-ratelimit-max", MAX),
        ("x-hubspot-ratelimit-remaining", MAX.saturating_sub(used)),
        ("x-hubspot-ratelimit-interval-milliseconds", WINDOW.as_millis() as usize),
    ] {
        response.headers_mut().insert(name, HeaderValue::from(value));
    }
    tokio::time::sleep(Duration::from_millis(served * 5 % 17)).await;
    response
}

#[tokio::test]
async fn not_one_of_250_calls_is_answered_with_429() {
    let vendor = Arc::new(Vendor::default());
    let router = axum::Router::new().fallback(serve).with_state(Arc::clone(&vendor));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("bound"));
    tokio::spawn(async move { axum::serve(listener, router).await });
    let (hubspot, metrics) = opened(&url, "enterprise");
    let began = Instant::now();
    let calls: Vec<_> = (0..250)
        .map(|_| {
            let hubspot = Arc::clone(&hubspot);
            tokio::spawn(async move { hubspot.account().await })
        })
        .collect();
    for call in calls {
        call.await.expect("no panic").expect("no 429");
    }
    assert_eq!(vendor.refused.load(Ordering::Relaxed), 0);
    assert_eq!(vendor.served.load(Ordering::Relaxed), 250);
    // Six windows cannot be beaten; a pacer that waits for nothing would be far slower.
    assert!(began.elapsed() >= WINDOW * 6, "{:?}", began.elapsed());
    assert!(began.elapsed() < WINDOW * 12, "{:?}", began.elapsed());
    assert!(metrics.expose().contains("origin=\"client\""), "the waiting is measured");
}

#[tokio::test]
async fn a_second_process_leaves_alone_what_the_first_has_used() {
    let mut settings = Settings::default();
    settings.options.insert("limit_10s".to_owned(), "30".to_owned());
    let server =
        simulator::start(writer_crm::hubspot::simulator::build, settings).await.expect("started");
    let (first, _) = opened(&server.url(), "enterprise");
    for _ in 0..20 {
        first.account().await.expect("room");
    }
    let (second, metrics) = opened(&server.url(), "enterprise");
    for _ in 0..10 {
        second.account().await.expect("room");
    }
    let eleventh = tokio::time::timeout(Duration::from_millis(200), second.account());
    assert!(eleventh.await.is_err(), "it waits, although only 10 of 30 calls were its own");
    assert!(!metrics.expose().contains("status=\"429\""));
    server.stop().await;
}
