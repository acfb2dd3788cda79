//! What exactly HubSpot finds wrong, gathered from the several places where it says so.

use super::answer::{Complaint, Detail, List};

/// One thing that is wrong.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Fault {
    /// HubSpot's word for it, for example `INVALID_EMAIL`; empty where it gives none.
    pub(super) code: String,
    /// The property at fault.
    pub(super) field: Option<String>,
}

/// All that is wrong: the list of errors, the list inside the message text, and the context.
pub(super) fn faults(complaint: &Complaint) -> Vec<Fault> {
    let message = complaint.message.as_str();
    let stated = complaint.errors.0.iter().map(fault);
    let named = complaint.context.property_names.iter().map(|name| Fault {
        code: complaint.sub_category.as_str().to_owned(),
        field: Some(name.clone()),
    });
    let details = complaint.errors.0.iter().map(|detail| detail.message.as_str());
    let missing = std::iter::once(message).chain(details).filter_map(missing_property);
    stated.chain(in_text(message).iter().map(fault)).chain(named).chain(missing).collect()
}

fn fault(detail: &Detail) -> Fault {
    let words = [&detail.r#in, &detail.name];
    let word = words.into_iter().find_map(|word| word.0.clone());
    Fault {
        code: detail.code.0.clone().unwrap_or_else(|| detail.error.as_str().to_owned()),
        field: detail.context.property_names.first().cloned().or(word),
    }
}

/// `Property values were not valid: [{"name": ..., "error": ...}]` holds a list in its text.
fn in_text(message: &str) -> Vec<Detail> {
    let Some(start) = message.find("[{") else { return Vec::new() };
    let mut values =
        serde_json::Deserializer::from_str(&message[start..]).into_iter::<List<Detail>>();
    values.next().and_then(Result::ok).map(|List(details)| details).unwrap_or_default()
}

/// HubSpot's reason as a sentence: what it says about each value, where it wraps that in a list.
pub(super) fn reason(complaint: &Complaint) -> String {
    let message = complaint.message.as_str();
    let inner = in_text(message);
    let inner: Vec<&str> = inner.iter().filter_map(|detail| detail.message.0.as_deref()).collect();
    if inner.is_empty() { message.to_owned() } else { inner.join("; ") }
}

/// `Property "x" does not exist`, where no code says so.
fn missing_property(message: &str) -> Option<Fault> {
    let (name, rest) = message.split_once("Property \"")?.1.split_once('"')?;
    let missing = rest.trim_start().starts_with("does not exist");
    missing.then(|| Fault { code: DOESNT_EXIST.to_owned(), field: Some(name.to_owned()) })
}

const DOESNT_EXIST: &str = "PROPERTY_DOESNT_EXIST";

/// The property that no row can be written to, where that is what is wrong.
pub(super) fn wrong_for_every_row(complaint: &Complaint) -> Option<String> {
    let fault = faults(complaint)
        .into_iter()
        .find(|fault| matches!(fault.code.as_str(), DOESNT_EXIST | "READ_ONLY_VALUE"))?;
    Some(fault.field.unwrap_or_else(|| "?".to_owned()))
}

/// Whether a 429 is about the day and not the window.
pub(super) fn is_daily(complaint: &Complaint) -> bool {
    let says = |text: &str| text.to_ascii_lowercase().contains("daily");
    says(complaint.policy_name.as_str()) || says(complaint.message.as_str())
}

/// HubSpot's limit of 250 identities on a contact.
pub(super) fn is_identity_limit(complaint: &Complaint) -> bool {
    complaint.status.as_str() == "414"
        || complaint.message.as_str().contains("identities on a profile")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(body: &str, expected: &[(&str, Option<&str>)]) {
        let complaint: Complaint = serde_json::from_str(body).expect("lenient");
        let found = faults(&complaint);
        let found: Vec<_> =
            found.iter().map(|fault| (fault.code.as_str(), fault.field.as_deref())).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn faults_are_found_wherever_hubspot_puts_them() {
        check("{}", &[]);
        check(
            r#"{"message": "x", "errors": [{"code": "INVALID_EMAIL", "context": {"propertyName": ["email"]}},
                {"in": "plan", "code": "INVALID_OPTION"}, {"message": "nothing known"}]}"#,
            &[("INVALID_EMAIL", Some("email")), ("INVALID_OPTION", Some("plan")), ("", None)],
        );
        check(
            r#"{"message": "Property values were not valid: [{\"isValid\":false,\"error\":\"INVALID_INTEGER\",\"name\":\"seats\"}] and more"}"#,
            &[("INVALID_INTEGER", Some("seats"))],
        );
        check(
            r#"{"message": "x", "subCategory": "s", "context": {"propertyName": ["plan"]}}"#,
            &[("s", Some("plan"))],
        );
        check(
            r#"{"message": "Property \"stage\" does not exist"}"#,
            &[("PROPERTY_DOESNT_EXIST", Some("stage"))],
        );
        check(r#"{"message": "[{ broken"}"#, &[]);
        check(r#"{"message": "Property \"stage\" is odd, and \"x\" does not exist"}"#, &[]);
    }
}
