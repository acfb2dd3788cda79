//! The framing of `COPY ... (FORMAT binary)`: header, tuples, trailer, cut anywhere into chunks.

use flow::Result;
use flow::arrow::datatypes::SchemaRef;

use super::rows::{Rows, broken};
use super::types::Carry;

const SIGNATURE: &[u8; 11] = b"PGCOPY\n\xff\r\n\0";

/// Turns the bytes of one COPY after the other, with the same columns, into batches.
pub(super) struct Decoder {
    decoded: Rows,
    /// Start of a tuple whose rest has not arrived.
    carry: Vec<u8>,
    stage: Stage,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    Header,
    Tuples,
    Done,
}

impl Decoder {
    /// A decoder for these columns, which the fields of `schema` name.
    pub(super) fn new<'a>(schema: SchemaRef, carries: impl Iterator<Item = &'a Carry>) -> Self {
        Self { decoded: Rows::new(schema, carries), carry: Vec::new(), stage: Stage::Header }
    }

    /// What was decoded since the last batch.
    pub(super) fn rows(&mut self) -> &mut Rows {
        &mut self.decoded
    }

    /// Decodes what is complete and keeps the rest.
    ///
    /// # Errors
    /// `E1024` for bytes that are not what was announced.
    pub(super) fn push(&mut self, chunk: &[u8]) -> Result<()> {
        if self.carry.is_empty() {
            let used = self.consume(chunk)?;
            self.carry.extend_from_slice(&chunk[used..]);
            return Ok(());
        }
        let mut carry = std::mem::take(&mut self.carry);
        carry.extend_from_slice(chunk);
        let used = self.consume(&carry)?;
        carry.drain(..used);
        self.carry = carry;
        Ok(())
    }

    /// Ends one COPY, so that the next may begin.
    ///
    /// # Errors
    /// `E1024` when its trailer has not arrived: the stream was cut (R3).
    pub(super) fn end(&mut self) -> Result<()> {
        if self.stage != Stage::Done || !self.carry.is_empty() {
            return Err(broken("a COPY without its trailer"));
        }
        self.stage = Stage::Header;
        Ok(())
    }

    fn consume(&mut self, data: &[u8]) -> Result<usize> {
        let mut used = 0;
        while let Some(length) = self.complete(&data[used..])? {
            let part = &data[used..used + length];
            match self.stage {
                Stage::Header => self.stage = Stage::Tuples,
                Stage::Tuples if length == 2 && part == (-1_i16).to_be_bytes() => {
                    self.stage = Stage::Done;
                }
                Stage::Tuples => self.tuple(&part[2..])?,
                Stage::Done => return Err(broken("bytes after the end of a COPY")),
            }
            used += length;
        }
        Ok(used)
    }

    /// Length of the next part; `None` while it is not complete.
    fn complete(&self, data: &[u8]) -> Result<Option<usize>> {
        match self.stage {
            Stage::Header => header(data),
            Stage::Done => Ok((!data.is_empty()).then_some(data.len())),
            Stage::Tuples => {
                let Some(count) = data.first_chunk::<2>() else { return Ok(None) };
                let count = i16::from_be_bytes(*count);
                if count == -1 {
                    return Ok(Some(2));
                }
                if usize::try_from(count) != Ok(self.decoded.width()) {
                    return Err(broken("a row with another number of columns"));
                }
                let mut length = 2;
                for _ in 0..count {
                    let Some(field) = data.get(length..length + 4) else { return Ok(None) };
                    length += 4 + field_length(field)?.unwrap_or(0);
                }
                Ok((length <= data.len()).then_some(length))
            }
        }
    }

    /// Decodes one complete tuple, without its column count.
    fn tuple(&mut self, mut data: &[u8]) -> Result<()> {
        for index in 0..self.decoded.width() {
            let (field, rest) = data.split_at_checked(4).ok_or_else(|| broken("a short row"))?;
            data = rest;
            let value = match field_length(field)? {
                Some(length) => {
                    let (value, rest) =
                        data.split_at_checked(length).ok_or_else(|| broken("a short row"))?;
                    data = rest;
                    Some(value)
                }
                None => None,
            };
            self.decoded.append(index, value)?;
        }
        self.decoded.end_row();
        Ok(())
    }
}

/// Length of the header with its extension; `None` while it is not complete.
fn header(data: &[u8]) -> Result<Option<usize>> {
    let known = data.len().min(SIGNATURE.len());
    if data[..known] != SIGNATURE[..known] {
        return Err(broken("no binary COPY"));
    }
    let Some(fixed) = data.first_chunk::<19>() else { return Ok(None) };
    // The upper half of the flags changes the format of the rest.
    if fixed[11..13] != [0, 0] {
        return Err(broken("a COPY format of a later version"));
    }
    let extension = u32::from_be_bytes([fixed[15], fixed[16], fixed[17], fixed[18]]) as usize;
    let length = 19 + extension;
    Ok((data.len() >= length).then_some(length))
}

/// Length of a field; `None` for NULL.
fn field_length(field: &[u8]) -> Result<Option<usize>> {
    let length = field.try_into().map(i32::from_be_bytes).unwrap_or(-2);
    match length {
        -1 => Ok(None),
        _ => usize::try_from(length).map(Some).map_err(|_| broken("a field of negative length")),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use flow::arrow::datatypes::{Field, Schema};
    use flow::text_at;
    use proptest::prelude::*;

    use super::*;

    fn carries() -> Vec<Carry> {
        vec![
            Carry::Int8,
            Carry::Text,
            Carry::NumericText,
            Carry::List(Box::new(Carry::Int4)),
            Carry::Uuid,
            Carry::TimestampTz,
            Carry::Jsonb,
        ]
    }

    fn decoder() -> Decoder {
        let carries = carries();
        let fields = carries.iter().enumerate();
        let fields = fields.map(|(n, carry)| Field::new(format!("c{n}"), carry.data_type(), true));
        let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
        Decoder::new(schema, carries.iter())
    }

    /// A COPY of two rows, the second all NULL.
    fn sample() -> Vec<u8> {
        let mut data = [SIGNATURE.as_slice(), &[0; 8]].concat();
        let list = [1, 0, 23, 2, 1].iter().flat_map(|n: &i32| n.to_be_bytes());
        let list: Vec<u8> =
            list.chain([0, 0, 0, 4, 0, 0, 0, 7]).chain((-1_i32).to_be_bytes()).collect();
        let values: [&[u8]; 7] = [
            &5_i64.to_be_bytes(),
            "naïve".as_bytes(),
            &[0, 1, 0, 0, 0, 0, 0, 0, 0, 42],
            &list,
            &[0xab; 16],
            &0_i64.to_be_bytes(),
            b"\x01{}",
        ];
        data.extend(7_i16.to_be_bytes());
        for value in values {
            data.extend((value.len() as i32).to_be_bytes());
            data.extend(value);
        }
        data.extend(7_i16.to_be_bytes());
        data.extend([0xff; 28]);
        data.extend((-1_i16).to_be_bytes());
        data
    }

    fn shown(decoder: &mut Decoder) -> Vec<String> {
        let rows = decoder.rows().take().unwrap().unwrap().rows;
        assert_eq!(rows.num_rows(), 2);
        rows.columns().iter().map(|column| text_at(column, 0).into_owned()).collect()
    }

    #[test]
    fn a_stream_may_be_cut_anywhere() {
        let data = sample();
        for size in 1..=data.len() {
            let mut decoder = decoder();
            for chunk in data.chunks(size) {
                assert!(decoder.stage != Stage::Done, "the trailer comes last");
                decoder.push(chunk).unwrap();
            }
            decoder.end().unwrap();
            let uuid = "abababab-abab-abab-abab-abababababab";
            let expected = ["5", "naïve", "42", "[7,null]", uuid, "2000-01-01T00:00:00Z", "{}"];
            assert_eq!(shown(&mut decoder), expected, "chunks of {size}");
        }
    }

    /// R3: without its trailer a COPY is not over.
    #[test]
    fn a_stream_without_its_trailer_is_not_an_end() {
        let data = sample();
        for length in 0..data.len() {
            let mut decoder = decoder();
            decoder.push(&data[..length]).unwrap();
            assert!(decoder.end().is_err(), "{length} of {} bytes", data.len());
        }
        let mut decoder = decoder();
        decoder.push(&data).unwrap();
        assert!(decoder.push(b"x").is_err());
    }

    proptest! {
        #[test]
        fn changed_bytes_are_an_error_or_other_rows_but_never_a_panic(
            changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
            size in 1..200_usize,
        ) {
            let mut data = sample();
            for (index, byte) in changes {
                let at = index.index(data.len());
                data[at] = byte;
            }
            let mut decoder = decoder();
            let pushed: Result<Vec<()>> =
                data.chunks(size).map(|chunk| decoder.push(chunk)).collect();
            if pushed.is_ok() {
                let _ = decoder.rows().take();
                let _ = decoder.end();
            }
        }
    }
}
