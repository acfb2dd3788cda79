//! Associating the records of one call with others, after they are written: an upsert cannot do it by itself.
//!
//! Whatever fails here, the record is written already. So a row is delivered only when all it wants is associated, too, and
//! else it is written in part ([`Outcome::InPart`]): what it held before is gone, and sending it again does no harm.

mod answer;
mod steps;
mod ways;
mod wish;

use std::collections::HashMap;

use flow::{Error, Kind, Outcome, Receipt, Result, Retry, WriteBatch};
use writer::codes::R211_CALL_INVALID;
use writer::{Method, Request};

use self::steps::{Held, Pair, Steps};
use self::wish::Target;
pub(super) use self::{
    answer::object,
    ways::{PREFIX, Way, ways},
    wish::{Wishes, any},
};
use super::HubSpot;
use super::codes::R222_ASSOCIATION;

/// Associations one call may make, or take away.
const PAIRS_MAX: usize = 2_000;
/// Records whose associations one call may ask for.
const RECORDS_MAX: usize = 1_000;
/// Pages of one record's associations that are looked through.
const PAGES_MAX: usize = 200;

/// What became of the rows' associations; `None` where nothing is wrong.
type Rests = Vec<Option<Outcome>>;

impl HubSpot {
    /// Associates the records of the rows that were written, and says of each whether it is whole.
    ///
    /// # Errors
    /// What ends the run, and a refusal of a whole call, so that the engine finds the row.
    pub(super) async fn associate(
        &self,
        batch: &WriteBatch,
        wishes: &Wishes,
        receipt: Receipt,
    ) -> Result<Receipt> {
        let mut outcomes = receipt.outcomes;
        for target in &wishes.targets {
            let records: Vec<Option<&str>> = outcomes.iter().map(record_of).collect();
            let mut rests = vec![None; outcomes.len()];
            for (row, record) in records.iter().enumerate() {
                let nameless = matches!(&outcomes[row], Outcome::Delivered { remote_id: None, .. });
                if record.is_none() && nameless && target.rows[row].is_some() {
                    rests[row] = Some(Outcome::Unknown { reason: "no record id to associate" });
                }
            }
            self.settle(batch, target, &records, &mut rests).await?;
            for (outcome, rest) in outcomes.iter_mut().zip(rests) {
                if let Some(rest) = rest {
                    *outcome = in_part(outcome, rest);
                }
            }
        }
        Ok(Receipt { outcomes })
    }

    /// Makes the associations with one other object what the rows want.
    async fn settle(
        &self,
        batch: &WriteBatch,
        target: &Target,
        records: &[Option<&str>],
        rests: &mut Rests,
    ) -> Result<()> {
        let rows = batch.payload.rows();
        let held = match target.decides() {
            true => {
                match self.associated((&batch.object, &target.to), wished(target, records)).await {
                    Ok(held) => Some(held),
                    Err(error) => {
                        let rest = rest_of(error, rows)?;
                        let asked = target.rows.iter().zip(records);
                        for (at, _) in asked
                            .enumerate()
                            .filter(|(_, (wish, record))| wish.is_some() && record.is_some())
                        {
                            rests[at] = Some(rest.clone());
                        }
                        return Ok(());
                    }
                }
            }
            false => None,
        };
        let steps = Steps::new(target, records, held.as_ref());
        for (pairs, verb) in
            [(steps.part, Verb::Part), (steps.unlabel, Verb::Unlabel), (steps.join, Verb::Join)]
        {
            for pairs in pairs.chunks(PAIRS_MAX) {
                let outcomes = match self.ask(batch, target, (verb, pairs)).await {
                    Ok(outcomes) => outcomes,
                    Err(error) => vec![Some(rest_of(error, rows)?); pairs.len()],
                };
                for (pair, outcome) in pairs.iter().zip(outcomes) {
                    let outcome = outcome.map(|outcome| named(outcome, target, pair));
                    rests[pair.row] = worse(rests[pair.row].take(), outcome);
                }
            }
        }
        Ok(())
    }

    /// One call about pairs of records.
    async fn ask(
        &self,
        batch: &WriteBatch,
        target: &Target,
        (verb, pairs): (Verb, &[Pair]),
    ) -> Result<Rests> {
        let (path, operation, body) = match verb {
            Verb::Part => ("archive", "part", steps::parted(pairs)),
            Verb::Unlabel => ("labels/archive", "unlabel", steps::typed(pairs, &target.ways)),
            Verb::Join => ("create", "associate", steps::typed(pairs, &target.ways)),
        };
        let path = format!("/crm/v4/associations/{}/{}/batch/{path}", batch.object, target.to);
        let reply =
            self.call(Request { method: Method::POST, path, operation, body: Some(body) }).await?;
        let judge = self.judge(pairs.len());
        match (reply.is_success(), verb) {
            (false, _) => Err(judge.error(&reply)),
            (true, Verb::Join) => answer::made(&reply, judge, pairs),
            // HubSpot answers with an empty body, also about associations that were not there.
            (true, _) if reply.status == 204 && reply.fault.is_none() => {
                Ok(vec![None; pairs.len()])
            }
            (true, _) => Err(judge.unreadable(&reply)),
        }
    }

    /// What the fields hold for each of these records: the ids of the others, separated by `;`, in order. By field, then by
    /// record.
    ///
    /// # Errors
    /// What asking for them meets; a field that HubSpot has no association for is empty.
    pub(super) async fn read_associations(
        &self,
        object: &str,
        fields: &[&str],
        records: &[String],
    ) -> Result<HashMap<String, HashMap<String, String>>> {
        let mut read: HashMap<String, HashMap<String, String>> = HashMap::new();
        if fields.is_empty() {
            return Ok(read);
        }
        let known = self.known_ways(object).await?;
        let ways = known.iter().filter(|way| fields.contains(&&*way.field));
        let mut held: HashMap<&str, HashMap<String, Held>> = HashMap::new();
        for way in ways {
            if !held.contains_key(&*way.to) {
                let found = self.associated((object, &way.to), records.to_vec()).await?;
                held.insert(&way.to, found);
            }
            let of = |held: &Held| {
                let others = held.iter().filter(|(_, ids)| ids.contains(&way.type_id));
                let mut others: Vec<&str> = others.map(|(other, _)| other.as_str()).collect();
                others.sort_unstable();
                others.join(";")
            };
            let found = held[&*way.to].iter().map(|(record, held)| (record.clone(), of(held)));
            read.insert(way.field.clone(), found.collect());
        }
        Ok(read)
    }

    /// What records are associated with.
    async fn associated(
        &self,
        (from, to): (&str, &str),
        mut records: Vec<String>,
    ) -> Result<HashMap<String, Held>> {
        records.sort_unstable();
        records.dedup();
        let mut held = HashMap::new();
        let path = format!("/crm/v4/associations/{from}/{to}/batch/read");
        for some in records.chunks(RECORDS_MAX) {
            let mut asked: Vec<(String, Option<String>)> =
                some.iter().map(|record| (record.clone(), None)).collect();
            let mut pages = 0;
            while !asked.is_empty() {
                if pages == PAGES_MAX {
                    let message =
                        format!("a record has more than {PAGES_MAX} pages of associations");
                    return Err(Error::new(&R211_CALL_INVALID, message));
                }
                pages += 1;
                let (method, body) = (Method::POST, Some(steps::asked(&asked)));
                let request =
                    Request { method, path: path.clone(), operation: "associations", body };
                let reply = self.call(request).await?;
                let judge = self.judge(asked.len());
                if !reply.is_success() {
                    return Err(judge.error(&reply));
                }
                asked = answer::found(&reply, judge, &mut held)?;
            }
        }
        Ok(held)
    }
}

/// The records of rows that say something about their associations.
fn wished(target: &Target, records: &[Option<&str>]) -> Vec<String> {
    let rows = target.rows.iter().zip(records);
    rows.filter_map(|(wish, record)| wish.as_ref().and(*record)).map(str::to_owned).collect()
}

#[derive(Debug, Clone, Copy)]
enum Verb {
    Part,
    Unlabel,
    Join,
}

/// The record of a row that was written.
fn record_of(outcome: &Outcome) -> Option<&str> {
    match outcome {
        Outcome::Delivered { remote_id, .. } | Outcome::InPart { remote_id, .. } => {
            remote_id.as_deref()
        }
        _ => None,
    }
}

/// A row whose record is written, and whose associations are not.
fn in_part(written: &Outcome, rest: Outcome) -> Outcome {
    match written {
        Outcome::Delivered { remote_id, .. } => {
            Outcome::InPart { remote_id: remote_id.clone(), rest: Box::new(rest) }
        }
        Outcome::InPart { remote_id, rest: before } => {
            let rest = worse(Some((**before).clone()), Some(rest.clone())).unwrap_or(rest);
            Outcome::InPart { remote_id: remote_id.clone(), rest: Box::new(rest) }
        }
        other => other.clone(),
    }
}

/// Of two things about one row the one that counts: what is not known comes before what is to be tried again, and both
/// before a refusal, which is no less true after another try.
fn worse(one: Option<Outcome>, other: Option<Outcome>) -> Option<Outcome> {
    let rank = |outcome: &Option<Outcome>| match outcome {
        Some(Outcome::Unknown { .. }) => 3,
        Some(Outcome::Retry { .. }) => 2,
        Some(_) => 1,
        None => 0,
    };
    if rank(&other) > rank(&one) { other } else { one }
}

/// A refusal with the field that named the association.
fn named(outcome: Outcome, target: &Target, pair: &Pair) -> Outcome {
    match outcome {
        Outcome::Rejected { code, message, field: None } => {
            let way = pair.ways.first().map_or(0, |way| *way);
            let field = target.ways.get(way).map(|way| way.field.clone());
            Outcome::Rejected { code, message, field }
        }
        outcome => outcome,
    }
}

/// What a call that failed as a whole means for its rows, whose records are written.
///
/// # Errors
/// What trying again does not mend. Where HubSpot refuses a call because of some pair, the rows are to be sent again by
/// halves; the records of all of them are written, so that what they held before counts for none.
fn rest_of(error: Error, rows: usize) -> Result<Outcome> {
    let reason = "the call about associations failed";
    match (error.kind(), error.retry()) {
        (Kind::Poison, _) if rows == 1 => {
            let message = error.message().to_owned();
            Ok(Outcome::Rejected { code: &R222_ASSOCIATION, message, field: None })
        }
        (Kind::Poison, _) => Err(error.ambiguous()),
        (_, Retry::Never) => Err(error),
        _ if error.is_ambiguous() => Ok(Outcome::Unknown { reason }),
        (_, Retry::After(after)) => Ok(Outcome::Retry { after: Some(after), reason }),
        (_, Retry::Backoff) => Ok(Outcome::Retry { after: None, reason }),
    }
}

#[cfg(test)]
mod tests;
