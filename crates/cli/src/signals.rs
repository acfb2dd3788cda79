//! Ctrl-C, SIGTERM and SIGHUP: the first drains and commits, the second aborts, the third ends the process at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use engine::Stop;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::exit;
use crate::output::Output;

/// The signals of the process from now on.
#[derive(Debug, Clone)]
pub(crate) struct Signals {
    /// For the engine.
    pub stop: Stop,
    code: Arc<AtomicU8>,
}

impl Signals {
    /// Starts listening; `note` is what the first signal tells a person. Without this, it ends the process as usual.
    pub(crate) fn listen(output: Arc<Output>, note: &'static str) -> Self {
        let stop = Stop { drain: CancellationToken::new(), abort: CancellationToken::new() };
        let signals = Self { stop, code: Arc::default() };
        let (Ok(interrupt), Ok(terminate)) =
            (signal(SignalKind::interrupt()), signal(SignalKind::terminate()))
        else {
            tracing::warn!("signals cannot be listened to; a signal ends the process at once");
            return signals;
        };
        // Under nohup, SIGHUP is ignored on purpose and stays so.
        let hangup = if hangup_is_ignored() { None } else { signal(SignalKind::hangup()).ok() };
        let streams = Streams { interrupt, terminate, hangup };
        tokio::spawn(signals.clone().serve(streams, (output, note)));
        signals
    }

    /// What the process exits with when a signal stopped it; `None` when none came.
    pub(crate) fn exit_code(&self) -> Option<u8> {
        match self.code.load(Ordering::SeqCst) {
            0 => None,
            code => Some(code),
        }
    }

    /// Waits for the first signal.
    pub(crate) async fn first(&self) {
        self.stop.drain.cancelled().await;
    }

    async fn serve(self, mut streams: Streams, (output, note): (Arc<Output>, &'static str)) {
        let code = streams.next().await;
        self.code.store(code, Ordering::SeqCst);
        self.stop.drain.cancel();
        output.note(note);
        streams.next().await;
        self.stop.abort.cancel();
        output.note("aborting; the next run sends again what was in flight");
        let code = streams.next().await;
        end(code);
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the third signal: the person wants the process gone"
)]
fn end(code: u8) -> ! {
    std::process::exit(i32::from(code))
}

struct Streams {
    interrupt: Signal,
    terminate: Signal,
    hangup: Option<Signal>,
}

impl Streams {
    /// Waits for a signal and gives its exit code.
    async fn next(&mut self) -> u8 {
        let hangup = async {
            match &mut self.hangup {
                Some(hangup) => hangup.recv().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = self.interrupt.recv() => exit::INTERRUPTED,
            _ = self.terminate.recv() => exit::TERMINATED,
            _ = hangup => exit::TERMINATED,
        }
    }
}

/// Whether the process was started with SIGHUP ignored.
fn hangup_is_ignored() -> bool {
    std::fs::read_to_string("/proc/self/status").is_ok_and(|status| ignores_hangup(&status))
}

/// SIGHUP is signal 1, the lowest bit of the mask `SigIgn`.
fn ignores_hangup(status: &str) -> bool {
    status
        .lines()
        .find_map(|line| line.strip_prefix("SigIgn:"))
        .and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok())
        .is_some_and(|mask| mask & 1 == 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nohup_is_recognised_in_the_mask_of_ignored_signals() {
        assert!(ignores_hangup("Name:\toutflow\nSigIgn:\t0000000000001001\n"));
        assert!(!ignores_hangup("Name:\toutflow\nSigIgn:\t0000000000001000\n"));
        assert!(!ignores_hangup(""));
    }
}
