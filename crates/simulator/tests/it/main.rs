//! The server around a vendor of one route: sockets, TLS, limits of size, and stopping in order.

#![expect(clippy::unwrap_used, reason = "a test may fail at any line")]

mod shop;

use std::io::ErrorKind;
use std::time::Duration;

use reqwest::Certificate;
use serde_json::{Value, json};
use simulator::{Settings, TlsFiles, start};
use tokio::time::Instant;

use shop::{build, http, settings};

#[tokio::test]
async fn only_loopback_is_listened_on_unless_it_is_allowed() {
    let mut everywhere = settings(&[]);
    everywhere.bind = "0.0.0.0:0".parse().unwrap();
    let error = start(build, everywhere.clone()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    assert!(error.to_string().contains("allow_remote=true"), "{error}");
    everywhere.options.insert("allow_remote".into(), "true".into());
    start(build, everywhere).await.unwrap().stop().await;
}

#[tokio::test]
async fn a_vendor_that_cannot_be_built_is_not_started() {
    let error = start(build, settings(&[("colour", "red")])).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    assert!(error.to_string().contains("unknown option `colour`"), "{error}");
}

/// Vendors whose clients refuse plain HTTP are played over TLS (F11).
#[tokio::test]
async fn tls_is_spoken_with_the_given_certificate() {
    let made = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let (cert, key) = (dir.path().join("cert.pem"), dir.path().join("key.pem"));
    std::fs::write(&cert, made.cert.pem()).unwrap();
    std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    let tls = Some(TlsFiles { cert: cert.clone(), key: key.clone() });
    let running = start(build, Settings { tls, ..settings(&[]) }).await.unwrap();
    let url = format!("{}/items", running.url());
    assert!(url.starts_with("https://127.0.0.1:"), "{url}");
    http();
    let trusting = reqwest::Client::builder()
        .no_proxy()
        .tls_certs_only([Certificate::from_pem(made.cert.pem().as_bytes()).unwrap()])
        .build()
        .unwrap();
    assert_eq!(trusting.get(&url).send().await.unwrap().status(), 200);
    assert!(http().get(&url).send().await.is_err(), "an unknown authority is refused");
    running.stop().await;

    std::fs::write(&key, "no key").unwrap();
    let tls = Some(TlsFiles { cert, key });
    let error = start(build, Settings { tls, ..settings(&[]) }).await.unwrap_err();
    assert!(error.to_string().contains("key.pem"), "{error}");
}

#[tokio::test]
async fn a_body_above_the_cap_is_answered_with_413() {
    let running = start(build, settings(&[("body_max", "1000")])).await.unwrap();
    let post =
        |bytes: usize| http().post(format!("{}/items", running.url())).body("x".repeat(bytes));
    assert_eq!(post(1_000).send().await.unwrap().status(), 200);
    assert_eq!(post(1_001).send().await.unwrap().status(), 413);
}

/// A hundred megabytes of error page pass through a few buffers, not through memory (F13).
#[tokio::test]
async fn a_huge_error_page_can_be_read_in_part() {
    let running = start(build, settings(&[])).await.unwrap();
    let faults = format!("{}/_sim/faults", running.url());
    http().post(faults).body("do=status:500;body=huge:100").send().await.unwrap();
    let mut answer = http().get(format!("{}/items", running.url())).send().await.unwrap();
    assert_eq!((answer.status().as_u16(), answer.content_length()), (500, None));
    assert!(!answer.chunk().await.unwrap().unwrap().is_empty());
}

/// Half a megabyte on the wire, a hundred unpacked: a reader has to cap what it unpacks (F13).
#[tokio::test]
async fn a_small_body_may_unpack_to_a_huge_one() {
    let running = start(build, settings(&[])).await.unwrap();
    let faults = format!("{}/_sim/faults", running.url());
    http().post(faults).body("do=status:200;body=gzip:100").send().await.unwrap();
    let unpacking = reqwest::Client::builder().no_proxy().gzip(true).build().unwrap();
    let mut answer = unpacking.get(format!("{}/items", running.url())).send().await.unwrap();
    let mut unpacked = 0;
    while let Ok(Some(chunk)) = answer.chunk().await {
        assert!(chunk.iter().all(|byte| *byte == b'x'));
        unpacked += chunk.len();
    }
    assert!(unpacked > 99 * 1024 * 1024, "{unpacked} bytes");
}

#[tokio::test]
async fn every_answer_waits_for_the_latency() {
    let running = start(build, settings(&[("latency", "40-60")])).await.unwrap();
    let started = Instant::now();
    for _ in 0..3 {
        http().get(format!("{}/items", running.url())).send().await.unwrap();
    }
    assert!(started.elapsed() >= Duration::from_millis(120), "{:?}", started.elapsed());
    let health = format!("{}/_sim/health", running.url());
    let body: Value = http().get(health).send().await.unwrap().json().await.unwrap();
    assert_eq!(body, json!({ "status": "ok" }));
}

#[tokio::test]
async fn stopping_lets_a_running_call_finish_and_takes_no_new_one() {
    let running = start(build, settings(&[("latency", "300")])).await.unwrap();
    let (url, addr) = (format!("{}/items", running.url()), running.addr());
    let call = tokio::spawn(http().get(&url).send());
    let stats = format!("{}/_sim/stats", running.url());
    let deadline = Instant::now() + Duration::from_secs(5);
    loop {
        let stats: Value = http().get(&stats).send().await.unwrap().json().await.unwrap();
        if stats["in_flight_max"] == 1 {
            break;
        }
        assert!(Instant::now() < deadline, "the call never arrives");
    }
    running.stop().await;
    assert_eq!(call.await.unwrap().unwrap().status(), 200);
    assert!(tokio::net::TcpStream::connect(addr).await.is_err());
}

#[tokio::test]
async fn stopping_cuts_a_call_that_hangs() {
    let running = start(build, settings(&[])).await.unwrap();
    let faults = format!("{}/_sim/faults", running.url());
    http().post(faults).body("do=hang").send().await.unwrap();
    let call = tokio::spawn(http().get(format!("{}/items", running.url())).send());
    let stats = format!("{}/_sim/stats", running.url());
    let deadline = Instant::now() + Duration::from_secs(5);
    while http().get(&stats).send().await.unwrap().json::<Value>().await.unwrap()["in_flight"] != 1
    {
        assert!(Instant::now() < deadline, "the call never arrives");
    }
    running.stop().await;
    assert!(call.await.unwrap().is_err());
}
