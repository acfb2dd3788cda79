//! The destination of the small world read back: its records by id or by e-mail address, and copies that somebody made.

use std::sync::Arc;

use async_trait::async_trait;
use flow::arrow::array::{ArrayRef, AsArray, RecordBatch, RecordBatchOptions, StringArray};
use flow::{Found, ReadBack, ReadsBack, Records, Result};

use super::{FakeDestination, Remote};

impl Remote {
    /// Emails and ids of the records under an address.
    fn under(&self, email: &str) -> Vec<(String, String)> {
        let known = self.ids.iter().filter(|(_, known)| *known == email);
        let there = known.filter(|_| self.records.contains_key(email));
        let copies = self.copies.iter().filter(|copy| *copy == email);
        let copies = copies.map(|copy| (copy.clone(), format!("copy of {copy}")));
        there.map(|(id, email)| (email.clone(), id.clone())).chain(copies).collect()
    }
}

#[async_trait]
impl ReadsBack for FakeDestination {
    async fn read(&self, asked: &ReadBack) -> Result<Found> {
        let remote = self.remote();
        let found: Vec<Vec<(String, String)>> = match &asked.records {
            Records::Ids(ids) => {
                let at = |id: &String| {
                    let email = remote.ids.get(id)?;
                    remote.records.contains_key(email).then(|| (email.clone(), id.clone()))
                };
                ids.iter().map(|id| at(id).into_iter().collect()).collect()
            }
            Records::Matching(values) => {
                let emails = values.column_by_name("email").expect("found by it");
                emails.as_string::<i32>().iter().map(|e| remote.under(e.unwrap())).collect()
            }
        };
        let columns: Vec<ArrayRef> = asked
            .fields
            .fields()
            .iter()
            .map(|field| {
                let value = |records: &Vec<(String, String)>| {
                    let (email, _) = records.first()?;
                    match field.name().as_str() {
                        "email" => Some(email.clone()),
                        "name" => {
                            remote.records.get(email).cloned().filter(|name| !name.is_empty())
                        }
                        _ => None,
                    }
                };
                Arc::new(found.iter().map(value).collect::<StringArray>()) as ArrayRef
            })
            .collect();
        let options = RecordBatchOptions::new().with_row_count(Some(found.len()));
        let schema = Arc::clone(&asked.fields);
        let fields = RecordBatch::try_new_with_options(schema, columns, &options).unwrap();
        let ids = |records: Vec<(String, String)>| records.into_iter().map(|(_, id)| id).collect();
        Ok(Found { record_ids: found.into_iter().map(ids).collect(), fields })
    }
}
