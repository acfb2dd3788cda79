//! Problems of the project files as people and programs see them: code, sentence, underlined place, help.

use std::fmt;
use std::sync::Arc;

use flow::Code;
use miette::{GraphicalReportHandler, GraphicalTheme, LabeledSpan, SourceSpan};
use serde_json::{Value, json};

use crate::config::{Place, SourceFile};

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// The project cannot be used.
    Error,
    /// It works and deserves attention.
    Warning,
}

/// A place in a file and what is to be said about it.
#[derive(Debug, Clone, PartialEq)]
pub struct Label {
    /// The place; only its first line is underlined.
    pub place: Place,
    /// What is said; may be empty.
    pub text: String,
}

/// One problem.
#[derive(Debug, Clone)]
pub struct Diagnostic {
    /// The documented code.
    pub code: &'static Code,
    /// How bad it is.
    pub severity: Severity,
    /// One sentence, without secrets.
    pub message: String,
    /// The first is where the problem is; the others explain it and may lie in other files.
    pub labels: Vec<Label>,
    /// What to do next.
    pub help: String,
}

impl Diagnostic {
    /// An error; its help is the code's remedy until another is given.
    pub fn error(code: &'static Code, message: impl Into<String>) -> Self {
        Self {
            code,
            severity: Severity::Error,
            message: printable(message.into()),
            labels: Vec::new(),
            help: code.remedy.to_owned(),
        }
    }

    /// A warning.
    pub fn warning(code: &'static Code, message: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, ..Self::error(code, message) }
    }

    /// Adds a place.
    #[must_use]
    pub fn at(mut self, place: &Place, text: impl Into<String>) -> Self {
        self.labels.push(Label { place: place.first_line(), text: printable(text.into()) });
        self
    }

    /// Replaces the help.
    #[must_use]
    pub fn with_help(mut self, help: impl Into<String>) -> Self {
        self.help = printable(help.into());
        self
    }

    /// Where the problem is; `None` when it has no place in a file.
    pub fn place(&self) -> Option<&Place> {
        self.labels.first().map(|label| &label.place)
    }

    /// The problem for programs; `line`, `column` and `end` (line and column after the last character)
    /// count from 1, and are null together with `file` when the problem has no place.
    pub fn to_json(&self) -> Value {
        let place = self.place();
        let position = place.map(Place::position);
        let end = place.map(|place| place.file.position(place.end));
        json!({
            "code": self.code.id,
            "severity": match self.severity { Severity::Error => "error", Severity::Warning => "warning" },
            "file": place.map(|place| place.file.name()),
            "line": position.map(|(line, _)| line),
            "column": position.map(|(_, column)| column),
            "end": end.map(|(line, column)| json!({ "line": line, "column": column })),
            "message": self.message,
            "help": self.help,
        })
    }

    fn sort_key(&self) -> (&str, usize, Severity, &str, &str) {
        let (file, start) = self.place().map_or(("", 0), |place| (place.file.name(), place.start));
        (file, start, self.severity, self.code.id, &self.message)
    }

    fn render(&self, style: Style, out: &mut String) -> fmt::Result {
        let mut handler = GraphicalReportHandler::new_themed(style.theme())
            .with_width(style.width)
            .with_context_lines(OWN_LINES_ONLY)
            .without_syntax_highlighting();
        if !style.color {
            handler = handler.with_links(false);
        }
        for part in Shown::parts(self) {
            handler.render_report(out, &part)?;
        }
        Ok(())
    }
}

/// The text without characters that a terminal would act on; a file may hold any.
fn printable(text: String) -> String {
    let is_odd = |c: char| c.is_control() && c != '\n';
    if text.chars().any(is_odd) { text.replace(is_odd, "?") } else { text }
}

/// How a report looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Style {
    /// Colours, where the output is a terminal and `NO_COLOR` is not set.
    pub color: bool,
    /// Box characters beyond ASCII.
    pub unicode: bool,
    /// Columns.
    pub width: usize,
}

impl Style {
    /// No colours, box characters, 100 columns.
    pub const PLAIN: Self = Self { color: false, unicode: true, width: 100 };

    fn theme(self) -> GraphicalTheme {
        match (self.color, self.unicode) {
            (true, true) => GraphicalTheme::unicode(),
            (true, false) => GraphicalTheme::ascii(),
            (false, true) => GraphicalTheme::unicode_nocolor(),
            (false, false) => GraphicalTheme::none(),
        }
    }
}

/// Problems, sorted by file and place, each once.
#[derive(Debug, Clone, Default)]
pub struct Report {
    diagnostics: Vec<Diagnostic>,
}

impl Report {
    /// Sorts the problems and drops repetitions.
    pub fn new(mut diagnostics: Vec<Diagnostic>) -> Self {
        diagnostics.sort_by(|a, b| a.sort_key().cmp(&b.sort_key()));
        diagnostics.dedup_by(|a, b| a.sort_key() == b.sort_key());
        Self { diagnostics }
    }

    /// The problems.
    pub fn diagnostics(&self) -> &[Diagnostic] {
        &self.diagnostics
    }

    /// Adds problems.
    pub fn extend(&mut self, more: impl IntoIterator<Item = Diagnostic>) {
        let mut diagnostics = std::mem::take(&mut self.diagnostics);
        diagnostics.extend(more);
        *self = Self::new(diagnostics);
    }

    /// Whether there is nothing to say.
    pub fn is_empty(&self) -> bool {
        self.diagnostics.is_empty()
    }

    /// How many errors.
    pub fn errors(&self) -> usize {
        self.count(Severity::Error)
    }

    /// How many warnings.
    pub fn warnings(&self) -> usize {
        self.count(Severity::Warning)
    }

    fn count(&self, severity: Severity) -> usize {
        self.diagnostics.iter().filter(|diagnostic| diagnostic.severity == severity).count()
    }

    /// Every problem with its lines of the file, and a closing line with the counts.
    pub fn render(&self, style: Style) -> String {
        let mut out = String::new();
        for diagnostic in &self.diagnostics {
            if diagnostic.render(style, &mut out).is_err() {
                // Writing to a string does not fail; a snippet that cannot be drawn is left out.
                out.push_str(&format!("{}: {}\n", diagnostic.code.id, diagnostic.message));
            }
            out.push('\n');
        }
        if !self.is_empty() {
            out.push_str(&self.closing());
            out.push('\n');
        }
        out
    }

    /// For example `2 errors, 1 warning in 2 files`.
    pub fn closing(&self) -> String {
        let count = |number: usize, word: &str| match number {
            0 => None,
            1 => Some(format!("1 {word}")),
            _ => Some(format!("{number} {word}s")),
        };
        let counts = [count(self.errors(), "error"), count(self.warnings(), "warning")];
        let counts: Vec<String> = counts.into_iter().flatten().collect();
        let mut files: Vec<&str> = self
            .diagnostics
            .iter()
            .filter_map(|diagnostic| diagnostic.place().map(|place| place.file.name()))
            .collect();
        files.dedup();
        match count(files.len(), "file") {
            Some(files) => format!("{} in {files}", counts.join(", ")),
            None => counts.join(", "),
        }
    }

    /// Every problem for programs.
    pub fn to_json(&self) -> Vec<Value> {
        self.diagnostics.iter().map(Diagnostic::to_json).collect()
    }
}

impl From<Diagnostic> for Report {
    fn from(diagnostic: Diagnostic) -> Self {
        Self::new(vec![diagnostic])
    }
}

/// miette asks for this many lines around a label when it draws a snippet and for 0 when it wants the
/// column of the label; [`Source`] answers the former with exactly the labelled lines.
const OWN_LINES_ONLY: usize = 1;

/// A file as miette reads it: with its secrets hidden, columns in characters.
#[derive(Debug)]
struct Source {
    file: Arc<SourceFile>,
    shown: String,
}

impl miette::SourceCode for Source {
    fn read_span<'a>(
        &'a self,
        span: &SourceSpan,
        context_lines_before: usize,
        _context_lines_after: usize,
    ) -> Result<Box<dyn miette::SpanContents<'a> + 'a>, miette::MietteError> {
        let last = span.offset() + span.len();
        let (line, column) = self.file.position(span.offset());
        let (start, end, column) = if context_lines_before < OWN_LINES_ONLY {
            (span.offset(), last, column - 1)
        } else {
            (self.file.line_start(span.offset()), self.file.line_end(last), 0)
        };
        let data = self.shown.get(start..end).ok_or(miette::MietteError::OutOfBounds)?;
        let lines = data.matches('\n').count();
        Ok(Box::new(miette::MietteSpanContents::new_named(
            self.file.name().to_owned(),
            data.as_bytes(),
            (start, end - start).into(),
            line - 1,
            column,
            lines,
        )))
    }
}

/// A diagnostic, or the labels of one that lie in another file, for miette.
#[derive(Debug)]
struct Shown {
    code: Option<&'static str>,
    /// `None` for what is only an explanation.
    severity: Option<Severity>,
    message: String,
    help: String,
    source: Option<Source>,
    labels: Vec<Label>,
}

impl Shown {
    /// The diagnostic with its labels in the first file, then what it says about other files.
    fn parts(diagnostic: &Diagnostic) -> Vec<Self> {
        let mut files: Vec<Arc<SourceFile>> = Vec::new();
        for label in &diagnostic.labels {
            if files.iter().all(|file| file.name() != label.place.file.name()) {
                files.push(Arc::clone(&label.place.file));
            }
        }
        let mut parts: Vec<Self> =
            files.into_iter().map(|file| Self::in_file(diagnostic, file)).collect();
        for part in parts.iter_mut().skip(1) {
            part.code = None;
            part.severity = None;
            part.help.clear();
            if let Some(label) = part.labels.first_mut() {
                part.message = std::mem::take(&mut label.text);
            }
        }
        if parts.is_empty() { vec![Self::bare(diagnostic)] } else { parts }
    }

    fn bare(diagnostic: &Diagnostic) -> Self {
        Self {
            code: Some(diagnostic.code.id),
            severity: Some(diagnostic.severity),
            message: diagnostic.message.clone(),
            help: diagnostic.help.clone(),
            source: None,
            labels: Vec::new(),
        }
    }

    fn in_file(diagnostic: &Diagnostic, file: Arc<SourceFile>) -> Self {
        let here = |label: &&Label| label.place.file.name() == file.name();
        let labels = diagnostic.labels.iter().filter(here).cloned().collect();
        let shown = file.shown();
        Self { labels, source: Some(Source { file, shown }), ..Self::bare(diagnostic) }
    }
}

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Shown {}

impl miette::Diagnostic for Shown {
    fn code<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        self.code.map(|code| Box::new(code) as _)
    }

    fn severity(&self) -> Option<miette::Severity> {
        Some(match self.severity {
            Some(Severity::Error) => miette::Severity::Error,
            Some(Severity::Warning) => miette::Severity::Warning,
            None => miette::Severity::Advice,
        })
    }

    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        (!self.help.is_empty()).then(|| Box::new(&self.help) as _)
    }

    fn source_code(&self) -> Option<&dyn miette::SourceCode> {
        self.source.as_ref().map(|source| source as _)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        Some(Box::new(self.labels.iter().enumerate().map(|(index, label)| {
            let text = (!label.text.is_empty()).then(|| label.text.clone());
            let span = (label.place.start, label.place.end - label.place.start);
            match index {
                0 => LabeledSpan::new_primary_with_span(text, span),
                _ => LabeledSpan::new_with_span(text, span),
            }
        })))
    }
}
