//! Reads `mappings:` from YAML or JSON. By hand, so that every message names the field and what it takes.

use std::fmt;

use serde::de::{self, Deserialize, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};

use crate::mappings::{FieldMapping, IfMissing, Lookup, LookupPlace, Mappings, Origin, Transform};
use crate::words::Word;
use crate::{Scalar, suggest};

/// Keys of a mapping object.
const KEYS: [&str; 14] = [
    "from",
    "const",
    "template",
    "run",
    "lookup",
    "values",
    "otherwise",
    "transform",
    "as",
    "default",
    "on_null",
    "on_drift",
    "only_if_empty",
    "only_on_create",
];
/// Keys of which exactly one says where the value comes from.
const ORIGINS: [&str; 5] = ["from", "const", "template", "run", "lookup"];

impl<'de> Deserialize<'de> for Mappings {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(MappingsVisitor)
    }
}

struct MappingsVisitor;

impl<'de> Visitor<'de> for MappingsVisitor {
    type Value = Mappings;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a map from destination field to model column or mapping")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Mappings, A::Error> {
        let mut fields: Vec<(String, FieldMapping)> = Vec::new();
        while let Some(field) = map.next_key::<String>()? {
            if field.is_empty() {
                return Err(de::Error::custom("a destination field needs a name"));
            }
            if fields.iter().any(|(name, _)| *name == field) {
                return Err(de::Error::custom(format!("field `{field}` is mapped twice")));
            }
            let mapping = map.next_value_seed(FieldSeed { field: &field })?;
            fields.push((field, mapping));
        }
        if fields.is_empty() {
            return Err(de::Error::custom("`mappings` needs at least one field"));
        }
        Ok(Mappings { fields })
    }
}

/// Reads one field's mapping; its messages name the field.
struct FieldSeed<'f> {
    field: &'f str,
}

impl<'de> DeserializeSeed<'de> for FieldSeed<'_> {
    type Value = FieldMapping;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<FieldMapping, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for FieldSeed<'_> {
    type Value = FieldMapping;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "for `{}` a model column (a string) or an object with one of {}",
            self.field,
            suggest::listed(ORIGINS)
        )
    }

    fn visit_str<E: de::Error>(self, column: &str) -> Result<FieldMapping, E> {
        if column.is_empty() {
            return Err(E::custom(format!("`{}`: a column name cannot be empty", self.field)));
        }
        Ok(FieldMapping::new(Origin::Column(column.to_owned())))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<FieldMapping, A::Error> {
        let mut seen: Vec<String> = Vec::new();
        let mut mapping = FieldMapping::new(Origin::Const(Scalar::Null));
        let error = |text: String| de::Error::custom(format!("`{}`: {text}", self.field));
        while let Some(key) = map.next_key::<String>()? {
            if seen.contains(&key) {
                return Err(error(format!("`{key}` is written twice")));
            }
            if let Some(text) = read_key(&key, &mut map, &mut mapping)? {
                return Err(error(text));
            }
            seen.push(key);
        }
        let has = |key: &str| seen.iter().any(|seen| seen == key);
        let origins: Vec<&str> = ORIGINS.into_iter().filter(|key| has(key)).collect();
        match origins[..] {
            [_] => {}
            [] => return Err(error(format!("needs one of {}", suggest::listed(ORIGINS)))),
            _ => return Err(error(format!("{} exclude each other", suggest::listed(origins)))),
        }
        if has("otherwise") && !has("values") {
            return Err(error("`otherwise` says nothing without `values`".to_owned()));
        }
        Ok(mapping)
    }
}

/// Reads the value of one key; `Some` is a complaint about the key or its value.
fn read_key<'de, A: MapAccess<'de>>(
    key: &str,
    map: &mut A,
    mapping: &mut FieldMapping,
) -> Result<Option<String>, A::Error> {
    match key {
        "from" => {
            let column: String = map.next_value()?;
            if column.is_empty() {
                return Ok(Some("`from` needs a column name".to_owned()));
            }
            mapping.origin = Origin::Column(column);
        }
        "const" => mapping.origin = Origin::Const(map.next_value()?),
        "template" => mapping.origin = Origin::Template(map.next_value()?),
        "run" => mapping.origin = Origin::Run(map.next_value_seed(OneWord::of("run"))?),
        "lookup" => mapping.origin = Origin::Lookup(map.next_value()?),
        "values" => {
            let values: ValueMapWritten = map.next_value()?;
            if values.0.is_empty() {
                return Ok(Some("`values` needs at least one entry".to_owned()));
            }
            mapping.values = Some(values.0);
        }
        "otherwise" => mapping.otherwise = Some(map.next_value_seed(OneWord::of("otherwise"))?),
        "transform" => mapping.transform = map.next_value()?,
        "as" => mapping.convert = Some(map.next_value_seed(OneWord::of("as"))?),
        "default" => match map.next_value()? {
            Scalar::Null => return Ok(Some("`default: null` says nothing".to_owned())),
            value => mapping.default = Some(value),
        },
        "on_null" => mapping.on_null = Some(map.next_value_seed(OneWord::of("on_null"))?),
        "on_drift" => mapping.on_drift = map.next_value_seed(OneWord::of("on_drift"))?,
        "only_if_empty" => mapping.only_if_empty = map.next_value()?,
        "only_on_create" => mapping.only_on_create = map.next_value()?,
        unknown => {
            let hint = suggest::closest(unknown, KEYS).map_or_else(
                || format!("use {}", suggest::listed(KEYS)),
                |meant| format!("did you mean `{meant}`?"),
            );
            return Ok(Some(format!("unknown key `{unknown}`; {hint}")));
        }
    }
    Ok(None)
}

/// Reads one word of a list.
struct OneWord<T> {
    key: &'static str,
    word: std::marker::PhantomData<T>,
}

impl<T> OneWord<T> {
    fn of(key: &'static str) -> Self {
        Self { key, word: std::marker::PhantomData }
    }
}

impl<'de, T: Word> DeserializeSeed<'de> for OneWord<T> {
    type Value = T;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<T, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<T: Word> Visitor<'_> for OneWord<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "one of {}", suggest::listed(T::WORDS.iter().map(|(word, _)| *word)))
    }

    fn visit_str<E: de::Error>(self, word: &str) -> Result<T, E> {
        T::from_word(word).map_err(|text| E::custom(format!("`{}`: {text}", self.key)))
    }
}

/// `values:`, whose keys are text whatever YAML makes of them.
struct ValueMapWritten(Vec<(String, Scalar)>);

impl<'de> Deserialize<'de> for ValueMapWritten {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Entries;
        impl<'de> Visitor<'de> for Entries {
            type Value = ValueMapWritten;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a map from source value to destination value")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<ValueMapWritten, A::Error> {
                let mut entries: Vec<(String, Scalar)> = Vec::new();
                // As text, so that `007`, `no` and `1.50` stay what is written.
                while let Some(key) = map.next_key::<String>()? {
                    if entries.iter().any(|(seen, _)| *seen == key) {
                        return Err(de::Error::custom(format!("`values` lists `{key}` twice")));
                    }
                    entries.push((key, map.next_value()?));
                }
                Ok(ValueMapWritten(entries))
            }
        }
        deserializer.deserialize_map(Entries)
    }
}

impl<'de> Deserialize<'de> for Lookup {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(LookupVisitor)
    }
}

struct LookupVisitor;

impl<'de> Visitor<'de> for LookupVisitor {
    type Value = Lookup;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a lookup: object and match_on, or sync and key; if_missing")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Lookup, A::Error> {
        let (mut object, mut match_on, mut if_missing) = (None, None, None);
        let (mut sync, mut columns) = (None, None);
        while let Some(key) = map.next_key::<String>()? {
            let twice = match key.as_str() {
                "object" => object.replace(map.next_value::<String>()?).is_some(),
                "match_on" => match_on.replace(map.next_value::<Pairs>()?.0).is_some(),
                "sync" => sync.replace(map.next_value::<String>()?).is_some(),
                "key" => columns.replace(map.next_value::<Names>()?.0).is_some(),
                "if_missing" => {
                    if_missing.replace(map.next_value_seed(OneWord::of("if_missing"))?).is_some()
                }
                unknown => {
                    let known = ["object", "match_on", "sync", "key", "if_missing"];
                    let hint = suggest::hint(unknown, known);
                    return Err(de::Error::custom(format!(
                        "unknown key `{unknown}` in `lookup`; {hint}"
                    )));
                }
            };
            if twice {
                return Err(de::Error::custom(format!("`{key}` is written twice")));
            }
        }
        let place = match (object, match_on, sync, columns) {
            (Some(object), Some(match_on), None, None) if !object.is_empty() => {
                LookupPlace::Object { object, match_on }
            }
            (None, None, Some(sync), Some(key)) if !sync.is_empty() => {
                LookupPlace::Sync { sync, key }
            }
            (None, _, None, _) => {
                return Err(de::Error::custom("`lookup` needs `object` or `sync`"));
            }
            (Some(_), None, None, _) => {
                return Err(de::Error::custom("a `lookup` of an `object` needs `match_on`"));
            }
            (None, _, Some(_), None) => {
                return Err(de::Error::custom("a `lookup` in a `sync` needs `key`"));
            }
            _ => {
                let message =
                    "a `lookup` has `object` and `match_on`, or `sync` and `key`, and not both";
                return Err(de::Error::custom(message));
            }
        };
        Ok(Lookup { place, if_missing: if_missing.unwrap_or(IfMissing::Reject) })
    }
}

/// One column or a list of them, nothing empty.
struct Names(Vec<String>);

impl<'de> Deserialize<'de> for Names {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct NamesVisitor;

        impl<'de> Visitor<'de> for NamesVisitor {
            type Value = Names;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a column or a list of columns")
            }

            fn visit_str<E: de::Error>(self, name: &str) -> Result<Names, E> {
                checked(vec![name.to_owned()])
            }

            fn visit_seq<A: de::SeqAccess<'de>>(self, mut list: A) -> Result<Names, A::Error> {
                let mut names = Vec::new();
                while let Some(name) = list.next_element()? {
                    names.push(name);
                }
                checked(names)
            }
        }

        fn checked<E: de::Error>(names: Vec<String>) -> Result<Names, E> {
            if names.is_empty() || names.iter().any(String::is_empty) {
                return Err(E::custom("`key` needs at least one column"));
            }
            Ok(Names(names))
        }

        deserializer.deserialize_any(NamesVisitor)
    }
}

/// `{field: column}` pairs, at least one, nothing empty.
struct Pairs(Vec<(String, String)>);

impl<'de> Deserialize<'de> for Pairs {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct PairsVisitor;
        impl<'de> Visitor<'de> for PairsVisitor {
            type Value = Pairs;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a map from field to model column")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Pairs, A::Error> {
                let mut pairs: Vec<(String, String)> = Vec::new();
                while let Some((field, column)) = map.next_entry::<String, String>()? {
                    if column.is_empty() || pairs.iter().any(|(seen, _)| *seen == field) {
                        return Err(de::Error::custom(
                            "`match_on` names each field once, with a column",
                        ));
                    }
                    pairs.push((field, column));
                }
                if pairs.is_empty() {
                    return Err(de::Error::custom("`match_on` needs at least one field"));
                }
                Ok(Pairs(pairs))
            }
        }
        deserializer.deserialize_map(PairsVisitor)
    }
}

impl<'de> Deserialize<'de> for Transform {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TransformVisitor)
    }
}

/// Transforms that take an argument.
const WITH_ARGUMENT: [&str; 3] = ["truncate", "e164", "date_format"];

struct TransformVisitor;

impl<'de> Visitor<'de> for TransformVisitor {
    type Value = Transform;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a transform, for example `trim` or `{truncate: 255}`")
    }

    fn visit_str<E: de::Error>(self, word: &str) -> Result<Transform, E> {
        if word != "e164" && WITH_ARGUMENT.contains(&word) {
            return Err(E::custom(format!("`{word}` needs an argument: {{{word}: …}}")));
        }
        Transform::from_word(word).map_err(|text| E::custom(format!("`transform`: {text}")))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Transform, A::Error> {
        let key: String = map.next_key()?.ok_or_else(|| {
            de::Error::custom("a transform in braces needs a name and an argument")
        })?;
        let transform = match key.as_str() {
            "truncate" => match map.next_value::<u64>()? {
                0 => return Err(de::Error::custom("`truncate` keeps at least 1 character")),
                chars => Transform::Truncate(usize::try_from(chars).unwrap_or(usize::MAX)),
            },
            "date_format" => Transform::DateFormat(map.next_value()?),
            "e164" => country(map.next_value()?).map_err(de::Error::custom)?,
            unknown => {
                let hint = suggest::hint(unknown, WITH_ARGUMENT);
                return Err(de::Error::custom(format!(
                    "no transform `{unknown}` takes an argument; {hint}"
                )));
            }
        };
        if map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {
            return Err(de::Error::custom("one transform per entry; write them as a list"));
        }
        Ok(transform)
    }
}

fn country(written: Scalar) -> Result<Transform, String> {
    let digits = match &written {
        Scalar::Text(text) => text.strip_prefix('+').unwrap_or(text),
        Scalar::Number(text) => text,
        Scalar::Null | Scalar::Boolean(_) => "",
    };
    let valid = (1..=3).contains(&digits.len())
        && digits.bytes().all(|b| b.is_ascii_digit())
        && !digits.starts_with('0');
    if !valid {
        return Err("`e164` takes a country code of 1 to 3 digits, for example \"48\"".to_owned());
    }
    Ok(Transform::E164 { country_code: Some(digits.to_owned()) })
}
