//! A SQLite connection on a thread of its own, so that no async thread ever waits for a disk.

use std::sync::mpsc;
use std::thread::JoinHandle;

use flow::{Error, Result};
use rusqlite::Connection;
use tokio::sync::oneshot;

use crate::codes;

type Job = Box<dyn FnOnce(&mut Connection) + Send>;

/// Runs closures on its connection, one after the other, in the order they were given.
pub(crate) struct Worker {
    /// `None` only while the worker is dropped.
    jobs: Option<mpsc::Sender<Job>>,
    thread: Option<JoinHandle<()>>,
}

impl Worker {
    /// Moves the connection to a new thread.
    pub(crate) fn start(name: &str, mut connection: Connection) -> Result<Self> {
        let (jobs, queue) = mpsc::channel::<Job>();
        let thread = std::thread::Builder::new()
            .name(name.to_owned())
            .spawn(move || {
                for job in queue {
                    job(&mut connection);
                }
            })
            .map_err(|error| {
                Error::new(&codes::E3099_UNEXPECTED, "The thread of the state cannot be started.")
                    .with_source(error)
            })?;
        Ok(Self { jobs: Some(jobs), thread: Some(thread) })
    }

    /// Runs `job`. It runs to its end even when the caller stops waiting for it.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        job: impl FnOnce(&mut Connection) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let (answer, answered) = oneshot::channel();
        let job: Job = Box::new(move |connection| {
            // Nobody listens when the caller was cancelled; the work is done all the same.
            let _ = answer.send(job(connection));
        });
        let sent = self.jobs.as_ref().is_some_and(|jobs| jobs.send(job).is_ok());
        let gone = || Error::new(&codes::E3099_UNEXPECTED, "The thread of the state has ended.");
        if !sent {
            return Err(gone());
        }
        answered.await.map_err(|_| gone())?
    }
}

impl Drop for Worker {
    /// Finishes the queued work and closes the connection, which folds the log into the file.
    fn drop(&mut self) {
        drop(self.jobs.take());
        if let Some(thread) = self.thread.take() {
            // A panicked job has already answered its caller with an error.
            let _ = thread.join();
        }
    }
}
