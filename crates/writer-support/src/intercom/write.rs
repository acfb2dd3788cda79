//! One row, in as few calls as it takes: found where that must be, made, changed or removed, then linked.

use flow::{Error, Mode, Outcome, Result};
use serde_json::{Value, json};
use writer::codes::{R202_CONFLICT, R203_NOT_FOUND};
use writer::{Method, Reply, Request, percent, text};

use super::Intercom;
use super::classify::Complaint;
use super::options::Archived;
use super::wire::Row;

impl Intercom {
    pub(super) async fn contact(&self, row: Row<'_>) -> Result<Outcome> {
        let mode = row.batch.mode;
        if let Some(id) = row.batch.record_ids.first() {
            return match mode {
                Mode::Delete => self.remove_contact(id).await,
                _ => self.change_contact(id, row).await,
            };
        }
        let (by, token) = row.token()?;
        if mode == Mode::Upsert || mode == Mode::Mirror {
            return self.upsert_contact(row, (by, &token)).await;
        }
        match (self.contacts(by, &token).await?.as_slice(), mode) {
            ([], Mode::Delete) => Ok(gone()),
            ([], _) => Ok(missing()),
            ([contact], _) => {
                let id = text(contact, "id").unwrap_or_default();
                match mode {
                    Mode::Delete => self.remove_contact(&id).await,
                    _ => self.change_contact(&id, row).await,
                }
            }
            _ => Ok(conflict("several contacts have this value", by)),
        }
    }

    /// By external id a contact is looked up first, which is certain; by e-mail address it is not, since a search lags
    /// behind: then it is made, and where that is refused since it is there, the refusal names it.
    async fn upsert_contact(&self, row: Row<'_>, (by, token): (&str, &str)) -> Result<Outcome> {
        if by == "external_id"
            && let Some(contact) = self.contacts(by, token).await?.first()
        {
            return self.change_contact(&text(contact, "id").unwrap_or_default(), row).await;
        }
        let has_role = row.batch.payload.fields.schema_ref().index_of("role").is_ok();
        let role: &[&str] = if has_role { &[] } else { &[r#""role":"user""#] };
        let reply =
            self.send(Method::POST, "/contacts".to_owned(), "upsert", row.body(role)).await?;
        if reply.is_success() {
            let id = self.id_in(&reply)?;
            let made = Outcome::Delivered { created: Some(true), remote_id: Some(id) };
            return self.link(row, made).await.map_err(Error::ambiguous);
        }
        let complaint = Complaint::read(&reply);
        let Some(id) = complaint.existing().filter(|_| matches!(reply.status, 400 | 409)) else {
            return self.judge().row(&reply);
        };
        if complaint.is_archived() {
            if self.archived == Archived::Reject {
                let message = "an archived contact has this value; take it out of the archive, or set `archived: unarchive`";
                return Ok(conflict(message, by));
            }
            let path = format!("/contacts/{id}/unarchive");
            let reply = self.send(Method::POST, path, "unarchive", b"{}".to_vec()).await?;
            if !reply.is_success() {
                return self.judge().row(&reply);
            }
        }
        if !self.is_meant(row, id, (by, token)).await? {
            return Ok(conflict("another contact has one of the row's values", by));
        }
        self.change_contact(id, row).await
    }

    /// Whether the contact a conflict names is the row's own, and not one that has its e-mail address but is somebody
    /// else. Only rows with both keys can meet another's.
    async fn is_meant(&self, row: Row<'_>, id: &str, (by, token): (&str, &str)) -> Result<bool> {
        let other = if by == "email" { "external_id" } else { "email" };
        if row.batch.payload.fields.schema_ref().index_of(other).is_err() {
            return Ok(true);
        }
        let reply = self.ask(format!("/contacts/{id}"), "read").await?;
        if !reply.is_success() {
            return Err(self.judge().error(&reply));
        }
        let held = text(&self.judge().object(&reply)?, by);
        Ok(held.is_none_or(|held| held.eq_ignore_ascii_case(token)))
    }

    async fn change_contact(&self, id: &str, row: Row<'_>) -> Result<Outcome> {
        let reply =
            self.send(Method::PUT, format!("/contacts/{id}"), "update", row.body(&[])).await?;
        if !reply.is_success() {
            return self.judge().row(&reply);
        }
        let remote_id = Some(self.id_in(&reply)?);
        let changed = Outcome::Delivered { created: Some(false), remote_id };
        self.link(row, changed).await.map_err(Error::ambiguous)
    }

    async fn remove_contact(&self, id: &str) -> Result<Outcome> {
        let reply = match self.permanently_delete {
            true => self.delete(format!("/contacts/{id}")).await?,
            false => {
                self.send(
                    Method::POST,
                    format!("/contacts/{id}/archive"),
                    "archive",
                    b"{}".to_vec(),
                )
                .await?
            }
        };
        self.removed(&reply)
    }

    fn removed(&self, reply: &Reply) -> Result<Outcome> {
        match reply.status {
            404 if !Complaint::read(reply).message.is_empty() => Ok(gone()),
            _ if reply.is_success() => self.judge().object(reply).map(|_| gone()),
            _ => self.judge().row(reply),
        }
    }

    /// Links a contact with companies and tags. What it was linked with before stays.
    async fn link(&self, row: Row<'_>, outcome: Outcome) -> Result<Outcome> {
        let Outcome::Delivered { remote_id: Some(contact), .. } = &outcome else {
            return Ok(outcome);
        };
        for object in ["companies", "tags"] {
            for id in row.links(object) {
                let path = format!("/contacts/{contact}/{object}");
                let body = json!({ "id": id }).to_string().into_bytes();
                let reply = self.send(Method::POST, path, "associate", body).await?;
                if !reply.is_success() {
                    return Ok(match self.judge().row(&reply)? {
                        Outcome::Rejected { code, message, .. } => Outcome::Rejected {
                            code,
                            message,
                            field: Some(format!("associations.{object}")),
                        },
                        other => other,
                    });
                }
            }
        }
        Ok(outcome)
    }

    /// A company is made or changed by its `company_id` in one call.
    pub(super) async fn company(&self, row: Row<'_>) -> Result<Outcome> {
        let mode = row.batch.mode;
        let id = match row.batch.record_ids.first() {
            Some(id) => id.clone(),
            None if mode == Mode::Upsert || mode == Mode::Mirror => {
                row.token()?;
                let reply = self
                    .send(Method::POST, "/companies".to_owned(), "upsert", row.body(&[]))
                    .await?;
                return self.written(&reply, None);
            }
            None => {
                let (by, token) = row.token()?;
                match self
                    .companies(by, &token)
                    .await?
                    .first()
                    .and_then(|company| text(company, "id"))
                {
                    Some(id) => id,
                    None if mode == Mode::Delete => return Ok(gone()),
                    None => return Ok(missing()),
                }
            }
        };
        if mode == Mode::Delete {
            let reply = self.delete(format!("/companies/{id}")).await?;
            return self.removed(&reply);
        }
        let reply =
            self.send(Method::PUT, format!("/companies/{id}"), "update", row.body(&[])).await?;
        self.written(&reply, Some(false))
    }

    /// A tag is made by its name; one that is there stays.
    pub(super) async fn tag(&self, row: Row<'_>) -> Result<Outcome> {
        let id = row.batch.record_ids.first();
        if let (Some(id), Mode::Delete) = (id, row.batch.mode) {
            let reply = self.delete(format!("/tags/{id}")).await?;
            return match reply.is_success() {
                // Its answer has no body.
                true => Ok(gone()),
                false => self.removed(&reply),
            };
        }
        let id = id.map(|id| format!(r#""id":"{id}""#));
        let body = row.body(&id.iter().map(String::as_str).collect::<Vec<_>>());
        let reply = self.send(Method::POST, "/tags".to_owned(), "upsert", body).await?;
        self.written(&reply, None)
    }

    fn written(&self, reply: &Reply, created: Option<bool>) -> Result<Outcome> {
        match reply.is_success() {
            true => Ok(Outcome::Delivered { created, remote_id: Some(self.id_in(reply)?) }),
            false => self.judge().row(reply),
        }
    }

    /// Contacts with this `external_id` or `email`.
    pub(super) async fn contacts(&self, by: &str, token: &str) -> Result<Vec<Value>> {
        if by != "email" {
            return self.one(format!("/contacts/find_by_external_id/{}", percent(token))).await;
        }
        let filter = json!({ "field": by, "operator": "=", "value": token });
        let query = json!({ "query": { "operator": "AND", "value": [filter] }, "pagination": { "per_page": 5 } });
        let body = query.to_string().into_bytes();
        let reply = self.send(Method::POST, "/contacts/search".to_owned(), "search", body).await?;
        if !reply.is_success() {
            return Err(self.judge().error(&reply));
        }
        Ok(self.judge().object(&reply)?["data"].as_array().cloned().unwrap_or_default())
    }

    pub(super) async fn companies(&self, by: &str, token: &str) -> Result<Vec<Value>> {
        self.one(format!("/companies?{by}={}", percent(token))).await
    }

    /// The record at a path, where there is one.
    pub(super) async fn one(&self, path: String) -> Result<Vec<Value>> {
        let reply = self.ask(path, "read").await?;
        match reply.status {
            404 if !Complaint::read(&reply).message.is_empty() => Ok(Vec::new()),
            _ if reply.is_success() => {
                let answer = self.judge().object(&reply)?;
                // Intercom's description has a list of one here and a record there.
                let listed = answer["data"].as_array().filter(|_| answer["type"] == "list");
                let records = listed.cloned().unwrap_or_else(|| vec![answer]);
                Ok(records.into_iter().filter(|record| text(record, "id").is_some()).collect())
            }
            _ => Err(self.judge().error(&reply)),
        }
    }

    fn id_in(&self, reply: &Reply) -> Result<String> {
        text(&self.judge().object(reply)?, "id").ok_or_else(|| self.judge().unreadable(reply))
    }

    async fn delete(&self, path: String) -> Result<Reply> {
        self.call(Request { method: Method::DELETE, path, operation: "delete", body: None }).await
    }

    async fn send(
        &self,
        method: Method,
        path: String,
        operation: &'static str,
        body: Vec<u8>,
    ) -> Result<Reply> {
        self.call(Request { method, path, operation, body: Some(body) }).await
    }
}

fn gone() -> Outcome {
    Outcome::Delivered { created: Some(false), remote_id: None }
}

fn missing() -> Outcome {
    let message = "no record has this value".to_owned();
    Outcome::Rejected { code: &R203_NOT_FOUND, message, field: None }
}

fn conflict(message: &str, field: &str) -> Outcome {
    Outcome::Rejected {
        code: &R202_CONFLICT,
        message: message.to_owned(),
        field: Some(field.to_owned()),
    }
}
