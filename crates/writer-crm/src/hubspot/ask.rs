//! What HubSpot is asked about an object before rows are sent: its properties, and how its records can be associated.

use std::sync::{Arc, PoisonError};

use flow::{ObjectSchema, Result};
use writer::{Method, Reply, Request};

use super::association::{self, Way};
use super::describe::{self, CustomObject};
use super::{HubSpot, OBJECTS, wire};

impl HubSpot {
    /// Properties and ways to associate, as fields.
    pub(super) async fn describe_in_full(&self, object: &str) -> Result<ObjectSchema> {
        let path = format!("/crm/v3/properties/{}", wire::object_path(object)?);
        let reply = self.get(path, "describe").await?;
        let mut schema = describe::schema(object, &reply, self.judge(0))?;
        let customs = self.custom_objects().await?;
        if let Some(custom) = customs.iter().find(|custom| custom.is(object)) {
            custom.require(&mut schema);
        }
        let ways = self.ask_ways(object, &customs).await?;
        schema.fields.extend(ways.iter().map(Way::field));
        schema.fields.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(schema)
    }

    /// The ways in which the object's records can be associated; asked once, and again by every description.
    pub(super) async fn known_ways(&self, object: &str) -> Result<Arc<[Way]>> {
        let known = self.ways.lock().unwrap_or_else(PoisonError::into_inner).get(object).cloned();
        match known {
            Some(ways) => Ok(ways),
            None => self.ask_ways(object, &self.custom_objects().await?).await,
        }
    }

    async fn ask_ways(&self, object: &str, customs: &[CustomObject]) -> Result<Arc<[Way]>> {
        let standard = OBJECTS.iter().map(|name| (*name, *name));
        let custom = customs.iter().map(|custom| (custom.name(), custom.type_id()));
        let mut ways = Vec::new();
        for (name, to) in standard.chain(custom) {
            let path = format!("/crm/v4/associations/{}/{to}/labels", wire::object_path(object)?);
            // Objects that cannot be associated, and those the token has no right to see, have no field.
            if let Some(reply) = self.get_if_allowed(path, "labels").await? {
                ways.extend(association::ways((name, to), &reply, self.judge(0))?);
            }
        }
        let ways: Arc<[Way]> = ways.into();
        let mut known = self.ways.lock().unwrap_or_else(PoisonError::into_inner);
        known.insert(object.to_owned(), Arc::clone(&ways));
        Ok(ways)
    }

    /// The account's own objects; none where it has none, or the token has no right to see them.
    async fn custom_objects(&self) -> Result<Vec<CustomObject>> {
        let path = "/crm-object-schemas/v3/schemas".to_owned();
        match self.get_if_allowed(path, "schemas").await? {
            Some(reply) => describe::custom_objects(&reply, self.judge(0)),
            None => Ok(Vec::new()),
        }
    }

    async fn get(&self, path: String, operation: &'static str) -> Result<Reply> {
        let reply = self.call(Request { method: Method::GET, path, operation, body: None }).await?;
        if reply.is_success() { Ok(reply) } else { Err(self.judge(0).error(&reply)) }
    }

    /// As [`Self::get`], but none where the token has no right to ask, or whoever answers does not know the path.
    pub(super) async fn get_if_allowed(
        &self,
        path: String,
        operation: &'static str,
    ) -> Result<Option<Reply>> {
        let reply = self.call(Request { method: Method::GET, path, operation, body: None }).await?;
        match reply.status {
            400..=499 if !matches!(reply.status, 401 | 408 | 423 | 425 | 429 | 477) => Ok(None),
            _ if reply.is_success() => Ok(Some(reply)),
            _ => Err(self.judge(0).error(&reply)),
        }
    }
}
