//! One file of the project as text: where a place in it is, and which parts of it may be shown.

use std::fmt;
use std::ops::Range;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use regex::Regex;

use super::files::PROJECT_FILE;

/// A project file that was read.
pub struct SourceFile {
    name: String,
    text: String,
    line_starts: Vec<usize>,
    hidden: Mutex<Vec<Range<usize>>>,
}

/// Text that looks like a secret wherever it stands, also in a comment or in a file that is not valid YAML.
static LOOKS_SECRET: LazyLock<[Regex; 2]> = LazyLock::new(|| {
    [r"://([^\s/@]+)@", r"(?s)-----BEGIN[^\n]*\n(.*?)(?:-----END|\z)"]
        .map(|pattern| Regex::new(pattern).expect("a constant"))
});

/// A key that sounds like a secret, and its value. Only the project file holds secrets; elsewhere it is the
/// name of a column.
static SOUNDS_SECRET: LazyLock<Regex> = LazyLock::new(|| {
    let words = "token|passw(?:or)?d|pwd|secret|private_?key|api_?key|webhook|slack|credentials?";
    let value = r"(?:\$\{[^}\n]*\}|[^\n,}])+";
    let pattern = format!(r#"(?i)(?:{words})[a-z_]*["']?[ \t]*[:=][ \t]*({value})"#);
    Regex::new(&pattern).expect("a constant")
});

impl SourceFile {
    /// A file called `name` in messages. A byte order mark is not part of the text.
    pub fn new(name: impl Into<String>, text: &str) -> Arc<Self> {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let line_starts =
            std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect();
        Arc::new(Self {
            name: name.into(),
            text: text.to_owned(),
            line_starts,
            hidden: Mutex::default(),
        })
    }

    /// Path relative to the project, with `/`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What the file says.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Line and column of a byte offset, both from 1; columns count characters.
    pub fn position(&self, offset: usize) -> (usize, usize) {
        let line = self.line_starts.partition_point(|start| *start <= offset).max(1);
        let start = self.line_starts[line - 1];
        let end = floor_char(&self.text, offset);
        (line, self.text.get(start..end).map_or(0, |text| text.chars().count()) + 1)
    }

    /// Byte offset where the line of `offset` begins.
    pub fn line_start(&self, offset: usize) -> usize {
        let line = self.line_starts.partition_point(|start| *start <= offset).max(1);
        self.line_starts[line - 1]
    }

    /// Byte offset where the line of `offset` ends, without its line break.
    pub fn line_end(&self, offset: usize) -> usize {
        let offset = floor_char(&self.text, offset);
        self.text[offset..].find(['\n', '\r']).map_or(self.text.len(), |at| offset + at)
    }

    /// Never shows this range: it holds a secret.
    pub fn hide(&self, range: Range<usize>) {
        self.hidden.lock().unwrap_or_else(PoisonError::into_inner).push(range);
    }

    /// The text with every secret as `***`; every byte offset and line stays where it was.
    pub fn shown(&self) -> String {
        let hidden = self.hidden.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let sounds = (self.name == PROJECT_FILE).then(|| &*SOUNDS_SECRET);
        let guessed = LOOKS_SECRET.iter().chain(sounds).flat_map(|pattern| {
            pattern.captures_iter(&self.text).filter_map(|found| {
                let found = found.get(1)?;
                let plain = found.as_str().trim_matches(['"', '\'', ' ']);
                (!is_reference(plain)).then(|| found.range())
            })
        });
        let mut bytes = self.text.clone().into_bytes();
        let mut ranges: Vec<Range<usize>> = hidden.into_iter().chain(guessed).collect();
        ranges.sort_by_key(|range| range.start);
        ranges.dedup_by(|next, range| {
            let joins = next.start <= range.end;
            if joins {
                range.end = range.end.max(next.end);
            }
            joins
        });
        for range in ranges {
            let mut stars = 3;
            for byte in bytes.get_mut(range).into_iter().flatten() {
                if !matches!(*byte, b'\n' | b'\r') {
                    *byte = if stars > 0 { b'*' } else { b' ' };
                    stars = usize::saturating_sub(stars, 1);
                }
            }
        }
        hide_controls(&mut bytes);
        // Ranges begin and end between characters, so the text stays valid; if not, nothing is shown.
        String::from_utf8(bytes).unwrap_or_default()
    }
}

/// Characters that a terminal would act on become `?`, byte for byte.
fn hide_controls(bytes: &mut [u8]) {
    let mut previous = 0;
    for byte in bytes {
        let is_control = matches!(*byte, 0..=8 | 11 | 12 | 14..=31 | 127);
        // U+0080 to U+009F are C2 80 to C2 9F; what C2 80 stands for is replaced by C2 BF, `¿`.
        if previous == 0xC2 && (0x80..=0x9F).contains(byte) {
            *byte = 0xBF;
        }
        previous = *byte;
        if is_control {
            *byte = b'?';
        }
    }
}

/// Whether the whole value is taken from elsewhere, so that showing it gives nothing away.
pub(super) fn is_reference(value: &str) -> bool {
    let Some(inner) = value.strip_prefix("${").and_then(|rest| rest.strip_suffix('}')) else {
        return false;
    };
    let default = inner.split_once(":-").map_or("", |(_, default)| default);
    !inner.contains('}') && default.is_empty()
}

fn floor_char(text: &str, offset: usize) -> usize {
    let mut offset = offset.min(text.len());
    while !text.is_char_boundary(offset) {
        offset -= 1;
    }
    offset
}

impl fmt::Debug for SourceFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SourceFile({})", self.name)
    }
}

/// A range of bytes in a file.
#[derive(Clone)]
pub struct Place {
    /// The file.
    pub file: Arc<SourceFile>,
    /// First byte.
    pub start: usize,
    /// First byte after it.
    pub end: usize,
}

impl Place {
    /// The range `start..end` of `file`.
    pub fn new(file: &Arc<SourceFile>, start: usize, end: usize) -> Self {
        let end = floor_char(file.text(), end);
        Self { file: Arc::clone(file), start: floor_char(file.text(), start).min(end), end }
    }

    /// Whether there is nothing in it, as for a key without a value.
    pub fn is_empty(&self) -> bool {
        self.start == self.end
    }

    /// The part on its first line: what can be underlined.
    #[must_use]
    pub fn first_line(&self) -> Self {
        let end = self.end.min(self.file.line_end(self.start));
        let text = &self.file.text()[self.start..end.max(self.start)];
        Self::new(&self.file, self.start, self.start + text.trim_end().len())
    }

    /// From the start of this to the end of `other`, in the same file.
    #[must_use]
    pub fn to(&self, other: &Self) -> Self {
        Self::new(&self.file, self.start, other.end.max(self.start))
    }

    /// What the file says there.
    pub fn text(&self) -> &str {
        &self.file.text()[self.start..self.end]
    }

    /// Line and column where it begins, from 1.
    pub fn position(&self) -> (usize, usize) {
        self.file.position(self.start)
    }
}

impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (line, column) = self.position();
        write!(f, "{}:{line}:{column}", self.file.name())
    }
}

impl PartialEq for Place {
    fn eq(&self, other: &Self) -> bool {
        (self.file.name(), self.start, self.end) == (other.file.name(), other.start, other.end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_count_characters_and_lines_begin_at_one() {
        let file = SourceFile::new("a.yml", "ä: é\nb: 2\n");
        assert_eq!(file.position(0), (1, 1));
        assert_eq!(file.position("ä: ".len()), (1, 4));
        assert_eq!(file.position("ä: é\n".len()), (2, 1));
        assert_eq!(file.position(1000), (3, 1));
    }

    #[test]
    fn what_looks_like_a_secret_is_not_shown_and_nothing_moves() {
        let text = "token: pat-na1-abc  # x\nurl: postgres://me:pw@h/db\n# password=old\nok: ${TOKEN}\n\
                    a_token: ${A:-literal}\nslack: ${S:-}\nkey: |\n  -----BEGIN KEY-----\n  abc\n  -----END KEY-----\n";
        let file = SourceFile::new("outflow.yml", text);
        let shown = file.shown();
        assert_eq!(shown.len(), text.len());
        for secret in ["pat-na1", "me:pw", "old", "literal", "abc"] {
            assert!(!shown.contains(secret), "{secret} is in {shown}");
        }
        assert!(shown.contains("${TOKEN}") && shown.contains("${S:-}"), "{shown}");
    }
}
