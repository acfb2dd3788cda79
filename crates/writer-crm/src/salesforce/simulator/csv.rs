//! A job's file, read as strictly as Salesforce reads it.

/// A file that can be read: its header, and its rows by their cells.
#[derive(Debug)]
pub(super) struct Csv {
    pub(super) header: Vec<String>,
    pub(super) rows: Vec<Row>,
}

/// One row: its cells, or what is wrong with it.
pub(super) type Row = Result<Vec<String>, String>;

/// Reads a file. The error fails the whole job.
pub(super) fn read(text: &str, delimiter: char, line_ending: &str) -> Result<Csv, String> {
    let text = text
        .strip_prefix('\u{feff}')
        .map_or(Ok(text), |_| Err("InvalidBatch : Field name not found : \u{feff}".to_owned()))?;
    let mut rest = text;
    let mut records = Vec::new();
    while !rest.is_empty() {
        let (record, after) = record(rest, delimiter, line_ending)?;
        rest = after;
        records.push(record);
    }
    let mut records = records.into_iter();
    let header = records.next().ok_or("InvalidBatch : The job's file is empty")?;
    let header = header.map_err(|why| format!("InvalidBatch : {why}"))?;
    if header.iter().map(String::len).sum::<usize>() > 32_000 {
        return Err("InvalidBatch : The header is too long".to_owned());
    }
    let columns = header.len();
    let rows = records.map(|row| match row {
        Ok(cells) if cells.len() != columns => {
            Err(format!("INVALID_NUMBER_OF_COLUMNS:{} columns instead of {columns}", cells.len()))
        }
        Ok(cells) => checked(cells),
        Err(why) => Err(why),
    });
    Ok(Csv { header, rows: rows.collect() })
}

fn checked(cells: Vec<String>) -> Row {
    let chars = |text: &String| text.chars().count();
    if cells.iter().any(|cell| chars(cell) > 32_000) {
        return Err("STRING_TOO_LONG:a field is longer than 32,000 characters".to_owned());
    }
    if cells.iter().map(chars).sum::<usize>() > 400_000 {
        return Err("STRING_TOO_LONG:a record is longer than 400,000 characters".to_owned());
    }
    Ok(cells)
}

/// One record and what comes after it.
fn record<'a>(text: &'a str, delimiter: char, line_ending: &str) -> Result<(Row, &'a str), String> {
    let mut cells = Vec::new();
    let mut wrong = None;
    let mut rest = text;
    loop {
        let (cell, after) = match rest.strip_prefix('"') {
            Some(inside) => quoted(inside)?,
            None => {
                let end = rest.find([delimiter, '\n', '\r']).unwrap_or(rest.len());
                (rest[..end].to_owned(), &rest[end..])
            }
        };
        if cell.contains('"') && !rest.starts_with('"') {
            wrong = Some(
                "INVALID_CSV:a quote inside a cell that is not quoted, or a space before one"
                    .to_owned(),
            );
        }
        cells.push(cell);
        if let Some(after) = after.strip_prefix(delimiter) {
            rest = after;
            continue;
        }
        if after.is_empty() {
            return Ok((wrong.map_or(Ok(cells), Err), ""));
        }
        if let Some(after) = after.strip_prefix(line_ending) {
            return Ok((wrong.map_or(Ok(cells), Err), after));
        }
        if after.starts_with(['\n', '\r']) {
            return Err("ClientInputError : LineEnding is invalid on user data".to_owned());
        }
        // Something after a closing quote: the row is lost, up to its end.
        wrong = Some("INVALID_CSV:text after a closing quote".to_owned());
        let end = after.find([delimiter, '\n', '\r']).unwrap_or(after.len());
        rest = &after[end..];
        match rest.strip_prefix(delimiter) {
            Some(after) => rest = after,
            None => {
                let after = rest.strip_prefix(line_ending).unwrap_or("");
                return Ok((wrong.map_or(Ok(cells), Err), after));
            }
        }
    }
}

/// The text up to the closing quote, and what comes after it.
fn quoted(inside: &str) -> Result<(String, &str), String> {
    let mut cell = String::new();
    let mut rest = inside;
    loop {
        let Some(at) = rest.find('"') else {
            return Err("InvalidBatch : A quote is not closed".to_owned());
        };
        cell.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        match rest.strip_prefix('"') {
            Some(after) => {
                cell.push('"');
                rest = after;
            }
            None => return Ok((cell, rest)),
        }
    }
}

/// Appends cells as Salesforce writes results: each in quotes.
pub(super) fn push(out: &mut Vec<u8>, cells: &[&str]) {
    for (place, cell) in cells.iter().enumerate() {
        if place > 0 {
            out.push(b',');
        }
        out.push(b'"');
        out.extend_from_slice(cell.replace('"', "\"\"").as_bytes());
        out.push(b'"');
    }
    out.push(b'\n');
}
