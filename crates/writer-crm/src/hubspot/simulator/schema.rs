//! The properties of one object type: names, types, options, and which of them may be written.

use std::collections::HashMap;

use serde_json::{Value, json};

use super::object::Object;
use super::standard;

/// What values a property takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Text,
    TextArea,
    Email,
    /// Several addresses, separated by `;`.
    Emails,
    Phone,
    Number,
    Date,
    DateTime,
    Bool,
    /// One option.
    Choice,
    /// Options separated by `;`.
    Choices,
    /// The id of a HubSpot user.
    Owner,
}

/// Where a property's value comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Origin {
    Stored,
    RecordId,
    Created,
    Modified,
}

/// One property.
#[derive(Debug, Clone)]
pub(super) struct Property {
    pub(super) name: String,
    pub(super) label: String,
    pub(super) kind: Kind,
    pub(super) origin: Origin,
    pub(super) options: Vec<(String, String)>,
    pub(super) unique: bool,
    pub(super) read_only: bool,
    pub(super) custom: bool,
    pub(super) group: String,
    pub(super) description: String,
}

impl Property {
    /// A property of the portal's owner.
    pub(super) fn custom(name: &str, kind: Kind) -> Self {
        Self {
            name: name.to_owned(),
            label: name.to_owned(),
            kind,
            origin: Origin::Stored,
            options: Vec::new(),
            unique: false,
            read_only: false,
            custom: true,
            group: String::new(),
            description: String::new(),
        }
    }

    /// Reads `NAME:TYPE[:unique][:A|B|C]`, the form of the option `property`.
    ///
    /// # Errors
    /// A sentence about what is wrong with the text.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let mut parts = text.split(':').map(str::trim);
        let (Some(name), Some(kind)) = (parts.next(), parts.next()) else {
            return Err(format!("`{text}`: want NAME:TYPE[:unique][:A|B|C]"));
        };
        let kind = match kind {
            "string" => Kind::Text,
            "textarea" => Kind::TextArea,
            "number" => Kind::Number,
            "date" => Kind::Date,
            "datetime" => Kind::DateTime,
            "bool" => Kind::Bool,
            "enumeration" => Kind::Choice,
            "multi" => Kind::Choices,
            "phone_number" => Kind::Phone,
            _ => {
                return Err(format!(
                    "`{text}`: unknown type `{kind}`; known: string, textarea, number, date, \
                     datetime, bool, enumeration, multi, phone_number"
                ));
            }
        };
        let mut property = Self::custom(name, kind);
        for part in parts {
            match part {
                "unique" => property.unique = true,
                options => {
                    let option = |text: &str| (text.to_owned(), text.to_owned());
                    property.options = options.split('|').map(option).collect();
                }
            }
        }
        property.check()?;
        Ok(property)
    }

    /// Whether HubSpot would accept the definition.
    pub(super) fn check(&self) -> Result<(), String> {
        let legal = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
        let name = &self.name;
        if name.is_empty()
            || !name.chars().all(legal)
            || !name.starts_with(|c: char| c.is_ascii_lowercase())
        {
            return Err(format!(
                "Property name `{name}` is invalid: lower-case letters, digits and underscores, \
                 starting with a letter"
            ));
        }
        let choice = matches!(self.kind, Kind::Choice | Kind::Choices);
        if choice == self.options.is_empty() {
            return Err(format!(
                "Property `{name}`: options belong to enumerations, and only there"
            ));
        }
        if self.unique && !matches!(self.kind, Kind::Text | Kind::Number) {
            return Err(format!("Property `{name}`: only text and number values can be unique"));
        }
        Ok(())
    }

    fn wire_type(&self) -> (&'static str, &'static str) {
        match self.kind {
            Kind::Text | Kind::Email | Kind::Emails => ("string", "text"),
            Kind::TextArea => ("string", "textarea"),
            Kind::Phone if self.custom => ("string", "phonenumber"),
            Kind::Phone => ("phone_number", "phonenumber"),
            Kind::Number => ("number", "number"),
            Kind::Date => ("date", "date"),
            Kind::DateTime => ("datetime", "date"),
            Kind::Bool => ("bool", "booleancheckbox"),
            Kind::Choice => ("enumeration", "select"),
            Kind::Choices => ("enumeration", "checkbox"),
            Kind::Owner => ("enumeration", "select"),
        }
    }

    /// The property as `GET /crm/v3/properties` shows it.
    pub(super) fn to_json(&self) -> Value {
        let (wire_type, field_type) = self.wire_type();
        let yes_no = [("true".to_owned(), "Yes".to_owned()), ("false".to_owned(), "No".to_owned())];
        let options: &[(String, String)] =
            if self.kind == Kind::Bool { &yes_no } else { &self.options };
        let options: Vec<Value> = options
            .iter()
            .enumerate()
            .map(|(order, (value, label))| {
                json!({ "label": label, "value": value, "displayOrder": order, "hidden": false })
            })
            .collect();
        let mut shown = json!({
            "name": self.name,
            "label": self.label,
            "type": wire_type,
            "fieldType": field_type,
            "description": self.description,
            "groupName": self.group,
            "options": options,
            "displayOrder": -1,
            "calculated": false,
            "externalOptions": self.kind == Kind::Owner,
            "hasUniqueValue": self.unique,
            "hidden": false,
            "hubspotDefined": !self.custom,
            "formField": !self.read_only,
            "dataSensitivity": "non_sensitive",
            "archived": false,
            "modificationMetadata": {
                "archivable": self.custom,
                "readOnlyDefinition": !self.custom,
                "readOnlyOptions": !self.custom,
                "readOnlyValue": self.read_only,
            },
        });
        if self.kind == Kind::Owner {
            shown["referencedObjectType"] = json!("OWNER");
        }
        shown
    }
}

/// All properties of an object type.
#[derive(Debug, Clone)]
pub(super) struct Schema {
    object: Object,
    properties: Vec<Property>,
    by_name: HashMap<String, u16>,
}

/// HubSpot allows so many unique properties of one's own per object type.
const UNIQUE_MAX: usize = 10;

impl Schema {
    pub(super) fn standard(object: Object) -> Self {
        let mut schema = Self { object, properties: Vec::new(), by_name: HashMap::new() };
        for property in standard::properties(object) {
            schema.push(property);
        }
        schema
    }

    fn push(&mut self, property: Property) {
        let index = u16::try_from(self.properties.len()).unwrap_or(u16::MAX);
        self.by_name.insert(property.name.clone(), index);
        self.properties.push(property);
    }

    /// Adds a property of the portal's owner.
    ///
    /// # Errors
    /// HTTP status and sentence, when the name is taken or the definition is not acceptable.
    pub(super) fn add(&mut self, mut property: Property) -> Result<(), (u16, String)> {
        property.check().map_err(|message| (400, message))?;
        if self.by_name.contains_key(&property.name) {
            return Err((409, format!("A property named '{}' already exists.", property.name)));
        }
        let unique = self.properties.iter().filter(|known| known.custom && known.unique).count();
        if property.unique && unique >= UNIQUE_MAX {
            return Err((400, format!("At most {UNIQUE_MAX} unique properties are allowed.")));
        }
        if self.properties.len() >= usize::from(u16::MAX) {
            return Err((400, "Too many properties.".to_owned()));
        }
        if property.group.is_empty() {
            property.group = group(self.object);
        }
        self.push(property);
        Ok(())
    }

    pub(super) fn find(&self, name: &str) -> Option<(u16, &Property)> {
        let index = *self.by_name.get(name)?;
        Some((index, &self.properties[usize::from(index)]))
    }

    pub(super) fn at(&self, index: u16) -> &Property {
        &self.properties[usize::from(index)]
    }

    pub(super) fn all(&self) -> &[Property] {
        &self.properties
    }

    pub(super) fn object(&self) -> Object {
        self.object
    }

    /// Whether records can be found by it: declared unique, or the contact's e-mail address.
    pub(super) fn identifies(&self, index: u16) -> bool {
        let property = self.at(index);
        property.unique || property.kind == Kind::Email && property.name == "email"
    }
}

/// The group new properties land in.
pub(super) fn group(object: Object) -> String {
    format!("{}information", object.singular().to_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_property_option_is_read_in_full() {
        let plan = Property::parse("plan_tier:enumeration:Free|Professional").unwrap();
        assert_eq!(plan.kind, Kind::Choice);
        assert_eq!(plan.options[1].0, "Professional");
        assert!(Property::parse("external_id:string:unique").unwrap().unique);
    }

    #[test]
    fn a_property_hubspot_would_refuse_is_refused() {
        for text in [
            "plan",
            "plan:picklist",
            "plan:enumeration",
            "plan:string:A|B",
            "Plan:string",
            "1st:string",
            "due:date:unique",
            ":string",
        ] {
            assert!(Property::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn an_eleventh_unique_property_is_refused() {
        let mut schema = Schema::standard(Object::Contacts);
        for number in 0..10 {
            schema.add(Property::parse(&format!("key_{number}:string:unique")).unwrap()).unwrap();
        }
        let refused = schema.add(Property::parse("key_10:string:unique").unwrap()).unwrap_err();
        assert_eq!(refused.0, 400);
        assert_eq!(schema.add(Property::parse("key_0:string").unwrap()).unwrap_err().0, 409);
    }

    #[test]
    fn the_email_identifies_a_contact_although_it_is_not_flagged_unique() {
        let schema = Schema::standard(Object::Contacts);
        let (email, property) = schema.find("email").unwrap();
        assert!(!property.unique && schema.identifies(email));
        let (first, _) = schema.find("firstname").unwrap();
        assert!(!schema.identifies(first));
    }
}
