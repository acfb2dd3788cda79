//! Reading records back, one a call.

use async_trait::async_trait;
use chrono::DateTime;
use flow::arrow::datatypes::DataType;
use flow::{Error, Found, ReadBack, ReadsBack, Records, Result, text_at};
use serde_json::{Value, json};
use writer::codes::E2017_NOT_OFFERED;
use writer::{decode, text};

use super::Intercom;
use super::object::Object;

#[async_trait]
impl ReadsBack for Intercom {
    async fn read(&self, asked: &ReadBack) -> Result<Found> {
        let object = Object::parse(&asked.object)?;
        let mut records: Vec<Vec<Value>> = Vec::with_capacity(asked.records.count());
        match &asked.records {
            Records::Ids(ids) => {
                for id in ids {
                    records.push(self.by_id(object, id).await?);
                }
            }
            Records::Matching(values) => {
                let schema = values.schema();
                let by = match schema.fields().as_ref() {
                    [field] if object.found_by().contains(&field.name().as_str()) => field.name(),
                    _ => {
                        let message = "Intercom cannot be asked for records by this field";
                        return Err(Error::new(&E2017_NOT_OFFERED, message));
                    }
                };
                for row in 0..values.num_rows() {
                    let token = text_at(values.column(0), row);
                    records.push(match object {
                        Object::Contacts => self.contacts(by, &token).await?,
                        Object::Companies => self.companies(by, &token).await?,
                        Object::Tags => self.tags(by, &token).await?,
                    });
                }
            }
        }
        let fields = decode::records(&asked.fields, records.len(), ";", |row, field| {
            let moment = matches!(field.data_type(), DataType::Timestamp(..) | DataType::Date32);
            member(records[row].first()?, field.name(), moment)
        })?;
        let ids =
            |found: &Vec<Value>| found.iter().filter_map(|record| text(record, "id")).collect();
        Ok(Found { record_ids: records.iter().map(ids).collect(), fields })
    }
}

impl Intercom {
    async fn by_id(&self, object: Object, id: &str) -> Result<Vec<Value>> {
        match object {
            Object::Tags => self.tags("id", id).await,
            _ => self.one(format!("/{}/{}", object.name(), writer::percent(id))).await,
        }
    }

    /// Intercom lists tags all at once.
    async fn tags(&self, by: &str, token: &str) -> Result<Vec<Value>> {
        let reply = self.ask("/tags".to_owned(), "read").await?;
        if !reply.is_success() {
            return Err(self.judge().error(&reply));
        }
        let tags = self.judge().object(&reply)?;
        let tags = tags["data"].as_array().into_iter().flatten();
        Ok(tags.filter(|tag| text(tag, by).as_deref() == Some(token)).cloned().collect())
    }
}

/// A record's value of a field, by the name a mapping knows it by; seconds since 1970 as a moment.
fn member(record: &Value, name: &str, moment: bool) -> Option<Value> {
    if let Some(object) = name.strip_prefix("associations.") {
        let linked = record[object]["data"].as_array()?;
        return Some(linked.iter().filter_map(|one| text(one, "id")).collect());
    }
    let value = match name.split_once('.') {
        Some((parent, name)) => record.get(parent)?.get(name)?,
        None => record.get(name)?,
    };
    match (value.as_i64(), value) {
        (Some(seconds), _) if moment => {
            Some(json!(DateTime::from_timestamp(seconds, 0)?.to_rfc3339()))
        }
        // A plan is shown with its id, an avatar with its type.
        (_, Value::Object(shown)) => shown.get("name").or_else(|| shown.get("image_url")).cloned(),
        _ => Some(value.clone()),
    }
}
