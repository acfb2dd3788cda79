//! `make bench`: every speed and memory figure of the project, as ratios inside one run where that is possible.
//!
//! Prints a table and writes `target/bench.json`, a list of `{name, value, unit, goal, ok}`.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a benchmark prints its table")]

mod child;
mod csv;
mod destinations;
mod end_to_end;
mod figure;
mod log;
mod peers;
mod quiet;
mod read;
mod snapshot;
mod warehouse;

use std::process::ExitCode;

use figure::Figure;

/// One benchmark: a name and what it measures.
struct Bench {
    name: &'static str,
    about: &'static str,
    run: fn(&Scale) -> Vec<Figure>,
}

const BENCHES: &[Bench] = &[
    Bench { name: "csv", about: "rows to the CSV of a Salesforce job, on one core", run: csv::run },
    Bench {
        name: "destinations",
        about: "each destination at its double, within the vendor's documented limits",
        run: destinations::run,
    },
    Bench { name: "read", about: "reader to Arrow against psql's binary COPY", run: read::run },
    Bench {
        name: "end_to_end",
        about: "first load and no-change run against the HubSpot simulator without limits",
        run: end_to_end::run,
    },
    Bench {
        name: "snapshot",
        about: "runs by snapshot, nothing and 1 % changed, against psql's binary COPY",
        run: snapshot::run,
    },
    Bench {
        name: "log",
        about: "commit to acknowledgement by the log, 1,000 changes a second; a large transaction",
        run: log::run,
    },
];

/// How much data; `--scale 0.01` makes a quick check of the benchmarks themselves.
#[derive(Debug, Clone, Copy)]
struct Scale {
    share: f64,
    /// `--noisy`: rounds count although other programs ran beside them.
    noisy: bool,
}

impl Scale {
    fn rows(self, full: u64) -> u64 {
        ((full as f64 * self.share) as u64).max(1_000)
    }
}

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    if let ["read-once", url, connections, since] = args[..] {
        return read::read_once(url, connections, since);
    }
    let (only, scale) = match options(&args) {
        Ok(options) => options,
        Err(message) => {
            eprintln!("{message}\nusage: bench [--scale SHARE] [--noisy] [NAME]");
            return ExitCode::from(64);
        }
    };
    let mut figures = Vec::new();
    for bench in BENCHES.iter().filter(|bench| only.is_none_or(|name| name == bench.name)) {
        eprintln!("{}: {}", bench.name, bench.about);
        figures.extend((bench.run)(&scale));
    }
    figure::print(&figures);
    figure::write(&figures);
    ExitCode::SUCCESS
}

fn options<'a>(args: &[&'a str]) -> Result<(Option<&'a str>, Scale), String> {
    let (mut only, mut scale) = (None, Scale { share: 1.0, noisy: false });
    let mut args = args.iter().copied();
    while let Some(arg) = args.next() {
        match arg {
            "--noisy" => scale.noisy = true,
            "--scale" => {
                let share = args.next().unwrap_or_default();
                scale.share = share.parse().map_err(|_| format!("`{share}` is not a number"))?;
            }
            name if BENCHES.iter().any(|bench| bench.name == name) => only = Some(name),
            name => {
                let names: Vec<_> = BENCHES.iter().map(|bench| bench.name).collect();
                return Err(format!("no benchmark `{name}`; there are: {}", names.join(", ")));
            }
        }
    }
    Ok((only, scale))
}
