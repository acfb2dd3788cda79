//! Is the destination there, does it take our credentials, does it have the objects, and how much quota is left.

use std::collections::BTreeSet;
use std::sync::Arc;

use flow::{Destination, Kind};

use super::Report;
use crate::failure::Failure;
use crate::config::CheckedSync;
use crate::text;

/// Share of a window below which its rest is worth a warning.
const QUOTA_LOW: f64 = 0.1;

/// Checks one destination with the objects its syncs use.
pub(super) async fn check(
    report: &Report<'_>,
    name: &str,
    destination: &Arc<dyn Destination>,
    syncs: &[&CheckedSync],
) {
    let mut objects: BTreeSet<String> =
        syncs.iter().map(|planned| planned.sync.object.clone()).collect();
    if objects.is_empty() {
        // Nothing uses it yet; any object shows whether the credentials work.
        objects.extend(destination.objects().into_iter().take(1));
    }
    for object in objects {
        match destination.describe(&object).await {
            Ok(schema) => {
                let fields = text::counted(schema.fields.len() as u64, "field");
                report.ok(name, &format!("credentials work; `{object}` has {fields}"));
            }
            Err(error) => {
                let everything = matches!(error.kind(), Kind::Unreachable | Kind::Credentials);
                report.fail(name, &Failure::Error(error));
                if everything {
                    break;
                }
            }
        }
    }
    quota(report, name);
}

/// What the destination said about its windows while it was asked.
fn quota(report: &Report<'_>, name: &str) {
    let exposed = report.context.metrics.expose();
    for (window, left) in values(&exposed, "outflow_destination_quota_remaining", name) {
        let limits = values(&exposed, "outflow_destination_quota_limit", name);
        let limit = limits.iter().find(|(known, _)| *known == window).map(|(_, limit)| *limit);
        let of = limit.map_or(String::new(), |limit| format!(" of {}", text::number(limit as u64)));
        let message = format!("quota {window}: {}{of} requests left", text::number(left as u64));
        if limit.is_some_and(|limit| left < limit * QUOTA_LOW) {
            report.warn(name, &message, "wait for the window to pass, or lower quota_share");
        } else {
            report.ok(name, &message);
        }
    }
}

/// Window and value of the series of `metric` that belong to this destination.
fn values(exposed: &str, metric: &str, destination: &str) -> Vec<(String, f64)> {
    let label = format!("destination=\"{destination}\"");
    exposed
        .lines()
        .filter_map(|line| line.strip_prefix(metric)?.strip_prefix('{'))
        .filter(|line| line.contains(&label))
        .filter_map(|line| {
            let (labels, value) = line.rsplit_once("} ")?;
            let (_, window) = labels.split_once("window=\"")?;
            Some((window.trim_end_matches('"').to_owned(), value.parse().ok()?))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quota_is_read_from_the_metrics() {
        let metrics = flow::metrics::Metrics::new("0", "x");
        metrics.quota("hubspot", "day", 250.0, 1000.0);
        metrics.quota("other", "day", 1.0, 2.0);
        let exposed = metrics.expose();
        assert_eq!(
            values(&exposed, "outflow_destination_quota_remaining", "hubspot"),
            [("day".to_owned(), 250.0)]
        );
    }
}
