//! Metrics on their way to a Pushgateway.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::thread::JoinHandle;

use crate::folder::Folder;

/// A Pushgateway that answers so many requests with `status` and gives them back.
fn gateway(requests: usize, status: &'static str) -> (String, JoinHandle<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    let serving = std::thread::spawn(move || {
        let mut seen = Vec::new();
        for _ in 0..requests {
            let (mut stream, _) = listener.accept().expect("a connection");
            let mut request = Vec::new();
            let mut part = [0; 4096];
            loop {
                let read = stream.read(&mut part).expect("a part");
                request.extend_from_slice(&part[..read]);
                if read == 0 || is_whole(&request) {
                    break;
                }
            }
            write!(stream, "HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
                .expect("an answer");
            seen.push(String::from_utf8(request).expect("text"));
        }
        seen
    });
    (url, serving)
}

fn is_whole(request: &[u8]) -> bool {
    let text = String::from_utf8_lossy(request).to_ascii_lowercase();
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    length.and_then(|length| length.parse().ok()).is_some_and(|length: usize| body.len() >= length)
}

#[test]
fn every_sync_is_put_into_a_group_of_its_own() {
    let folder = Folder::project();
    let (url, serving) = gateway(2, "202 Accepted");
    let printed = folder.outflow(&["run", "-s", "tag:hourly", "--pushgateway", &url]).exits(69);
    assert!(!printed.stderr.contains("could not be pushed"), "{}", printed.stderr);
    let seen = serving.join().expect("served");
    for (request, (own, other)) in seen.iter().zip([
        ("people_to_hubspot", "phones_to_hubspot"),
        ("phones_to_hubspot", "people_to_hubspot"),
    ]) {
        let path = format!("PUT /metrics/job/outflow/sync/{own} HTTP/1.1");
        assert!(request.starts_with(&path), "{request}");
        let series = format!("outflow_run_last_completion_timestamp_seconds{{sync=\"{own}\"}}");
        assert!(request.contains(&series), "{request}");
        assert!(!request.contains(other), "{request}");
        assert!(!request.contains("outflow_build_info"), "batch-job gauges only: {request}");
    }
}

#[test]
fn a_pushgateway_that_refuses_is_a_warning_and_changes_no_exit_code() {
    let folder = Folder::project();
    let (url, serving) = gateway(1, "500 Internal Server Error");
    let url_with_secret = url.replace("http://", "http://user:gateway-password@");
    let run = ["run", "-s", "people_to_hubspot", "--pushgateway"];
    let args: Vec<&str> = run.into_iter().chain([url_with_secret.as_str()]).collect();
    let printed = folder.outflow(&args).exits(69);
    assert!(printed.stderr.contains("metrics could not be pushed"), "{}", printed.stderr);
    assert!(!printed.stderr.contains("gateway-password"), "{}", printed.stderr);
    serving.join().expect("served");
    let nobody =
        folder.outflow(&["run", "-s", "people_to_hubspot", "--pushgateway", "http://127.0.0.1:1"]);
    assert_eq!(nobody.code, Some(69), "{}", nobody.stderr);
    assert!(nobody.stderr.contains("metrics could not be pushed"), "{}", nobody.stderr);
}
