//! What a run prints and what it says in the summary: source, row accounting, requests, rejects by code.

use std::collections::BTreeMap;

use engine::RunReport;
use flow::{Changes, Finding, RejectRecord, Relation, RunCounts, RunRecord, RunStatus, Watermark};
use state::{RejectFilter, State};

use crate::config::CheckedSync;
use crate::explain;
use crate::output::{Output, Tone, clean};
use crate::rulings;
use crate::summary::{ErrorSummary, RejectGroup, SyncSummary};
use crate::text;

/// Rejects of a run that are looked at one by one; memory does not grow with more of them.
const REJECTS_LOOKED_AT: u64 = 10_000;

/// The rows one run refused.
#[derive(Debug, Clone, Default)]
pub(crate) struct Refused {
    /// By code and field, most rows first.
    pub groups: Vec<RejectGroup>,
    /// Rows that were not refused before this run.
    pub new_rows: u64,
}

impl Refused {
    /// What the state has of this run.
    pub(crate) async fn of_run(state: &dyn State, run: &RunRecord) -> Self {
        // A record that could not be removed is a reject, too.
        let refused = run.counts.rejected + run.counts.gone_failed;
        if refused == 0 {
            return Self::default();
        }
        if refused > REJECTS_LOOKED_AT {
            return Self { new_rows: refused, groups: open_groups(state, run).await };
        }
        let filter = RejectFilter { sync: Some(run.sync.clone()), ..RejectFilter::default() };
        let records = state.rejects(&filter).await.unwrap_or_else(|error| {
            tracing::warn!(%error, "the rejects of the run could not be read");
            Vec::new()
        });
        let own: Vec<&RejectRecord> =
            records.iter().filter(|record| record.run_id == run.id).collect();
        let fresh = own.iter().filter(|record| record.first_at >= run.started_at);
        let new_rows = fresh.map(|record| record.rows).sum();
        let mut groups = grouped(&own);
        // A payload that was refused before is held back, and its reject is still that of the earlier run.
        let written: u64 = groups.iter().map(|group| group.rows).sum();
        if let Some(held @ 1..) = refused.checked_sub(written) {
            groups.push(group(engine::codes::R403.id, None, None, held));
        }
        Self { groups, new_rows }
    }
}

/// All open rejects of the run's sync by cause: where there are too many to look at one by one.
async fn open_groups(state: &dyn State, run: &RunRecord) -> Vec<RejectGroup> {
    let groups = state.reject_groups(Some(&run.sync)).await.unwrap_or_default();
    groups
        .iter()
        .map(|known| group(&known.code, known.field.as_deref(), Some(&known.stage), known.rows))
        .collect()
}

/// Rejects by code and field, most rows first.
pub(crate) fn grouped(records: &[&RejectRecord]) -> Vec<RejectGroup> {
    let mut rows: BTreeMap<(&str, Option<&str>, &str), u64> = BTreeMap::new();
    for record in records {
        let kind = (record.code.as_str(), record.field.as_deref(), record.stage.as_str());
        *rows.entry(kind).or_default() += record.rows;
    }
    let mut groups: Vec<RejectGroup> = rows
        .into_iter()
        .map(|((code, field, stage), rows)| group(code, field, Some(stage), rows))
        .collect();
    groups.sort_by_key(|group| std::cmp::Reverse(group.rows));
    groups
}

/// A group with what its code means and what to do.
pub(crate) fn group(
    code: &str,
    field: Option<&str>,
    stage: Option<&str>,
    rows: u64,
) -> RejectGroup {
    let known = explain::code(code);
    RejectGroup {
        code: code.to_owned(),
        field: field.map(str::to_owned),
        stage: stage.map(str::to_owned),
        rows,
        title: known.map_or("a code of another version", |known| known.title).to_owned(),
        action: known.map_or("see `outflow rejects show`", |known| known.remedy).to_owned(),
    }
}

/// Rejects of one code and field, two lines each.
pub(crate) fn print_groups(output: &Output, label: &str, groups: &[RejectGroup]) {
    for (index, group) in groups.iter().enumerate() {
        let label = if index == 0 { label } else { "" };
        let field = group.field.as_deref().map(|field| format!(" · {}", clean(field)));
        output.line(format_args!(
            "  {label:<11} {}  {}{}  {}",
            output.paint(Tone::Warn, &group.code),
            text::counted(group.rows, "row"),
            field.unwrap_or_default(),
            group.title,
        ));
        output.line(format_args!("  {:<11} -> {}", "", group.action));
    }
}

/// The status word of a run that ended by itself: `unchanged` where there was nothing to send or to refuse. More rejects
/// than the limit are never nothing, also when all of them were known before.
pub(crate) fn status_word(report: &RunReport, refused: &Refused) -> &'static str {
    let counts = &report.run.counts;
    let quiet = refused.new_rows == 0 && !report.rejects_above_limit;
    let idle = counts.delivered() == 0 && counts.requests == 0 && counts.parked == 0;
    match report.run.status {
        RunStatus::Ok | RunStatus::Partial if idle && quiet => "unchanged",
        status => status.as_str(),
    }
}

/// Puts the run into the summary.
pub(crate) fn fill(summary: &mut SyncSummary, report: &RunReport, refused: &Refused) {
    summary.set_run(&report.run);
    summary.set_watermarks(report.from, report.to);
    summary.open_rejects = Some(report.open_rejects);
    summary.unconfirmed = Some(report.unconfirmed);
    summary.rejects.clone_from(&refused.groups);
    summary.guards = rulings::summaries(&report.rulings, false);
    summary.findings = report.findings.iter().map(ErrorSummary::from).collect();
}

/// What the rows are read from: `warehouse.fct_user_usage`, or `warehouse:models/user_usage.sql`.
pub(crate) fn model(planned: &CheckedSync) -> String {
    let between = match planned.sync.model.relation {
        Relation::Table(_) => ".",
        Relation::Sql(_) => ":",
    };
    format!("{}{between}{}", planned.sync.source, planned.model_name)
}

/// The line every report of a sync begins with.
pub(crate) fn heading(output: &Output, planned: &CheckedSync) {
    let sync = &planned.sync;
    let keys: Vec<&str> = sync.match_on.iter().map(|(field, _)| field.as_str()).collect();
    output.line(format_args!(
        "{}   {} -> {}.{} ({} on {})",
        output.paint(Tone::Head, &sync.name),
        model(planned),
        sync.destination,
        sync.object,
        sync.mode.as_str(),
        keys.join(", ")
    ));
}

/// A run with everything its report needs.
pub(crate) struct Shown<'a> {
    /// The sync.
    pub planned: &'a CheckedSync,
    /// What the engine says.
    pub report: &'a RunReport,
    /// What the summary says.
    pub summary: &'a SyncSummary,
    /// Whether this was an ordinary run, which moves the watermark.
    pub ordinary: bool,
}

/// The whole report of a run.
pub(crate) fn print(output: &Output, shown: &Shown<'_>) {
    let Shown { planned, report, summary, .. } = shown;
    let run = &report.run;
    let counts = &run.counts;
    heading(output, planned);
    output.line(format_args!("  source      {}", source_line(shown)));
    for (sign, label, rows) in [
        ("+", "create", counts.created),
        ("~", "update", counts.updated),
        ("=", "unchanged", counts.unchanged),
        ("!", "rejected", counts.rejected),
        (".", "parked", counts.parked),
    ] {
        output.line(format_args!("  {sign} {label:<9} {:>9}", text::number(rows)));
    }
    let gone = gone_line(&run.counts);
    if let Some(gone) = &gone {
        let removed = text::number(counts.removed);
        output.line(format_args!("  - {:<9} {removed:>9}", "removed"));
        output.line(format_args!("  accounts    {}", accounts(run)));
        output.line(format_args!("              {gone}"));
    } else {
        output.line(format_args!("  accounts    {}", accounts(run)));
    }
    output.line(format_args!("  sent        {}", sent(run)));
    rulings::print(output, &report.rulings, true);
    print_groups(output, "rejects", &summary.rejects);
    if !report.findings.is_empty() {
        let codes: Vec<&str> = report.findings.iter().map(|finding| finding.code.id).collect();
        output.line(format_args!(
            "  advice      {}: outflow validate --online -s {}",
            codes.join(", "),
            run.sync
        ));
    }
    if report.open_rejects > 0 {
        output.line(format_args!(
            "  open        {}: outflow rejects show -s {}",
            text::counted(report.open_rejects, "reject"),
            run.sync
        ));
    }
    if report.unconfirmed > 0 {
        output.line(format_args!(
            "  unconfirmed {}: a call without a clear answer may still change them; sent once more later",
            text::counted(report.unconfirmed, "row")
        ));
    }
    if let Some(wake_at) = run.wake_at {
        output.line(format_args!("  wakes up    {}", text::moment(wake_at)));
    }
    let tone = tone_of(&summary.status);
    output.line(format_args!(
        "  {}  run {}",
        output.paint(tone, format_args!("{:<10}", summary.status)),
        run.id
    ));
}

/// A piece of advice, in two lines.
pub(crate) fn print_finding(output: &Output, finding: &Finding) {
    output.line(format_args!(
        "  advice      {}  {}",
        output.paint(Tone::Warn, finding.code.id),
        clean(&finding.message)
    ));
    output.line(format_args!("  {:<11} -> {}", "", finding.remedy));
}

/// The colour of a status word.
pub(crate) fn tone_of(status: &str) -> Tone {
    match status {
        "ok" | "unchanged" => Tone::Good,
        "failed" | "crashed" => Tone::Bad,
        _ => Tone::Warn,
    }
}

fn source_line(shown: &Shown<'_>) -> String {
    let Shown { planned, report, ordinary, .. } = shown;
    let read = format!("{} read", text::counted(report.run.counts.read, "row"));
    if !ordinary {
        return format!("{read}; the watermark stays where it is");
    }
    let (column, lag_micros) = match &planned.sync.model.changes {
        Changes::Watermark { column, lag_micros } => (column, lag_micros),
        Changes::Log(log) => return format!("{read}, log of slot {}", log.slot),
        Changes::Snapshot => return format!("{read}, snapshot"),
    };
    let lag = text::duration(*lag_micros);
    let moved = match (report.from, report.to) {
        (None, None) => "none yet".to_owned(),
        (from, to) if from == to => format!("stays at {}", watermark(to)),
        (from, to) => format!("{} -> {}", watermark(from), watermark(to)),
    };
    format!("{read}, watermark {column} {moved}, lag {lag}")
}

/// A watermark as people read it.
pub(crate) fn watermark(watermark: Option<Watermark>) -> String {
    match watermark {
        None => "none".to_owned(),
        Some(Watermark::INFINITY) => "infinity".to_owned(),
        Some(Watermark::NEG_INFINITY) => "-infinity".to_owned(),
        Some(Watermark(micros)) => text::moment(micros),
    }
}

/// The accounting of rows that left the model, where there were any.
pub(crate) fn gone_line(counts: &RunCounts) -> Option<String> {
    (counts.gone > 0).then(|| {
        format!(
            "gone {} = removed {} + waiting {} + ignored {} + failed {}",
            text::number(counts.gone),
            text::number(counts.removed),
            text::number(counts.gone_waiting),
            text::number(counts.gone_ignored),
            text::number(counts.gone_failed),
        )
    })
}

/// The accounting line of a run.
pub(crate) fn accounts(run: &RunRecord) -> String {
    let counts = &run.counts;
    format!(
        "read {} = unchanged {} + delivered {} + rejected {} + parked {}",
        text::number(counts.read),
        text::number(counts.unchanged),
        text::number(counts.delivered()),
        text::number(counts.rejected),
        text::number(counts.parked),
    )
}

/// Requests, time and rate of a run.
pub(crate) fn sent(run: &RunRecord) -> String {
    let requests = text::counted(run.counts.requests, "request");
    let again = match run.counts.retries {
        0 => String::new(),
        retries => format!(" ({} of them again)", text::number(retries)),
    };
    let Some(ended_at) = run.ended_at else { return format!("{requests}{again}") };
    let micros = (ended_at - run.started_at).max(1);
    let rate = (run.counts.read as f64 / (micros as f64 / 1e6)).round();
    format!("{requests}{again} in {}, {} rows/s", text::span(micros), text::number(rate as u64))
}

/// The error of a run whose accounting does not balance; the engine reports it too, this is the last check.
pub(crate) fn unbalanced(report: &RunReport) -> Option<String> {
    let rows = report.run.counts.unaccounted();
    (rows != 0).then(|| {
        format!(
            "error[{}]: internal error: {rows} rows of run {} are in none of the counts\n  help: {}",
            engine::codes::E4001.id,
            report.run.id,
            engine::codes::E4001.remedy
        )
    })
}
