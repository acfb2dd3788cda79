//! One shard of a sync's work: of every read only the rows whose keys are its own, so that several processes can share one
//! run and no key is ever two processes' (D3).

use flow::arrow::array::{ArrayRef, BooleanArray};
use flow::arrow::compute::filter_record_batch;
use flow::arrow::error::ArrowError;
use flow::{Batch, Changes, Error, Fault, Key, Lease, Result, Scope, Shard};

use crate::request::{Remembered, page, pages_of_run};
use crate::run::{Job, advance, execute};
use crate::{Ports, RunFailure, RunOptions, RunReport, Sync, Watch, codes};

/// Runs one shard of the sync under the shard's lease: what changed of its rows is sent, and how far it has come is
/// remembered for the shard. Nothing is removed and nothing confirmed; the sync's next run does that.
///
/// # Errors
/// `E4090` and `E4091` for a sync whose run cannot be shared; else as [`crate::run`].
pub async fn run_shard(
    sync: &Sync,
    ports: &Ports,
    (lease, shard): (&Lease, Shard),
    options: RunOptions,
    watch: &dyn Watch,
) -> Result<RunReport, RunFailure> {
    may_be_shared(sync, ports).await?;
    let remembered = Remembered::of(sync, ports).await?;
    let pages = match options.full_refresh {
        true => vec![page(sync, Scope::All, None)],
        false => pages_of_run(sync, &remembered, i64::MIN),
    };
    let job = Job { shard: Some(shard), ..Job::new(pages, advance(sync, remembered)) };
    execute(sync, ports, lease, (job, options), watch).await
}

/// Refuses a sync of which no single shard can be judged.
async fn may_be_shared(sync: &Sync, ports: &Ports) -> Result<()> {
    if matches!(sync.model.changes, Changes::Log(_)) {
        let text = format!("Sync `{}` follows a log, which one process reads.", sync.name);
        return Err(Error::new(&codes::E4090, text));
    }
    let confirms = sync.guards.confirm_first_run && ports.store.known_rows(&sync.name).await? == 0;
    if sync.guards.weigh() || confirms {
        let text = format!("Sync `{}` has guards that look at the whole run.", sync.name);
        return Err(Error::new(&codes::E4091, text));
    }
    Ok(())
}

/// The batch without rows that are not the shard's. A row whose key is NULL is of the first.
pub(crate) fn keep(sync: &Sync, shard: Shard, batch: Batch) -> Result<Batch> {
    let columns: Option<Vec<&ArrayRef>> =
        sync.model.primary_key.iter().map(|name| batch.rows.column_by_name(name)).collect();
    let columns = columns.unwrap_or_default();
    let own: BooleanArray = (0..batch.rows.num_rows())
        .map(|row| Some(shard.has(Key::at(&columns, row).as_ref())))
        .collect();
    if own.true_count() == own.len() {
        return Ok(batch);
    }
    let before = |row: usize| own.slice(0, row).true_count();
    let faults = batch
        .faults
        .into_iter()
        .filter(|fault| own.value(fault.row))
        .map(|fault| Fault { row: before(fault.row), ..fault })
        .collect();
    let lost = |error: ArrowError| {
        Error::new(&codes::E4007, "the rows of a shard could not be picked").with_source(error)
    };
    let rows = filter_record_batch(&batch.rows, &own).map_err(lost)?;
    Ok(Batch { rows, faults, last: batch.last })
}
