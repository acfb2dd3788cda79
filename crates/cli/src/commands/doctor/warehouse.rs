//! Is the warehouse there, may the role read the models and nothing more, and does its clock agree with ours.

use std::sync::Arc;
use std::time::Duration;

use flow::{Batch, Changes, Model, ReadRequest, Relation, Scope, Source, text_at};

use super::Report;
use crate::config::CheckedSync;
use crate::failure::Failure;
use crate::text;

/// Clocks that differ by more are worth a warning.
const SKEW_MAX: Duration = Duration::from_secs(5);

/// Facts about a PostgreSQL session that no model needs to know.
const POSTGRES_FACTS: &str = "select 1 as id, current_setting('server_version') as version, \
     current_user::text as role, pg_is_in_recovery() as standby, \
     (select count(*) from pg_class c join pg_namespace n on n.oid = c.relnamespace \
      where c.relkind in ('r', 'p') and n.nspname !~ '^pg_' and n.nspname <> 'information_schema' \
      and has_schema_privilege(n.oid, 'USAGE') \
      and has_table_privilege(c.oid, 'INSERT, UPDATE, DELETE, TRUNCATE')) as writable";

/// Checks one warehouse with the models its syncs read.
pub(super) async fn check(
    report: &Report<'_>,
    (name, kind): (&str, &str),
    source: &Arc<dyn Source>,
    syncs: &[&CheckedSync],
) {
    if kind == "postgres" {
        match facts(report, source).await {
            Ok(facts) => show(report, name, &facts),
            Err(error) => {
                report.fail(name, &Failure::Error(error));
                return;
            }
        }
    } else if let Err(error) = source.discover(None).await {
        report.fail(name, &Failure::Error(error));
        return;
    }
    for planned in syncs {
        match source.check(&planned.sync.model).await {
            Ok(checked) => {
                let columns = text::counted(checked.columns.len() as u64, "column");
                report.ok(name, &format!("the model of `{}` has {columns}", planned.sync.name));
                for finding in checked.findings {
                    report.advise(name, &finding);
                }
            }
            Err(error) => report.fail(name, &Failure::Error(error)),
        }
    }
}

/// What is known about the session.
struct Facts {
    version: String,
    role: String,
    standby: bool,
    writable: u64,
    skew_micros: i64,
}

async fn facts(report: &Report<'_>, source: &Arc<dyn Source>) -> flow::Result<Facts> {
    let model = Model {
        relation: Relation::Sql(POSTGRES_FACTS.to_owned()),
        primary_key: vec!["id".to_owned()],
        changes: Changes::Snapshot,
        removed_when: None,
    };
    let request = ReadRequest {
        model: Arc::new(model),
        columns: Vec::new(),
        scope: Scope::All,
        after: None,
        rows_max: None,
    };
    let mut read = source.read(request).await?;
    let skew_micros = report.context.clock.now_micros() - read.opening().clock.0;
    let batch = read.next().await?;
    let text = |column: &str| batch.as_ref().map_or(String::new(), |batch| cell(batch, column));
    Ok(Facts {
        version: text("version"),
        role: text("role"),
        standby: text("standby") == "true",
        writable: text("writable").parse().unwrap_or(0),
        skew_micros,
    })
}

fn cell(batch: &Batch, column: &str) -> String {
    match batch.rows.column_by_name(column) {
        Some(column) if batch.rows.num_rows() > 0 => text_at(column, 0).into_owned(),
        _ => String::new(),
    }
}

fn show(report: &Report<'_>, name: &str, facts: &Facts) {
    let standby = if facts.standby { ", a standby" } else { "" };
    report.ok(name, &format!("PostgreSQL {} as role {}{standby}", facts.version, facts.role));
    if facts.writable == 0 {
        report.ok(name, "the role can change no table");
    } else {
        report.warn(
            name,
            &format!("the role can change {}", text::counted(facts.writable, "table")),
            "outflow never writes; give it a role with SELECT only (sql/warehouse/role.sql)",
        );
    }
    let skew = Duration::from_micros(facts.skew_micros.unsigned_abs());
    let way = if facts.skew_micros > 0 { "behind" } else { "ahead of" };
    if skew > SKEW_MAX {
        let message = format!("its clock is {:.1} s {way} ours", skew.as_secs_f64());
        report.warn(name, &message, "synchronise both clocks (NTP)");
    } else {
        report.ok(name, "its clock agrees with ours");
    }
}
