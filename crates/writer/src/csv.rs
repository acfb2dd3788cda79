//! Comma-separated values (RFC 4180): cells written straight from Arrow, and answers read as they come, in constant memory.

use arrow::array::ArrayRef;

use crate::encode::{Cells, Spelling};

/// Longest record that is read; a longer one ends the reading.
const RECORD_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Columns, ready to be written record by record. What has a comma, a quote, a line break or a space at an edge is
/// quoted; nothing is trimmed, and formulas stay what they are.
#[derive(Debug)]
pub struct CsvColumns<'a> {
    columns: Vec<Cells<'a>>,
}

impl<'a> CsvColumns<'a> {
    /// Looks at the columns' types once.
    pub fn new(columns: &'a [ArrayRef], spelling: Spelling) -> Self {
        Self { columns: columns.iter().map(|column| Cells::new(column, spelling)).collect() }
    }

    /// Whether the cell is null.
    pub fn is_null(&self, column: usize, row: usize) -> bool {
        self.columns[column].is_null(row)
    }

    /// The cell, where it is text; other types have no text of their own.
    pub fn as_text(&self, column: usize, row: usize) -> Option<&str> {
        self.columns[column].as_text(row)
    }

    /// Appends a cell that is not null.
    pub fn push(&self, column: usize, row: usize, out: &mut Vec<u8>) {
        let cells = &self.columns[column];
        match cells.as_text(row) {
            Some(text) => push_field(text, out),
            None if cells.is_plain() => cells.push_plain(row, out),
            None => push_field(&cells.text(row), out),
        }
    }
}

/// Appends one field, quoted where it must be.
pub fn push_field(text: &str, out: &mut Vec<u8>) {
    let bytes = text.as_bytes();
    let special = |byte: &u8| SPECIAL[usize::from(*byte)];
    let edge = bytes.first() == Some(&b' ') || bytes.last() == Some(&b' ');
    if !edge && !bytes.iter().any(special) {
        out.extend_from_slice(bytes);
        return;
    }
    out.push(b'"');
    let mut rest = bytes;
    while let Some(at) = rest.iter().position(|byte| *byte == b'"') {
        out.extend_from_slice(&rest[..=at]);
        out.push(b'"');
        rest = &rest[at + 1..];
    }
    out.extend_from_slice(rest);
    out.push(b'"');
}

/// Bytes that make a field be quoted.
const SPECIAL: [bool; 256] = {
    let mut special = [false; 256];
    special[b',' as usize] = true;
    special[b'"' as usize] = true;
    special[b'\n' as usize] = true;
    special[b'\r' as usize] = true;
    special
};

/// One record: its fields as text; what is no UTF-8 is replaced.
#[derive(Debug, Default)]
pub struct Record {
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl Record {
    /// The field in this place.
    pub fn get(&self, index: usize) -> Option<std::borrow::Cow<'_, str>> {
        let end = *self.ends.get(index)?;
        let start = if index == 0 { 0 } else { self.ends[index - 1] };
        Some(String::from_utf8_lossy(&self.bytes[start..end]))
    }

    /// How many fields it has.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// All fields.
    pub fn fields(&self) -> impl Iterator<Item = std::borrow::Cow<'_, str>> {
        (0..self.len()).filter_map(|index| self.get(index))
    }

    fn clear(&mut self) {
        self.bytes.clear();
        self.ends.clear();
    }
}

#[derive(Debug, Default, Clone, Copy, PartialEq)]
enum At {
    #[default]
    FieldStart,
    Plain,
    Quoted,
    /// A quote inside quotes: the field's end, or half of a doubled quote.
    Quote,
}

/// Reads records from pieces of text, wherever they are cut.
#[derive(Debug, Default)]
pub struct CsvReader {
    record: Record,
    at: At,
    after_return: bool,
    broken: bool,
}

impl CsvReader {
    /// Takes the next piece and hands on every record that ends in it.
    pub fn feed(&mut self, piece: &[u8], on_record: &mut dyn FnMut(&Record)) {
        for byte in piece {
            if self.broken {
                return;
            }
            let line_feed_of_return = std::mem::take(&mut self.after_return) && *byte == b'\n';
            if !line_feed_of_return {
                self.byte(*byte, on_record);
            }
        }
    }

    fn byte(&mut self, byte: u8, on_record: &mut dyn FnMut(&Record)) {
        match (self.at, byte) {
            (At::Quoted, b'"') => self.at = At::Quote,
            (At::Quoted, _) => self.push(byte),
            (At::Quote, b'"') => {
                self.push(byte);
                self.at = At::Quoted;
            }
            (At::FieldStart, b'"') => self.at = At::Quoted,
            (_, b',') => {
                self.record.ends.push(self.record.bytes.len());
                self.at = At::FieldStart;
            }
            (_, b'\n' | b'\r') => {
                self.after_return = byte == b'\r';
                self.end(on_record);
            }
            _ => {
                self.push(byte);
                self.at = At::Plain;
            }
        }
    }

    fn push(&mut self, byte: u8) {
        self.record.bytes.push(byte);
        self.broken |= self.record.bytes.len() > RECORD_BYTES_MAX;
    }

    fn end(&mut self, on_record: &mut dyn FnMut(&Record)) {
        let blank = self.at == At::FieldStart && self.record.ends.is_empty();
        if !blank {
            self.record.ends.push(self.record.bytes.len());
            on_record(&self.record);
        }
        self.record.clear();
        self.at = At::FieldStart;
    }

    /// Ends the text; whether it ended well: not inside quotes, and with no record that is too long.
    pub fn finish(mut self, on_record: &mut dyn FnMut(&Record)) -> bool {
        if self.broken || self.at == At::Quoted {
            return false;
        }
        self.end(on_record);
        true
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{BooleanArray, Int64Array, StringArray};
    use proptest::prelude::*;

    use super::*;
    use crate::encode::SecondDecimals;

    const SPELLING: Spelling =
        Spelling { second_decimals: SecondDecimals::Three, list_separator: ";" };

    fn read(text: &[u8], piece: usize) -> Option<Vec<Vec<String>>> {
        let mut records = Vec::new();
        let mut reader = CsvReader::default();
        let mut take = |record: &Record| {
            records.push(record.fields().map(|field| field.into_owned()).collect());
        };
        for piece in text.chunks(piece.max(1)) {
            reader.feed(piece, &mut take);
        }
        reader.finish(&mut take).then_some(records)
    }

    fn field(text: &str) -> String {
        let mut out = Vec::new();
        push_field(text, &mut out);
        String::from_utf8(out).expect("text")
    }

    #[test]
    fn only_what_must_be_quoted_is() {
        for plain in ["", "Zoë", "=1+1", "+49", "@x", "a'b", "#N/A", "👩‍👩‍👧", "tab\tin"]
        {
            assert_eq!(field(plain), plain);
        }
        assert_eq!(field("a,b"), "\"a,b\"");
        assert_eq!(field("say \"hi\""), "\"say \"\"hi\"\"\"");
        assert_eq!(field("\""), "\"\"\"\"");
        assert_eq!(field(" a"), "\" a\"");
        assert_eq!(field("a\r\nb"), "\"a\r\nb\"");
    }

    #[test]
    fn cells_of_every_type_are_written() {
        let columns: Vec<ArrayRef> = vec![
            Arc::new(StringArray::from(vec![Some("a,b"), None])),
            Arc::new(Int64Array::from(vec![Some(-5), None])),
            Arc::new(BooleanArray::from(vec![Some(true), None])),
        ];
        let cells = CsvColumns::new(&columns, SPELLING);
        let mut out = Vec::new();
        (0..3).for_each(|column| cells.push(column, 0, &mut out));
        assert_eq!(String::from_utf8(out).expect("text"), "\"a,b\"-5true");
        assert!((0..3).all(|column| cells.is_null(column, 1)));
    }

    #[test]
    fn line_ends_of_every_kind_and_blank_lines_are_read() {
        let expected =
            Some(vec![vec!["a".to_owned(), "b".to_owned()], vec!["1".into(), "".into()]]);
        for text in ["a,b\n1,\n", "a,b\r\n1,\r\n", "a,b\r1,\r", "a,b\n\n1,", "\"a\",\"b\"\n1,\"\""]
        {
            for piece in 1..4 {
                assert_eq!(read(text.as_bytes(), piece), expected, "{text:?} by {piece}");
            }
        }
        assert_eq!(read(b"\"cut", 1), None);
        assert_eq!(read(b"", 1), Some(Vec::new()));
    }

    proptest! {
        #[test]
        fn what_is_written_is_what_is_read(
            rows in prop::collection::vec(prop::collection::vec(".*|[,\"\r\n ]{0,6}", 2), 1..5),
            piece in 1..9_usize,
        ) {
            let mut out = Vec::new();
            for row in &rows {
                push_field(&row[0], &mut out);
                out.push(b',');
                push_field(&row[1], &mut out);
                out.push(b'\n');
            }
            prop_assert_eq!(read(&out, piece), Some(rows));
        }
    }
}
