//! JSON lines: one object a line; types from the options, or from all values of a column where they agree.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;
use std::io::{BufRead, BufReader, Read};

use flow::{Error, Result};
use serde::de::{DeserializeSeed, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::csv::{Texts, assemble, text};
use super::generation::Entry;
use super::input::{broken, broken_by};
use super::options::{ColumnType, Options};
use super::schema::Merged;
use crate::codes;
use crate::layout::{Column, Layout};
use crate::ordered::{Arrived, Rows};

/// Bytes of the longest line.
const LINE_BYTES_MAX: u64 = 256 << 20;
/// Bytes of text of one batch.
const BATCH_BYTES: usize = 4 << 20;

/// The lines of a file that hold something.
struct Lines {
    name: String,
    input: BufReader<Box<dyn Read>>,
    number: u64,
    line: Vec<u8>,
}

impl Lines {
    fn open(entry: &Entry) -> Result<Self> {
        let input = BufReader::with_capacity(1 << 16, text(entry)?);
        Ok(Self { name: entry.name.clone(), input, number: 0, line: Vec::new() })
    }

    /// The next line and its number; `None` at the end.
    fn next(&mut self) -> Result<Option<(u64, &str)>> {
        loop {
            self.line.clear();
            let mut limited = (&mut self.input).take(LINE_BYTES_MAX);
            let read = limited.read_until(b'\n', &mut self.line);
            if read.map_err(|error| broken_by(&self.name, error))? == 0 {
                return Ok(None);
            }
            self.number += 1;
            if self.line.len() as u64 >= LINE_BYTES_MAX {
                return Err(self.wrong("is longer than 256 MiB"));
            }
            if self.number == 1 && self.line.starts_with(b"\xef\xbb\xbf") {
                self.line.drain(..3);
            }
            if !self.line.iter().all(u8::is_ascii_whitespace) {
                break;
            }
        }
        let number = self.number;
        match std::str::from_utf8(&self.line) {
            Ok(line) => Ok(Some((number, line))),
            Err(_) => Err(broken(&self.name, format_args!("line {number} is not UTF-8"))),
        }
    }

    fn wrong(&self, what: &str) -> Error {
        broken(&self.name, format_args!("line {} {what}", self.number))
    }
}

/// Calls `each` with the name and raw value of every member of an object.
struct Members<F>(F);

impl<'de, F: FnMut(&str, Option<&'de RawValue>) -> Result<bool, &'static str>> DeserializeSeed<'de>
    for Members<F>
{
    type Value = ();

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de, F: FnMut(&str, Option<&'de RawValue>) -> Result<bool, &'static str>> Visitor<'de>
    for Members<F>
{
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("one JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<(), A::Error> {
        while let Some(name) = map.next_key::<Cow<'de, str>>()? {
            match (self.0)(&name, None).map_err(serde::de::Error::custom)? {
                true => {
                    let value: &RawValue = map.next_value()?;
                    (self.0)(&name, Some(value)).map_err(serde::de::Error::custom)?;
                }
                false => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(())
    }
}

/// Reads one object. `each` is called with a name alone, and again with its value where it then says true.
fn object<'de>(
    (number, line): (u64, &'de str),
    file: &str,
    each: impl FnMut(&str, Option<&'de RawValue>) -> Result<bool, &'static str>,
) -> Result<()> {
    let mut json = serde_json::Deserializer::from_str(line);
    let read = Members(each).deserialize(&mut json).and_then(|()| json.end());
    // The parser's own words quote values.
    read.map_err(|error| {
        let column = error.column();
        let why = match error.classify() {
            serde_json::error::Category::Eof => "ends too early".to_owned(),
            serde_json::error::Category::Data if error.to_string().contains(TWICE) => {
                TWICE.to_owned()
            }
            serde_json::error::Category::Data => "is no JSON object".to_owned(),
            _ => format!("is no JSON at column {column}"),
        };
        broken(file, format_args!("line {number} {why}"))
    })
}

const TWICE: &str = "has a member twice";

/// What the values of a column are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Seen {
    Null,
    Boolean,
    Whole,
    Number,
    Text,
    Nested,
}

impl Seen {
    fn of(raw: &str) -> Self {
        match raw.as_bytes().first() {
            Some(b'n') => Self::Null,
            Some(b't' | b'f') => Self::Boolean,
            Some(b'"') => Self::Text,
            Some(b'{' | b'[') => Self::Nested,
            _ if raw.parse::<i64>().is_ok() => Self::Whole,
            _ => Self::Number,
        }
    }

    fn with(self, other: Self) -> Option<Self> {
        match (self, other) {
            (Self::Null, seen) | (seen, Self::Null) => Some(seen),
            (Self::Whole, Self::Number) | (Self::Number, Self::Whole) => Some(Self::Number),
            (a, b) => (a == b).then_some(a),
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Boolean => "a boolean",
            Self::Whole | Self::Number => "a number",
            Self::Text => "text",
            Self::Nested => "an object or array",
        }
    }

    fn kind(self) -> ColumnType {
        match self {
            Self::Null | Self::Text => ColumnType::Text,
            Self::Boolean => ColumnType::Boolean,
            Self::Whole => ColumnType::Bigint,
            Self::Number => ColumnType::Numeric,
            Self::Nested => ColumnType::Json,
        }
    }
}

/// The columns of a file, by a look at every value.
///
/// # Errors
/// `E1107` for a line that is no object, `E1105` for a column whose values do not agree.
pub(super) fn describe(entry: &Entry, options: &Options, merged: &mut Merged) -> Result<()> {
    let mut lines = Lines::open(entry)?;
    let mut order: Vec<String> = Vec::new();
    let mut seen: HashMap<String, (Seen, u64)> = HashMap::new();
    while let Some((number, line)) = lines.next()? {
        if number == 1 && line.trim_start().starts_with('[') {
            let what = "it is one JSON array; there must be one object a line";
            return Err(Error::new(&codes::E1104_FORMAT, format!("{}: {what}", entry.name)));
        }
        let mut conflict = None;
        object((number, line), &entry.name, |name, raw| {
            let Some(raw) = raw else { return Ok(true) };
            let now = Seen::of(raw.get());
            match seen.get_mut(name) {
                None => {
                    order.push(name.to_owned());
                    seen.insert(name.to_owned(), (now, number));
                }
                Some((known, line)) => match known.with(now) {
                    Some(both) if both != *known => (*known, *line) = (both, number),
                    Some(_) => {}
                    None if options.columns.get(name).is_some() => {}
                    None => {
                        let (before, now) = (known.name(), now.name());
                        conflict.get_or_insert_with(|| format!(
                            "{}: column `{name}` holds {before} in line {line}, and {now} in line {number}",
                            entry.name
                        ));
                    }
                },
            }
            Ok(true)
        })?;
        if let Some(message) = conflict {
            return Err(Error::new(&codes::E1105_DISAGREE, message));
        }
    }
    for name in order {
        let (seen, _) = seen[&name];
        let declared = options.columns.get(&name);
        let arrival = declared.unwrap_or(seen.kind()).arrival();
        let untyped = declared.is_none() && seen == Seen::Null;
        merged.add(&entry.name, Column { name, arrival }, untyped)?;
    }
    Ok(())
}

/// The rows of one file.
pub(super) struct JsonRows<'a> {
    layout: &'a Layout,
    options: &'a Options,
    lines: Lines,
    kinds: Vec<Option<ColumnType>>,
    places: HashMap<String, usize>,
}

impl<'a> JsonRows<'a> {
    /// Opens a file.
    ///
    /// # Errors
    /// `E1102` when it cannot be read, `E1106` when it changed.
    pub(super) fn open(entry: &Entry, layout: &'a Layout, options: &'a Options) -> Result<Self> {
        let kinds = layout.columns.iter().map(|column| {
            let inferred = || ColumnType::try_from(column.arrival.source_type.clone()).ok();
            Some(options.columns.get(&column.name).or_else(inferred).unwrap_or(ColumnType::Text))
        });
        let names = layout.columns.iter().enumerate();
        Ok(Self {
            layout,
            options,
            lines: Lines::open(entry)?,
            kinds: kinds.collect(),
            places: names.map(|(at, column)| (column.name.clone(), at)).collect(),
        })
    }
}

impl Rows for JsonRows<'_> {
    fn next(&mut self) -> Result<Option<Arrived>> {
        let mut texts: Vec<Texts> = self.kinds.iter().map(|_| Texts::default()).collect();
        let (mut rows, mut bytes) = (0, 0);
        let name = self.lines.name.clone();
        while rows < self.options.batch_rows && bytes < BATCH_BYTES {
            let Some((number, line)) = self.lines.next()? else { break };
            let mut cells: Vec<Option<&RawValue>> = vec![None; self.kinds.len()];
            object((number, line), &name, |member, raw| {
                let Some(at) = self.places.get(member) else { return Ok(false) };
                if let Some(raw) = raw
                    && cells[*at].replace(raw).is_some()
                {
                    return Err(TWICE);
                }
                Ok(true)
            })?;
            for ((cell, texts), kind) in cells.iter().zip(&mut texts).zip(&self.kinds) {
                let cell = cell.map(RawValue::get).filter(|raw| *raw != "null");
                bytes += cell.map_or(0, str::len);
                match (cell, kind) {
                    (Some(raw), kind)
                        if raw.starts_with('"') && *kind != Some(ColumnType::Json) =>
                    {
                        let text: String = serde_json::from_str(raw).map_err(|_| {
                            broken(
                                &name,
                                format_args!("line {number} holds text that is no Unicode"),
                            )
                        })?;
                        texts.push(Some(&text));
                    }
                    (cell, _) => texts.push(cell),
                }
            }
            rows += 1;
        }
        if rows == 0 {
            return Ok(None);
        }
        assemble(self.layout, &self.kinds, &texts, rows, &name).map(Some)
    }
}
