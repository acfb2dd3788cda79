//! HubSpot's answers as types: read leniently, so that a field of an unexpected form is missing and not an error,
//! and bounded, so that a hostile body costs little (F13).

use std::collections::HashMap;
use std::fmt;
use std::marker::PhantomData;

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// A batch answer. `errors` fill the gaps of `results`; together they should name every row.
#[derive(Debug, Default, serde::Deserialize)]
#[serde(default)]
pub(super) struct BatchAnswer {
    pub(super) results: List<ResultRow>,
    pub(super) errors: List<Complaint>,
}

/// A row that was written.
#[derive(Debug, Default, serde::Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct ResultRow {
    pub(super) id: Word,
    pub(super) new: Option<bool>,
    pub(super) object_write_trace_id: Word,
}

/// The same rows with the properties they hold now; read only where a row has no trace id.
#[derive(Debug, Default, serde::Deserialize)]
#[serde(default)]
pub(super) struct HeldAnswer {
    pub(super) results: List<HeldRow>,
}

/// A row with its properties.
#[derive(Debug, Default, serde::Deserialize)]
#[serde(default)]
pub(super) struct HeldRow {
    pub(super) id: Word,
    pub(super) properties: HashMap<String, Word>,
}

/// An error, of a whole call, of a row, or a detail of either: HubSpot uses one shape for all.
#[derive(Debug, Default, serde::Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Complaint {
    pub(super) status: Word,
    pub(super) category: Word,
    pub(super) sub_category: Word,
    pub(super) message: Word,
    pub(super) correlation_id: Word,
    pub(super) policy_name: Word,
    pub(super) context: Context,
    pub(super) errors: List<Detail>,
}

/// One reason of a [`Complaint`].
#[derive(Debug, Default, serde::Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Detail {
    pub(super) code: Word,
    pub(super) message: Word,
    pub(super) context: Context,
    /// The property at fault.
    pub(super) r#in: Word,
    /// As `in`, in the lists that HubSpot puts into the message text.
    pub(super) name: Word,
    /// As `code`, in the same lists.
    pub(super) error: Word,
}

/// What an error is about.
#[derive(Debug, Default)]
pub(super) struct Context {
    pub(super) trace_ids: Vec<String>,
    pub(super) ids: Vec<String>,
    /// Ends of associations.
    pub(super) from_ids: Vec<String>,
    pub(super) to_ids: Vec<String>,
    pub(super) property_names: Vec<String>,
    pub(super) scopes: Vec<String>,
}

/// Text, a number or a truth value as text; `None` for anything else.
#[derive(Debug, Default)]
pub(super) struct Word(pub(super) Option<String>);

impl Word {
    pub(super) fn as_str(&self) -> &str {
        self.0.as_deref().unwrap_or("")
    }
}

/// The first [`LIST_MAX`] items of an array; empty for anything else.
#[derive(Debug)]
pub(super) struct List<T>(pub(super) Vec<T>);

impl<T> Default for List<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

/// As many as any answer has: that to a call that makes 2,000 associations.
const LIST_MAX: usize = 2000;

impl<'de> Deserialize<'de> for Word {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Lenient(PhantomData))
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for List<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Lenient(PhantomData))
    }
}

impl<'de> Deserialize<'de> for Context {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Lenient(PhantomData))
    }
}

/// What a lenient type makes of each form of JSON; by default nothing.
trait Form<'de>: Default {
    fn from_text(_text: &str) -> Self {
        Self::default()
    }
    fn from_seq<A: SeqAccess<'de>>(mut seq: A) -> Result<Self, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Self::default())
    }
    fn from_map<A: MapAccess<'de>>(mut map: A) -> Result<Self, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Self::default())
    }
}

impl Form<'_> for Word {
    fn from_text(text: &str) -> Self {
        Self(Some(text.to_owned()))
    }
}

impl<'de, T: Deserialize<'de>> Form<'de> for List<T> {
    fn from_seq<A: SeqAccess<'de>>(mut seq: A) -> Result<Self, A::Error> {
        let mut items = Vec::new();
        while items.len() < LIST_MAX {
            match seq.next_element()? {
                Some(item) => items.push(item),
                None => return Ok(Self(items)),
            }
        }
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Self(items))
    }
}

impl<'de> Form<'de> for Context {
    /// Some errors have the context as text: `{missingScopes=[a, b]}`.
    fn from_text(text: &str) -> Self {
        let mut context = Self::default();
        let Some((name, list)) = text.trim_matches(['{', '}']).split_once('=') else {
            return context;
        };
        let items = list.trim_matches(['[', ']']).split(',').take(LIST_MAX);
        context.put(name.trim(), items.map(|item| item.trim().to_owned()).collect());
        context
    }

    fn from_map<A: MapAccess<'de>>(mut map: A) -> Result<Self, A::Error> {
        let mut context = Self::default();
        while let Some(name) = map.next_key::<String>()? {
            let Words(words) = map.next_value()?;
            context.put(&name, words);
        }
        Ok(context)
    }
}

impl Context {
    fn put(&mut self, name: &str, words: Vec<String>) {
        match name {
            "objectWriteTraceId" => self.trace_ids.extend(words),
            "id" | "ids" => self.ids.extend(words),
            "fromObjectId" | "fromObjectIds" => self.from_ids.extend(words),
            "toObjectId" | "toObjectIds" => self.to_ids.extend(words),
            "propertyName" | "propertyNames" => self.property_names.extend(words),
            "requiredScopes" | "requiredGranularScopes" | "missingScopes" => {
                self.scopes.extend(words);
            }
            _ => {}
        }
    }
}

/// One word or a list of words.
#[derive(Debug, Default)]
struct Words(Vec<String>);

impl<'de> Deserialize<'de> for Words {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Lenient(PhantomData))
    }
}

impl<'de> Form<'de> for Words {
    fn from_text(text: &str) -> Self {
        Self(vec![text.to_owned()])
    }

    fn from_seq<A: SeqAccess<'de>>(seq: A) -> Result<Self, A::Error> {
        let List(words) = List::<Word>::from_seq(seq)?;
        Ok(Self(words.into_iter().filter_map(|word| word.0).collect()))
    }
}

struct Lenient<T>(PhantomData<T>);

impl<'de, T: Form<'de>> Visitor<'de> for Lenient<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON")
    }

    fn visit_str<E>(self, text: &str) -> Result<T, E> {
        Ok(T::from_text(text))
    }

    fn visit_bool<E>(self, value: bool) -> Result<T, E> {
        Ok(T::from_text(if value { "true" } else { "false" }))
    }

    fn visit_i64<E>(self, value: i64) -> Result<T, E> {
        Ok(T::from_text(&value.to_string()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<T, E> {
        Ok(T::from_text(&value.to_string()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<T, E> {
        Ok(T::from_text(&value.to_string()))
    }

    fn visit_unit<E>(self) -> Result<T, E> {
        Ok(T::default())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<T, A::Error> {
        T::from_seq(seq)
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<T, A::Error> {
        T::from_map(map)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_of_an_unexpected_form_are_missing_and_the_rest_is_read() {
        let text = r#"{"results": {"a": 1}, "errors": [
            {"status": 400, "category": ["x"], "message": "m", "context": [], "errors": "none"},
            {"context": {"objectWriteTraceId": "0-1", "ids": [1, null, {"x": []}], "other": {}}},
            {"context": "{missingScopes=[a, b]}"}
        ]}"#;
        let answer: BatchAnswer = serde_json::from_str(text).expect("lenient");
        assert!(answer.results.0.is_empty());
        let errors = &answer.errors.0;
        assert_eq!((errors[0].status.as_str(), errors[0].category.as_str()), ("400", ""));
        assert_eq!(errors[0].message.as_str(), "m");
        assert_eq!(errors[1].context.trace_ids, ["0-1"]);
        assert_eq!(errors[1].context.ids, ["1"]);
        assert_eq!(errors[2].context.scopes, ["a", "b"]);
    }

    #[test]
    fn an_endless_list_is_read_to_a_limit() {
        let text = format!(r#"{{"errors": [{}{{}}]}}"#, "{},".repeat(200_000));
        let answer: BatchAnswer = serde_json::from_str(&text).expect("lenient");
        assert_eq!(answer.errors.0.len(), LIST_MAX);
    }
}
