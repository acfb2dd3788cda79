//! A plan as Markdown, for a pull request or a job's summary.

use std::fmt::Write as _;

use engine::{Plan, PlanOp, PlanRow};

use super::PlanArgs;
use super::cost;
use super::shown::{fields, from_to, left, reasons, source_line};
use crate::config::CheckedSync;
use crate::output::clean;
use crate::report;
use crate::rulings;
use crate::text;

/// Fields shown of a sample.
const FIELDS_SHOWN: usize = 8;

/// The whole plan of one sync.
pub(super) fn page(planned: &CheckedSync, plan: &Plan, args: &PlanArgs) -> String {
    let sync = &planned.sync;
    let mut page = format!("### outflow plan: {}\n\n", escape(&sync.name));
    // Writing to a String cannot fail.
    let _ = writeln!(
        page,
        "`{}` to `{}.{}` ({}); {}\n",
        report::model(planned),
        sync.destination,
        sync.object,
        sync.mode.as_str(),
        escape(&source_line(planned, plan))
    );
    counts(&mut page, planned, plan);
    let _ = writeln!(page, "**Cost**: {}", escape(&cost(plan)));
    if let Some(why) = reasons(plan) {
        let _ = writeln!(page, "\n**Why**: {}", escape(&why));
    }
    guards(&mut page, plan, !args.values);
    rejects(&mut page, plan);
    samples(&mut page, plan, !args.values);
    if let (Some(file), Some(sha256)) = (&args.out, &plan.sha256) {
        let file = escape(&clean(&file.display().to_string()));
        let _ = writeln!(page, "\nPlan file `{file}`, SHA-256 `{sha256}`.");
    }
    page
}

fn counts(page: &mut String, planned: &CheckedSync, plan: &Plan) {
    page.push_str("| | rows | |\n|---|---:|---|\n");
    let mut row = |what: &str, rows: u64, note: &str| {
        let _ = writeln!(page, "| {what} | {} | {} |", text::number(rows), escape(note));
    };
    row("create", plan.create, "");
    row("update", plan.update, &fields(plan));
    row("unchanged", plan.unchanged, "");
    row("invalid", plan.invalid, "");
    if let Some(removed) = &planned.sync.removed {
        row("remove", plan.removed, &left(removed, plan));
    }
    page.push('\n');
}

fn guards(page: &mut String, plan: &Plan, hides_values: bool) {
    if plan.rulings.is_empty() {
        return;
    }
    page.push_str("\n| guard | |\n|---|---|\n");
    for ruling in &plan.rulings {
        let word = if ruling.stopped { "**stopped**" } else { "ok" };
        let _ = writeln!(page, "| {} | {word} |", escape(&rulings::measure(ruling)));
        for common in &ruling.common {
            let sentence = rulings::sentence(ruling.guard, common, !hides_values);
            let _ = writeln!(page, "| {} | |", escape(&sentence));
        }
    }
}

fn rejects(page: &mut String, plan: &Plan) {
    if plan.rejects.is_empty() {
        return;
    }
    page.push_str("\n| invalid | rows | field | |\n|---|---:|---|---|\n");
    for group in &plan.rejects {
        let field = group.field.as_deref().unwrap_or_default();
        let _ = writeln!(
            page,
            "| {} | {} | {} | {} |",
            group.code.id,
            text::number(group.rows),
            escape(&clean(field)),
            escape(group.code.title)
        );
    }
}

fn samples(page: &mut String, plan: &Plan, hides_values: bool) {
    if plan.samples.is_empty() {
        return;
    }
    page.push_str("\n| sample | key | |\n|---|---|---|\n");
    for row in &plan.samples {
        let _ = writeln!(page, "| {} |", sample(row, hides_values).join(" | "));
    }
}

fn sample(row: &PlanRow, hides_values: bool) -> [String; 3] {
    let shown = |value: &str| match hides_values {
        true => "***".to_owned(),
        false => escape(&text::shortened(&clean(value))),
    };
    let op = match row.op {
        PlanOp::Create => "create",
        PlanOp::Update => "update",
        PlanOp::Remove => "remove",
    };
    let key: Vec<String> = row.key.parts().iter().map(|part| shown(part)).collect();
    let told = row.fields.iter().filter(|change| change.changed != Some(false));
    let fields: Vec<String> =
        told.take(FIELDS_SHOWN).map(|change| from_to(change, row.op, &shown)).collect();
    [op.to_owned(), key.join(", "), fields.join("<br>")]
}

/// Text that is nothing but text in a table's cell, whatever somebody wrote into a field (X4).
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '|' | '*' | '_' | '`' | '[' | ']' | '\\' | '#' | '!' | '~' => escaped.extend(['\\', c]),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '&' => escaped.push_str("&amp;"),
            '@' => escaped.push_str("&#64;"),
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_cannot_be_markdown() {
        // X4: no table cell, link, mention or tag of its own.
        assert_eq!(
            escape("a|b [x](http://y) <img> @team `c`"),
            "a\\|b \\[x\\](http://y) &lt;img&gt; &#64;team \\`c\\`"
        );
    }
}
