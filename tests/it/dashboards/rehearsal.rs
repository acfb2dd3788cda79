//! A process that runs a sync again and again, told to the metrics as the engine and the writer tell it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use flow::metrics::{Busy, Metrics, SyncInfo};
use flow::{RunCounts, RunStatus, Stage, Trigger, Watermark};

const SYNC: &str = "product_usage_to_hubspot";
const DESTINATION: &str = "hubspot";

/// The metrics of such a process; each look at them is one run later.
pub(super) struct Rehearsal {
    metrics: Arc<Metrics>,
    runs: AtomicU32,
}

impl Rehearsal {
    pub(super) fn new() -> Self {
        let metrics = Metrics::new("0.1.0", "abc1234");
        metrics.sync_known(&SyncInfo {
            sync: SYNC.to_owned(),
            source: "warehouse".to_owned(),
            destination: DESTINATION.to_owned(),
            object: "contacts".to_owned(),
            mode: "upsert",
            method: "watermark",
            expected_interval_seconds: Some(900.0),
            enabled: true,
        });
        Self { metrics, runs: AtomicU32::new(0) }
    }

    /// One more run, and the exposition after it.
    pub(super) fn expose(&self) -> String {
        let run = self.runs.fetch_add(1, Ordering::Relaxed);
        let now = now_micros();
        self.read(now);
        self.deliver(run);
        self.settle(run, now);
        self.metrics.expose()
    }

    fn read(&self, now: i64) {
        let metrics = &self.metrics;
        metrics.lease(SYNC, true);
        metrics.source_watermark(SYNC, Watermark(now));
        metrics.warehouse_query("warehouse", "check", Duration::from_millis(3));
        metrics.warehouse_query("warehouse", "read", Duration::from_millis(180));
        metrics.read_bytes(SYNC, 840_000);
        metrics.queue(SYNC, 400, 67_200, 8 << 20);
        metrics.backlog(SYNC, 400);
        metrics.busy(SYNC, Busy::Read, Duration::from_millis(90));
        metrics.busy(SYNC, Busy::Map, Duration::from_millis(20));
        metrics.busy(SYNC, Busy::Diff, Duration::from_millis(10));
        metrics.resident_memory(48 << 20);
    }

    fn deliver(&self, run: u32) {
        let metrics = &self.metrics;
        for status in ["2xx", "2xx", "207", "429"] {
            metrics.batch_rows(DESTINATION, "contacts", 100);
            metrics.request(
                DESTINATION,
                "batch_upsert",
                status,
                (Duration::from_millis(140), 30_000),
            );
        }
        metrics.retry(DESTINATION, "rate_limited");
        metrics.throttled(DESTINATION, "server", Duration::from_millis(50));
        metrics.throttled(DESTINATION, "client", Duration::from_millis(200));
        metrics.quota(DESTINATION, "day", f64::from(250_000 - 4 * run), 250_000.0);
        metrics.quota_reset(DESTINATION, "day", now_micros() + 3_600_000_000);
        metrics.in_flight(DESTINATION, 3, 8);
        metrics.auth(DESTINATION, true);
        metrics.busy(SYNC, Busy::Write, Duration::from_millis(420));
        metrics.log_message("info");
    }

    fn settle(&self, run: u32, now: i64) {
        let metrics = &self.metrics;
        let counts = RunCounts {
            read: 500,
            unchanged: 100,
            created: 20,
            updated: 377,
            rejected: 3,
            ..RunCounts::default()
        };
        metrics.settled(
            SYNC,
            &counts,
            &[(Stage::Validate, "R101", 1), (Stage::Destination, "R201", 2)],
        );
        metrics.commit(Duration::from_millis(4), run % 7 != 6);
        metrics.busy(SYNC, Busy::Commit, Duration::from_millis(4));
        metrics.delivery_latency(SYNC, Duration::from_secs(40));
        metrics.delivered_watermark(SYNC, Watermark(now - 5_000_000));
        metrics.rejects(SYNC, 3, Some(now - 60_000_000));
        metrics.state_size(1 << 20);
        metrics.unaccounted(SYNC, counts.unaccounted());
        metrics.run_finished(SYNC, RunStatus::Partial, Trigger::Schedule, (now - 900_000, now));
    }
}

#[expect(clippy::disallowed_methods, reason = "Prometheus compares these times with the real one")]
fn now_micros() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    i64::try_from(now.as_micros()).unwrap()
}
