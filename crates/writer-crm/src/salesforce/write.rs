//! One batch: what is asked for, checked, and sent by a call or as a job.

use flow::arrow::array::RecordBatch;
use flow::{Error, Mode, Outcome, Receipt, Result, WriteBatch};
use writer::codes::{E2016_CALL, E2017_NOT_OFFERED, R203_NOT_FOUND};

use super::bulk::Plan;
use super::codes::{E2106_CREATE, R220_SEVERAL};
use super::collections::{Call, ROWS_MAX};
use super::wire::{self, ID};
use super::{Salesforce, Transfer, bulk};

/// How the records of a batch are addressed.
enum Addressed {
    /// By an external id in this column.
    External(usize),
    /// Not at all: they are made.
    New,
    /// By their own ids, one per row, which this column holds, if any does.
    Ids(Vec<String>, Option<usize>),
    /// By values of this column, which only a query finds.
    Looked(usize),
}

impl Salesforce {
    pub(super) async fn write_batch(&self, batch: &WriteBatch) -> Result<Receipt> {
        let rows = batch.payload.rows();
        let addressed = check(batch)?;
        if rows == 0 {
            return Ok(Receipt { outcomes: Vec::new() });
        }
        if let Addressed::New = addressed {
            let unique = &self.shape(&batch.object).await?.unique;
            if !batch.match_on.first().is_some_and(|field| unique.contains(field)) {
                let message = "`match_on` names a field that is not unique in Salesforce";
                return Err(Error::new(&E2106_CREATE, message));
            }
        }
        let receipt = match addressed {
            Addressed::Looked(column) => self.write_looked_up(batch, column).await?,
            addressed => self.write_addressed(batch, &addressed).await?,
        };
        assert_eq!(receipt.outcomes.len(), rows, "one outcome per row");
        Ok(receipt)
    }

    async fn write_addressed(&self, batch: &WriteBatch, addressed: &Addressed) -> Result<Receipt> {
        let hard = self.hard_delete && batch.mode == Mode::Delete;
        match batch.job.is_some() || hard {
            true => self.write_as_job(batch, addressed).await,
            false => self.write_by_call(batch, addressed).await,
        }
    }

    async fn write_by_call(&self, batch: &WriteBatch, addressed: &Addressed) -> Result<Receipt> {
        let order = wire::order(batch);
        let call = Call {
            batch,
            external: addressed.external(),
            id_column: addressed.id_column(),
            ids: addressed.ids(),
            order: &order,
        };
        if let Some(column) = call.external {
            wire::found_by(batch, column)?;
        }
        let reply = self.call(&|| call.request(&self.base), Transfer::Json).await?;
        let judge = self.judge(order.len());
        match reply.is_success() {
            true => call.receipt(&reply, &judge),
            false => Err(judge.error(&reply)),
        }
    }

    /// Rows that a CSV file cannot say go by call; the others are one job.
    async fn write_as_job(&self, batch: &WriteBatch, addressed: &Addressed) -> Result<Receipt> {
        let tokens = match (addressed, addressed.ids()) {
            (Addressed::Ids(..), ids) => ids.to_vec(),
            _ => wire::found_by(batch, wire::match_column(batch, &batch.match_on[0])?)?,
        };
        let schema = batch.payload.fields.schema_ref();
        let plan = Plan {
            batch,
            operation: self.operation(batch.mode, addressed),
            external: addressed.external().map(|column| schema.field(column).name().as_str()),
            id_column: addressed.id_column(),
            ids: addressed.ids(),
            tokens,
        };
        let unfit = plan.unfit();
        let mut order = wire::order(batch);
        order.retain(|row| unfit.binary_search(row).is_err());
        let mut outcomes = match order.is_empty() {
            true => vec![Outcome::Unknown { reason: "not sent" }; batch.payload.rows()],
            false => self.write_job(&plan, &order).await?.outcomes,
        };
        for rows in unfit.chunks(ROWS_MAX) {
            let answers = self.write_some(batch, addressed, rows).await;
            for (row, outcome) in rows.iter().zip(answers) {
                outcomes[*row] = outcome;
            }
        }
        Ok(Receipt { outcomes })
    }

    /// Sends some of the rows by call. An error is theirs alone: the job's rows have their outcomes already.
    async fn write_some(
        &self,
        batch: &WriteBatch,
        addressed: &Addressed,
        rows: &[usize],
    ) -> Vec<Outcome> {
        let answer = match some(batch, addressed, rows) {
            Ok((part, addressed)) => self.write_by_call(&part, &addressed).await,
            Err(error) => Err(error),
        };
        match answer {
            Ok(receipt) => receipt.outcomes,
            Err(error) if error.is_ambiguous() => {
                vec![Outcome::Unknown { reason: "no clear answer" }; rows.len()]
            }
            Err(_) => vec![Outcome::Retry { after: None, reason: "refused" }; rows.len()],
        }
    }

    fn operation(&self, mode: Mode, addressed: &Addressed) -> &'static str {
        match (mode, addressed) {
            (Mode::Delete, _) if self.hard_delete => "hardDelete",
            (Mode::Delete, _) => "delete",
            (_, Addressed::New) => "insert",
            (_, Addressed::External(_)) => "upsert",
            _ => "update",
        }
    }

    /// Finds the records' ids first, since Salesforce neither updates nor deletes by another field. A record that is not
    /// there is nothing to delete, and cannot be updated.
    async fn write_looked_up(&self, batch: &WriteBatch, column: usize) -> Result<Receipt> {
        wire::found_by(batch, column)?;
        let values = batch.payload.fields.project(&[column]).map_err(|error| {
            Error::new(&E2016_CALL, "the column of `match_on` cannot be read").with_source(error)
        })?;
        let found = self.lookup(batch, &values).await?;
        let mut outcomes: Vec<Option<Outcome>> = Vec::with_capacity(found.len());
        let (mut rows, mut ids) = (Vec::new(), Vec::new());
        for (row, records) in found.into_iter().enumerate() {
            outcomes.push(match <[String; 1]>::try_from(records) {
                Ok([id]) => {
                    rows.push(row);
                    ids.push(id);
                    None
                }
                Err(none) if none.is_empty() => Some(missing(batch.mode)),
                Err(_) => Some(Outcome::Rejected {
                    code: &R220_SEVERAL,
                    message: "several records have this value".to_owned(),
                    field: batch.match_on.first().cloned(),
                }),
            });
        }
        if !rows.is_empty() {
            let (part, _) = some(batch, &Addressed::New, &rows)?;
            let receipt = self.write_addressed(&part, &Addressed::Ids(ids, None)).await?;
            for (row, outcome) in rows.iter().zip(receipt.outcomes) {
                outcomes[*row] = Some(outcome);
            }
        }
        let unknown = Outcome::Unknown { reason: "no answer for the row" };
        Ok(Receipt {
            outcomes: outcomes
                .into_iter()
                .map(|one| one.unwrap_or_else(|| unknown.clone()))
                .collect(),
        })
    }

    async fn lookup(&self, batch: &WriteBatch, values: &RecordBatch) -> Result<Vec<Vec<String>>> {
        // A query changes nothing, however its answer is lost.
        self.ids_of(&batch.object, values).await.map_err(|error| {
            let retry = error.retry();
            match error.is_ambiguous() {
                true => {
                    Error::new(error.code(), error.message()).with_retry(retry).with_source(error)
                }
                false => error,
            }
        })
    }
}

fn missing(mode: Mode) -> Outcome {
    match mode {
        Mode::Delete => Outcome::Delivered { created: None, remote_id: None },
        _ => Outcome::Rejected {
            code: &R203_NOT_FOUND,
            message: "no record has this value".to_owned(),
            field: None,
        },
    }
}

impl Addressed {
    fn external(&self) -> Option<usize> {
        match self {
            Self::External(column) => Some(*column),
            _ => None,
        }
    }

    fn ids(&self) -> &[String] {
        match self {
            Self::Ids(ids, _) => ids,
            _ => &[],
        }
    }

    fn id_column(&self) -> Option<usize> {
        match self {
            Self::Ids(_, column) => *column,
            _ => None,
        }
    }
}

/// Some rows of a batch, addressed as before.
fn some(
    batch: &WriteBatch,
    addressed: &Addressed,
    rows: &[usize],
) -> Result<(WriteBatch, Addressed)> {
    let indices: Option<Vec<u32>> = rows.iter().map(|row| u32::try_from(*row).ok()).collect();
    let payload = indices.and_then(|rows| batch.payload.take(&rows).ok());
    let payload =
        payload.ok_or_else(|| Error::new(&E2016_CALL, "rows of a batch cannot be taken out"))?;
    let addressed = match addressed {
        Addressed::Ids(ids, column) => {
            Addressed::Ids(rows.iter().map(|row| ids[*row].clone()).collect(), *column)
        }
        Addressed::External(column) => Addressed::External(*column),
        Addressed::Looked(column) => Addressed::Looked(*column),
        Addressed::New => Addressed::New,
    };
    Ok((WriteBatch { payload, record_ids: Vec::new(), ..batch.clone() }, addressed))
}

/// How the records of a batch that keeps to the limits are addressed.
fn check(batch: &WriteBatch) -> Result<Addressed> {
    wire::object_path(&batch.object)?;
    let rows = batch.payload.rows();
    let rows_max = match batch.job {
        Some(_) => bulk::limits(false).rows_max,
        None => ROWS_MAX,
    };
    let refuse = |message: &str| Err(Error::new(&E2017_NOT_OFFERED, message));
    if batch.mode == Mode::Append {
        return refuse("Salesforce's objects are records, not events: mode append is not offered");
    }
    if rows > rows_max {
        let message = format!("{rows} rows at once; Salesforce takes {rows_max}");
        return Err(Error::new(&E2016_CALL, message));
    }
    if !batch.record_ids.is_empty() {
        let fits = batch.record_ids.len() == rows
            && batch.record_ids.iter().all(|id| super::answer::record_id(id).is_some());
        if !fits || batch.mode == Mode::Create {
            return Err(Error::new(&E2016_CALL, "a call does not have one record id per row"));
        }
        let own = batch.payload.fields.schema_ref().index_of(ID).ok();
        return Ok(Addressed::Ids(batch.record_ids.clone(), own));
    }
    let [match_on] = &*batch.match_on else {
        return refuse("Salesforce finds a record by one field; `match_on` must name exactly one");
    };
    let column = wire::match_column(batch, match_on)?;
    match batch.mode {
        Mode::Update | Mode::Delete if match_on == ID => {
            Ok(Addressed::Ids(wire::found_by(batch, column)?, Some(column)))
        }
        Mode::Update | Mode::Delete => Ok(Addressed::Looked(column)),
        _ if match_on == ID => refuse(
            "a record that is not there yet has no `Id`; find it by an external id, or use `mode: update`",
        ),
        Mode::Create => Ok(Addressed::New),
        _ => Ok(Addressed::External(column)),
    }
}
