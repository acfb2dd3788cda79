//! The one facade over the metrics library: every metric's name, help, labels and buckets, and one method
//! per thing that happens. Counters of rows move only after the commit that makes them true.

use std::sync::Arc;
use std::time::Duration;

use prometheus::core::Collector;
use prometheus::proto::LabelPair;
use prometheus::{
    Gauge, GaugeVec, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge,
    IntGaugeVec, Opts, Registry, TextEncoder,
};

use crate::{RunCounts, RunStatus, Stage, Trigger, Watermark};

/// Parts of a run that spend time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Busy {
    /// Decoding warehouse rows.
    Read,
    /// Mapping.
    Map,
    /// Comparing with the ledger.
    Diff,
    /// Waiting for write calls.
    Write,
    /// Committing state.
    Commit,
}

impl Busy {
    const ALL: [Self; 5] = [Self::Read, Self::Map, Self::Diff, Self::Write, Self::Commit];

    fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Map => "map",
            Self::Diff => "diff",
            Self::Write => "write",
            Self::Commit => "commit",
        }
    }
}

/// What a sync reads and writes, for `outflow_sync_info` and the series that must exist from the start.
#[derive(Debug, Clone)]
pub struct SyncInfo {
    /// Sync name.
    pub sync: String,
    /// Warehouse connection.
    pub source: String,
    /// Destination connection.
    pub destination: String,
    /// Destination object.
    pub object: String,
    /// Mode.
    pub mode: &'static str,
    /// Change method.
    pub method: &'static str,
    /// Longest time between two successes, in seconds; `None` when nothing is scheduled.
    pub expected_interval_seconds: Option<f64>,
    /// Whether the sync is enabled.
    pub enabled: bool,
}

/// All metrics of one process.
pub struct Metrics {
    registry: Registry,
    build_info: IntGaugeVec,
    sync_info: IntGaugeVec,
    sync_enabled: IntGaugeVec,
    sync_expected_interval_seconds: GaugeVec,
    sync_status: IntGaugeVec,
    runs_total: IntCounterVec,
    run_last_success_timestamp_seconds: GaugeVec,
    run_last_completion_timestamp_seconds: GaugeVec,
    run_last_duration_seconds: GaugeVec,
    run_duration_seconds: HistogramVec,
    stage_busy_seconds_total: prometheus::CounterVec,
    queue_rows: IntGaugeVec,
    queue_bytes: IntGaugeVec,
    queue_capacity_bytes: IntGaugeVec,
    rows_read_total: IntCounterVec,
    rows_unchanged_total: IntCounterVec,
    rows_delivered_total: IntCounterVec,
    rows_rejected_total: IntCounterVec,
    rows_found_only_by_compare_total: IntCounterVec,
    rows_unaccounted: GaugeVec,
    replication_slot_retained_bytes: IntGaugeVec,
    reconcile_drift_rows: IntGaugeVec,
    reconcile_last_success_timestamp_seconds: GaugeVec,
    rejects_open: IntGaugeVec,
    rows_unconfirmed: IntGaugeVec,
    rejects_oldest_timestamp_seconds: GaugeVec,
    source_watermark_timestamp_seconds: GaugeVec,
    delivered_watermark_timestamp_seconds: GaugeVec,
    delivery_latency_seconds: HistogramVec,
    backlog_rows: IntGaugeVec,
    read_bytes_total: IntCounterVec,
    sent_bytes_total: IntCounterVec,
    destination_requests_total: IntCounterVec,
    destination_request_duration_seconds: HistogramVec,
    destination_inflight_requests: IntGaugeVec,
    destination_concurrency_limit: IntGaugeVec,
    destination_batch_rows: HistogramVec,
    destination_retries_total: IntCounterVec,
    destination_throttled_seconds_total: prometheus::CounterVec,
    destination_quota_remaining: GaugeVec,
    destination_quota_limit: GaugeVec,
    destination_quota_reset_timestamp_seconds: GaugeVec,
    destination_auth_ok: IntGaugeVec,
    warehouse_query_duration_seconds: HistogramVec,
    state_commit_duration_seconds: Histogram,
    state_commit_failures_total: IntCounter,
    state_size_bytes: IntGauge,
    lease_held: IntGaugeVec,
    log_messages_total: IntCounterVec,
    resident_memory_bytes: Gauge,
}

/// Builds and registers metrics; a wrong definition is a bug found by any test that makes a `Metrics`.
struct Builder(Registry);

impl Builder {
    fn add<C: Collector + Clone + 'static>(&self, metric: Result<C, prometheus::Error>) -> C {
        let metric = metric.expect("metric definitions are valid");
        self.0.register(Box::new(metric.clone())).expect("metric names are unique");
        metric
    }

    fn counter(&self, name: &str, help: &str, labels: &[&str]) -> IntCounterVec {
        self.add(IntCounterVec::new(Opts::new(name, help), labels))
    }

    fn seconds_counter(&self, name: &str, help: &str, labels: &[&str]) -> prometheus::CounterVec {
        self.add(prometheus::CounterVec::new(Opts::new(name, help), labels))
    }

    fn int_gauge(&self, name: &str, help: &str, labels: &[&str]) -> IntGaugeVec {
        self.add(IntGaugeVec::new(Opts::new(name, help), labels))
    }

    fn gauge(&self, name: &str, help: &str, labels: &[&str]) -> GaugeVec {
        self.add(GaugeVec::new(Opts::new(name, help), labels))
    }

    fn histogram(&self, name: &str, help: &str, labels: &[&str], buckets: &[f64]) -> HistogramVec {
        let options = HistogramOpts::new(name, help).buckets(buckets.to_vec());
        self.add(HistogramVec::new(options, labels))
    }
}

const RUN_BUCKETS: &[f64] = &[1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3600.0, 14400.0];
const LATENCY_BUCKETS: &[f64] =
    &[0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3600.0, 21600.0, 86400.0];
const REQUEST_BUCKETS: &[f64] = &[0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0];
const BATCH_BUCKETS: &[f64] = &[1.0, 10.0, 50.0, 100.0, 200.0, 1000.0, 2000.0, 10000.0];
const QUERY_BUCKETS: &[f64] = &[0.01, 0.1, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 1800.0];
const COMMIT_BUCKETS: &[f64] = &[0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0];

/// Statuses of a finished run in the `outflow_sync_status` state set.
const STATUSES: [RunStatus; 5] =
    [RunStatus::Ok, RunStatus::Partial, RunStatus::Failed, RunStatus::Guarded, RunStatus::Parked];

impl Metrics {
    /// A fresh set, with the version of this build.
    pub fn new(version: &str, revision: &str) -> Arc<Self> {
        let b = Builder(Registry::new());
        let metrics = Self {
            build_info: b.int_gauge(
                "outflow_build_info",
                "Version of the running binary; always 1.",
                &["version", "revision"],
            ),
            sync_info: b.int_gauge(
                "outflow_sync_info",
                "What a sync reads and writes; always 1. Join on sync.",
                &["sync", "source", "destination", "object", "mode", "method"],
            ),
            sync_enabled: b.int_gauge(
                "outflow_sync_enabled",
                "1 when the sync is scheduled, 0 when paused.",
                &["sync"],
            ),
            sync_expected_interval_seconds: b.gauge(
                "outflow_sync_expected_interval_seconds",
                "Longest time that should pass between two successful runs.",
                &["sync"],
            ),
            sync_status: b.int_gauge(
                "outflow_sync_status",
                "1 for the status of the last finished run, 0 for the others.",
                &["sync", "status"],
            ),
            runs_total: b.counter(
                "outflow_runs_total",
                "Finished runs.",
                &["sync", "status", "trigger"],
            ),
            run_last_success_timestamp_seconds: b.gauge(
                "outflow_run_last_success_timestamp_seconds",
                "End of the last run with status ok or partial.",
                &["sync"],
            ),
            run_last_completion_timestamp_seconds: b.gauge(
                "outflow_run_last_completion_timestamp_seconds",
                "End of the last run, whatever its status.",
                &["sync"],
            ),
            run_last_duration_seconds: b.gauge(
                "outflow_run_last_duration_seconds",
                "Wall time of the last finished run.",
                &["sync"],
            ),
            run_duration_seconds: b.histogram(
                "outflow_run_duration_seconds",
                "Wall time of finished runs.",
                &["sync"],
                RUN_BUCKETS,
            ),
            stage_busy_seconds_total: b.seconds_counter(
                "outflow_stage_busy_seconds_total",
                "Time a stage spent working, not waiting for another stage.",
                &["sync", "stage"],
            ),
            queue_rows: b.int_gauge(
                "outflow_queue_rows",
                "Rows read and not yet mapped, in memory and spooled.",
                &["sync", "stage"],
            ),
            queue_bytes: b.int_gauge(
                "outflow_queue_bytes",
                "Bytes of the rows read and not yet mapped, in memory and spooled.",
                &["sync", "stage"],
            ),
            queue_capacity_bytes: b.int_gauge(
                "outflow_queue_capacity_bytes",
                "Bytes the queue may hold before reading pauses.",
                &["sync", "stage"],
            ),
            rows_read_total: b.counter(
                "outflow_rows_read_total",
                "Rows the reader took from the warehouse.",
                &["sync"],
            ),
            rows_unchanged_total: b.counter(
                "outflow_rows_unchanged_total",
                "Rows read whose mapped payload equals the last one acknowledged.",
                &["sync"],
            ),
            rows_delivered_total: b.counter(
                "outflow_rows_delivered_total",
                "Rows the destination acknowledged.",
                &["sync", "op"],
            ),
            rows_rejected_total: b.counter(
                "outflow_rows_rejected_total",
                "Rows that did not land, by stage and error code.",
                &["sync", "stage", "code"],
            ),
            rows_found_only_by_compare_total: b.counter(
                "outflow_rows_found_only_by_compare_total",
                "Rows that changed without the change method noticing; only a compare of every row found them.",
                &["sync"],
            ),
            rows_unaccounted: b.gauge(
                "outflow_rows_unaccounted",
                "Rows read minus rows unchanged, delivered, rejected and parked at the end of the last run; \
                 anything but 0 is a bug.",
                &["sync"],
            ),
            rows_unconfirmed: b.int_gauge(
                "outflow_rows_unconfirmed",
                "Rows that a request without a clear answer may still change. They are sent once more after the \
                 longest time in which the destination can apply it.",
                &["sync"],
            ),
            replication_slot_retained_bytes: b.int_gauge(
                "outflow_replication_slot_retained_bytes",
                "Bytes of log that the warehouse keeps back for the sync's replication slot.",
                &["sync"],
            ),
            reconcile_drift_rows: b.int_gauge(
                "outflow_reconcile_drift_rows",
                "Rows whose record drifted, as the last reconciliation found them.",
                &["sync", "kind"],
            ),
            reconcile_last_success_timestamp_seconds: b.gauge(
                "outflow_reconcile_last_success_timestamp_seconds",
                "When the last reconciliation ended.",
                &["sync"],
            ),
            rejects_open: b.int_gauge(
                "outflow_rejects_open",
                "Rejected rows waiting for a retry or a decision.",
                &["sync"],
            ),
            rejects_oldest_timestamp_seconds: b.gauge(
                "outflow_rejects_oldest_timestamp_seconds",
                "When the oldest open reject was first refused; 0 when none is open.",
                &["sync"],
            ),
            source_watermark_timestamp_seconds: b.gauge(
                "outflow_source_watermark_timestamp_seconds",
                "Newest change seen in the warehouse.",
                &["sync"],
            ),
            delivered_watermark_timestamp_seconds: b.gauge(
                "outflow_delivered_watermark_timestamp_seconds",
                "Every change up to this moment is acknowledged or a reject.",
                &["sync"],
            ),
            delivery_latency_seconds: b.histogram(
                "outflow_delivery_latency_seconds",
                "Time from a row's change in the warehouse to the destination's acknowledgement.",
                &["sync"],
                LATENCY_BUCKETS,
            ),
            backlog_rows: b.int_gauge(
                "outflow_backlog_rows",
                "Rows known and not yet settled.",
                &["sync"],
            ),
            read_bytes_total: b.counter(
                "outflow_read_bytes_total",
                "Bytes of rows read from the warehouse, as Arrow.",
                &["sync"],
            ),
            sent_bytes_total: b.counter(
                "outflow_sent_bytes_total",
                "Bytes of request bodies sent.",
                &["destination"],
            ),
            destination_requests_total: b.counter(
                "outflow_destination_requests_total",
                "Requests by what the destination answered.",
                &["destination", "operation", "status"],
            ),
            destination_request_duration_seconds: b.histogram(
                "outflow_destination_request_duration_seconds",
                "Time to a complete answer.",
                &["destination", "operation"],
                REQUEST_BUCKETS,
            ),
            destination_inflight_requests: b.int_gauge(
                "outflow_destination_inflight_requests",
                "Write calls waiting for an answer.",
                &["destination"],
            ),
            destination_concurrency_limit: b.int_gauge(
                "outflow_destination_concurrency_limit",
                "Write calls that may be in flight at once now.",
                &["destination"],
            ),
            destination_batch_rows: b.histogram(
                "outflow_destination_batch_rows",
                "Rows per write call.",
                &["destination", "object"],
                BATCH_BUCKETS,
            ),
            destination_retries_total: b.counter(
                "outflow_destination_retries_total",
                "Write calls made again, by reason.",
                &["destination", "reason"],
            ),
            destination_throttled_seconds_total: b.seconds_counter(
                "outflow_destination_throttled_seconds_total",
                "Time spent waiting for a rate limit, ours (client) or theirs (server).",
                &["destination", "origin"],
            ),
            destination_quota_remaining: b.gauge(
                "outflow_destination_quota_remaining",
                "Requests left in the destination's own window, as it last reported.",
                &["destination", "window"],
            ),
            destination_quota_limit: b.gauge(
                "outflow_destination_quota_limit",
                "Requests allowed in the destination's own window.",
                &["destination", "window"],
            ),
            destination_quota_reset_timestamp_seconds: b.gauge(
                "outflow_destination_quota_reset_timestamp_seconds",
                "When the destination's window is next empty, as far as it says.",
                &["destination", "window"],
            ),
            destination_auth_ok: b.int_gauge(
                "outflow_destination_auth_ok",
                "1 when the last use of the credentials succeeded.",
                &["destination"],
            ),
            warehouse_query_duration_seconds: b.histogram(
                "outflow_warehouse_query_duration_seconds",
                "Time of warehouse queries, first byte to clean end.",
                &["connection", "kind"],
                QUERY_BUCKETS,
            ),
            state_commit_duration_seconds: b.add(Histogram::with_opts(
                HistogramOpts::new(
                    "outflow_state_commit_duration_seconds",
                    "Time of one durable commit of the state.",
                )
                .buckets(COMMIT_BUCKETS.to_vec()),
            )),
            state_commit_failures_total: b.add(IntCounter::new(
                "outflow_state_commit_failures_total",
                "Failed writes to the state store.",
            )),
            state_size_bytes: b
                .add(IntGauge::new("outflow_state_size_bytes", "Size of the state on disk.")),
            lease_held: b.int_gauge(
                "outflow_lease_held",
                "1 while this process holds the sync's lease.",
                &["sync"],
            ),
            log_messages_total: b.counter(
                "outflow_log_messages_total",
                "Log messages by level.",
                &["level"],
            ),
            resident_memory_bytes: b.add(Gauge::new(
                "outflow_resident_memory_bytes",
                "Resident memory of this process.",
            )),
            registry: b.0,
        };
        metrics.build_info.with_label_values(&[version, revision]).set(1);
        for level in ["error", "warn", "info"] {
            metrics.log_messages_total.with_label_values(&[level]).inc_by(0);
        }
        Arc::new(metrics)
    }

    /// Announces a sync and sets its known series to 0.
    pub fn sync_known(&self, info: &SyncInfo) {
        let sync = info.sync.as_str();
        self.sync_info
            .with_label_values(&[
                sync,
                info.source.as_str(),
                info.destination.as_str(),
                info.object.as_str(),
                info.mode,
                info.method,
            ])
            .set(1);
        self.sync_enabled.with_label_values(&[sync]).set(i64::from(info.enabled));
        if let Some(seconds) = info.expected_interval_seconds {
            self.sync_expected_interval_seconds.with_label_values(&[sync]).set(seconds);
        }
        self.rows_read_total.with_label_values(&[sync]).inc_by(0);
        self.rows_unchanged_total.with_label_values(&[sync]).inc_by(0);
        self.rows_found_only_by_compare_total.with_label_values(&[sync]).inc_by(0);
        for op in ["create", "update", "delete"] {
            self.rows_delivered_total.with_label_values(&[sync, op]).inc_by(0);
        }
        for stage in Busy::ALL {
            self.stage_busy_seconds_total.with_label_values(&[sync, stage.as_str()]).inc_by(0.0);
        }
        for status in STATUSES.iter().chain([&RunStatus::Interrupted]) {
            for trigger in [Trigger::Manual, Trigger::Schedule, Trigger::Backfill] {
                let labels = [sync, status.as_str(), trigger.as_str()];
                self.runs_total.with_label_values(&labels).inc_by(0);
            }
        }
        self.rows_unaccounted.with_label_values(&[sync]).set(0.0);
        self.backlog_rows.with_label_values(&[sync]).set(0);
        self.rows_unconfirmed.with_label_values(&[sync]).set(0);
        let destination = info.destination.as_str();
        // A histogram is there, empty, as soon as one asks for it. Without it the first observation after a start
        // would be no increase to Prometheus.
        let _ = self.run_duration_seconds.with_label_values(&[sync]);
        let _ = self.delivery_latency_seconds.with_label_values(&[sync]);
        let object = info.object.as_str();
        let _ = self.destination_batch_rows.with_label_values(&[destination, object]);
        for kind in ["check", "read"] {
            let labels = [info.source.as_str(), kind];
            let _ = self.warehouse_query_duration_seconds.with_label_values(&labels);
        }
        for origin in ["client", "server"] {
            self.destination_throttled_seconds_total
                .with_label_values(&[destination, origin])
                .inc_by(0.0);
        }
        self.destination_inflight_requests.with_label_values(&[destination]).set(0);
    }

    /// Whether this process holds the sync's lease.
    pub fn lease(&self, sync: &str, held: bool) {
        self.lease_held.with_label_values(&[sync]).set(i64::from(held));
    }

    /// A stage worked for so long.
    pub fn busy(&self, sync: &str, stage: Busy, time: Duration) {
        self.stage_busy_seconds_total
            .with_label_values(&[sync, stage.as_str()])
            .inc_by(time.as_secs_f64());
    }

    /// Rows and bytes read and not yet mapped.
    pub fn queue(&self, sync: &str, rows: u64, bytes: u64, capacity_bytes: u64) {
        let labels = [sync, "read"];
        self.queue_rows.with_label_values(&labels).set(int(rows));
        self.queue_bytes.with_label_values(&labels).set(int(bytes));
        self.queue_capacity_bytes.with_label_values(&labels).set(int(capacity_bytes));
    }

    /// Bytes read from the warehouse.
    pub fn read_bytes(&self, sync: &str, bytes: u64) {
        self.read_bytes_total.with_label_values(&[sync]).inc_by(bytes);
    }

    /// What a commit settled: the difference to the commit before.
    pub fn settled(&self, sync: &str, counts: &RunCounts, rejected: &[(Stage, &'static str, u64)]) {
        self.rows_read_total.with_label_values(&[sync]).inc_by(counts.read);
        self.rows_unchanged_total.with_label_values(&[sync]).inc_by(counts.unchanged);
        self.rows_delivered_total.with_label_values(&[sync, "create"]).inc_by(counts.created);
        self.rows_delivered_total.with_label_values(&[sync, "update"]).inc_by(counts.updated);
        self.rows_delivered_total.with_label_values(&[sync, "delete"]).inc_by(counts.removed);
        self.rows_found_only_by_compare_total
            .with_label_values(&[sync])
            .inc_by(counts.found_only_by_compare);
        for (stage, code, rows) in rejected {
            self.rows_rejected_total.with_label_values(&[sync, stage.as_str(), code]).inc_by(*rows);
        }
    }

    /// So many bytes of log are kept back for the sync.
    pub fn slot_retained(&self, sync: &str, bytes: u64) {
        self.replication_slot_retained_bytes.with_label_values(&[sync]).set(int(bytes));
    }

    /// A reconciliation has ended: rows by the kind of drift, and when, in microseconds since 1970.
    pub fn reconciled(&self, sync: &str, drift: &[(&str, u64)], at: i64) {
        for (kind, rows) in drift {
            self.reconcile_drift_rows.with_label_values(&[sync, kind]).set(int(*rows));
        }
        let ended = self.reconcile_last_success_timestamp_seconds.with_label_values(&[sync]);
        ended.set(seconds(at));
    }

    /// Rows known and not yet settled.
    pub fn backlog(&self, sync: &str, rows: u64) {
        self.backlog_rows.with_label_values(&[sync]).set(int(rows));
    }

    /// Newest change seen in the warehouse.
    pub fn source_watermark(&self, sync: &str, watermark: Watermark) {
        self.source_watermark_timestamp_seconds
            .with_label_values(&[sync])
            .set(seconds(watermark.0));
    }

    /// Every change up to here is acknowledged or a reject.
    pub fn delivered_watermark(&self, sync: &str, watermark: Watermark) {
        self.delivered_watermark_timestamp_seconds
            .with_label_values(&[sync])
            .set(seconds(watermark.0));
    }

    /// Time from a row's change to its acknowledgement.
    pub fn delivery_latency(&self, sync: &str, latency: Duration) {
        self.delivery_latency_seconds.with_label_values(&[sync]).observe(latency.as_secs_f64());
    }

    /// Open rejects, in rows, and when the oldest was first refused (microseconds since 1970).
    pub fn rejects(&self, sync: &str, open: u64, oldest: Option<i64>) {
        self.rejects_open.with_label_values(&[sync]).set(int(open));
        self.rejects_oldest_timestamp_seconds
            .with_label_values(&[sync])
            .set(oldest.map_or(0.0, seconds));
    }

    /// Rows that wait to be confirmed by another write.
    pub fn unconfirmed(&self, sync: &str, rows: u64) {
        self.rows_unconfirmed.with_label_values(&[sync]).set(int(rows));
    }

    /// A run ended. Times are microseconds since 1970.
    pub fn run_finished(
        &self,
        sync: &str,
        status: RunStatus,
        trigger: Trigger,
        (started_at, ended_at): (i64, i64),
    ) {
        self.run_finished_before(sync, status, (started_at, ended_at));
        self.runs_total.with_label_values(&[sync, status.as_str(), trigger.as_str()]).inc();
        let duration = seconds(ended_at - started_at);
        self.run_duration_seconds.with_label_values(&[sync]).observe(duration);
    }

    /// The last run of an earlier process, so that its status and times stay visible while this one works. Counts
    /// nothing. Times are microseconds since 1970.
    pub fn run_finished_before(
        &self,
        sync: &str,
        status: RunStatus,
        (started_at, ended_at): (i64, i64),
    ) {
        for known in STATUSES {
            self.sync_status
                .with_label_values(&[sync, known.as_str()])
                .set(i64::from(known == status));
        }
        self.run_last_completion_timestamp_seconds
            .with_label_values(&[sync])
            .set(seconds(ended_at));
        self.run_last_duration_seconds
            .with_label_values(&[sync])
            .set(seconds(ended_at - started_at));
        if matches!(status, RunStatus::Ok | RunStatus::Partial) {
            self.run_succeeded_before(sync, ended_at);
        }
    }

    /// When the sync last succeeded in an earlier process (microseconds since 1970), so that a failing run does
    /// not hide it.
    pub fn run_succeeded_before(&self, sync: &str, ended_at: i64) {
        self.run_last_success_timestamp_seconds.with_label_values(&[sync]).set(seconds(ended_at));
    }

    /// Rows read that are in no other count.
    pub fn unaccounted(&self, sync: &str, rows: i128) {
        self.rows_unaccounted.with_label_values(&[sync]).set(rows as f64);
    }

    /// A request was answered, or not. `status` is a closed class: `2xx`, `207`, `400`, `401`, `403`, `404`,
    /// `409`, `413`, `422`, `429`, `5xx`, `other`, `timeout`, `connect`.
    pub fn request(
        &self,
        destination: &str,
        operation: &str,
        status: &'static str,
        (time, sent_bytes): (Duration, u64),
    ) {
        self.destination_requests_total.with_label_values(&[destination, operation, status]).inc();
        self.destination_request_duration_seconds
            .with_label_values(&[destination, operation])
            .observe(time.as_secs_f64());
        self.sent_bytes_total.with_label_values(&[destination]).inc_by(sent_bytes);
    }

    /// Write calls in flight now, and how many may be.
    pub fn in_flight(&self, destination: &str, calls: usize, limit: usize) {
        self.destination_inflight_requests.with_label_values(&[destination]).set(calls as i64);
        self.destination_concurrency_limit.with_label_values(&[destination]).set(limit as i64);
    }

    /// A write call of so many rows.
    pub fn batch_rows(&self, destination: &str, object: &str, rows: usize) {
        self.destination_batch_rows.with_label_values(&[destination, object]).observe(rows as f64);
    }

    /// A write call is made again.
    pub fn retry(&self, destination: &str, reason: &'static str) {
        self.destination_retries_total.with_label_values(&[destination, reason]).inc();
    }

    /// Waited for a rate limit: ours (`client`) or theirs (`server`).
    pub fn throttled(&self, destination: &str, origin: &'static str, time: Duration) {
        self.destination_throttled_seconds_total
            .with_label_values(&[destination, origin])
            .inc_by(time.as_secs_f64());
    }

    /// The destination reported a window, for example `10s` or `day`.
    pub fn quota(&self, destination: &str, window: &'static str, remaining: f64, limit: f64) {
        self.destination_quota_remaining.with_label_values(&[destination, window]).set(remaining);
        self.destination_quota_limit.with_label_values(&[destination, window]).set(limit);
    }

    /// The windows the destination reported so far: name, remaining, limit.
    pub fn quotas(&self, destination: &str) -> Vec<(String, f64, f64)> {
        let label = |metric: &prometheus::proto::Metric, name: &str| {
            let pair = metric.get_label().iter().find(|pair| pair.name() == name);
            pair.map(|pair| pair.value().to_owned())
        };
        let families = self.destination_quota_remaining.collect();
        let metrics = families.iter().flat_map(|family| family.get_metric());
        metrics
            .filter(|metric| label(metric, "destination").as_deref() == Some(destination))
            .filter_map(|metric| {
                let window = label(metric, "window")?;
                let limit = self.destination_quota_limit.with_label_values(&[destination, &window]);
                Some((window, metric.get_gauge().get_value(), limit.get()))
            })
            .collect()
    }

    /// When the window is next empty (microseconds since 1970).
    pub fn quota_reset(&self, destination: &str, window: &'static str, at: i64) {
        self.destination_quota_reset_timestamp_seconds
            .with_label_values(&[destination, window])
            .set(seconds(at));
    }

    /// Whether the destination took our credentials.
    pub fn auth(&self, destination: &str, ok: bool) {
        self.destination_auth_ok.with_label_values(&[destination]).set(i64::from(ok));
    }

    /// A warehouse query ran for so long. `kind`: `check`, `read`, `discover`.
    pub fn warehouse_query(&self, connection: &str, kind: &'static str, time: Duration) {
        self.warehouse_query_duration_seconds
            .with_label_values(&[connection, kind])
            .observe(time.as_secs_f64());
    }

    /// A durable commit took so long, or failed.
    pub fn commit(&self, time: Duration, ok: bool) {
        self.state_commit_duration_seconds.observe(time.as_secs_f64());
        if !ok {
            self.state_commit_failures_total.inc();
        }
    }

    /// Size of the state on disk.
    pub fn state_size(&self, bytes: u64) {
        self.state_size_bytes.set(int(bytes));
    }

    /// A log message of that level.
    pub fn log_message(&self, level: &'static str) {
        self.log_messages_total.with_label_values(&[level]).inc();
    }

    /// Resident memory of this process.
    pub fn resident_memory(&self, bytes: u64) {
        self.resident_memory_bytes.set(bytes as f64);
    }

    /// The names of all metrics there are, also those without a series yet.
    pub fn names(&self) -> Vec<String> {
        self.collectors()
            .iter()
            .flat_map(|collector| {
                collector.desc().into_iter().map(|desc| desc.fq_name.clone()).collect::<Vec<_>>()
            })
            .collect()
    }

    /// As [`Metrics::expose`], with the label `textfile` on every series: node_exporter refuses a series that stands in
    /// two files of its folder, and two processes write to one destination.
    pub fn expose_textfile(&self, name: &str) -> String {
        let mut families = self.registry.gather();
        for metric in families.iter_mut().flat_map(|family| family.mut_metric()) {
            let mut label = LabelPair::default();
            label.set_name("textfile".to_owned());
            label.set_value(name.to_owned());
            let mut labels = metric.take_label();
            labels.push(label);
            metric.set_label(labels);
        }
        TextEncoder::new().encode_to_string(&families).unwrap_or_default()
    }

    /// The text exposition format, version 0.0.4.
    pub fn expose(&self) -> String {
        TextEncoder::new().encode_to_string(&self.registry.gather()).unwrap_or_default()
    }

    /// Only what makes sense on a Pushgateway: the batch-job gauges, by sync.
    pub fn expose_batch_job(&self) -> String {
        let families: Vec<_> = self
            .registry
            .gather()
            .into_iter()
            .filter(|family| {
                let name = family.name();
                name.starts_with("outflow_run_last_")
                    || name.starts_with("outflow_sync_")
                    || name.starts_with("outflow_rejects_")
                    || name.ends_with("_watermark_timestamp_seconds")
                    || name == "outflow_rows_unaccounted"
            })
            .collect();
        TextEncoder::new().encode_to_string(&families).unwrap_or_default()
    }

    fn collectors(&self) -> Vec<&dyn Collector> {
        vec![
            &self.build_info,
            &self.sync_info,
            &self.sync_enabled,
            &self.sync_expected_interval_seconds,
            &self.sync_status,
            &self.runs_total,
            &self.run_last_success_timestamp_seconds,
            &self.run_last_completion_timestamp_seconds,
            &self.run_last_duration_seconds,
            &self.run_duration_seconds,
            &self.stage_busy_seconds_total,
            &self.queue_rows,
            &self.queue_bytes,
            &self.queue_capacity_bytes,
            &self.rows_read_total,
            &self.rows_unchanged_total,
            &self.rows_delivered_total,
            &self.rows_rejected_total,
            &self.rows_found_only_by_compare_total,
            &self.rows_unaccounted,
            &self.replication_slot_retained_bytes,
            &self.reconcile_drift_rows,
            &self.reconcile_last_success_timestamp_seconds,
            &self.rejects_open,
            &self.rows_unconfirmed,
            &self.rejects_oldest_timestamp_seconds,
            &self.source_watermark_timestamp_seconds,
            &self.delivered_watermark_timestamp_seconds,
            &self.delivery_latency_seconds,
            &self.backlog_rows,
            &self.read_bytes_total,
            &self.sent_bytes_total,
            &self.destination_requests_total,
            &self.destination_request_duration_seconds,
            &self.destination_inflight_requests,
            &self.destination_concurrency_limit,
            &self.destination_batch_rows,
            &self.destination_retries_total,
            &self.destination_throttled_seconds_total,
            &self.destination_quota_remaining,
            &self.destination_quota_limit,
            &self.destination_quota_reset_timestamp_seconds,
            &self.destination_auth_ok,
            &self.warehouse_query_duration_seconds,
            &self.state_commit_duration_seconds,
            &self.state_commit_failures_total,
            &self.state_size_bytes,
            &self.lease_held,
            &self.log_messages_total,
            &self.resident_memory_bytes,
        ]
    }
}

impl std::fmt::Debug for Metrics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Metrics")
    }
}

fn seconds(micros: i64) -> f64 {
    micros as f64 / 1e6
}

fn int(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_metric_has_one_name_and_the_series_of_a_sync_start_at_zero() {
        let metrics = Metrics::new("0.1.0", "unknown");
        let names = metrics.names();
        assert_eq!(names.len(), 50);
        metrics.sync_known(&SyncInfo {
            sync: "a".into(),
            source: "warehouse".into(),
            destination: "hubspot".into(),
            object: "contacts".into(),
            mode: "upsert",
            method: "watermark",
            expected_interval_seconds: Some(900.0),
            enabled: true,
        });
        metrics.quota("hubspot", "day", 250.0, 1000.0);
        metrics.quota("other", "day", 1.0, 2.0);
        assert_eq!(metrics.quotas("hubspot"), [("day".to_owned(), 250.0, 1000.0)]);
        let text = metrics.expose();
        assert!(
            text.contains("outflow_rows_delivered_total{op=\"create\",sync=\"a\"} 0"),
            "{text}"
        );
        assert!(text.contains("outflow_run_duration_seconds_count{sync=\"a\"} 0"), "{text}");
        assert!(
            text.contains("outflow_runs_total{status=\"ok\",sync=\"a\",trigger=\"manual\"} 0"),
            "{text}"
        );
        let labelled = metrics.expose_textfile("nightly");
        assert!(
            labelled.contains("op=\"create\",sync=\"a\",textfile=\"nightly\"} 0"),
            "{labelled}"
        );
        assert!(text.contains("outflow_build_info{revision=\"unknown\",version=\"0.1.0\"} 1"));
    }
}
