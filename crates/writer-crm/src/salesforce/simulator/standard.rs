//! The objects every org has, as far as the double plays them, and the external ids its tests use.

use super::schema::{Field, Kind, Object};

fn text(name: &str, length: usize) -> Field {
    Field::new(name, Kind::Text("string"), length)
}

fn required(field: Field) -> Field {
    Field { required: true, ..field }
}

fn external(name: &str) -> Field {
    Field { external: true, unique: true, ..text(name, 64) }
}

fn area(name: &str) -> Field {
    Field::new(name, Kind::Text("textarea"), 32_000)
}

fn of(name: &str, kind: Kind) -> Field {
    Field::new(name, kind, 255)
}

fn picks(name: &str, options: &[&str], restricted: bool) -> Field {
    let options = options.iter().map(|option| (*option).to_owned()).collect();
    of(name, Kind::Picklist { options, restricted, multi: false })
}

fn to(name: &str, object: &str) -> Field {
    Field::new(name, Kind::Reference(object.to_owned()), 18)
}

fn mail(name: &str) -> Field {
    Field { lookup: true, ..Field::new(name, Kind::Text("email"), 80) }
}

fn compound(name: &str) -> Field {
    Field { read_only: true, ..of(name, Kind::Compound) }
}

/// The standard objects.
pub(super) fn objects() -> Vec<Object> {
    let object = |name: &str, prefix: &str, mut fields: Vec<Field>| {
        for name in ["CreatedDate", "LastModifiedDate"] {
            fields.push(Field { read_only: true, ..of(name, Kind::DateTime) });
        }
        Object { name: name.to_owned(), prefix: prefix.to_owned(), fields }
    };
    vec![
        object("Account", "001", account()),
        object("Contact", "003", contact()),
        object("Lead", "00Q", lead()),
        object("Case", "500", case()),
        object("Opportunity", "006", opportunity()),
        object("User", "005", vec![text("Username", 80), mail("Email")]),
        object("Organization", "00D", vec![text("Name", 80)]),
    ]
}

fn account() -> Vec<Field> {
    vec![
        required(text("Name", 255)),
        external("External_Id__c"),
        text("AccountNumber", 40),
        of("Phone", Kind::Text("phone")),
        of("Website", Kind::Text("url")),
        picks("Industry", &["Technology", "Banking", "Energy"], false),
        picks("Tier__c", &["Gold", "Silver"], true),
        of("AnnualRevenue", Kind::Number("currency")),
        of("NumberOfEmployees", Kind::Number("int")),
        area("Description"),
        text("BillingCity", 40),
        compound("BillingAddress"),
        to("ParentId", "Account"),
    ]
}

fn contact() -> Vec<Field> {
    vec![
        required(text("LastName", 80)),
        text("FirstName", 40),
        external("External_Id__c"),
        mail("Email"),
        of("Phone", Kind::Text("phone")),
        text("Title", 128),
        text("Department", 80),
        picks("LeadSource", &["Web", "Phone Inquiry", "Other"], false),
        picks("Plan__c", &["Free", "Pro"], true),
        of("Birthdate", Kind::Date),
        of("Seen_At__c", Kind::DateTime),
        of("Score__c", Kind::Number("double")),
        of("HasOptedOutOfEmail", Kind::Boolean),
        area("Description"),
        text("MailingCity", 40),
        compound("MailingAddress"),
        Field { read_only: true, ..text("Name", 121) },
        to("AccountId", "Account"),
        to("ReportsToId", "Contact"),
    ]
}

fn lead() -> Vec<Field> {
    vec![
        required(text("LastName", 80)),
        required(text("Company", 255)),
        text("FirstName", 40),
        external("External_Id__c"),
        mail("Email"),
        area("Description"),
        picks("Status", &["Open", "Working", "Closed"], false),
    ]
}

fn case() -> Vec<Field> {
    vec![
        external("ITSM_Number__c"),
        text("Subject", 255),
        area("Description"),
        picks("Status", &["New", "Working", "Escalated", "Closed"], true),
        picks("Priority", &["High", "Medium", "Low"], true),
        picks("Origin", &["Phone", "Email", "Web"], false),
        Field { read_only: true, ..text("CaseNumber", 30) },
        to("ContactId", "Contact"),
        to("AccountId", "Account"),
    ]
}

fn opportunity() -> Vec<Field> {
    vec![
        required(text("Name", 120)),
        required(of("CloseDate", Kind::Date)),
        required(picks("StageName", &["Prospecting", "Closed Won", "Closed Lost"], false)),
        external("External_Id__c"),
        of("Amount", Kind::Number("currency")),
        to("AccountId", "Account"),
    ]
}
