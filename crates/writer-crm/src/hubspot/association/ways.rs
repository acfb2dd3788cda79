//! The ways in which records can be associated, as HubSpot lists them, and the fields that a mapping names them by.

use flow::{Field, FieldKind, Result};
use serde::Deserialize;
use writer::Reply;

use super::super::answer::{List, Word};
use super::super::classify::Judge;
use super::answer::object;

/// What the name of every such field begins with.
pub(in super::super) const PREFIX: &str = "associations.";

/// One way to associate a record with those of another object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in super::super) struct Way {
    /// `associations.OBJECT`, or `associations.OBJECT.LABEL`.
    pub(in super::super) field: String,
    /// The other object, as in a path.
    pub(in super::super) to: String,
    /// Who defined it: `HUBSPOT_DEFINED`, `USER_DEFINED` and others.
    pub(in super::super) category: String,
    /// HubSpot's number for it, in this direction.
    pub(in super::super) type_id: u32,
    /// The default way has no label.
    pub(in super::super) label: Option<String>,
}

impl Way {
    /// The field as a mapping is checked against it.
    pub(in super::super) fn field(&self) -> Field {
        let label = match &self.label {
            Some(label) => format!("Record ids of {}, as {label}", self.to),
            None => format!("Record ids of {}", self.to),
        };
        Field {
            name: self.field.clone(),
            label,
            kind: FieldKind::Text { chars_max: None },
            required: false,
            unique: false,
            read_only: false,
            folds_case: false,
        }
    }
}

#[derive(Debug, Deserialize)]
struct Labels {
    results: List<Label>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Label {
    category: Word,
    type_id: Word,
    label: Word,
}

/// Reads the answer to `GET /crm/v4/associations/{from}/{to}/labels`. `name` is how fields call the other object, `to` its
/// name in paths. Of labels that read alike only the first can be named.
///
/// # Errors
/// When it is not a list of labels.
pub(in super::super) fn ways(
    (name, to): (&str, &str),
    reply: &Reply,
    judge: Judge<'_>,
) -> Result<Vec<Way>> {
    let labels: Labels = object(reply, judge)?;
    let mut labels = labels.results.0;
    // HubSpot's own way without a label is the default; custom objects have one of their own.
    labels.sort_by_key(|label| label.category.as_str() != "HUBSPOT_DEFINED");
    let mut ways: Vec<Way> = Vec::new();
    for label in labels {
        let Ok(type_id) = label.type_id.as_str().parse() else { continue };
        let text = label.label.0.filter(|text| !text.trim().is_empty());
        let field = match &text {
            Some(text) => format!("{PREFIX}{name}.{text}"),
            None => format!("{PREFIX}{name}"),
        };
        if label.category.0.is_none() || ways.iter().any(|known| known.field == field) {
            continue;
        }
        let category = label.category.as_str().to_owned();
        ways.push(Way { field, to: to.to_owned(), category, type_id, label: text });
    }
    Ok(ways)
}

#[cfg(test)]
mod tests {
    use flow::Secret;
    use writer::conformance::refusals::reply;

    use super::*;

    #[test]
    fn labels_become_fields_and_the_default_has_none() {
        let token = Secret::new("t");
        let judge = Judge { token: &token, now_micros: 0, rows: 0 };
        let body = r#"{"results": [
            {"category": "USER_DEFINED", "typeId": 37, "label": "Decision maker"},
            {"category": "USER_DEFINED", "typeId": 38, "label": "Decision maker"},
            {"category": "USER_DEFINED", "typeId": 39, "label": null},
            {"category": "HUBSPOT_DEFINED", "typeId": "279", "label": null},
            {"category": "HUBSPOT_DEFINED", "typeId": 1, "label": "Primary"},
            {"category": "HUBSPOT_DEFINED", "typeId": "x", "label": "Odd"}, {"typeId": 5}, {}
        ]}"#;
        let found = ways(("companies", "0-2"), &reply(200, &[], body), judge).expect("a list");
        let found: Vec<(&str, &str, u32)> = found
            .iter()
            .map(|way| (way.field.as_str(), way.category.as_str(), way.type_id))
            .collect();
        assert_eq!(
            found,
            [
                ("associations.companies", "HUBSPOT_DEFINED", 279),
                ("associations.companies.Primary", "HUBSPOT_DEFINED", 1),
                ("associations.companies.Decision maker", "USER_DEFINED", 37),
            ]
        );
        for body in ["", "<html>", "[1]", "{}", r#"{"results":"#] {
            let error = ways(("a", "a"), &reply(200, &[], body), judge).expect_err("unreadable");
            assert_eq!(error.code().id, "E2004", "{body}");
        }
    }
}
