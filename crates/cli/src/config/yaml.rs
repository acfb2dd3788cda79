//! YAML text -> [`Node`] tree. Everything that makes a file mean something other than it shows is refused.

use std::collections::HashMap;
use std::sync::Arc;

use saphyr_parser::{Event, Parser, ScalarStyle, ScanError, Span, Tag};

use super::file::{Place, SourceFile};
use super::node::{Entry, Node, Text, Value};
use super::scalar::{Unclear, resolve};
use crate::codes::{
    E0003_YAML_SYNTAX, E0004_DUPLICATE_KEY, E0005_YAML_FEATURE, E0006_TOO_DEEP,
    E0007_UNCLEAR_NUMBER,
};
use crate::diagnostic::Diagnostic;

/// Levels of nesting; real project files have about 8.
const DEPTH_MAX: usize = 32;

/// The document and every problem that does not keep it from being read. `None` when the text is not
/// YAML at all, or holds nothing.
pub(crate) fn parse(file: &Arc<SourceFile>) -> (Option<Node>, Vec<Diagnostic>) {
    let mut builder = Builder {
        file,
        offsets: Offsets::of(file.text()),
        problems: Vec::new(),
        open: Vec::new(),
        root: None,
        documents: 0,
    };
    for event in Parser::new_from_str(file.text()) {
        match event {
            Ok((event, span)) => {
                if builder.take(event, span).is_err() {
                    return (None, builder.problems);
                }
            }
            Err(error) => {
                let problem = builder.syntax(&error);
                builder.problems.push(problem);
                return (None, builder.problems);
            }
        }
    }
    if builder.root.is_none() && builder.problems.is_empty() {
        let place = Place::new(file, 0, 0);
        builder.problems.push(
            Diagnostic::error(&E0003_YAML_SYNTAX, format!("{} is empty", file.name()))
                .at(&place, "nothing here")
                .with_help("write the file, or delete it; `outflow init` makes a working project"),
        );
    }
    (builder.root, builder.problems)
}

/// What makes a file mean something other than it shows: name, label and help.
type Feature = [&'static str; 3];

const SHARED: &str =
    "write the value where it is used; what all syncs share belongs in `defaults:` of outflow.yml";
const ANCHOR: Feature = ["an anchor", "anchors are not used here", SHARED];
const ALIAS: Feature = ["an alias", "aliases are not used here", SHARED];
const MERGE_KEY: Feature = ["a merge key", "merge keys are not used here", SHARED];
const TAG: Feature = ["a tag", "tags are not used here", "remove the tag; put text in quotes"];
const DOCUMENT: Feature =
    ["a second document", "one file holds one document", "move it to a file of its own"];
const COMPLEX_KEY: Feature =
    ["a list or map as key", "not a word", "write a word as key, in quotes where it has brackets"];

fn feature(place: &Place, [what, label, help]: &Feature) -> Diagnostic {
    Diagnostic::error(&E0005_YAML_FEATURE, format!("{what} is not used in project files"))
        .at(place, *label)
        .with_help(*help)
}

/// Byte offsets of characters; the parser counts characters.
enum Offsets {
    Ascii(usize),
    Table(Vec<usize>),
}

impl Offsets {
    fn of(text: &str) -> Self {
        if text.is_ascii() {
            return Self::Ascii(text.len());
        }
        let ends = std::iter::once(text.len());
        Self::Table(text.char_indices().map(|(at, _)| at).chain(ends).collect())
    }

    fn byte(&self, character: usize) -> usize {
        match self {
            Self::Ascii(length) => character.min(*length),
            Self::Table(offsets) => *offsets.get(character).or(offsets.last()).unwrap_or(&0),
        }
    }
}

/// A list or map whose end has not come yet.
struct Open {
    start: usize,
    kind: OpenKind,
}

enum OpenKind {
    List(Vec<Node>),
    Map { entries: Vec<Entry>, key: Option<(String, Place)>, seen: HashMap<String, Place> },
}

/// The file cannot be read any further.
struct Stop;

struct Builder<'a> {
    file: &'a Arc<SourceFile>,
    offsets: Offsets,
    problems: Vec<Diagnostic>,
    open: Vec<Open>,
    root: Option<Node>,
    documents: usize,
}

impl Builder<'_> {
    fn take(&mut self, event: Event<'_>, span: Span) -> Result<(), Stop> {
        let place = self.place(span);
        match event {
            Event::DocumentStart(_) => {
                self.documents += 1;
                if self.documents > 1 {
                    self.problems.push(feature(&place, &DOCUMENT));
                    return Err(Stop);
                }
            }
            Event::Alias(_) => {
                let problem = feature(&place, &ALIAS);
                self.problems.push(problem.clone());
                self.add(Node { place, value: Value::Unresolved(Box::new(problem)) });
            }
            Event::Scalar(text, style, anchor, tag) => {
                self.refuse(&place, anchor, tag.as_deref());
                let value = self.scalar(&text, style, &place);
                self.add(Node { place, value });
            }
            Event::SequenceStart(anchor, tag) => {
                self.refuse(&place, anchor, tag.as_deref());
                self.begin(&place, OpenKind::List(Vec::new()))?;
            }
            Event::MappingStart(anchor, tag) => {
                self.refuse(&place, anchor, tag.as_deref());
                let kind = OpenKind::Map { entries: Vec::new(), key: None, seen: HashMap::new() };
                self.begin(&place, kind)?;
            }
            Event::SequenceEnd | Event::MappingEnd => self.end(&place),
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => {}
        }
        Ok(())
    }

    fn place(&self, span: Span) -> Place {
        let (start, end) =
            (self.offsets.byte(span.start.index()), self.offsets.byte(span.end.index()));
        Place::new(self.file, start, end.max(start))
    }

    fn scalar(&mut self, text: &str, style: ScalarStyle, place: &Place) -> Value {
        let unquoted = style == ScalarStyle::Plain;
        let as_text = || Value::Text(Text { text: text.to_owned(), unquoted, substituted: false });
        if !unquoted {
            return as_text();
        }
        let why = match resolve(text) {
            Ok(serde_json::Value::String(_)) => return as_text(),
            Ok(value) => return Value::Plain(value),
            Err(Unclear::LeadingZero) => "a number with leading zeros would lose them",
            Err(Unclear::TooLong) => "a number with so many digits would lose some",
            Err(Unclear::NotFinite) => "JSON has no such number",
        };
        // A key keeps its text whatever it looks like.
        if !self.expects_key() {
            self.problems.push(
                Diagnostic::error(&E0007_UNCLEAR_NUMBER, why.to_owned())
                    .at(place, "put it in quotes to keep it as text"),
            );
        }
        as_text()
    }

    fn expects_key(&self) -> bool {
        matches!(self.open.last(), Some(Open { kind: OpenKind::Map { key: None, .. }, .. }))
    }

    fn begin(&mut self, place: &Place, kind: OpenKind) -> Result<(), Stop> {
        if self.open.len() >= DEPTH_MAX {
            self.problems.push(
                Diagnostic::error(&E0006_TOO_DEEP, format!("more than {DEPTH_MAX} levels deep"))
                    .at(&self.visible(place), "this level is too deep"),
            );
            return Err(Stop);
        }
        if self.expects_key() {
            self.problems.push(feature(&self.visible(place), &COMPLEX_KEY));
            return Err(Stop);
        }
        self.open.push(Open { start: place.start, kind });
        Ok(())
    }

    fn end(&mut self, place: &Place) {
        let Some(open) = self.open.pop() else { return };
        let (value, first, last) = match open.kind {
            OpenKind::List(items) => {
                let first = items.first().map(|item| item.place.start);
                let last = items.last().map(|item| item.place.end);
                (Value::List(items), first, last)
            }
            OpenKind::Map { entries, .. } => {
                let first = entries.first().map(|entry| entry.place.start);
                let last = entries.last().map(|entry| entry.value.place.end.max(entry.place.end));
                (Value::Map(entries), first, last)
            }
        };
        let closes_in_text =
            matches!(self.file.text().as_bytes().get(place.start), Some(b']' | b'}'))
                && place.end > place.start;
        let start = first.map_or(open.start, |first| first.min(open.start));
        let end = if closes_in_text { place.end } else { last.unwrap_or(place.end) };
        let place = Place::new(self.file, start, end);
        self.add(Node { place, value });
    }

    fn add(&mut self, node: Node) {
        match self.open.last_mut() {
            None => self.root = Some(node),
            Some(Open { kind: OpenKind::List(items), .. }) => items.push(node),
            Some(Open { kind: OpenKind::Map { entries, key, seen }, .. }) => match key.take() {
                Some((key, place)) => {
                    if key != "<<" && !seen.contains_key(&key) {
                        seen.insert(key.clone(), place.clone());
                        entries.push(Entry { key, place, value: node });
                    }
                }
                None => {
                    let text = node.place.text();
                    let name = match &node.value {
                        Value::Text(text) => text.text.clone(),
                        _ => text.to_owned(),
                    };
                    *key = Some((name.clone(), node.place.clone()));
                    let first = seen.get(&name).cloned();
                    self.check_key(&name, &node.place, first);
                }
            },
        }
    }

    fn check_key(&mut self, name: &str, place: &Place, first: Option<Place>) {
        if name == "<<" {
            self.problems.push(feature(place, &MERGE_KEY));
        } else if let Some(first) = first {
            self.problems.push(
                Diagnostic::error(&E0004_DUPLICATE_KEY, format!("`{name}` is written twice"))
                    .at(place, "again here")
                    .at(&first, "first here"),
            );
        }
    }

    fn refuse(&mut self, place: &Place, anchor: usize, tag: Option<&Tag>) {
        // Nothing is said twice: `!!str &a x` is one problem to mend.
        if tag.is_some() {
            self.problems.push(feature(&self.visible(place), &TAG));
        } else if anchor != 0 {
            self.problems.push(feature(&self.visible(place), &ANCHOR));
        }
    }

    /// The place, or the rest of its line where it is empty.
    fn visible(&self, place: &Place) -> Place {
        if !place.is_empty() {
            return place.clone();
        }
        Place::new(self.file, place.start, self.file.line_end(place.start))
    }

    fn syntax(&self, error: &ScanError) -> Diagnostic {
        let at = self.offsets.byte(error.marker().index());
        let text = self.file.text();
        // The parser may stop at the end of the line before.
        let line = self.file.line_start(at);
        let next = text[at..].find('\n').map_or(text.len(), |end| at + end + 1);
        if let Some(tab) = [line, next].into_iter().find_map(|line| self.indenting_tab(line)) {
            let place = Place::new(self.file, tab, tab + 1);
            return Diagnostic::error(&E0003_YAML_SYNTAX, "a tab indents this line")
                .at(&place, "a tab")
                .with_help(
                    "YAML allows only spaces for indentation: replace the tab by two spaces",
                );
        }
        let place = if at >= self.file.line_end(at) {
            // The end of the line, or of the file: underline what was there before.
            let before = text[..at].trim_end();
            let last = before.char_indices().next_back().map_or(0, |(start, _)| start);
            Place::new(self.file, last, before.len())
        } else {
            let next = text[at..].chars().next().map_or(0, char::len_utf8);
            Place::new(self.file, at, at + next)
        };
        Diagnostic::error(&E0003_YAML_SYNTAX, format!("not valid YAML: {}", error.info()))
            .at(&place, "the parser stopped here")
    }

    /// A tab in the indentation of the line that begins at this offset.
    fn indenting_tab(&self, line: usize) -> Option<usize> {
        let line_text = &self.file.text()[line..];
        let indent = line_text.len() - line_text.trim_start_matches([' ', '\t']).len();
        line_text[..indent].find('\t').map(|tab| line + tab)
    }
}
