//! The thread on which everything about the server happens: connections are driven and leases renewed however busy the
//! engine's own threads are, and work that was begun is finished even when its caller stops waiting.

use std::pin::Pin;
use std::rc::Rc;
use std::thread::JoinHandle;
use std::time::Duration;

use flow::{Error, Result};
use tokio::sync::{mpsc, oneshot};
use tokio::task::{JoinSet, LocalSet};

use super::keeper;
use super::pool::Pool;
use crate::codes;

/// Longest one piece of work may take; the server stops its own part earlier.
const WORK_MAX: Duration = Duration::from_secs(900);
/// Longest time to say goodbye to the server.
const GOODBYE_MAX: Duration = Duration::from_secs(1);

type Job = Box<dyn FnOnce(Rc<Pool>) -> Pin<Box<dyn Future<Output = ()>>> + Send>;

/// Hands work to the thread.
#[derive(Clone)]
pub(super) struct Home(mpsc::UnboundedSender<Job>);

/// Ends the thread when it is dropped, once all work is done.
pub(super) struct Keyholder {
    /// `None` only while it is dropped.
    home: Option<Home>,
    thread: Option<JoinHandle<()>>,
}

impl Keyholder {
    /// Starts the thread with a pool that `make` makes on it.
    pub(super) fn start(make: impl FnOnce() -> Pool + Send + 'static) -> Result<Self> {
        let failed = |error| {
            Error::new(&codes::E3048_UNEXPECTED, "The thread of the state cannot be started.")
                .with_source(error)
        };
        let (sender, queue) = mpsc::unbounded_channel();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(failed)?;
        let thread = std::thread::Builder::new()
            .name("state".to_owned())
            .spawn(move || LocalSet::new().block_on(&runtime, work(Rc::new(make()), queue)))
            .map_err(failed)?;
        Ok(Self { home: Some(Home(sender)), thread: Some(thread) })
    }

    pub(super) fn home(&self) -> &Home {
        self.home.as_ref().expect("it lives as long as its owner")
    }
}

impl Drop for Keyholder {
    fn drop(&mut self) {
        drop(self.home.take());
        if let Some(thread) = self.thread.take() {
            // Work that panicked has already answered its caller with an error.
            let _ = thread.join();
        }
    }
}

impl Home {
    /// Runs `job`. It runs to its end even when the caller stops waiting for it.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        job: impl AsyncFnOnce(&Rc<Pool>) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let (answer, answered) = oneshot::channel();
        let gone = || Error::new(&codes::E3048_UNEXPECTED, "The thread of the state has ended.");
        let job: Job = Box::new(move |pool| {
            Box::pin(async move {
                let done = match tokio::time::timeout(WORK_MAX, job(&pool)).await {
                    Ok(done) => done,
                    Err(_) => Err(late()),
                };
                // Nobody listens when the caller was cancelled; the work is done all the same.
                let _ = answer.send(done);
            })
        });
        self.0.send(job).map_err(|_| gone())?;
        answered.await.map_err(|_| gone())?
    }

    /// Lets `job` run, and does not wait for it.
    pub(super) fn leave(&self, job: impl AsyncFnOnce(&Rc<Pool>) + Send + 'static) {
        let job: Job = Box::new(move |pool| Box::pin(async move { job(&pool).await }));
        // Where the thread has ended, the server has given everything back by itself.
        let _ = self.0.send(job);
    }

    /// A handle that does not keep the thread alive.
    pub(super) fn weak(&self) -> Neighbour {
        Neighbour(self.0.downgrade())
    }
}

/// A [`Home`] that may be gone.
pub(super) struct Neighbour(mpsc::WeakUnboundedSender<Job>);

impl Neighbour {
    pub(super) fn home(&self) -> Option<Home> {
        self.0.upgrade().map(Home)
    }
}

fn late() -> Error {
    let text = format!("The state did not answer within {WORK_MAX:?}.");
    Error::new(&codes::E3047_LOST, text)
}

async fn work(pool: Rc<Pool>, mut queue: mpsc::UnboundedReceiver<Job>) {
    let keeping = tokio::task::spawn_local(keeper::keep(Rc::clone(&pool)));
    let mut busy = JoinSet::new();
    loop {
        tokio::select! {
            job = queue.recv() => match job {
                Some(job) => drop(busy.spawn_local(job(Rc::clone(&pool)))),
                None => break,
            },
            Some(_) = busy.join_next() => {}
        }
    }
    while busy.join_next().await.is_some() {}
    keeping.abort();
    let _ = keeping.await;
    pool.close(GOODBYE_MAX).await;
}
