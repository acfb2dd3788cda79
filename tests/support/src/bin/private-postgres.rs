//! A private PostgreSQL as a program: `private-postgres [--load FILE.sql]...`, for the demo and for trying things by hand.

use std::io::{self, Write};
use std::process::{Command, ExitCode};

use support::{Postgres, Setup};
use tokio::signal::unix::{SignalKind, signal};

const USAGE: &str = "usage: private-postgres [--load FILE.sql]...\n\
    Prints postgres://... when ready; runs until stdin closes or SIGINT or SIGTERM arrives.";

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match serve().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(io::stderr(), "private-postgres: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn serve() -> io::Result<()> {
    let files = arguments()?;
    // Before the start, so that a signal during the start is not missed.
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let url = tokio::task::spawn_blocking(move || start(&files)).await.map_err(io::Error::other)?;
    let (_postgres, url) = url?;
    writeln!(io::stdout(), "{url}")?;
    io::stdout().flush()?;
    tokio::select! {
        () = end_of_stdin() => {}
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    Ok(())
}

fn arguments() -> io::Result<Vec<String>> {
    let mut files = Vec::new();
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match (argument.as_str(), arguments.next()) {
            ("--load", Some(file)) => files.push(file),
            _ => return Err(io::Error::other(USAGE)),
        }
    }
    Ok(files)
}

fn start(files: &[String]) -> io::Result<(Postgres, String)> {
    let postgres = Postgres::try_start(&Setup::default())?;
    let url = postgres.database("warehouse").url;
    for file in files {
        let status = Command::new(postgres.program("psql"))
            .args(["-X", "-q", "-v", "ON_ERROR_STOP=1", "-d", &url, "-f", file])
            .stdout(io::stderr())
            .status()?;
        if !status.success() {
            return Err(io::Error::other(format!("psql could not load {file}")));
        }
    }
    Ok((postgres, url))
}

/// Reads on a thread of its own: a blocked read must not hold up the end of the program.
async fn end_of_stdin() {
    let (closed, wait) = tokio::sync::oneshot::channel();
    std::thread::spawn(move || {
        let _ = io::copy(&mut io::stdin(), &mut io::sink());
        let _ = closed.send(());
    });
    let _ = wait.await;
}
