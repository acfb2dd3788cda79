//! Reading records: by their ids, by what they are found by, and back in the form of a payload.

use std::collections::HashMap;

use async_trait::async_trait;
use flow::{Error, Found, ReadBack, ReadsBack, Records, Result, text_at};
use serde_json::Value;
use writer::codes::E2017_NOT_OFFERED;
use writer::{Method, Request, decode, percent, text};

use super::Zendesk;
use super::object::Object;

/// Records of one call.
const IDS_MAX: usize = 100;
/// Bytes of ids in one address; common proxies take 8 KiB.
const IDS_BYTES_MAX: usize = 4 * 1024;

impl Zendesk {
    /// The records whose `by` (`id`, `external_id`, `email` or `name`) is each of `tokens`, in that order. By ids and
    /// external ids the answer is what Zendesk holds now; `email` goes by its search, which lags behind.
    pub(super) async fn records(
        &self,
        object: Object<'_>,
        by: &str,
        tokens: &[String],
    ) -> Result<Vec<Vec<Value>>> {
        let mut found: HashMap<String, Vec<Value>> = HashMap::new();
        for (path, alone) in paths(object, by, tokens)? {
            let request = Request { method: Method::GET, path, operation: "read", body: None };
            let reply = self.call(request).await?;
            let judge = self.judge(0);
            let answer = match reply.status {
                404 if alone => continue,
                _ if reply.is_success() => judge.object(&reply)?,
                _ => return Err(judge.error(&reply)),
            };
            for record in answer[object.list()].as_array().into_iter().flatten() {
                if let Some(value) = text(record, by) {
                    found.entry(value.to_lowercase()).or_default().push(record.clone());
                }
            }
        }
        let records =
            |token: &String| found.get(&token.to_lowercase()).cloned().unwrap_or_default();
        Ok(tokens.iter().map(records).collect())
    }
}

/// The addresses to ask, each with whether it is about one record alone.
fn paths(object: Object<'_>, by: &str, tokens: &[String]) -> Result<Vec<(String, bool)>> {
    let path = object.path();
    let (many, alone) = match (object, by) {
        (Object::Custom(_), "id") => (Some("?filter[ids]="), None),
        (Object::Custom(_), "external_id") => (Some("?filter[external_ids]="), None),
        (_, "id") => (Some("/show_many?ids="), None),
        (Object::Users | Object::Organizations, "external_id") => {
            (Some("/show_many?external_ids="), Some("/search?external_id="))
        }
        (Object::Tickets, "external_id") => (None, Some("?external_id=")),
        (Object::Users, "email") => (None, Some("/search?query=email:")),
        _ => {
            let message = format!("Zendesk cannot be asked for records by `{by}`");
            return Err(Error::new(&E2017_NOT_OFFERED, message));
        }
    };
    let mut paths: Vec<(String, bool)> = Vec::new();
    let mut list = String::new();
    let mut listed = 0;
    for token in tokens {
        // A comma would be taken for the end of an id.
        match (many, alone) {
            (Some(_), one) if one.is_none() || !token.contains(',') => {}
            (_, Some(alone)) => {
                paths.push((format!("{path}{alone}{}", percent(token)), true));
                continue;
            }
            _ => {}
        }
        let id = percent(token);
        if listed == IDS_MAX || (listed > 0 && list.len() + id.len() > IDS_BYTES_MAX) {
            paths.push((format!("{path}{}{list}", many.unwrap_or_default()), false));
            (list, listed) = (String::new(), 0);
        }
        if listed > 0 {
            list.push(',');
        }
        list.push_str(&id);
        listed += 1;
    }
    if listed > 0 {
        paths.push((format!("{path}{}{list}", many.unwrap_or_default()), false));
    }
    Ok(paths)
}

#[async_trait]
impl ReadsBack for Zendesk {
    async fn read(&self, asked: &ReadBack) -> Result<Found> {
        let object = Object::parse(&asked.object)?;
        let (by, tokens) = match &asked.records {
            Records::Ids(ids) => ("id".to_owned(), ids.clone()),
            Records::Matching(values) => {
                let schema = values.schema();
                let [field] = schema.fields().as_ref() else {
                    let message = "Zendesk finds a record by one field";
                    return Err(Error::new(&E2017_NOT_OFFERED, message));
                };
                let column = values.column(0);
                let texts = (0..values.num_rows()).map(|row| text_at(column, row).into_owned());
                (field.name().clone(), texts.collect())
            }
        };
        let records = self.records(object, &by, &tokens).await?;
        let fields = decode::records(&asked.fields, records.len(), ";", |row, field| {
            member(object, records[row].first()?, field.name()).cloned()
        })?;
        let ids =
            |found: &Vec<Value>| found.iter().filter_map(|record| text(record, "id")).collect();
        Ok(Found { record_ids: records.iter().map(ids).collect(), fields })
    }
}

/// A record's value of a field, by the name a mapping knows it by.
fn member<'a>(object: Object<'_>, record: &'a Value, name: &str) -> Option<&'a Value> {
    let Some((parent, name)) = name.split_once('.') else { return record.get(name) };
    let within = record.get(parent)?;
    if object != Object::Tickets || parent != object.own_fields() {
        return within.get(name);
    }
    let own = within.as_array()?.iter().find(|own| text(own, "id").as_deref() == Some(name))?;
    own.get("value")
}
