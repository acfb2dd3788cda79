//! `outflow rejects`: rows that did not land, why, and what to do about them.

mod export;

use flow::{Key, RejectRecord};
use serde_json::{Value, json};
use state::{RejectFilter, State};

use self::export::Export;
use crate::confirm;
use crate::context::{Context, Outcome};
use crate::explain;
use crate::failure::{Failure, Result};
use crate::moment;
use crate::output::{Tone, clean};
use crate::project::Project;
use crate::report;
use crate::session::{Job, Manner, Session};
use crate::text;

/// Commands about rejects.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum RejectsCommand {
    /// List rejects by code and field, with what to do.
    Ls {
        /// Only rejects of this sync.
        #[arg(short, long = "select", value_name = "SYNC")]
        sync: Option<String>,
    },
    /// Show the rejected rows of a sync. A destination's own message may hold row values and is shown with
    /// --reveal only.
    Show {
        /// Which rows.
        #[command(flatten)]
        which: Which,
        /// Show the messages of the destination.
        #[arg(long)]
        reveal: bool,
        /// At most so many rows.
        #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..))]
        limit: u64,
    },
    /// Write the rejected rows as CSV: a line each, with the primary key in columns of its own, to join with the warehouse
    /// or to open in a spreadsheet.
    Export {
        /// Which rows.
        #[command(flatten)]
        which: Which,
        /// Write the messages of the destination, too; they may hold row values.
        #[arg(long)]
        reveal: bool,
        /// For a spreadsheet: what it would take for a formula gets an apostrophe in front.
        #[arg(long)]
        spreadsheet: bool,
    },
    /// Read the rejected rows again as they are now, and send them.
    Retry {
        /// Which rows.
        #[command(flatten)]
        which: Which,
    },
    /// Forget rejects. A discarded row is sent again only when it changes; one that the mapping refuses is a reject
    /// again when it is read again.
    Discard {
        /// Which rows.
        #[command(flatten)]
        which: Which,
        /// Do not ask.
        #[arg(long)]
        yes: bool,
    },
}

/// Which rejects.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Which {
    /// The sync.
    #[arg(short, long = "select", value_name = "SYNC")]
    pub sync: String,
    /// Only this code.
    #[arg(long, value_name = "CODE")]
    pub code: Option<String>,
    /// Only the row with this primary key; parts separated by tabs, or a JSON array. Repeatable.
    #[arg(long, value_name = "KEY", allow_hyphen_values = true)]
    pub key: Vec<String>,
}

impl RejectsCommand {
    /// The word in the summary.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Ls { .. } => "rejects ls",
            Self::Show { .. } => "rejects show",
            Self::Export { .. } => "rejects export",
            Self::Retry { .. } => "rejects retry",
            Self::Discard { .. } => "rejects discard",
        }
    }
}

/// Runs the command.
///
/// # Errors
/// When the project or the state cannot be opened, and for a sync, code or key there is none of.
pub(crate) async fn run(context: &Context, command: &RejectsCommand) -> Result<Outcome> {
    let project = Project::load(context)?;
    let state = project.open_state().await?;
    match command {
        RejectsCommand::Ls { sync } => {
            if let Some(sync) = sync {
                project.known_sync(sync, state.as_ref()).await?;
            }
            list(context, state.as_ref(), sync.as_deref()).await?;
        }
        RejectsCommand::Show { which, reveal, limit } => {
            let records = find(&project, state.as_ref(), which).await?;
            show(context, &records, *reveal, *limit);
        }
        RejectsCommand::Export { which, reveal, spreadsheet } => {
            let records = find(&project, state.as_ref(), which).await?;
            // A sync that left the project has no model any more to name the parts of its keys.
            let key =
                project.one(&which.sync).map(|planned| planned.sync.model.primary_key.clone());
            let columns = key.unwrap_or_else(|_| vec!["key".to_owned()]);
            let exported = Export { columns: &columns, reveal: *reveal, guarded: *spreadsheet };
            exported.write(&context.output, &records);
        }
        RejectsCommand::Retry { which } => {
            let records = find(&project, state.as_ref(), which).await?;
            return retry(context, &project, state, (which, &records)).await;
        }
        RejectsCommand::Discard { which, yes } => {
            let records = find(&project, state.as_ref(), which).await?;
            let rows = text::counted(rows_of(&records), "row");
            confirm::ask(*yes, &format!("Discard the rejects of {rows} of `{}`?", which.sync))?;
            let ids: Vec<i64> = records.iter().map(|record| record.id).collect();
            let discarded = state.discard_rejects(&ids).await?;
            context.output.line(format_args!("discarded {}", text::counted(discarded, "reject")));
            context.output.item("discarded", &json!({ "rejects": discarded }));
        }
    }
    Ok(Outcome::done())
}

async fn list(context: &Context, state: &dyn State, sync: Option<&str>) -> Result<()> {
    let output = &context.output;
    let now = context.clock.now_micros();
    let groups = state.reject_groups(sync).await?;
    let mut rows = Vec::new();
    let mut actions = Vec::new();
    for group in &groups {
        let known =
            report::group(&group.code, group.field.as_deref(), Some(&group.stage), group.rows);
        let mut item = serde_json::to_value(&known).unwrap_or_default();
        item["sync"] = Value::from(group.sync.as_str());
        item["oldest_at"] = Value::from(text::rfc3339(group.oldest_at));
        output.item("reject_group", &item);
        rows.push(vec![
            group.sync.clone(),
            group.code.clone(),
            group.stage.clone(),
            clean(group.field.as_deref().unwrap_or("-")),
            text::counted(group.rows, "row"),
            format!(
                "since {} ({})",
                text::moment(group.oldest_at),
                text::ago(now, group.oldest_at)
            ),
        ]);
        actions.push(format!("    {}\n    -> {}", known.title, known.action));
    }
    for (line, action) in text::table(&rows).into_iter().zip(actions) {
        output.line(format_args!("{line}\n{action}"));
    }
    if groups.is_empty() {
        output.note("no open rejects");
    } else {
        output
            .note("\nrows: `outflow rejects show -s SYNC`; again: `outflow rejects retry -s SYNC`");
    }
    Ok(())
}

/// The rejects that were asked for.
async fn find(project: &Project, state: &dyn State, which: &Which) -> Result<Vec<RejectRecord>> {
    project.known_sync(&which.sync, state).await?;
    if let Some(code) = &which.code
        && explain::code(code).is_none()
    {
        return Err(Failure::usage(
            format!("there is no code `{code}`"),
            "`outflow rejects ls` lists the codes of the open rejects",
        ));
    }
    let filter = RejectFilter {
        sync: Some(which.sync.clone()),
        code: which.code.as_ref().map(|code| code.to_uppercase()),
        key: None,
    };
    if which.key.is_empty() {
        return Ok(state.rejects(&filter).await?);
    }
    let mut records = Vec::new();
    for text in &which.key {
        let key = key_of(project, which, text)?;
        let filter = RejectFilter { key: Some(key.as_str().to_owned()), ..filter.clone() };
        let found = state.rejects(&filter).await?;
        if found.is_empty() {
            return Err(Failure::usage(
                format!("there is no open reject of the row {key}"),
                format!("`outflow rejects show -s {}` lists them", which.sync),
            ));
        }
        records.extend(found);
    }
    Ok(records)
}

fn key_of(project: &Project, which: &Which, text: &str) -> Result<Key> {
    // A sync that left the project has no model any more to say how many parts its keys have.
    let Ok(planned) = project.one(&which.sync) else {
        let parts: Vec<&str> = text.split('\t').collect();
        return Ok(Key::from_parts(&parts));
    };
    moment::key(text, &planned.sync.model.primary_key)
        .map_err(|problem| Failure::usage(format!("--key: {problem}"), "for example --key 42"))
}

fn rows_of(records: &[RejectRecord]) -> u64 {
    records.iter().map(|record| record.rows).sum()
}

fn show(context: &Context, records: &[RejectRecord], reveal: bool, limit: u64) {
    let output = &context.output;
    let now = context.clock.now_micros();
    for record in records.iter().take(usize::try_from(limit).unwrap_or(usize::MAX)) {
        let key = record.key.as_deref().map(|key| Key::from_stored(key).to_string());
        let reason = reason(record, reveal);
        let rows =
            if record.rows == 1 { String::new() } else { format!(" ({} rows)", record.rows) };
        output.line(format_args!(
            "{}{rows}  {}  {}  {}  {}",
            output.paint(Tone::Head, clean(key.as_deref().unwrap_or("NULL"))),
            output.paint(Tone::Warn, &record.code),
            record.stage,
            clean(record.field.as_deref().unwrap_or("-")),
            text::ago(now, record.last_at),
        ));
        output.line(format_args!("    {}", clean(&reason)));
        output.item(
            "reject",
            &json!({
                "id": record.id,
                "sync": record.sync,
                "key": key,
                "stage": record.stage,
                "code": record.code,
                "field": record.field,
                "reason": reason,
                "rows": record.rows,
                "first_at": text::rfc3339(record.first_at),
                "last_at": text::rfc3339(record.last_at),
                "run_id": record.run_id,
            }),
        );
    }
    let shown = u64::try_from(records.len()).unwrap_or(u64::MAX).min(limit);
    if shown < records.len() as u64 {
        output.note(format_args!(
            "{} of {} shown; --limit shows more",
            text::number(shown),
            text::counted(records.len() as u64, "reject")
        ));
    }
    if records.is_empty() {
        output.note("no open rejects");
    } else if !reveal && records.iter().any(|record| record.stage == "destination") {
        output.note("--reveal shows the destination's own messages, which may hold row values");
    }
}

/// Why a row was refused. What the destination answered may repeat the row, and is not shown unless asked for.
fn reason(record: &RejectRecord, reveal: bool) -> String {
    if reveal || record.stage == "validate" {
        return record.reason.clone();
    }
    explain::code(&record.code).map_or("refused by the destination", |code| code.title).to_owned()
}

async fn retry(
    context: &Context,
    project: &Project,
    state: std::sync::Arc<dyn State>,
    (which, records): (&Which, &[RejectRecord]),
) -> Result<Outcome> {
    let planned = project.one(&which.sync)?;
    let keys: Vec<Key> =
        records.iter().filter_map(|record| record.key.clone()).map(Key::from_stored).collect();
    let keyless = records.iter().filter(|record| record.key.is_none()).map(|record| record.rows);
    let keyless: u64 = keyless.sum();
    if keyless > 0 {
        context.output.note(format_args!(
            "{} without a primary key cannot be read again; the next run looks at what changed",
            text::counted(keyless, "row")
        ));
    }
    if keys.is_empty() {
        context.output.note("nothing to retry");
        return Ok(Outcome { status: Some("unchanged"), ..Outcome::done() });
    }
    let session = Session::start(context, project, state);
    session.announce(&[planned]).await;
    let summary = session.perform(planned, Job::Retry(keys), Manner::default()).await;
    Ok(Outcome::of_syncs(vec![summary]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn x1_what_a_destination_answered_is_shown_only_when_asked_for() {
        let mut record = RejectRecord {
            id: 1,
            sync: "a".to_owned(),
            key: Some("7".to_owned()),
            stage: "destination".to_owned(),
            code: "R999".to_owned(),
            field: Some("email".to_owned()),
            reason: "ada@x.io is taken".to_owned(),
            rows: 1,
            first_at: 0,
            last_at: 0,
            run_id: "r".to_owned(),
        };
        assert_eq!(reason(&record, false), "refused by the destination");
        assert_eq!(reason(&record, true), "ada@x.io is taken");
        record.stage = "validate".to_owned();
        assert_eq!(reason(&record, false), "ada@x.io is taken");
    }
}
