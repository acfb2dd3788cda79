//! Checks one property value the way HubSpot does, and brings it into the form HubSpot keeps.

use std::borrow::Cow;

use serde_json::json;

use super::schema::{Kind, Property};
use super::time;

/// Longest value of a property, in characters.
const VALUE_CHARS_MAX: usize = 65_536;

/// Why a value is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Invalid {
    pub(super) name: String,
    pub(super) code: &'static str,
    pub(super) message: String,
    /// Refuses the whole call, whichever row it came with.
    pub(super) whole_call: bool,
}

impl Invalid {
    fn row(property: &Property, code: &'static str, message: String) -> Self {
        Self { name: property.name.clone(), code, message, whole_call: false }
    }

    /// A property nobody defined.
    pub(super) fn unknown(name: &str) -> Self {
        let message = format!("Property \"{name}\" does not exist");
        Self { name: name.to_owned(), code: "PROPERTY_DOESNT_EXIST", message, whole_call: true }
    }

    /// A property that cannot be written.
    pub(super) fn read_only(name: &str) -> Self {
        let message = format!("\"{name}\" is a read only property; its value cannot be set.");
        Self { name: name.to_owned(), code: "READ_ONLY_VALUE", message, whole_call: true }
    }

    /// A value with spaces around it where they mean nothing.
    fn spaces(name: &str) -> Self {
        let message = format!("Property \"{name}\" has leading or trailing whitespace");
        Self { name: name.to_owned(), code: "INVALID_WHITESPACE", message, whole_call: true }
    }
}

/// The message of a refusal that names its properties.
pub(super) fn sentence(invalid: &[Invalid]) -> String {
    let list: Vec<_> = invalid
        .iter()
        .map(|one| {
            json!({
                "isValid": false,
                "message": one.message,
                "error": one.code,
                "name": one.name,
                "localizedErrorMessage": one.message,
            })
        })
        .collect();
    format!("Property values were not valid: {}", serde_json::Value::from(list))
}

/// The value as it is kept; an empty one clears the property.
pub(super) fn check<'a>(property: &Property, text: Cow<'a, str>) -> Result<Cow<'a, str>, Invalid> {
    if property.read_only {
        return Err(Invalid::read_only(&property.name));
    }
    if text.is_empty() {
        return Ok(text);
    }
    let free_text = matches!(
        property.kind,
        Kind::Text | Kind::TextArea | Kind::Email | Kind::Emails | Kind::Phone
    );
    if !free_text && text.trim().len() != text.len() {
        return Err(Invalid::spaces(&property.name));
    }
    let refuse = |code, message| Err(Invalid::row(property, code, message));
    match property.kind {
        Kind::Text | Kind::TextArea | Kind::Phone => match too_long(&text) {
            true => refuse(
                "PROPERTY_VALUE_TOO_LONG",
                format!(
                    "Property \"{}\" is longer than {VALUE_CHARS_MAX} characters",
                    property.name
                ),
            ),
            false => Ok(text),
        },
        Kind::Email => match email(&text) {
            Some(folded) => Ok(folded_or_same(text, folded)),
            None => refuse("INVALID_EMAIL", format!("Email address {text} is invalid")),
        },
        Kind::Emails => match text.split(';').map(email).collect::<Option<Vec<_>>>() {
            Some(folded) => Ok(folded.join(";").into()),
            None => refuse("INVALID_EMAIL", format!("Email address {text} is invalid")),
        },
        Kind::Number if is_number(&text) => Ok(text),
        Kind::Number => refuse("INVALID_NUMBER", format!("{text} was not a valid number.")),
        Kind::Date => time::date(&text).map(Cow::from).or_else(|why| refuse("INVALID_DATE", why)),
        Kind::DateTime => {
            time::datetime(&text).map(Cow::from).or_else(|why| refuse("INVALID_DATE", why))
        }
        Kind::Bool if matches!(&*text, "true" | "false") => Ok(text),
        Kind::Bool => refuse("INVALID_BOOLEAN", format!("{text} was not a valid boolean.")),
        Kind::Owner if text.bytes().all(|byte| byte.is_ascii_digit()) => Ok(text),
        Kind::Owner => {
            refuse("INVALID_INTEGER", format!("{text} was not a valid integer (for owner ID)."))
        }
        Kind::Choice => match is_option(property, &text) {
            true => Ok(text),
            false => refuse("INVALID_OPTION", not_allowed(property, &text)),
        },
        Kind::Choices => choices(property, text),
    }
}

fn too_long(text: &str) -> bool {
    text.len() > VALUE_CHARS_MAX && text.chars().count() > VALUE_CHARS_MAX
}

fn folded_or_same<'a>(text: Cow<'a, str>, folded: String) -> Cow<'a, str> {
    if *text == folded { text } else { folded.into() }
}

/// The address in lower case, which is how HubSpot keeps and compares it.
pub(super) fn email(text: &str) -> Option<String> {
    let (local, domain) = text.rsplit_once('@')?;
    let dotted = |part: &str| !part.is_empty() && part.split('.').all(|label| !label.is_empty());
    let local_legal = |c: char| c.is_alphanumeric() || ".!#$%&'*+/=?^_`{|}~-".contains(c);
    let label_legal = |label: &str| {
        label.chars().all(|c| c.is_alphanumeric() || c == '-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let sound = text.len() <= 254
        && local.len() <= 64
        && dotted(local)
        && dotted(domain)
        && local.chars().all(local_legal)
        && domain.contains('.')
        && domain.split('.').all(label_legal)
        && domain.rsplit('.').next().is_some_and(|top| top.chars().count() >= 2);
    sound.then(|| text.to_lowercase())
}

/// A decimal number with `.`, no grouping, an exponent if need be.
fn is_number(text: &str) -> bool {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (unsigned, None),
    };
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let (whole, part) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let exponent_sound = exponent.is_none_or(|text| {
        let text = text.strip_prefix(['+', '-']).unwrap_or(text);
        !text.is_empty() && digits(text)
    });
    !(whole.is_empty() && part.is_empty()) && digits(whole) && digits(part) && exponent_sound
}

fn is_option(property: &Property, value: &str) -> bool {
    property.options.iter().any(|(known, _)| known == value)
}

fn not_allowed(property: &Property, value: &str) -> String {
    let known: Vec<&str> = property.options.iter().map(|(value, _)| value.as_str()).collect();
    format!("{value} was not one of the allowed options: [{}]", known.join(", "))
}

/// `a;b` replaces the options of a record; `;b` adds to them, which `added` does.
fn choices<'a>(property: &Property, text: Cow<'a, str>) -> Result<Cow<'a, str>, Invalid> {
    for option in text.strip_prefix(';').unwrap_or(&text).split(';') {
        if !is_option(property, option) {
            return Err(Invalid::row(property, "INVALID_OPTION", not_allowed(property, option)));
        }
    }
    Ok(text)
}

/// The options of a record after `;b` was written to it.
pub(super) fn added(before: Option<&str>, text: &str) -> String {
    let mut kept: Vec<&str> = before.unwrap_or("").split(';').filter(|o| !o.is_empty()).collect();
    for option in text.split(';').filter(|option| !option.is_empty()) {
        if !kept.contains(&option) {
            kept.push(option);
        }
    }
    kept.join(";")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn keeps(spec: &str, text: &str, kept: &str) {
        let property = Property::parse(spec).unwrap();
        assert_eq!(check(&property, text.into()).as_deref(), Ok(kept));
    }

    #[track_caller]
    fn refuses(spec: &str, text: &str, code: &str) {
        let property = Property::parse(spec).unwrap();
        let invalid = check(&property, text.into()).unwrap_err();
        assert_eq!((invalid.code, invalid.whole_call), (code, code == "INVALID_WHITESPACE"));
    }

    #[test]
    fn numbers_are_plain_decimals() {
        for text in ["0", "-17.50", "+3", ".5", "5.", "1e9", "1.5E-3", "123456789012345678901234"] {
            keeps("n:number", text, text);
        }
        for text in ["NaN", "Infinity", "1,000", "1.2.3", "0x10", "-", ".", "1e", "--1", "12 000"] {
            refuses("n:number", text, "INVALID_NUMBER");
        }
    }

    #[test]
    fn spaces_around_anything_but_text_refuse_the_whole_call() {
        for (spec, text) in [("n:number", " 1"), ("b:bool", "true "), ("e:enumeration:A", "A ")] {
            refuses(spec, text, "INVALID_WHITESPACE");
        }
        keeps("s:string", "  padded ", "  padded ");
    }

    #[test]
    fn booleans_and_options_are_exact() {
        keeps("b:bool", "true", "true");
        for text in ["True", "1", "yes"] {
            refuses("b:bool", text, "INVALID_BOOLEAN");
        }
        keeps("e:enumeration:A|B", "B", "B");
        for text in ["b", "A;B", "C"] {
            refuses("e:enumeration:A|B", text, "INVALID_OPTION");
        }
    }

    #[test]
    fn several_options_replace_or_add() {
        keeps("m:multi:A|B|C", "B;C", "B;C");
        keeps("m:multi:A|B|C", ";B", ";B");
        assert_eq!(added(Some("A"), ";B;C"), "A;B;C");
        assert_eq!(added(Some("A;B"), ";B"), "A;B");
        assert_eq!(added(None, ";B"), "B");
        refuses("m:multi:A|B", "A;X", "INVALID_OPTION");
        refuses("m:multi:A|B", "A;;B", "INVALID_OPTION");
    }

    #[test]
    fn a_value_may_have_65536_characters_whatever_their_bytes() {
        let longest = "é".repeat(65_536);
        keeps("s:string", &longest, &longest);
        refuses("s:string", &"x".repeat(65_537), "PROPERTY_VALUE_TOO_LONG");
    }

    #[test]
    fn an_empty_value_clears_any_property() {
        for spec in ["n:number", "d:date", "e:enumeration:A", "b:bool", "s:string"] {
            keeps(spec, "", "");
        }
    }

    #[test]
    fn addresses_are_checked_and_folded() {
        assert_eq!(email("Ada.L+x@Example.COM").as_deref(), Some("ada.l+x@example.com"));
        assert_eq!(email("jürgen@bücher.de").as_deref(), Some("jürgen@bücher.de"));
        for text in [
            "ada",
            "ada@",
            "@x.io",
            "ada@x",
            "a b@x.io",
            "ada@x..io",
            ".ada@x.io",
            "ada@-x.io",
            "ada@x.i",
            "ada@x.io ",
            "a@b@c.io",
            "ada@x.io.",
        ] {
            assert_eq!(email(text), None, "{text}");
        }
    }
}
