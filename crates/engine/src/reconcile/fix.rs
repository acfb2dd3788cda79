//! The plan of what a reconciliation puts back: rows as they were acknowledged, to be written once more.

use std::path::Path;

use flow::{Entry, Fingerprint, Key, Result, Target};

use super::Reconciled;
use crate::Sync;
use crate::apply::config_name;
use crate::guard::Counts;
use crate::plan::PlanOp;
use crate::plan_file::{Change, Header, PlanWriter, PlannedRow};
use crate::request::Remembered;
use crate::weight::Reason;

/// A plan under way.
pub(super) struct Fix {
    writer: PlanWriter,
    rows: u64,
}

impl Fix {
    /// Begins.
    pub(super) fn new(path: &Path) -> Result<Self> {
        Ok(Self { writer: PlanWriter::new(path)?, rows: 0 })
    }

    /// A row to be written again, with the fields to be written.
    pub(super) fn push(
        &mut self,
        (key, fingerprint, entry): (&Key, Fingerprint, Option<&Entry>),
        values: Vec<Change>,
    ) -> Result<()> {
        self.rows += 1;
        // This is what the row is once its acknowledgement is forgotten, which applying begins with.
        self.writer.push(PlannedRow {
            key: Some(key.clone()),
            op: match entry.and_then(|entry| entry.match_hash) {
                Some(_) => PlanOp::Update.as_str().to_owned(),
                None => PlanOp::Create.as_str().to_owned(),
            },
            reason: Some(Reason::Unconfirmed.as_str().to_owned()),
            fingerprint: Some(fingerprint),
            values,
            ..PlannedRow::default()
        })
    }

    /// Ends it; gives the SHA-256 of the file.
    pub(super) fn finish(
        self,
        (sync, target, remembered): (&Sync, &Target, &Remembered),
        (origin, made_at): (&str, i64),
        found: &Reconciled,
    ) -> Result<String> {
        let counts = Counts {
            read: found.read,
            known: found.read,
            model_rows: Some(found.read),
            update: self.rows,
            ..Counts::default()
        };
        self.writer.finish(&Header {
            sync: sync.name.clone(),
            origin: origin.to_owned(),
            made_at,
            config: config_name(sync),
            target: Header::of_target(target),
            watermark: Header::watermark_of(remembered),
            mark: Header::mark_of(remembered),
            whole: true,
            reached: None,
            counts,
            drift: true,
        })
    }
}
