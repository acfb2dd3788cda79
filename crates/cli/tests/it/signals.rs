//! Simulators and signals.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};

use crate::folder::Folder;

fn simulate(folder: &Folder, args: &[&str]) -> (Child, BufReader<std::process::ChildStdout>) {
    let args: Vec<&str> = ["simulate"].into_iter().chain(args.iter().copied()).collect();
    let mut child = folder.command(&args).stdout(Stdio::piped()).spawn().expect("starts");
    let stdout = BufReader::new(child.stdout.take().expect("piped"));
    (child, stdout)
}

fn line(stdout: &mut impl BufRead) -> String {
    let mut line = String::new();
    stdout.read_line(&mut line).expect("a line");
    line.trim_end().to_owned()
}

fn signal(child: &Child, name: &str) {
    let id = child.id().to_string();
    let sent = Command::new("kill").args(["-s", name, &id]).status().expect("kill is installed");
    assert!(sent.success());
}

#[test]
fn a_simulator_says_where_it_is_answers_and_ends_by_any_of_the_signals() {
    for name in ["INT", "TERM", "HUP"] {
        let folder = Folder::empty();
        let (mut child, mut stdout) = simulate(&folder, &["hubspot", "--port", "0"]);
        let first = line(&mut stdout);
        let address = first.strip_prefix("hubspot http://").expect("name and address");
        let mut stream = TcpStream::connect(address).expect("it listens");
        write!(stream, "GET /_sim/health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            .expect("sent");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer");
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        signal(&child, name);
        assert_eq!(child.wait().expect("ends").code(), Some(0), "{name}");
    }
}

#[test]
fn the_address_of_a_simulator_is_a_json_line_at_once() {
    let folder = Folder::empty();
    for format in ["json", "ndjson"] {
        let (mut child, mut stdout) =
            simulate(&folder, &["hubspot", "--port", "0", "--output", format]);
        let event: serde_json::Value = serde_json::from_str(&line(&mut stdout)).expect("JSON");
        assert_eq!(event["name"], "hubspot");
        signal(&child, "TERM");
        let summary: serde_json::Value = serde_json::from_str(&line(&mut stdout)).expect("JSON");
        assert_eq!(summary["command"], "simulate");
        assert_eq!(child.wait().expect("ends").code(), Some(0));
    }
}

#[test]
fn a_port_that_is_taken_is_a_usage_error_when_it_was_asked_for() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port().to_string();
    let printed = Folder::empty().outflow(&["simulate", "hubspot", "--port", &port]).exits(64);
    assert!(printed.stderr.contains(&port), "{}", printed.stderr);
}
