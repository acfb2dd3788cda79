//! An object's fields, as Salesforce describes them, as the fields a mapping is checked against.

use flow::{Field, FieldKind, ObjectSchema, Result};
use serde::Deserialize;
use writer::Reply;

use super::classify::Judge;
use super::wire::{ID, is_name};

/// Parents whose external ids are offered; more are left out, since each costs a request.
pub(super) const PARENTS_MAX: usize = 20;

#[derive(Debug, Deserialize)]
struct Object {
    fields: Vec<Described>,
}

/// A field as `describe` tells it.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Described {
    pub(super) name: String,
    label: String,
    r#type: String,
    length: usize,
    createable: bool,
    updateable: bool,
    nillable: bool,
    defaulted_on_create: bool,
    pub(super) external_id: bool,
    pub(super) id_lookup: bool,
    pub(super) unique: bool,
    case_sensitive: bool,
    restricted_picklist: bool,
    picklist_values: Vec<PicklistValue>,
    reference_to: Vec<String>,
    relationship_name: Option<String>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
struct PicklistValue {
    value: String,
    active: bool,
}

/// Reads the answer to `GET /sobjects/{object}/describe`.
///
/// # Errors
/// When it is not the description of an object.
pub(super) fn read(reply: &Reply, judge: &Judge) -> Result<Vec<Described>> {
    let object: Object =
        serde_json::from_slice(&reply.body).map_err(|_| judge.unreadable(reply))?;
    Ok(object.fields.into_iter().filter(|field| is_name(&field.name)).collect())
}

impl Described {
    /// The relationship and the one object it leads to, where records can be linked through it.
    pub(super) fn parent(&self) -> Option<(&str, &str)> {
        let relationship = self.relationship_name.as_deref()?;
        let writable = self.createable || self.updateable;
        match &*self.reference_to {
            [object] if writable && is_name(relationship) && is_name(object) => {
                Some((relationship, object))
            }
            // Several objects: the external id does not say which one is meant.
            _ => None,
        }
    }

    /// Whether records can be found by it.
    pub(super) fn finds_records(&self) -> bool {
        self.external_id || self.id_lookup || self.name == ID
    }

    fn field(&self) -> Field {
        let is_id = self.name == ID;
        Field {
            name: self.name.clone(),
            label: if self.label.is_empty() { self.name.clone() } else { self.label.clone() },
            kind: self.kind(),
            // A reference may also be set by the parent's external id.
            required: self.createable
                && !self.nillable
                && !self.defaulted_on_create
                && !matches!(self.r#type.as_str(), "boolean" | "reference"),
            unique: self.finds_records(),
            read_only: !(is_id || self.createable || self.updateable) || self.is_compound(),
            folds_case: !is_id && self.finds_records() && !self.case_sensitive && self.is_text(),
        }
    }

    /// The parent's field as a field of this object: `Account.Ext__c`.
    fn as_parent(&self, through: &Self, relationship: &str) -> Field {
        Field {
            name: format!("{relationship}.{}", self.name),
            label: format!("{} > {}", through.label, self.label),
            kind: self.kind(),
            required: false,
            unique: false,
            read_only: false,
            folds_case: false,
        }
    }

    /// Fields that are made of other fields, and files.
    fn is_compound(&self) -> bool {
        matches!(self.r#type.as_str(), "address" | "location" | "base64" | "complexvalue")
    }

    fn is_text(&self) -> bool {
        matches!(self.r#type.as_str(), "string" | "email" | "phone" | "url" | "picklist")
    }

    fn kind(&self) -> FieldKind {
        let options = || -> Vec<String> {
            let active = self.picklist_values.iter().filter(|value| value.active);
            active.map(|value| value.value.clone()).collect()
        };
        let text = || FieldKind::Text { chars_max: Some(self.length).filter(|chars| *chars > 0) };
        match self.r#type.as_str() {
            "int" | "long" | "double" | "currency" | "percent" => FieldKind::Number,
            "boolean" => FieldKind::Boolean,
            "date" => FieldKind::Date,
            "datetime" => FieldKind::DateTime,
            "email" => FieldKind::Email,
            "phone" => FieldKind::Phone,
            "picklist" if self.restricted_picklist => FieldKind::Enum { options: options() },
            "multipicklist" if self.restricted_picklist => {
                FieldKind::MultiEnum { options: options() }
            }
            "multipicklist" => FieldKind::MultiEnum { options: Vec::new() },
            "address" | "location" | "base64" | "complexvalue" => FieldKind::Any,
            _ => text(),
        }
    }
}

/// The schema: the object's own fields, and the fields its parents are found by.
pub(super) fn schema(
    object: &str,
    own: &[Described],
    parents: &[(String, Vec<Described>)],
) -> ObjectSchema {
    let mut fields: Vec<Field> = own.iter().map(Described::field).collect();
    for through in own {
        let Some((relationship, to)) = through.parent() else { continue };
        let known = parents.iter().find(|(name, _)| name == to);
        let targets = known.into_iter().flat_map(|(_, fields)| fields);
        let targets = targets.filter(|field| field.finds_records() && field.name != ID);
        fields.extend(targets.map(|field| field.as_parent(through, relationship)));
    }
    fields.sort_by(|a, b| a.name.cmp(&b.name));
    fields.dedup_by(|a, b| a.name == b.name);
    ObjectSchema { object: object.to_owned(), fields, open: false }
}
