//! A plan as people read it on a terminal.

use engine::{Change, Plan, PlanOp, PlanRow, Reason, Removed, RemovedAction, Value};
use flow::Changes;

use super::{cost, groups};
use crate::config::CheckedSync;
use crate::output::{Output, clean};
use crate::report;
use crate::rulings;
use crate::text;

/// Fields shown of a sample; the JSON formats show all.
const FIELDS_SHOWN: usize = 5;

pub(super) fn print(output: &Output, planned: &CheckedSync, plan: &Plan, no_values: bool) {
    report::heading(output, planned);
    output.line(format_args!("  source      {}", source_line(planned, plan)));
    for (sign, label, rows, note) in [
        ("+", "create", plan.create, ""),
        ("~", "update", plan.update, ""),
        ("=", "unchanged", plan.unchanged, "(payload equal to the last acknowledged one)"),
        ("!", "invalid", plan.invalid, ""),
    ] {
        let note = match label {
            "update" => fields(plan),
            _ if rows == 0 => String::new(),
            _ => note.to_owned(),
        };
        let line = format!("  {sign} {label:<9} {:>9}   {note}", text::number(rows));
        output.line(line.trim_end());
    }
    if let Some(removed) = &planned.sync.removed {
        let line =
            format!("  - remove    {:>9}   {}", text::number(plan.removed), left(removed, plan));
        output.line(line.trim_end());
    }
    report::print_groups(output, "invalid", &groups(plan));
    for row in &plan.samples {
        output.line(format_args!("  sample      {}", sample(row, no_values)));
    }
    if let Some(why) = reasons(plan) {
        output.line(format_args!("  because     {why}"));
    }
    output.line(format_args!("  cost        {}", cost(plan)));
    rulings::print(output, &plan.rulings, !no_values);
    for finding in &plan.findings {
        report::print_finding(output, finding);
    }
}

/// Rows to update by the fields that change; says so where that is not known.
pub(super) fn fields(plan: &Plan) -> String {
    let named = plan.fields.iter().take(FIELDS_SHOWN);
    let mut said: Vec<String> =
        named.map(|(field, rows)| format!("{field} {}", text::number(*rows))).collect();
    if let Some(more @ 1..) = plan.fields.len().checked_sub(FIELDS_SHOWN) {
        said.push(format!("{} more", text::counted(more as u64, "field")));
    }
    match plan.unknown {
        0 => {}
        unknown if unknown == plan.update => {
            said.push("(which fields is not remembered; --live asks the destination)".to_owned());
        }
        unknown => said.push(format!("which fields unknown {}", text::number(unknown))),
    }
    said.join(" · ")
}

/// What would be done with the records of rows that left the model, and with which of them nothing yet.
pub(super) fn left(removed: &Removed, plan: &Plan) -> String {
    let action = match removed.action {
        RemovedAction::Delete => "deleted",
        RemovedAction::Update(_) => "updated with `removed.set`",
        RemovedAction::Ignore => "left alone",
    };
    let others = [
        (plan.removed_later, "wait for their grace"),
        (plan.removed_ignored, "need nothing"),
        (plan.removed_failed, "cannot be removed"),
    ];
    let others = others.into_iter().filter(|(rows, _)| *rows > 0);
    let others = others.map(|(rows, what)| format!("{} {what}", text::number(rows)));
    let done = (plan.removed > 0).then(|| action.to_owned());
    let said: Vec<String> = done.into_iter().chain(others).collect();
    if said.is_empty() { String::new() } else { format!("({})", said.join("; ")) }
}

/// Why rows would be sent, where it is not all for their first time.
pub(super) fn reasons(plan: &Plan) -> Option<String> {
    let said: Vec<String> = plan
        .reasons
        .iter()
        .map(|(why, rows)| format!("{} {}", why.as_str(), text::number(*rows)))
        .collect();
    let telling = plan.reasons.iter().any(|(why, _)| *why != Reason::First);
    telling.then(|| said.join(" · "))
}

pub(super) fn source_line(planned: &CheckedSync, plan: &Plan) -> String {
    let read = match plan.model_rows {
        Some(rows) if rows != plan.read => {
            format!("{}, {}", text::counted(rows, "row"), text::number(plan.read))
        }
        _ => text::counted(plan.read, "row"),
    };
    match (&planned.sync.model.changes, plan.from) {
        (Changes::Snapshot, _) => format!("{read} read (snapshot)"),
        (Changes::Log(log), _) => format!("{read} read (log, slot {})", log.slot),
        (Changes::Watermark { column, lag_micros }, None) => format!(
            "{read} read, the first run (watermark {column}, lag {})",
            text::duration(*lag_micros)
        ),
        (Changes::Watermark { column, lag_micros }, from) => format!(
            "{read} changed since {} (watermark {column}, lag {})",
            report::watermark(from),
            text::duration(*lag_micros)
        ),
    }
}

/// One row that would be sent: the fields that change, where that is known, else all.
fn sample(row: &PlanRow, no_values: bool) -> String {
    let shown = |value: &str| match no_values {
        true => "***".to_owned(),
        false => text::shortened(&clean(value)),
    };
    let sign = match row.op {
        PlanOp::Create => "+",
        PlanOp::Update => "~",
        PlanOp::Remove => "-",
    };
    let key: Vec<String> = row.key.parts().iter().map(|part| shown(part)).collect();
    let told = row.fields.iter().filter(|change| change.changed != Some(false));
    let mut fields: Vec<String> =
        told.clone().take(FIELDS_SHOWN).map(|change| from_to(change, row.op, &shown)).collect();
    if let Some(more @ 1..) = told.count().checked_sub(FIELDS_SHOWN) {
        fields.push(format!("{more} more"));
    }
    format!("{sign} {}   {}", key.join(", "), fields.join(" · "))
}

/// `plan_tier Professional -> Enterprise`, or what it will be where nobody knows what it was.
pub(super) fn from_to(change: &Change, op: PlanOp, shown: &impl Fn(&str) -> String) -> String {
    let Change { field, before, after, .. } = change;
    let value = |value: &Value| value.as_deref().map_or_else(|| "(empty)".to_owned(), shown);
    match before {
        Some(before) if op == PlanOp::Update => {
            format!("{field} {} -> {}", value(before), value(after))
        }
        _ => match after {
            Some(after) => format!("{field} {}", shown(after)),
            None => format!("{field} (emptied)"),
        },
    }
}

#[cfg(test)]
mod tests {
    use flow::Key;

    use super::*;

    fn change(field: &str, before: Option<Value>, after: Option<&str>) -> Change {
        let after = after.map(str::to_owned);
        let changed = before.as_ref().map(|before| *before != after);
        let filled = before.as_ref().map(Option::is_some);
        Change { field: field.to_owned(), before, filled, changed, after }
    }

    #[test]
    fn a_sample_shows_from_what_to_what_and_no_values_when_told_so() {
        let was = |text: &str| Some(Some(text.to_owned()));
        let row = PlanRow {
            key: Key::from_parts(&["7", "eu"]),
            op: PlanOp::Update,
            reason: Reason::Data,
            fields: vec![
                change("firstname", None, Some("Ada\u{1b}[2J")),
                change("phone", None, None),
                change("same", was("x"), Some("x")),
                change("plan", was("Free"), Some("Pro")),
                change("city", was("Rome"), None),
                change("note", Some(None), Some("new")),
            ],
        };
        assert_eq!(
            sample(&row, false),
            "~ 7, eu   firstname Ada\\u{1b}[2J · phone (emptied) · plan Free -> Pro · \
             city Rome -> (empty) · note (empty) -> new"
        );
        assert_eq!(
            sample(&row, true),
            "~ ***, ***   firstname *** · phone (emptied) · plan *** -> *** · city *** -> (empty) · \
             note (empty) -> ***"
        );
    }
}
