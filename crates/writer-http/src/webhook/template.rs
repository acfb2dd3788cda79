//! Documents and paths with places for values. A value is always encoded for where it stands: as a JSON value in a
//! body, percent-encoded in a path; none of them can change the structure around it (X4).

use std::collections::BTreeSet;

use minijinja::value::ValueKind;
use minijinja::{AutoEscape, Environment, ErrorKind, UndefinedBehavior, Value};
use serde_json::Value as Json;

/// Work one rendering may cause: about so many instructions.
const FUEL: u64 = 100_000;

/// A JSON document with places for values.
#[derive(Debug)]
pub(super) enum Document {
    /// JSON text as it is.
    Fixed(Vec<u8>),
    /// The value of one field, exactly.
    Field(String),
    /// The list of rows.
    Rows,
    /// What an expression comes to, as the JSON value it is; nothing where it is not defined.
    Expression(String),
    /// Text with values in it.
    Text(String),
    List(Vec<Document>),
    Object(Vec<(String, Document)>),
}

/// Where a document gets its values from.
pub(super) trait Values {
    /// Appends the field's value as JSON; `false` where the row leaves the field alone.
    fn field(&self, name: &str, out: &mut Vec<u8>) -> bool;
    /// Appends the list of rows.
    fn rows(&self, out: &mut Vec<u8>);
    /// All values by name, for expressions.
    fn scope(&self) -> Value;
}

/// Why a rendering failed; no value is in it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Failed(pub(super) String);

/// All templates of one connection, compiled once.
pub(super) struct Templates {
    documents: Environment<'static>,
    paths: Environment<'static>,
    count: usize,
}

impl std::fmt::Debug for Templates {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Templates({})", self.count)
    }
}

impl Templates {
    pub(super) fn new() -> Self {
        let mut documents = environment(UndefinedBehavior::Chainable);
        documents.set_formatter(|out, _, value| match value.kind() {
            ValueKind::Undefined | ValueKind::None => Ok(()),
            _ => out.write_str(&value.to_string()).map_err(|_| ErrorKind::WriteFailure.into()),
        });
        let mut paths = environment(UndefinedBehavior::Strict);
        paths.set_formatter(|out, _, value| {
            let text = match value.kind() {
                ValueKind::None | ValueKind::Undefined => String::new(),
                _ => value.to_string(),
            };
            if text.is_empty() {
                return Err(ErrorKind::UndefinedError.into());
            }
            out.write_str(&writer::percent(&text)).map_err(|_| ErrorKind::WriteFailure.into())
        });
        Self { documents, paths, count: 0 }
    }

    /// Compiles a path.
    pub(super) fn path(&mut self, source: &str) -> Result<String, String> {
        let name = self.next();
        add(&mut self.paths, &name, source)?;
        Ok(name)
    }

    /// Compiles a document.
    pub(super) fn document(&mut self, source: &Json) -> Result<Document, String> {
        Ok(match source {
            Json::String(text) if !text.contains("{{") && !text.contains("{%") => fixed(source),
            Json::String(text) => match single_expression(text) {
                Some("rows") => Document::Rows,
                Some(name) if is_name(name) && !matches!(name, "row" | "run_id" | "id") => {
                    Document::Field(name.to_owned())
                }
                Some(expression) => {
                    let source = format!(
                        "{{% if ({expression}) is defined %}}{{{{ ({expression})|tojson }}}}{{% endif %}}"
                    );
                    let name = self.next();
                    add(&mut self.documents, &name, &source)?;
                    Document::Expression(name)
                }
                None => {
                    let name = self.next();
                    add(&mut self.documents, &name, text)?;
                    Document::Text(name)
                }
            },
            Json::Array(items) => Document::List(
                items.iter().map(|item| self.document(item)).collect::<Result<_, _>>()?,
            ),
            Json::Object(members) => Document::Object(
                members
                    .iter()
                    .map(|(name, value)| Ok((name.clone(), self.document(value)?)))
                    .collect::<Result<_, String>>()?,
            ),
            plain => fixed(plain),
        })
    }

    /// The names a path takes values from.
    pub(super) fn names_of_path(&self, path: &str) -> BTreeSet<String> {
        names(&self.paths, path)
    }

    /// The names a document takes values from; `rows` where it holds them.
    pub(super) fn names_of(&self, document: &Document, found: &mut BTreeSet<String>) {
        match document {
            Document::Fixed(_) => {}
            Document::Field(name) => {
                found.insert(name.clone());
            }
            Document::Rows => {
                found.insert("rows".to_owned());
            }
            Document::Expression(name) | Document::Text(name) => {
                found.extend(names(&self.documents, name));
            }
            Document::List(items) => items.iter().for_each(|item| self.names_of(item, found)),
            Document::Object(members) => {
                members.iter().for_each(|(_, value)| self.names_of(value, found));
            }
        }
    }

    /// The path for one row. Fails where a value is missing or would leave its place.
    pub(super) fn render_path(&self, path: &str, scope: &Value) -> Result<String, Failed> {
        let text = render(&self.paths, path, scope).map_err(|failed| match failed.0.as_str() {
            "undefined value" => Failed("a value of the path is empty".to_owned()),
            _ => failed,
        })?;
        let dots = |segment: &str| matches!(segment, "." | "..");
        let (path, _) = text.split_once('?').unwrap_or((&text, ""));
        if path.split('/').any(dots) {
            return Err(Failed("a value of the path would lead to another path".to_owned()));
        }
        Ok(text)
    }

    /// Appends the document as JSON; `false` where there is nothing to say.
    pub(super) fn render(
        &self,
        document: &Document,
        values: &dyn Values,
        out: &mut Vec<u8>,
    ) -> Result<bool, Failed> {
        match document {
            Document::Fixed(text) => out.extend_from_slice(text),
            Document::Field(name) => return Ok(values.field(name, out)),
            Document::Rows => values.rows(out),
            Document::Expression(name) => {
                let text = render(&self.documents, name, &values.scope())?;
                out.extend_from_slice(text.as_bytes());
                return Ok(!text.is_empty());
            }
            Document::Text(name) => {
                let text = render(&self.documents, name, &values.scope())?;
                writer::encode::push_string(&text, out);
            }
            Document::List(items) => {
                out.push(b'[');
                let mut first = true;
                for item in items {
                    first &= !self.member(None, item, (values, first), out)?;
                }
                out.push(b']');
            }
            Document::Object(members) => {
                out.push(b'{');
                let mut first = true;
                for (name, value) in members {
                    first &= !self.member(Some(name), value, (values, first), out)?;
                }
                out.push(b'}');
            }
        }
        Ok(true)
    }

    /// Appends one member of a list or object, unless there is nothing to say.
    fn member(
        &self,
        name: Option<&str>,
        value: &Document,
        (values, first): (&dyn Values, bool),
        out: &mut Vec<u8>,
    ) -> Result<bool, Failed> {
        let before = out.len();
        if !first {
            out.push(b',');
        }
        if let Some(name) = name {
            writer::encode::push_string(name, out);
            out.push(b':');
        }
        let said = self.render(value, values, out)?;
        if !said {
            out.truncate(before);
        }
        Ok(said)
    }

    fn next(&mut self) -> String {
        self.count += 1;
        self.count.to_string()
    }
}

fn environment(undefined: UndefinedBehavior) -> Environment<'static> {
    let mut env = Environment::new();
    env.set_undefined_behavior(undefined);
    env.set_auto_escape_callback(|_| AutoEscape::None);
    env.set_fuel(Some(FUEL));
    env
}

fn add(env: &mut Environment<'static>, name: &str, source: &str) -> Result<(), String> {
    env.add_template_owned(name.to_owned(), source.to_owned())
        .map_err(|error| error.detail().unwrap_or("it is not a template").to_owned())
}

fn names(env: &Environment<'static>, name: &str) -> BTreeSet<String> {
    let globals: BTreeSet<&str> = env.globals().map(|(name, _)| name).collect();
    let template = env.get_template(name).expect("it was added when the connection was opened");
    let used = template.undeclared_variables(false).into_iter();
    used.filter(|name| !globals.contains(name.as_str())).collect()
}

fn render(env: &Environment<'static>, name: &str, scope: &Value) -> Result<String, Failed> {
    let template = env.get_template(name).expect("it was added when the connection was opened");
    // The detail of an error may hold a value of the row; its kind does not.
    template.render(scope).map_err(|error| Failed(root(&error).to_string()))
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

fn fixed(value: &Json) -> Document {
    Document::Fixed(value.to_string().into_bytes())
}

/// What stands between the braces where the text is one expression and nothing else.
fn single_expression(text: &str) -> Option<&str> {
    let inner = text.trim().strip_prefix("{{")?.strip_suffix("}}")?;
    let plain = !["{{", "}}", "{%", "{#"].iter().any(|mark| inner.contains(mark));
    plain.then(|| inner.trim_matches(['-', ' ', '\n', '\t']))
}

fn is_name(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        && text.bytes().next().is_some_and(|byte| !byte.is_ascii_digit())
        && !matches!(text, "true" | "false" | "none" | "True" | "False" | "None")
}

#[cfg(test)]
mod tests {
    use minijinja::value::Serde;
    use serde_json::json;

    use super::*;

    struct Row(Json);

    impl Values for Row {
        fn field(&self, name: &str, out: &mut Vec<u8>) -> bool {
            let value = self.0.get(name);
            out.extend_from_slice(value.map(Json::to_string).unwrap_or_default().as_bytes());
            value.is_some()
        }

        fn rows(&self, out: &mut Vec<u8>) {
            out.extend_from_slice(b"[1,2]");
        }

        fn scope(&self) -> Value {
            Value::from(Serde(&self.0))
        }
    }

    fn rendered(document: &Json, row: Json) -> Json {
        let mut templates = Templates::new();
        let document = templates.document(document).expect("it compiles");
        let mut out = Vec::new();
        assert!(templates.render(&document, &Row(row), &mut out).expect("it renders"));
        serde_json::from_slice(&out).unwrap_or_else(|error| {
            panic!("{error}: {}", String::from_utf8_lossy(&out));
        })
    }

    #[test]
    fn values_keep_their_types_and_what_is_absent_is_left_out() {
        let document = json!({
            "name": "{{ name }}", "age": "{{ age }}", "gone": "{{ gone }}", "nothing": "{{ nothing }}",
            "greeting": "Hello {{ name }}{{ gone }}!", "older": "{{ age + 1 }}", "fixed": [1, null, "x"],
            "all": { "rows": "{{ rows }}", "upper": "{{ name | upper }}" },
            "list": ["{{ gone }}", "{{ age }}"],
        });
        let row = json!({"name": "A \"b\"\n", "age": 41, "nothing": null});
        let expected = json!({
            "name": "A \"b\"\n", "age": 41, "nothing": null, "greeting": "Hello A \"b\"\n!", "older": 42,
            "fixed": [1, null, "x"], "all": { "rows": [1, 2], "upper": "A \"B\"\n" }, "list": [41],
        });
        assert_eq!(rendered(&document, row), expected);
    }

    #[test]
    fn no_value_changes_the_structure_of_a_document() {
        // X4
        let hostile =
            ["\"}, \"admin\": true, {\"", "{{ 7 * 7 }}", "\\", "\u{0}\u{7f}", "</script>"];
        for value in hostile {
            let document = json!({"a": "{{ v }}", "b": "x{{ v }}y", "c": "{{ v | trim }}"});
            let got = rendered(&document, json!({ "v": value }));
            assert_eq!(got["a"], value);
            assert_eq!(got["b"], format!("x{value}y"));
            assert_eq!(got.as_object().map(serde_json::Map::len), Some(3), "{got}");
        }
    }

    #[test]
    fn no_value_of_a_path_leaves_its_segment() {
        // X4
        let mut templates = Templates::new();
        let path = templates.path("/users/{{ id }}/tags?x={{ q }}").expect("it compiles");
        let render = |id: &str, q: &str| {
            templates.render_path(&path, &Value::from(Serde(json!({ "id": id, "q": q }))))
        };
        assert_eq!(
            render("a/b?c#d", "1&y=2").as_deref(),
            Ok("/users/a%2Fb%3Fc%23d/tags?x=1%26y%3D2")
        );
        assert_eq!(render("Zoë %2e", "é").as_deref(), Ok("/users/Zo%C3%AB%20%252e/tags?x=%C3%A9"));
        for (id, q) in [("..", "x"), (".", "x"), ("", "x"), ("a", "")] {
            assert!(render(id, q).is_err(), "{id:?} {q:?}");
        }
        let none = json!({ "id": null, "q": 1 });
        assert!(templates.render_path(&path, &Value::from(Serde(none))).is_err());
    }

    #[test]
    fn a_template_that_works_too_much_ends() {
        let mut templates = Templates::new();
        let source = json!(
            "x{% for a in range(100000) %}{% for b in range(100000) %}y{% endfor %}{% endfor %}"
        );
        let document = templates.document(&source).expect("it compiles");
        let failed = templates.render(&document, &Row(json!({})), &mut Vec::new());
        assert!(failed.is_err());
    }

    #[test]
    fn names_are_known_before_the_first_row() {
        let mut templates = Templates::new();
        let document = templates
            .document(
                &json!({"a": "{{ x }}", "b": "{{ y + z }}", "c": ["{{ rows }}", "{{ row['q'] }}"]}),
            )
            .expect("it compiles");
        let mut names = BTreeSet::new();
        templates.names_of(&document, &mut names);
        assert_eq!(names.into_iter().collect::<Vec<_>>(), ["row", "rows", "x", "y", "z"]);
        assert!(templates.document(&json!("{{ unclosed")).is_err());
    }
}
