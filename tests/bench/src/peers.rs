//! Other readers of PostgreSQL into Arrow, from PyPI: ADBC's own driver, and connectorx.

use std::path::PathBuf;
use std::process::Command;

use support::borrowed;

const PACKAGES: &[&str] =
    &["adbc-driver-postgresql==1.*", "adbc-driver-manager==1.*", "connectorx==0.4.*", "pyarrow"];
const SCRIPT: &str = include_str!("peers.py");

/// A reader, as `peers.py` names it, and how it is set.
pub(crate) struct Peer {
    pub(crate) name: &'static str,
    pub(crate) settings: &'static str,
}

/// Every reader.
pub(crate) const PEERS: [Peer; 3] = [
    Peer {
        name: "adbc",
        settings: "cursor.execute, fetch_record_batch; batches of 16 MB, its default",
    },
    Peer { name: "connectorx", settings: "return_type=arrow, protocol=binary, one partition" },
    Peer {
        name: "connectorx2",
        settings: "the same with partition_on=id, partition_num=2, unordered",
    },
];

/// A Python with the readers; `None`, with the reason printed, where it cannot be had.
pub(crate) fn python() -> Option<PathBuf> {
    let this = std::env::current_exe().ok()?;
    let kept = this.parent()?.parent()?.join("tmp");
    let home = borrowed::python(&kept, PACKAGES)?;
    Some(home.join("bin/python"))
}

/// Seconds that a reader takes for a query, without the time its program needs to start.
pub(crate) fn seconds(python: &PathBuf, peer: &Peer, (url, query, rows): (&str, &str, u64)) -> f64 {
    let output = Command::new(python)
        .args(["-c", SCRIPT, peer.name, url, query])
        .output()
        .expect("Python starts");
    let said = String::from_utf8_lossy(&output.stdout);
    let found = said.trim().split_once(' ').and_then(|(rows, seconds)| {
        Some((rows.parse::<u64>().ok()?, seconds.parse::<f64>().ok()?))
    });
    let Some((read, seconds)) = found.filter(|_| output.status.success()) else {
        panic!("{}: {}", peer.name, String::from_utf8_lossy(&output.stderr));
    };
    assert_eq!(read, rows, "{} has read every row", peer.name);
    seconds
}
