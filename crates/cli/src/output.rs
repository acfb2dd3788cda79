//! The only place that writes to stdout and stderr: data goes to the one, everything else to the other, and a
//! reader that went away (`outflow ... | head`) ends the output, not the work.

use std::fmt::Display;
use std::io::{self, IsTerminal, Write};
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::Serialize;
use serde_json::Value;

use crate::summary::Summary;

/// How data is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Format {
    /// For people.
    Text,
    /// One JSON object, the summary, with everything in it.
    Json,
    /// One JSON object a line; the last one is the summary.
    Ndjson,
    /// A plan for a pull request.
    Markdown,
}

/// When to colour text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Color {
    /// On a terminal, unless `NO_COLOR` is set.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// What a piece of text means; decides its colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tone {
    /// A heading.
    Head,
    /// All is well.
    Good,
    /// Deserves attention.
    Warn,
    /// Wrong.
    Bad,
}

/// Both streams of the process.
#[derive(Debug)]
pub(crate) struct Output {
    format: Format,
    quiet: bool,
    color: bool,
    color_errors: bool,
    written: Mutex<Written>,
}

#[derive(Debug, Default)]
struct Written {
    /// Items kept for the one JSON object.
    items: Vec<Value>,
    /// The reader went away, or writing failed: nothing more is written.
    closed: bool,
    /// Why writing failed, where the reader is still there.
    error: Option<io::Error>,
}

impl Output {
    /// Output as the command line asks for it; `no_color` is whether the environment has `NO_COLOR`.
    pub(crate) fn new(format: Format, color: Color, no_color: bool, quiet: bool) -> Self {
        let on = |terminal: bool| match color {
            Color::Auto => terminal && !no_color,
            Color::Always => true,
            Color::Never => false,
        };
        Self {
            format,
            quiet,
            color: on(io::stdout().is_terminal()),
            color_errors: on(io::stderr().is_terminal()),
            written: Mutex::default(),
        }
    }

    /// Whether data is for people.
    pub(crate) fn is_text(&self) -> bool {
        matches!(self.format, Format::Text | Format::Markdown)
    }

    /// Whether data is for a pull request.
    pub(crate) fn is_markdown(&self) -> bool {
        self.format == Format::Markdown
    }

    /// Whether notes are left out.
    pub(crate) fn is_quiet(&self) -> bool {
        self.quiet
    }

    /// Whether text on stderr is coloured.
    pub(crate) fn colors_errors(&self) -> bool {
        self.color_errors
    }

    /// One line of text on stdout; nothing in the JSON formats.
    pub(crate) fn line(&self, text: impl Display) {
        if self.is_text() {
            self.write(&format!("{text}\n"));
        }
    }

    /// Whether text on stdout is coloured.
    pub(crate) fn colors_text(&self) -> bool {
        self.color
    }

    /// Text on stdout as it is: a script, a schema, a help page. In the JSON formats it is an item.
    pub(crate) fn script(&self, text: &str) {
        if self.is_text() {
            self.write(text);
        } else {
            self.item("text", &serde_json::json!({ "text": text }));
        }
    }

    /// Like [`Output::item`], and written at once in both JSON formats: somebody waits for it.
    pub(crate) fn event(&self, kind: &str, event: &impl Serialize) {
        if !self.is_text() {
            self.write(&format!("{}\n", typed(kind, event)));
        }
    }

    /// One thing of a list: a line of its own in `ndjson`, a part of the summary in `json`.
    pub(crate) fn item(&self, kind: &str, item: &impl Serialize) {
        if self.is_text() {
            return;
        }
        let value = typed(kind, item);
        match self.format {
            Format::Ndjson => self.write(&format!("{value}\n")),
            Format::Json => self.lock().items.push(value),
            Format::Text | Format::Markdown => {}
        }
    }

    /// Like [`Output::item`], but `json` leaves it to the summary, which holds it anyway.
    pub(crate) fn stream(&self, kind: &str, item: &impl Serialize) {
        if self.format == Format::Ndjson {
            self.write(&format!("{}\n", typed(kind, item)));
        }
    }

    /// Puts the collected items into the summary and, in the JSON formats, writes it as the last line.
    pub(crate) fn finish(&self, summary: &mut Summary) {
        if self.format == Format::Json {
            summary.items = std::mem::take(&mut self.lock().items);
        }
        if !self.is_text() {
            let line = serde_json::to_string(summary).expect("a summary has string keys only");
            self.write(&format!("{line}\n"));
        }
    }

    /// Why stdout could not be written; `None` when all is written or the reader went away.
    pub(crate) fn error(&self) -> Option<String> {
        self.lock().error.as_ref().map(ToString::to_string)
    }

    /// A sentence for the person watching, on stderr; left out with `--quiet`.
    pub(crate) fn note(&self, text: impl Display) {
        if !self.quiet {
            self.complain(text);
        }
    }

    /// A warning or an error, on stderr.
    pub(crate) fn complain(&self, text: impl Display) {
        // Nobody is left to tell when stderr is gone.
        let _ = writeln!(io::stderr().lock(), "{text}");
    }

    /// `text` in the colour of its meaning, for stdout.
    pub(crate) fn paint(&self, tone: Tone, text: impl Display) -> String {
        paint(self.color, tone, text)
    }

    /// `text` in the colour of its meaning, for stderr.
    pub(crate) fn paint_error(&self, tone: Tone, text: impl Display) -> String {
        paint(self.color_errors, tone, text)
    }

    fn write(&self, text: &str) {
        let mut written = self.lock();
        if written.closed {
            return;
        }
        let mut stdout = io::stdout().lock();
        if let Err(error) = stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
            written.closed = true;
            if error.kind() != io::ErrorKind::BrokenPipe {
                written.error = Some(error);
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Written> {
        self.written.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The object `item` with its kind in front.
fn typed(kind: &str, item: &impl Serialize) -> Value {
    let mut value = serde_json::json!({ "type": kind });
    if let (Value::Object(all), Ok(Value::Object(fields))) =
        (&mut value, serde_json::to_value(item))
    {
        all.extend(fields);
    }
    value
}

fn paint(on: bool, tone: Tone, text: impl Display) -> String {
    if !on {
        return text.to_string();
    }
    let code = match tone {
        Tone::Head => "1",
        Tone::Good => "32",
        Tone::Warn => "33",
        Tone::Bad => "31",
    };
    format!("\u{1b}[{code}m{text}\u{1b}[0m")
}

/// Text of somebody else's (a vendor's message, a cell) with control characters made visible, so that it can
/// neither move the cursor nor fake a line.
pub(crate) fn clean(text: &str) -> String {
    let mut cleaned = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() || is_bidi(c) {
            cleaned.extend(c.escape_default());
        } else {
            cleaned.push(c);
        }
    }
    cleaned
}

/// Marks that turn the direction of text around, and so can make a line read as something else.
fn is_bidi(c: char) -> bool {
    matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn foreign_text_cannot_move_the_cursor_or_fake_a_line() {
        assert_eq!(clean("Zoë 🦊"), "Zoë 🦊");
        assert_eq!(clean("a\u{1b}[2Jb\nc"), "a\\u{1b}[2Jb\\nc");
        assert_eq!(clean("a\u{202e}b"), "a\\u{202e}b");
    }
}
