//! What the guards say, for people and for programs.

use engine::{Common, Guard, Limit, Ruling};
use schemars::JsonSchema;
use serde::Serialize;

use crate::output::{Output, Tone, clean};
use crate::text;

/// What one guard says.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct GuardSummary {
    /// Its key under `guards:`.
    pub guard: String,
    /// `ok`, `stopped`, or `allowed` by `apply --allow`.
    pub verdict: String,
    /// What was counted: rows, values or calls.
    pub count: u64,
    /// Of how many, where the limit is a share.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub of: Option<u64>,
    /// The limit: a share from 0 to 1 where `of` is there, else a count.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<f64>,
    /// What the rows it is about have in common.
    pub common: Vec<CommonSummary>,
}

/// Something most rows in question have in common.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct CommonSummary {
    /// A column of the model or a field of the destination.
    pub name: String,
    /// Its value; only in plans, and not with `--no-values`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    /// Rows or values for which it holds.
    pub rows: u64,
    /// Rows or values in question.
    pub of: u64,
}

/// The guards for the summary; `values` says whether values of the model may be in it.
pub(crate) fn summaries(rulings: &[Ruling], values: bool) -> Vec<GuardSummary> {
    let common = |common: &Common| CommonSummary {
        name: common.name.clone(),
        value: common.value.clone().filter(|_| values),
        rows: common.rows,
        of: common.of,
    };
    rulings
        .iter()
        .map(|ruling| GuardSummary {
            guard: ruling.guard.name().to_owned(),
            verdict: verdict(ruling).to_owned(),
            count: ruling.count,
            of: matches!(ruling.limit, Limit::Share(_) | Limit::ShareOrRows(..))
                .then_some(ruling.of),
            limit: match ruling.limit {
                Limit::Share(share) | Limit::ShareOrRows(share, _) => Some(share),
                Limit::AtMost(count) | Limit::AtLeast(count) => Some(count as f64),
                Limit::Plan => None,
            },
            common: ruling.common.iter().map(common).collect(),
        })
        .collect()
}

fn verdict(ruling: &Ruling) -> &'static str {
    match ruling {
        Ruling { stopped: true, .. } => "stopped",
        Ruling { allowed: true, .. } => "allowed",
        _ => "ok",
    }
}

/// One line with every guard, and one more for each that stops: what its rows have in common.
pub(crate) fn print(output: &Output, rulings: &[Ruling], values: bool) {
    if rulings.is_empty() {
        return;
    }
    let said: Vec<String> = rulings
        .iter()
        .map(|ruling| {
            let word = verdict(ruling);
            let tone = if ruling.stopped { Tone::Bad } else { Tone::Good };
            format!("{} {}", measure(ruling), output.paint(tone, word))
        })
        .collect();
    output.line(format_args!("  guards      {}", said.join(" · ")));
    for ruling in rulings {
        for common in &ruling.common {
            output.line(format_args!("  {:<11} -> {}", "", sentence(ruling.guard, common, values)));
        }
    }
}

/// What was counted against the limit: `max_changed 4 % of 30 %`.
pub(crate) fn measure(ruling: &Ruling) -> String {
    let name = ruling.guard.name();
    let share = || ruling.share().map_or_else(|| "none known".to_owned(), text::percent);
    match ruling.limit {
        Limit::Share(limit) => format!("{name} {} of {}", share(), text::percent(limit)),
        Limit::ShareOrRows(limit, rows) => format!(
            "{name} {} of {} or {}",
            share(),
            text::percent(limit),
            text::counted(rows, "row")
        ),
        Limit::AtMost(limit) => {
            format!("{name} {} of {}", text::number(ruling.count), text::number(limit))
        }
        Limit::AtLeast(limit) => {
            format!("{name} {} of {}", text::number(ruling.count), text::number(limit))
        }
        Limit::Plan => format!("{name} confirm"),
    }
}

/// `58 of the 61 gone rows have office = Lyon`, `all 40 emptied values are in phone`.
pub(crate) fn sentence(guard: Guard, common: &Common, values: bool) -> String {
    let what = match guard {
        Guard::MaxRemoved => "gone rows",
        Guard::MaxChanged => "changed rows",
        Guard::MaxNullOut => "emptied values",
        Guard::MaxRejected => "rejected rows",
        Guard::MaxInvalid => "invalid rows",
        Guard::MinRows | Guard::MaxRequests | Guard::FirstRun => "rows",
    };
    let (rows, of) = (text::number(common.rows), text::number(common.of));
    let part = if common.rows == common.of {
        format!("all {of} {what}")
    } else {
        format!("{rows} of the {of} {what}")
    };
    let name = clean(&common.name);
    match &common.value {
        Some(value) => {
            let value = if values { clean(value) } else { "***".to_owned() };
            format!("{part} have {name} = {value}")
        }
        None if guard == Guard::MaxNullOut => format!("{part} are in {name}"),
        None if guard == Guard::MaxChanged => format!("{part} differ in {name}"),
        None => format!("{part} are so for {name}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guard_says_what_it_counted_its_limit_and_what_rows_have_in_common() {
        let common = |value: Option<&str>, rows| Common {
            name: "office".to_owned(),
            value: value.map(str::to_owned),
            rows,
            of: 61,
        };
        let ruling = |guard, limit, count, of| Ruling {
            guard,
            count,
            of,
            limit,
            stopped: false,
            allowed: false,
            common: Vec::new(),
        };
        for (ruling, expected) in [
            (ruling(Guard::MaxChanged, Limit::Share(0.3), 4, 100), "max_changed 4 % of 30 %"),
            (ruling(Guard::MaxChanged, Limit::Share(0.3), 4, 0), "max_changed none known of 30 %"),
            (
                ruling(Guard::MaxRemoved, Limit::ShareOrRows(0.02, 5), 1, 300),
                "max_removed 0.33 % of 2 % or 5 rows",
            ),
            (ruling(Guard::MinRows, Limit::AtLeast(1000), 48_210, 0), "min_rows 48 210 of 1 000"),
        ] {
            assert_eq!(measure(&ruling), expected);
        }
        let said = |guard, common: &Common| sentence(guard, common, true);
        assert_eq!(
            said(Guard::MaxRemoved, &common(Some("Lyon"), 58)),
            "58 of the 61 gone rows have office = Lyon"
        );
        assert_eq!(
            said(Guard::MaxNullOut, &common(None, 61)),
            "all 61 emptied values are in office"
        );
        assert!(!sentence(Guard::MaxRemoved, &common(Some("Lyon"), 58), false).contains("Lyon"));
    }
}
