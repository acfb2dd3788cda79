//! Reading records by batch: by their ids, or by a property without two equal values.

use std::collections::{BTreeSet, HashMap};

use async_trait::async_trait;
use flow::{Error, Found, ReadBack, ReadsBack, Records, Result};
use serde_json::{Value, json};
use writer::codes::E2016_CALL;
use writer::encode::Cells;
use writer::{Method, Reply, Request, decode};

use super::answer::{HeldAnswer, HeldRow};
use super::{HubSpot, ROWS_MAX, association, wire};

/// Between the options of a property that takes several.
const OPTIONS_SEPARATOR: &str = ";";

#[async_trait]
impl ReadsBack for HubSpot {
    async fn read(&self, asked: &ReadBack) -> Result<Found> {
        let (ids, by) = named(&asked.records)?;
        let fields = asked.fields.fields().iter().map(|field| field.name().as_str());
        let (links, mut names): (Vec<&str>, Vec<&str>) =
            fields.partition(|name| name.starts_with(association::PREFIX));
        names.extend(by.as_deref().filter(|by| asked.fields.field_with_name(by).is_err()));
        let path = format!("/crm/v3/objects/{}/batch/read", wire::object_path(&asked.object)?);
        let mut held: HashMap<String, HeldRow> = HashMap::new();
        // Each once: HubSpot refuses an id that comes twice, and one without a value names no record.
        let wanted: BTreeSet<&String> = ids.iter().filter(|id| !id.is_empty()).collect();
        let wanted: Vec<&String> = wanted.into_iter().collect();
        for some in wanted.chunks(ROWS_MAX) {
            let inputs: Vec<Value> = some.iter().map(|id| json!({ "id": id })).collect();
            let mut body = json!({
                "properties": names, "propertiesWithHistory": [], "inputs": inputs,
            });
            if let Some(by) = &by {
                body["idProperty"] = json!(by);
            }
            let body = Some(body.to_string().into_bytes());
            let path = path.clone();
            let request = Request { method: Method::POST, path, operation: "read", body };
            let reply = self.call(request).await?;
            held.extend(self.held(&reply)?.into_iter().filter_map(|row| {
                let name = match &by {
                    None => row.id.0.clone(),
                    Some(by) => row.properties.get(by).and_then(|value| value.0.clone()),
                };
                name.map(|name| (name.to_lowercase(), row))
            }));
        }
        let found: Vec<String> = held.values().filter_map(|row| row.id.0.clone()).collect();
        let links = self.read_associations(&asked.object, &links, &found).await?;
        let row = |row: usize| held.get(&ids[row].to_lowercase());
        let id = |at: usize| row(at).and_then(|held| held.id.0.clone()).into_iter().collect();
        let fields = decode::records(&asked.fields, ids.len(), OPTIONS_SEPARATOR, |at, field| {
            let held = row(at)?;
            let text = match links.get(field.name()) {
                Some(links) => links.get(held.id.as_str())?.clone(),
                None => held.properties.get(field.name())?.0.clone()?,
            };
            // An emptied property is shown as one without a value, or as an empty one.
            Some(text).filter(|text| !text.is_empty()).map(Value::String)
        })?;
        Ok(Found { record_ids: (0..ids.len()).map(id).collect(), fields })
    }
}

impl HubSpot {
    /// The records of an answer. Those that are not there are errors in it, beside the others.
    fn held(&self, reply: &Reply) -> Result<Vec<HeldRow>> {
        let judge = self.judge(0);
        if !reply.is_success() {
            return Err(judge.error(reply));
        }
        if reply.fault.is_some() || reply.body.trim_ascii_start().first() != Some(&b'{') {
            return Err(judge.unreadable(reply));
        }
        let answer: HeldAnswer =
            serde_json::from_slice(&reply.body).map_err(|_| judge.unreadable(reply))?;
        Ok(answer.results.0)
    }
}

/// What names each record, as text, and the property it is the value of; `None` for record ids.
fn named(records: &Records) -> Result<(Vec<String>, Option<String>)> {
    let values = match records {
        Records::Ids(ids) => return Ok((ids.clone(), None)),
        Records::Matching(values) => values,
    };
    let schema = values.schema();
    let [field] = &schema.fields()[..] else {
        let message = "HubSpot finds records by one property at a time";
        return Err(Error::new(&E2016_CALL, message));
    };
    let cells = Cells::new(values.column(0), wire::SPELLING);
    let ids = (0..values.num_rows()).map(|row| wire::text_of(&cells, row)).collect();
    Ok((ids, Some(field.name().clone())))
}
