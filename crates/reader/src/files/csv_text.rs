//! The text of a CSV file as records (RFC 4180): strict about quotes, since a stray one swallows rows.

use std::io::{self, Read};

/// Bytes of the largest record.
const RECORD_BYTES_MAX: usize = 256 << 20;

/// Fields of one record.
#[derive(Debug, Default)]
pub(super) struct Record {
    data: Vec<u8>,
    ends: Vec<(usize, bool)>,
}

impl Record {
    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }

    /// The bytes of a field, and whether it was quoted.
    pub(super) fn field(&self, index: usize) -> (&[u8], bool) {
        let start = index.checked_sub(1).map_or(0, |before| self.ends[before].0);
        let (end, quoted) = self.ends[index];
        (&self.data[start..end], quoted)
    }

    fn clear(&mut self) {
        self.data.clear();
        self.ends.clear();
    }
}

/// What is wrong with the text, and in which line.
#[derive(Debug)]
pub(super) enum Broken {
    Read(io::Error),
    Text(u64, &'static str),
}

/// Splits a text into records.
pub(super) struct Splitter<R> {
    input: R,
    buffer: Vec<u8>,
    at: usize,
    filled: usize,
    delimiter: u8,
    /// The line that comes next, from 1.
    line: u64,
    started: bool,
}

enum State {
    FieldStart,
    Plain,
    Quoted,
    /// After a quote within a quoted field: its end, or the first half of a doubled one.
    Quote,
}

impl<R: Read> Splitter<R> {
    pub(super) fn new(input: R, delimiter: u8) -> Self {
        let buffer = vec![0; 1 << 16];
        Self { input, buffer, at: 0, filled: 0, delimiter, line: 1, started: false }
    }

    /// The line that comes next.
    pub(super) fn line(&self) -> u64 {
        self.line
    }

    fn fill(&mut self) -> Result<bool, Broken> {
        loop {
            match self.input.read(&mut self.buffer) {
                Ok(filled) => {
                    (self.at, self.filled) = (0, filled);
                    if !self.started && filled > 0 {
                        self.started = true;
                        if self.buffer[..filled].starts_with(b"\xef\xbb\xbf") {
                            self.at = 3;
                        }
                    }
                    return Ok(filled > 0);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(Broken::Read(error)),
            }
        }
    }

    /// Reads the next record; false at the end of the text. Empty lines are none.
    pub(super) fn next(&mut self, record: &mut Record) -> Result<bool, Broken> {
        record.clear();
        let first_line = self.line;
        let mut state = State::FieldStart;
        loop {
            if self.at >= self.filled && !self.fill()? {
                return self.end_of_text(record, &state, first_line);
            }
            if record.data.len() > RECORD_BYTES_MAX {
                return Err(Broken::Text(
                    first_line,
                    "a record of more than 256 MiB begins here; is a quote missing?",
                ));
            }
            if let State::Plain | State::Quoted = state {
                self.copy_run(record, matches!(state, State::Quoted));
                if self.at >= self.filled {
                    continue;
                }
            }
            let byte = self.buffer[self.at];
            self.at += 1;
            state = match (state, byte) {
                (State::FieldStart, b'"') => State::Quoted,
                (State::FieldStart | State::Plain, b'\n') => {
                    self.line += 1;
                    if record.data.last() == Some(&b'\r') && record.data.len() > field_start(record)
                    {
                        record.data.pop();
                    }
                    if record.ends.is_empty() && record.data.is_empty() {
                        record.clear();
                        State::FieldStart
                    } else {
                        record.ends.push((record.data.len(), false));
                        return Ok(true);
                    }
                }
                (State::FieldStart | State::Plain, byte) if byte == self.delimiter => {
                    record.ends.push((record.data.len(), false));
                    State::FieldStart
                }
                (State::FieldStart | State::Plain, byte) => {
                    record.data.push(byte);
                    State::Plain
                }
                (State::Quoted, b'"') => State::Quote,
                (State::Quoted, byte) => {
                    self.line += u64::from(byte == b'\n');
                    record.data.push(byte);
                    State::Quoted
                }
                (State::Quote, b'"') => {
                    record.data.push(b'"');
                    State::Quoted
                }
                (State::Quote, b'\n') => {
                    self.line += 1;
                    record.ends.push((record.data.len(), true));
                    return Ok(true);
                }
                (State::Quote, b'\r') => State::Quote,
                (State::Quote, byte) if byte == self.delimiter => {
                    record.ends.push((record.data.len(), true));
                    State::FieldStart
                }
                (State::Quote, _) => {
                    return Err(Broken::Text(self.line, "a quoted field goes on after its quote"));
                }
            };
        }
    }

    /// Copies what needs no decision.
    fn copy_run(&mut self, record: &mut Record, quoted: bool) {
        let rest = &self.buffer[self.at..self.filled];
        let delimiter = self.delimiter;
        let run = rest.iter().position(|byte| match quoted {
            true => *byte == b'"' || *byte == b'\n',
            false => *byte == delimiter || *byte == b'\n',
        });
        let run = run.unwrap_or(rest.len());
        record.data.extend_from_slice(&rest[..run]);
        self.at += run;
    }

    fn end_of_text(
        &mut self,
        record: &mut Record,
        state: &State,
        first_line: u64,
    ) -> Result<bool, Broken> {
        match state {
            State::Quoted => Err(Broken::Text(
                first_line,
                "a quoted field that begins in the record here has no end",
            )),
            State::Quote => {
                record.ends.push((record.data.len(), true));
                Ok(true)
            }
            State::FieldStart if record.ends.is_empty() => Ok(false),
            State::FieldStart | State::Plain => {
                record.ends.push((record.data.len(), false));
                Ok(true)
            }
        }
    }
}

fn field_start(record: &Record) -> usize {
    record.ends.last().map_or(0, |(end, _)| *end)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives a byte at a time, so that every state is met at a buffer's edge.
    struct Drip<'a>(&'a [u8]);

    impl Read for Drip<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let Some((first, rest)) = self.0.split_first() else { return Ok(0) };
            buffer[0] = *first;
            self.0 = rest;
            Ok(1)
        }
    }

    fn records(input: impl Read) -> Result<Vec<Vec<(String, bool)>>, Broken> {
        let mut splitter = Splitter::new(input, b',');
        let (mut record, mut all) = (Record::default(), Vec::new());
        while splitter.next(&mut record)? {
            let fields = (0..record.len()).map(|index| {
                let (bytes, quoted) = record.field(index);
                (String::from_utf8_lossy(bytes).into_owned(), quoted)
            });
            all.push(fields.collect());
        }
        Ok(all)
    }

    #[test]
    fn records_are_split_as_rfc_4180_says() {
        let text = "a,b\r\n1,\"x\"\"y,\n z\"\r\n\n,\"\"\n5\" tall,é\r\r\nlast,";
        let whole = records(text.as_bytes()).unwrap();
        let plain = |text: &str| (text.to_owned(), false);
        let quoted = |text: &str| (text.to_owned(), true);
        assert_eq!(
            whole,
            [
                vec![plain("a"), plain("b")],
                vec![plain("1"), quoted("x\"y,\n z")],
                vec![plain(""), quoted("")],
                vec![plain("5\" tall"), plain("é\r")],
                vec![plain("last"), plain("")],
            ]
        );
        assert_eq!(records(Drip(text.as_bytes())).unwrap(), whole);
    }

    /// R3: a stray quote must not make many rows one.
    #[test]
    fn a_quote_without_an_end_is_an_error_with_its_line() {
        for (text, line) in [("a,b\n1,\"x\n2,y\n", 2), ("a\n\"x\"y\n", 2)] {
            let Err(Broken::Text(at, _)) = records(text.as_bytes()) else { panic!("{text}") };
            assert_eq!(at, line);
        }
    }
}
