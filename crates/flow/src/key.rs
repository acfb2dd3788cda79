//! The primary key of a row in one canonical text, so that 1, 1.0 and 1.00 are the same key.

use std::fmt;

use arrow::array::{Array, ArrayRef};

use crate::text_at;

/// Separates the parts of a composite key; inside a part it is escaped.
const SEPARATOR: char = '\u{1f}';
const ESCAPE: char = '\u{1b}';

/// A canonical primary key. Equal keys are the same row, whatever type the warehouse used.
///
/// `Debug` and `Display` show the key itself: keep them out of logs.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key(String);

impl Key {
    /// A key of these canonical parts, in the order of the model's `primary_key`.
    pub fn from_parts<S: AsRef<str>>(parts: &[S]) -> Self {
        let mut text = String::new();
        for (index, part) in parts.iter().enumerate() {
            if index > 0 {
                text.push(SEPARATOR);
            }
            for c in part.as_ref().chars() {
                if c == SEPARATOR || c == ESCAPE {
                    text.push(ESCAPE);
                }
                text.push(c);
            }
        }
        Self(text)
    }

    /// A key as [`Key::as_str`] gave it.
    pub fn from_stored(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The key of `row`; `None` where any part is NULL.
    pub fn at(columns: &[&ArrayRef], row: usize) -> Option<Self> {
        if columns.iter().any(|column| column.is_null(row)) {
            return None;
        }
        if let [column] = columns {
            let text = text_at(column, row);
            if !text.contains([SEPARATOR, ESCAPE]) {
                return Some(Self(text.into_owned()));
            }
        }
        let parts: Vec<_> = columns.iter().map(|column| text_at(column, row)).collect();
        Some(Self::from_parts(&parts))
    }

    /// The canonical text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The text of a key that is one part without anything escaped.
    pub(crate) fn single(&self) -> Option<&str> {
        (!self.0.contains([SEPARATOR, ESCAPE])).then_some(self.0.as_str())
    }

    /// The parts, in the order of the model's `primary_key`.
    pub fn parts(&self) -> Vec<String> {
        let mut parts = vec![String::new()];
        let mut escaped = false;
        for c in self.0.chars() {
            match c {
                ESCAPE if !escaped => {
                    escaped = true;
                    continue;
                }
                SEPARATOR if !escaped => parts.push(String::new()),
                _ => {
                    if let Some(last) = parts.last_mut() {
                        last.push(c);
                    }
                }
            }
            escaped = false;
        }
        parts
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, part) in self.parts().iter().enumerate() {
            if index > 0 {
                f.write_str(", ")?;
            }
            f.write_str(part)?;
        }
        Ok(())
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_survive_separators_and_escapes() {
        for parts in [vec!["a"], vec!["a", "b"], vec!["", ""], vec!["a\u{1f}b", "\u{1b}"]] {
            let key = Key::from_parts(&parts);
            assert_eq!(key.parts(), parts);
        }
        assert_ne!(Key::from_parts(&["a\u{1f}b"]), Key::from_parts(&["a", "b"]));
    }
}
