//! Templates: minijinja over one row at a time, with a limit on the work a row may cause.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, StringArray, StringBuilder};
use minijinja::value::Object;
use minijinja::{AutoEscape, Environment, ErrorKind, UndefinedBehavior, Value};

use crate::cell::{self, Null};
use crate::error::Misfit;
use crate::refusals::FieldRows;
use crate::shape::Meaning;
use crate::{codes, lint, suggest};

/// Work one row may cause: about so many instructions, or 64 times as many bytes of text.
const FUEL: u64 = 100_000;

/// The templates of one mapper, compiled once.
pub(crate) struct Templates {
    env: Environment<'static>,
}

/// One template and the columns it reads.
#[derive(Debug, Clone)]
pub(crate) struct Template {
    name: String,
    pub(crate) columns: Vec<String>,
}

impl std::fmt::Debug for Templates {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Templates")
    }
}

impl Templates {
    pub(crate) fn new() -> Self {
        let mut env = Environment::new();
        env.set_undefined_behavior(UndefinedBehavior::Strict);
        env.set_auto_escape_callback(|_| AutoEscape::None);
        env.set_fuel(Some(FUEL));
        env.set_formatter(cell::print);
        env.add_test("none", cell::is_null);
        env.add_filter("tojson", cell::to_json);
        Self { env }
    }

    /// Compiles the template of `field`, which names are unknown only to the model.
    pub(crate) fn add(&mut self, field: &str, source: &str) -> Result<Template, Misfit> {
        self.env.add_template_owned(field.to_owned(), source.to_owned()).map_err(|error| {
            let detail = error.detail().unwrap_or("syntax error").to_owned();
            let line = error.line().unwrap_or(1);
            Misfit::new(
                &codes::E0202_TEMPLATE,
                format!("the template is not valid: {detail} (line {line})"),
                "columns are written as {{ column }}, conditions as {% if column %}…{% endif %}",
            )
        })?;
        lint::check(source, &self.env)?;
        let template = self.env.get_template(field).expect("it was just added");
        let globals: BTreeSet<&str> = self.env.globals().map(|(name, _)| name).collect();
        let used: BTreeSet<String> = template.undeclared_variables(false).into_iter().collect();
        let columns = used.into_iter().filter(|name| !globals.contains(name.as_str())).collect();
        Ok(Template { name: field.to_owned(), columns })
    }

    /// Renders every row that is not refused yet. A failure refuses its row, without saying any value.
    pub(crate) fn render(
        &self,
        template: &Template,
        columns: Vec<Variable>,
        rows: &mut FieldRows<'_>,
    ) -> StringArray {
        let count = rows.len();
        let compiled = self.env.get_template(&template.name).expect("it was added when compiled");
        let columns: Arc<[Variable]> = columns.into();
        let mut builder = StringBuilder::with_capacity(count, count * 16);
        for row in 0..count {
            if rows.is_refused(row) {
                builder.append_null();
                continue;
            }
            let scope = Value::from_object(Scope { columns: Arc::clone(&columns), row });
            match compiled.render(scope) {
                Ok(text) => builder.append_value(text),
                Err(error) => {
                    // The detail of an error may hold a value of the row; its kind does not.
                    let line = error.line().unwrap_or(1);
                    let reason = format!("the template failed on line {line}: {}", root(&error));
                    rows.refuse(row, &codes::R116_TEMPLATE_FAILED, reason);
                    builder.append_null();
                }
            }
        }
        builder.finish()
    }
}

fn root(error: &minijinja::Error) -> ErrorKind {
    let mut kind = error.kind();
    let mut source = std::error::Error::source(error);
    while let Some(inner) = source {
        if let Some(inner) = inner.downcast_ref::<minijinja::Error>() {
            kind = inner.kind();
        }
        source = inner.source();
    }
    kind
}

/// The columns a template reads, or the error of the first that the model does not have.
pub(crate) fn check_columns<'a>(
    template: &Template,
    columns: impl Iterator<Item = &'a str> + Clone,
) -> Result<(), Misfit> {
    match template.columns.iter().find(|name| !columns.clone().any(|column| column == *name)) {
        None => Ok(()),
        Some(unknown) => Err(Misfit::new(
            &codes::E0202_TEMPLATE,
            format!("the template uses `{unknown}`, which is not a column of the model"),
            suggest::hint(unknown, columns),
        )),
    }
}

/// A column as a template sees it.
#[derive(Debug)]
pub(crate) struct Variable {
    pub(crate) name: String,
    pub(crate) column: ArrayRef,
    pub(crate) meaning: Meaning,
}

/// The variables of one row; a cell becomes a value only when it is used.
#[derive(Debug)]
struct Scope {
    columns: Arc<[Variable]>,
    row: usize,
}

impl Object for Scope {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        self.get_value_by_str(key.as_str()?)
    }

    fn get_value_by_str(self: &Arc<Self>, key: &str) -> Option<Value> {
        let variable = self.columns.iter().find(|variable| variable.name == key)?;
        if variable.column.is_null(self.row) {
            return Some(Value::from_object(Null));
        }
        Some(cell::value(&variable.column, self.row, variable.meaning))
    }
}
