//! The first rows as they would be sent; nothing is sent and nothing is remembered.

use std::sync::Arc;

use flow::{Reject, Result, Scope, text_at};
use transform::RunMeta;

use crate::intake::Mapping;
use crate::prepare::prepare;
use crate::request::page;
use crate::spool::Item;
use crate::{Ports, Sync};

/// Mapped rows as text.
#[derive(Debug, Clone)]
pub struct Preview {
    /// Destination fields.
    pub fields: Vec<String>,
    /// One cell per field: `None` is null. A field that would be left alone is null here, too.
    pub rows: Vec<Vec<Option<String>>>,
    /// Rows that would be refused before sending.
    pub rejects: Vec<Reject>,
}

/// Maps the first `rows` rows of the model.
///
/// # Errors
/// As a run's, before anything is sent.
pub async fn preview(sync: &Sync, ports: &Ports, rows: u64) -> Result<Preview> {
    let prepared = Arc::new(prepare(sync, ports).await?);
    let mut request = page(sync, Scope::All, None).request;
    request.rows_max = Some(rows);
    let run = run_meta(sync, ports);
    let mut mapping = Mapping::new(Arc::new(sync.clone()), ports, (prepared, run));
    let mut read = ports.source.read(request).await?;
    let opening = Arc::new(read.opening().clone());
    let mut preview = Preview { fields: Vec::new(), rows: Vec::new(), rejects: Vec::new() };
    while let Some(batch) = read.next().await? {
        let item = Item::of(batch, Arc::clone(&opening));
        let mapped = mapping.map(item).await?.mapped;
        let payload = mapped.payload;
        let names = payload.fields.schema_ref().fields().iter().map(|field| field.name().clone());
        preview.fields = names.collect();
        preview.rows.extend((0..payload.rows()).map(|row| {
            let columns = payload.fields.columns().iter();
            columns
                .map(|column| column.is_valid(row).then(|| text_at(column, row).into_owned()))
                .collect()
        }));
        preview.rejects.extend(mapped.rejects);
    }
    Ok(preview)
}

/// The run a preview or a plan pretends to be.
pub(crate) fn run_meta(sync: &Sync, ports: &Ports) -> RunMeta {
    RunMeta {
        id: "preview".to_owned(),
        sync: sync.name.clone(),
        started_at: ports.clock.now_micros(),
    }
}
