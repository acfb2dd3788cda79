//! Is the destination there, does it take our credentials, does it have the objects, and how much quota is left.

use std::collections::BTreeSet;
use std::sync::Arc;

use flow::{Destination, Kind};

use super::Report;
use crate::config::CheckedSync;
use crate::failure::Failure;
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
    for (window, left, limit) in report.context.metrics.quotas(name) {
        let message = format!(
            "quota {window}: {} of {} requests left",
            text::number(left as u64),
            text::number(limit as u64)
        );
        if left < limit * QUOTA_LOW {
            report.warn(name, &message, "wait for the window to pass, or lower quota_share");
        } else {
            report.ok(name, &message);
        }
    }
}
