//! Reads request bodies strictly and without copying text that needs no unescaping.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, Error, MapAccess, Visitor};

/// Text, or a number or boolean that HubSpot takes for its text; null and nested values are refused.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Text<'a>(pub(super) Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Scalar;

        impl<'de> Visitor<'de> for Scalar {
            type Value = Text<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }

            fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Borrowed(text)))
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Owned(text.to_owned())))
            }

            fn visit_bool<E: Error>(self, value: bool) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Borrowed(if value { "true" } else { "false" })))
            }

            fn visit_i64<E: Error>(self, value: i64) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Owned(value.to_string())))
            }

            fn visit_u64<E: Error>(self, value: u64) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Owned(value.to_string())))
            }

            fn visit_f64<E: Error>(self, value: f64) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Owned(value.to_string())))
            }
        }

        deserializer.deserialize_any(Scalar)
    }
}

/// The properties of one row, in the order they were sent.
#[derive(Debug, Default)]
pub(super) struct Values<'a>(pub(super) Vec<(Cow<'a, str>, Cow<'a, str>)>);

impl<'de: 'a, 'a> Deserialize<'de> for Values<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Pairs;

        impl<'de> Visitor<'de> for Pairs {
            type Value = Values<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a map of property names to strings")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Values<'de>, A::Error> {
                let mut pairs: Vec<(Cow<'de, str>, Cow<'de, str>)> = Vec::new();
                while let Some(Text(name)) = map.next_key()? {
                    let Text(value) = map.next_value()?;
                    // Of a name that is sent twice, the last value counts, as in any JSON map.
                    match pairs.iter_mut().find(|(known, _)| *known == name) {
                        Some(pair) => pair.1 = value,
                        None => pairs.push((name, value)),
                    }
                }
                Ok(Values(pairs))
            }
        }

        deserializer.deserialize_map(Pairs)
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct UpsertInput<'a> {
    #[serde(borrow)]
    pub(super) id: Text<'a>,
    #[serde(borrow, default)]
    pub(super) id_property: Option<Text<'a>>,
    #[serde(borrow, default)]
    pub(super) object_write_trace_id: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) properties: Values<'a>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct CreateInput<'a> {
    #[serde(borrow, default)]
    pub(super) object_write_trace_id: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) properties: Values<'a>,
    #[serde(borrow, default)]
    pub(super) associations: Vec<NewLink<'a>>,
}

/// An association that is made together with a record.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NewLink<'a> {
    #[serde(borrow)]
    pub(super) to: Id<'a>,
    #[serde(borrow)]
    pub(super) types: Vec<LinkType<'a>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct LinkType<'a> {
    #[serde(borrow)]
    pub(super) association_category: Text<'a>,
    pub(super) association_type_id: u32,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Id<'a> {
    #[serde(borrow)]
    pub(super) id: Text<'a>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Inputs<T> {
    pub(super) inputs: Vec<T>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct ReadInputs<'a> {
    #[serde(borrow)]
    pub(super) inputs: Vec<Id<'a>>,
    #[serde(borrow, default)]
    pub(super) id_property: Option<Text<'a>>,
    #[serde(default)]
    pub(super) properties: Vec<String>,
    #[serde(default)]
    pub(super) properties_with_history: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SingleInput<'a> {
    #[serde(borrow)]
    pub(super) properties: Values<'a>,
    #[serde(borrow, default)]
    pub(super) associations: Vec<NewLink<'a>>,
}

/// Parses a body.
///
/// # Errors
/// The sentence HubSpot begins its answer with.
pub(super) fn parse<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<T, String> {
    serde_json::from_slice(bytes).map_err(|error| {
        let (line, column) = (error.line(), error.column());
        let text = error.to_string();
        let what = text.split(" at line ").next().unwrap_or_default();
        format!("Invalid input JSON on line {line}, column {column}: {what}")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn upsert(text: &str) -> Result<Vec<UpsertInput<'_>>, String> {
        parse::<Inputs<UpsertInput<'_>>>(text.as_bytes()).map(|body| body.inputs)
    }

    #[test]
    fn numbers_and_booleans_become_text_and_the_last_of_a_name_counts() {
        let body = r#"{"inputs":[{"id":7,"properties":{"a":1.5,"b":true,"a":"x"}}]}"#;
        let inputs = upsert(body).unwrap();
        assert_eq!(inputs[0].id.0, "7");
        let values = &inputs[0].properties.0;
        assert_eq!(values.len(), 2);
        assert_eq!((&*values[0].0, &*values[0].1), ("a", "x"));
        assert_eq!((&*values[1].0, &*values[1].1), ("b", "true"));
    }

    #[test]
    fn what_is_no_map_of_strings_is_refused_with_its_place() {
        for body in [
            "",
            "[]",
            "{",
            r#"{"inputs":{}}"#,
            r#"{"inputs":[{"id":"a"}]}"#,
            r#"{"inputs":[{"properties":{}}]}"#,
            r#"{"inputs":[{"id":null,"properties":{}}]}"#,
            r#"{"inputs":[{"id":"a","properties":{"x":null}}]}"#,
            r#"{"inputs":[{"id":"a","properties":{"x":["y"]}}]}"#,
            r#"{"inputs":[{"id":"a","properties":{"x":{}}}]}"#,
            r#"{"inputs":[{"id":"a","properties":{},"traceId":"1"}]}"#,
            r#"{"inputs":[],"more":1}"#,
        ] {
            let error = upsert(body).unwrap_err();
            assert!(error.starts_with("Invalid input JSON on line "), "{body}: {error}");
        }
    }

    #[test]
    fn text_without_escapes_is_not_copied() {
        let body = r#"{"inputs":[{"id":"ada","properties":{"plain":"x","escaped":"a\nb"}}]}"#;
        let inputs = upsert(body).unwrap();
        let borrowed = |text: &Cow<'_, str>| matches!(text, Cow::Borrowed(_));
        assert!(borrowed(&inputs[0].id.0) && borrowed(&inputs[0].properties.0[0].1));
        assert_eq!(inputs[0].properties.0[1].1, "a\nb");
    }
}
