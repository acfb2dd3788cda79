//! The client against real sockets: hostile bodies, cut connections, redirects, certificates.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener};

use super::*;

/// A server that answers every connection with these bytes, then closes it. What it got is the result.
fn answering(bytes: Vec<u8>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("bound");
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            let mut request = [0; 4096];
            let _ = stream.read(&mut request);
            let _ = stream.write_all(&bytes);
        }
    });
    address
}

fn client(base_url: &str, request_timeout: Duration, ca_file: Option<PathBuf>) -> Client {
    Client::new(ClientOptions {
        connection: "crm".to_owned(),
        base_url: BaseUrl::new("crm", Some(base_url), "https://api.example.com").expect("valid"),
        ca_file,
        request_timeout,
        headers: bearer("crm", &flow::Secret::new("pat-secret")).expect("valid"),
        metrics: Metrics::new("0", "0"),
    })
    .expect("a client")
}

async fn get(address: SocketAddr) -> (Client, Result<Reply>) {
    let client = client(&format!("http://{address}"), Duration::from_secs(20), None);
    let reply = client.send(request()).await;
    (client, reply)
}

fn request() -> Request {
    Request { method: Method::GET, path: "/x".to_owned(), operation: "describe", body: None }
}

fn counted(client: &Client, status: &str) {
    let line = format!(
        "outflow_destination_requests_total{{destination=\"crm\",operation=\"describe\",status=\"{status}\"}} 1"
    );
    assert!(client.metrics.expose().contains(&line), "{}", client.metrics.expose());
}

#[tokio::test]
async fn an_answer_is_given_whole_and_counted() {
    let body = "HTTP/1.1 200 OK\r\nx-left: 7\r\ncontent-length: 2\r\n\r\n{}";
    let (client, reply) = get(answering(body.into())).await;
    let reply = reply.expect("an answer");
    assert_eq!((reply.status, &reply.body[..], reply.fault), (200, &b"{}"[..], None));
    assert_eq!(reply.header("x-left"), Some("7"));
    counted(&client, "2xx");
}

#[tokio::test]
async fn a_redirect_is_an_answer_and_is_not_followed() {
    let body =
        "HTTP/1.1 307 Temporary\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n";
    let (client, reply) = get(answering(body.into())).await;
    assert_eq!(reply.expect("an answer").status, 307);
    counted(&client, "other");
}

// F13: 100 MB of error page are not held in memory.
#[tokio::test]
async fn a_huge_answer_is_read_up_to_the_limit() {
    let mut bytes = b"HTTP/1.1 502 Bad\r\ncontent-length: 104857600\r\n\r\n".to_vec();
    bytes.resize(bytes.len() + 104_857_600, b'x');
    let (client, reply) = get(answering(bytes)).await;
    let reply = reply.expect("an answer");
    assert_eq!((reply.status, reply.fault), (502, Some(TOO_LARGE)));
    assert!(reply.body.len() <= ANSWER_BYTES_MAX);
    counted(&client, "5xx");
}

// F13: what is small on the wire and endless when unpacked is cut too.
#[tokio::test]
async fn a_compressed_bomb_is_read_up_to_the_limit() {
    let bomb = include_bytes!("bomb.gz");
    let mut bytes = format!(
        "HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: {}\r\n\r\n",
        bomb.len()
    )
    .into_bytes();
    bytes.extend_from_slice(bomb);
    let (_, reply) = get(answering(bytes)).await;
    let reply = reply.expect("an answer");
    assert_eq!((reply.status, reply.fault), (200, Some(TOO_LARGE)));
}

#[tokio::test]
async fn a_cut_body_is_not_complete() {
    for body in [
        "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{\"results\"",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\n{\"res",
        "HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 4\r\n\r\nnope",
    ] {
        let (_, reply) = get(answering(body.into())).await;
        assert_eq!(reply.expect("a status").fault, Some(CUT), "{body}");
    }
}

// D4: something was sent, nothing came back.
#[tokio::test]
async fn a_connection_that_closes_without_an_answer_is_ambiguous() {
    for bytes in ["", "HTTP/1.1 2", "\u{16}\u{3}\u{1}garbage\r\n\r\n"] {
        let (client, reply) = get(answering(bytes.into())).await;
        let error = reply.expect_err("no answer");
        assert_eq!(error.code().id, "E2003", "{error:?}");
        assert!(error.is_ambiguous());
        assert_eq!(error.retry(), Retry::Backoff);
        counted(&client, "connect");
    }
}

#[tokio::test]
async fn silence_after_sending_is_ambiguous() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("bound");
    let client = client(&format!("http://{address}"), Duration::from_millis(100), None);
    let error = client.send(request()).await.expect_err("no answer");
    assert_eq!(error.code().id, "E2003", "{error:?}");
    assert!(error.is_ambiguous());
    assert!(error.message().contains("no answer in time"), "{error}");
    counted(&client, "timeout");
}

#[tokio::test]
async fn a_refused_connection_sent_nothing() {
    let address = TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).expect("a port");
    let (client, reply) = get(address).await;
    let error = reply.expect_err("refused");
    assert_eq!((error.code().id, error.kind()), ("E2001", flow::Kind::Unreachable));
    assert!(!error.is_ambiguous());
    assert_eq!(error.retry(), Retry::Backoff);
    counted(&client, "connect");
}

// X2: a certificate nobody vouches for is refused before anything is sent.
#[tokio::test]
async fn an_unknown_certificate_is_refused_and_a_vouched_one_is_taken() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name);
    let ours = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).expect("made");
    let other = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).expect("made");
    std::fs::write(path("cert.pem"), ours.cert.pem()).expect("written");
    std::fs::write(path("other.pem"), other.cert.pem()).expect("written");
    std::fs::write(path("key.pem"), ours.signing_key.serialize_pem()).expect("written");
    let settings = simulator::Settings {
        tls: Some(simulator::TlsFiles { cert: path("cert.pem"), key: path("key.pem") }),
        ..simulator::Settings::default()
    };
    let build = |_: &simulator::Settings| Ok(simulator::Router::new());
    let server = simulator::start(build, settings).await.expect("started");
    let url = format!("https://{}", server.addr());
    let trusting = client(&url, Duration::from_secs(20), Some(path("cert.pem")));
    assert_eq!(trusting.send(request()).await.expect("an answer").status, 404);
    let wary = client(&url, Duration::from_secs(20), Some(path("other.pem")));
    let error = wary.send(request()).await.expect_err("not trusted");
    assert_eq!((error.code().id, error.is_ambiguous()), ("E2002", false), "{error:?}");
    server.stop().await;
}

// X1
#[test]
fn a_token_is_checked_and_never_shown() {
    for token in ["", "  ", "two words", "line\nbreak", "émile", "nul\0"] {
        let error = bearer("crm", &flow::Secret::new(token)).expect_err("unusable");
        assert_eq!(error.code().id, "E2013");
        assert!(token.trim().is_empty() || !error.message().contains(token));
    }
    let headers = bearer("crm", &flow::Secret::new("pat-secret\n")).expect("a line end is cut");
    assert_eq!(headers["authorization"], "Bearer pat-secret");
    assert!(!format!("{headers:?}").contains("pat-secret"));
    let client = client("http://127.0.0.1:1", Duration::from_secs(1), None);
    assert!(!format!("{client:?}").contains("pat-secret"));
}

#[tokio::test]
async fn headers_of_one_request_win_over_those_of_the_client() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("bound");
    let server = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("a request");
        let mut got = [0; 4096];
        let length = stream.read(&mut got).expect("it is read");
        let _ = stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n");
        String::from_utf8_lossy(&got[..length]).to_lowercase()
    });
    let client = client(&format!("http://{address}"), Duration::from_secs(20), None);
    let headers = [("content-type", "text/csv"), ("authorization", "Bearer other")];
    let headers = headers
        .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)));
    let request = Request { method: Method::PUT, body: Some(b"a,b".to_vec()), ..request() };
    let reply = client.send_with(request, HeaderMap::from_iter(headers)).await.expect("an answer");
    assert_eq!(reply.status, 204);
    let got = server.join().expect("the server");
    assert!(got.contains("content-type: text/csv\r\n") && !got.contains("json"), "{got}");
    assert!(got.contains("bearer other\r\n") && !got.contains("pat-secret"), "{got}");
}
