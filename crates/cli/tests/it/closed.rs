//! A reader that goes away ends the output, not the work, and never in a panic.

use std::io::Read;
use std::process::Stdio;

use crate::folder::Folder;

/// A pipe nobody reads.
fn closed() -> Stdio {
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    writer.into()
}

#[test]
fn a_closed_stdout_is_no_panic_and_no_failure() {
    let folder = Folder::project();
    for args in [
        &["completions", "bash"][..],
        &["--help"],
        &["help", "exit-codes"],
        &["schema", "project"],
        &["status"],
        &["status", "--output", "json"],
        &["runs", "ls", "--output", "ndjson"],
    ] {
        let output = folder.command(args).stdout(closed()).output().expect("outflow starts");
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(0), "{args:?}: {stderr}");
        assert!(!stderr.contains("panicked") && !stderr.contains("Broken pipe"), "{stderr}");
    }
}

#[test]
fn a_run_goes_on_and_writes_its_summary_file_when_nobody_reads() {
    let folder = Folder::project();
    let args = ["run", "--all", "--summary-file", "run.json", "-vv"];
    let status =
        folder.command(&args).stdout(closed()).stderr(closed()).status().expect("outflow starts");
    assert_eq!(status.code(), Some(69));
    assert!(folder.read("run.json").contains("\"exit_code\":69"));
}

#[test]
fn a_reader_of_the_first_line_gets_it_whole() {
    let folder = Folder::empty();
    let mut child =
        folder.command(&["completions", "bash"]).stdout(Stdio::piped()).spawn().expect("starts");
    let mut first = [0; 9];
    let mut stdout = child.stdout.take().expect("piped");
    stdout.read_exact(&mut first).expect("the first bytes");
    drop(stdout);
    assert_eq!(&first, b"_outflow(");
    assert_eq!(child.wait().expect("ends").code(), Some(0));
}

#[test]
fn a_full_disk_is_a_failure() {
    let folder = Folder::project();
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").expect("the device");
    let output =
        folder.command(&["status", "--output", "json"]).stdout(full).output().expect("starts");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert!(stderr.contains("stdout could not be written"), "{stderr}");
}
