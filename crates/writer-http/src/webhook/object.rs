//! The requests of one object, checked and compiled when the connection is opened.

use std::collections::BTreeSet;

use flow::{Error, Mode, Result, WriteBatch};
use writer::Method;
use writer::codes::E2013_OPTIONS;

use super::codes::{E2130_TEMPLATE, E2131_NAMES};
use super::options::{Call, Format, ObjectOptions, Verb};
use super::row::{Row, Rows, Whole};
use super::template::{Document, Failed, Templates, Values as _};

/// One object of a connection.
#[derive(Debug)]
pub(super) struct Object {
    pub(super) options: ObjectOptions,
    calls: Vec<(Mode, Compiled)>,
    pub(super) rows_max: usize,
}

/// One request, compiled.
#[derive(Debug)]
pub(super) struct Compiled {
    pub(super) method: Method,
    path: String,
    /// Whether values of a row are in the path: then its status is about the row.
    pub(super) path_has_values: bool,
    /// `None`: the default body.
    body: Option<Body>,
    row: Option<Document>,
    pub(super) format: Format,
    pub(super) if_exists: Option<Box<Compiled>>,
    pub(super) if_missing: Option<Box<Compiled>>,
    names: Names,
}

#[derive(Debug)]
enum Body {
    Empty,
    Document(Document),
}

/// Names that must be fields of the payload, by where they stand.
#[derive(Debug, Default)]
struct Names {
    path: BTreeSet<String>,
    body: BTreeSet<String>,
    row: BTreeSet<String>,
}

/// What is sent for some rows.
pub(super) struct Written {
    /// Rows in the request, in its order.
    pub(super) sent: Vec<usize>,
    /// Rows that cannot be written, and why.
    pub(super) failed: Vec<(usize, Failed)>,
    /// The request; `None` where no row is left, and an error where it cannot be made of those that are.
    pub(super) prepared: Option<Result<Prepared, Failed>>,
}

/// One request, ready to be sent.
pub(super) struct Prepared {
    pub(super) path: String,
    pub(super) body: Option<Vec<u8>>,
}

impl Object {
    pub(super) fn new(
        connection: &str,
        name: &str,
        options: ObjectOptions,
        templates: &mut Templates,
    ) -> Result<Self> {
        let at = format!("connection `{connection}`: `objects.{name}");
        let rows_max = options.rows_per_call.unwrap_or(1);
        let written = [
            ("upsert", Mode::Upsert, &options.upsert),
            ("update", Mode::Update, &options.update),
            ("create", Mode::Create, &options.create),
            ("append", Mode::Append, &options.append),
            ("delete", Mode::Delete, &options.delete),
        ];
        let mut calls = Vec::new();
        for (key, mode, call) in written {
            let Some(call) = call else { continue };
            let at = format!("{at}.{key}");
            if matches!(mode, Mode::Create | Mode::Append) && options.idempotency_header.is_none() {
                let reason = "needs `idempotency_header`: a request whose answer is lost is sent again, and would be \
                              done twice";
                return Err(Error::new(&E2013_OPTIONS, format!("{at}` {reason}")));
            }
            calls.push((mode, Compiled::new(&at, call, (mode, rows_max), templates, 0)?));
        }
        if calls.is_empty() {
            let reason =
                "says nothing to send; give `upsert`, `update`, `create`, `append` or `delete`";
            return Err(Error::new(&E2013_OPTIONS, format!("{at}` {reason}")));
        }
        if rows_max > 1 && options.reply.as_ref().is_some_and(|reply| reply.rows.is_none()) {
            let reason = "must say with `rows` where the list of results is, since a request has more than one row";
            return Err(Error::new(&E2013_OPTIONS, format!("{at}.reply` {reason}")));
        }
        Ok(Self { options, calls, rows_max })
    }

    /// The request of a mode; `None` where the connection says none.
    pub(super) fn call(&self, mode: Mode) -> Option<&Compiled> {
        self.calls.iter().find(|(known, _)| *known == mode).map(|(_, call)| call)
    }
}

impl Compiled {
    fn new(
        at: &str,
        call: &Call,
        (mode, rows_max): (Mode, usize),
        templates: &mut Templates,
        depth: u8,
    ) -> Result<Self> {
        let wrong = |key: &str, reason: String| {
            Error::new(&E2130_TEMPLATE, format!("{at}.{key}`: {reason}"))
        };
        if !call.path.starts_with('/') {
            return Err(wrong("path", "a path begins with a slash".to_owned()));
        }
        let path = templates.path(&call.path).map_err(|reason| wrong("path", reason))?;
        let body = match &call.body {
            None => None,
            Some(serde_json::Value::Null) => Some(Body::Empty),
            Some(body) => Some(Body::Document(
                templates.document(body).map_err(|reason| wrong("body", reason))?,
            )),
        };
        let row = call.row.as_ref().map(|row| templates.document(row)).transpose();
        let row = row.map_err(|reason| wrong("row", reason))?;
        let mut names = Names { path: templates.names_of_path(&path), ..Names::default() };
        if let Some(Body::Document(document)) = &body {
            templates.names_of(document, &mut names.body);
        }
        if let Some(row) = &row {
            templates.names_of(row, &mut names.row);
        }
        let path_has_values = names.path.iter().any(|name| name != "run_id");
        let of_one_row = path_has_values || call.if_exists.is_some() || call.if_missing.is_some();
        if of_one_row && rows_max > 1 {
            return Err(wrong(
                "path",
                "values in a path, `if_exists` and `if_missing` are for `rows_per_call: 1`"
                    .to_owned(),
            ));
        }
        if call.format == Format::Ndjson && body.is_some() {
            return Err(wrong(
                "body",
                "with `format: ndjson` only `row` says what is sent".to_owned(),
            ));
        }
        let mut instead = |key: &str, call: &Option<Box<Call>>| -> Result<Option<Box<Self>>> {
            let Some(call) = call else { return Ok(None) };
            if depth > 0 {
                return Err(wrong(
                    key,
                    "a request that is sent instead has no other instead of it".to_owned(),
                ));
            }
            let at = format!("{at}.{key}");
            Ok(Some(Box::new(Self::new(&at, call, (mode, rows_max), templates, depth + 1)?)))
        };
        let (if_exists, if_missing) =
            (instead("if_exists", &call.if_exists)?, instead("if_missing", &call.if_missing)?);
        let usual = if mode == Mode::Delete { Verb::Delete } else { Verb::Post };
        let method = match call.method.unwrap_or(usual) {
            Verb::Post => Method::POST,
            Verb::Put => Method::PUT,
            Verb::Patch => Method::PATCH,
            Verb::Delete => Method::DELETE,
        };
        let body = match body {
            None if mode == Mode::Delete && path_has_values => Some(Body::Empty),
            body => body,
        };
        Ok(Self {
            method,
            path,
            path_has_values,
            body,
            row,
            format: call.format,
            if_exists,
            if_missing,
            names,
        })
    }

    /// Whether every name the request uses is a field of the payload.
    pub(super) fn check(&self, batch: &WriteBatch, rows_max: usize) -> Result<()> {
        let schema = batch.payload.fields.schema();
        let id = !batch.record_ids.is_empty();
        let known = |name: &str| {
            matches!(name, "row" | "run_id")
                || (name == "id" && id)
                || schema.index_of(name).is_ok()
        };
        let of_rows = self.names.path.iter().chain(&self.names.row).find(|name| !known(name));
        let of_body =
            self.names.body.iter().find(|name| {
                *name != "rows" && (!known(name) || (rows_max > 1 && *name != "run_id"))
            });
        match of_rows.or(of_body) {
            None => {}
            Some(name) if known(name) => {
                let message = format!("a body of more than one row uses `{name}`");
                let remedy = format!(
                    "`{{{{ {name} }}}}` belongs in `row`; the body holds `{{{{ rows }}}}`."
                );
                return Err(Error::new(&E2131_NAMES, message).with_remedy(remedy));
            }
            Some(name) => {
                let message =
                    format!("a request uses `{name}`, which is not a field of the sync's mappings");
                return Err(Error::new(&E2131_NAMES, message));
            }
        }
        let instead = [&self.if_exists, &self.if_missing];
        instead.into_iter().flatten().try_for_each(|call| call.check(batch, rows_max))
    }

    /// What is sent for these rows. With `single` a request is about one row, else about a list.
    pub(super) fn prepare(
        &self,
        templates: &Templates,
        rows: &Rows<'_>,
        (wanted, single): (&[usize], bool),
    ) -> Written {
        let (mut sent, mut failed) = (Vec::with_capacity(wanted.len()), Vec::new());
        let mut list = Vec::new();
        for row in wanted {
            let before = list.len();
            let between: &[u8] = if self.format == Format::Ndjson { b"\n" } else { b"," };
            if !sent.is_empty() {
                list.extend_from_slice(between);
            }
            match self.push_row(templates, rows.row(*row), &mut list) {
                Ok(()) => sent.push(*row),
                Err(reason) => {
                    list.truncate(before);
                    failed.push((*row, reason));
                }
            }
        }
        if sent.is_empty() {
            return Written { sent, failed, prepared: None };
        }
        let one = single.then(|| rows.row(sent[0]));
        let prepared = Some(self.whole(templates, rows, one, list));
        Written { sent, failed, prepared }
    }

    fn push_row(
        &self,
        templates: &Templates,
        row: Row<'_>,
        out: &mut Vec<u8>,
    ) -> Result<(), Failed> {
        match &self.row {
            Some(document) => {
                if !templates.render(document, &row, out)? {
                    return Err(Failed("the row comes to nothing".to_owned()));
                }
            }
            None => row.push_object(out),
        }
        Ok(())
    }

    fn whole(
        &self,
        templates: &Templates,
        rows: &Rows<'_>,
        one: Option<Row<'_>>,
        list: Vec<u8>,
    ) -> Result<Prepared, Failed> {
        let listed = match one {
            Some(_) => Vec::new(),
            None => [b"[", list.as_slice(), b"]"].concat(),
        };
        let values = Whole {
            rows: if one.is_some() { &list } else { &listed },
            row: one,
            run_id: &rows.batch.run_id,
        };
        let path = templates.render_path(&self.path, &values.scope())?;
        let body = match &self.body {
            Some(Body::Empty) => None,
            Some(Body::Document(document)) => {
                let mut out = Vec::new();
                if !templates.render(document, &values, &mut out)? {
                    return Err(Failed("the body comes to nothing".to_owned()));
                }
                Some(out)
            }
            None if self.format == Format::Ndjson => Some([list.as_slice(), b"\n"].concat()),
            None if one.is_some() => Some(list),
            None => Some(listed),
        };
        Ok(Prepared { path, body })
    }
}
