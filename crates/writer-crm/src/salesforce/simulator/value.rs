//! One value of a row: what Salesforce makes of it, from JSON and from CSV.

use serde_json::{Number, Value};

use super::id;
use super::reply::Fault;
use super::schema::{Field, Kind};

/// A value as it is kept.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Held {
    Text(Box<str>),
    Number(Number),
    Boolean(bool),
}

impl Held {
    pub(super) fn json(&self) -> Value {
        match self {
            Self::Text(text) => Value::from(&**text),
            Self::Number(number) => Value::Number(number.clone()),
            Self::Boolean(flag) => Value::Bool(*flag),
        }
    }

    pub(super) fn text(&self) -> String {
        match self {
            Self::Text(text) => text.to_string(),
            Self::Number(number) => number.to_string(),
            Self::Boolean(flag) => flag.to_string(),
        }
    }
}

/// A row's value before it is checked.
#[derive(Debug, Clone, Copy)]
pub(super) enum Sent<'a> {
    Json(&'a Value),
    /// A cell that is neither blank nor the word for null.
    Csv(&'a str),
}

/// Why a value is refused: with its row, or with the whole call because the JSON does not fit.
#[derive(Debug)]
pub(super) enum Refused {
    Row(Fault),
    Call(Fault),
}

/// Checks a value; `None` empties the field.
pub(super) fn check(field: &Field, sent: Sent<'_>) -> Result<Option<Held>, Refused> {
    if let Sent::Json(Value::Null) = sent {
        return Ok(None);
    }
    match &field.kind {
        Kind::Number(name) => number(field, name, sent).map(Some),
        Kind::Boolean => boolean(sent).map(Some),
        _ => {
            let text = match sent {
                Sent::Json(Value::String(text)) => text.as_str(),
                Sent::Json(other) => return Err(misfit(type_name(&field.kind), other)),
                Sent::Csv(text) => text,
            };
            words(field, text, matches!(sent, Sent::Json(_)))
        }
    }
}

fn words(field: &Field, text: &str, json: bool) -> Result<Option<Held>, Refused> {
    let text = text.trim();
    let name = field.name.as_str();
    let row = |code: &str, message: String| Err(Refused::Row(Fault::new(code, message, &[name])));
    let held = |text: &str| Ok(Some(Held::Text(text.into())));
    let bad_type = |what: &str| match json {
        true => Err(misfit(what, &Value::from(text))),
        false => Err(Refused::Row(Fault::new(
            "INVALID_TYPE_ON_FIELD_IN_RECORD",
            format!("{name}: value not of required type: {text}"),
            &[name],
        ))),
    };
    if text.is_empty() {
        let typed = matches!(field.kind, Kind::Date | Kind::DateTime);
        return if typed { bad_type(type_name(&field.kind)) } else { Ok(None) };
    }
    match &field.kind {
        Kind::Date => match text.len() == 10 && text.parse::<chrono::NaiveDate>().is_ok() {
            true => held(text),
            false => bad_type("date"),
        },
        Kind::DateTime => match moment(text) {
            Some(text) => held(&text),
            None => bad_type("datetime"),
        },
        Kind::Reference(_) if !id::is_id(text) => {
            row("MALFORMED_ID", format!("{name}: id value of incorrect type: {text}"))
        }
        Kind::Picklist { options, restricted, multi } => {
            let known = |part: &str| options.iter().any(|option| option == part);
            let good = match multi {
                true => text.split(';').all(|part| known(part.trim())),
                false => known(text),
            };
            match good || !restricted {
                true => held(text),
                false => row(
                    "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST",
                    format!("{name}: bad value for restricted picklist field: {text}"),
                ),
            }
        }
        Kind::Text("email") if !is_email(text) => {
            row("INVALID_EMAIL_ADDRESS", format!("{name}: invalid email address: {text}"))
        }
        _ if text.chars().count() > field.length => row(
            "STRING_TOO_LONG",
            format!("{name}: data value too large: {} (max length={})", cut(text), field.length),
        ),
        _ => held(text),
    }
}

fn number(field: &Field, name: &str, sent: Sent<'_>) -> Result<Held, Refused> {
    let number = match sent {
        Sent::Json(Value::Number(number)) => Some(number.clone()),
        Sent::Json(other) => return Err(misfit(name, other)),
        Sent::Csv(text) => serde_json::from_str(text.trim()).ok(),
    };
    let whole = |number: &Number| name != "int" || number.is_i64();
    match number.filter(whole) {
        Some(number) => Ok(Held::Number(number)),
        None => {
            let message = format!("{}: value not of required type", field.name);
            let fault = Fault::new("INVALID_TYPE_ON_FIELD_IN_RECORD", message, &[&field.name]);
            Err(Refused::Row(fault))
        }
    }
}

fn boolean(sent: Sent<'_>) -> Result<Held, Refused> {
    match sent {
        Sent::Json(Value::Bool(flag)) => Ok(Held::Boolean(*flag)),
        Sent::Json(other) => Err(misfit("boolean", other)),
        // Salesforce takes whatever is no kind of yes for no.
        Sent::Csv(text) => {
            let yes = ["true", "1", "yes", "y", "on"];
            Ok(Held::Boolean(yes.iter().any(|word| text.trim().eq_ignore_ascii_case(word))))
        }
    }
}

fn misfit(wanted: &str, got: &Value) -> Refused {
    let what = match got {
        Value::Null => "VALUE_NULL",
        Value::Bool(true) => "VALUE_TRUE",
        Value::Bool(false) => "VALUE_FALSE",
        Value::Number(_) => "VALUE_NUMBER",
        Value::String(_) => "VALUE_STRING",
        Value::Array(_) => "START_ARRAY",
        Value::Object(_) => "START_OBJECT",
    };
    let shown = got.as_str().map_or_else(|| cut(&got.to_string()), cut);
    let message = format!(
        "Cannot deserialize instance of {wanted} from {what} value {shown} or request may be missing a required field at [line:1, column:2]"
    );
    Refused::Call(Fault::new("JSON_PARSER_ERROR", message, &[]))
}

fn type_name(kind: &Kind) -> &'static str {
    match kind {
        Kind::Text(name) | Kind::Number(name) => name,
        Kind::Boolean => "boolean",
        Kind::Date => "date",
        Kind::DateTime => "datetime",
        Kind::Picklist { multi: true, .. } => "multipicklist",
        Kind::Picklist { .. } => "picklist",
        Kind::Reference(_) => "reference",
        Kind::Compound => "address",
    }
}

/// Kept to the second, in UTC.
fn moment(text: &str) -> Option<String> {
    let at = chrono::DateTime::parse_from_rfc3339(text)
        .or_else(|_| chrono::DateTime::parse_from_str(text, "%Y-%m-%dT%H:%M:%S%.f%z"))
        .ok()?;
    Some(at.to_utc().format("%Y-%m-%dT%H:%M:%S.000+0000").to_string())
}

fn is_email(text: &str) -> bool {
    let fits = |part: &str| !part.is_empty() && !part.contains([' ', '@', ',']);
    text.rsplit_once('@').is_some_and(|(name, host)| {
        fits(name) && fits(host) && host.contains('.') && text.len() <= 80
    })
}

fn cut(text: &str) -> String {
    text.chars().take(255).collect()
}
