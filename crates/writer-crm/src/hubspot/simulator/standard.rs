//! The standard properties every portal has, as far as the double knows them.

use super::object::Object;
use super::schema::{Kind, Origin, Property, group};

type Row = (&'static str, &'static str, Kind);
type Options = &'static [(&'static str, &'static str)];

const CONTACTS: &[Row] = &[
    ("email", "Email", Kind::Email),
    ("hs_additional_emails", "Additional email addresses", Kind::Emails),
    ("firstname", "First Name", Kind::Text),
    ("lastname", "Last Name", Kind::Text),
    ("salutation", "Salutation", Kind::Text),
    ("jobtitle", "Job Title", Kind::Text),
    ("company", "Company Name", Kind::Text),
    ("phone", "Phone Number", Kind::Phone),
    ("mobilephone", "Mobile Phone Number", Kind::Phone),
    ("fax", "Fax Number", Kind::Text),
    ("website", "Website URL", Kind::Text),
    ("address", "Street Address", Kind::Text),
    ("city", "City", Kind::Text),
    ("state", "State/Region", Kind::Text),
    ("zip", "Postal Code", Kind::Text),
    ("country", "Country/Region", Kind::Text),
    ("industry", "Industry", Kind::Text),
    ("date_of_birth", "Date of birth", Kind::Text),
    ("message", "Message", Kind::TextArea),
    ("annualrevenue", "Annual Revenue", Kind::Text),
    ("numemployees", "Number of Employees", Kind::Choice),
    ("lifecyclestage", "Lifecycle Stage", Kind::Choice),
    ("hs_lead_status", "Lead Status", Kind::Choice),
    ("hs_language", "Preferred language", Kind::Choice),
    ("hs_persona", "Persona", Kind::Choice),
    ("hs_buying_role", "Buying Role", Kind::Choices),
    ("closedate", "Close Date", Kind::DateTime),
    ("hs_email_optout", "Unsubscribed from all email", Kind::Bool),
    ("hubspot_owner_id", "Contact owner", Kind::Owner),
    ("hubspotscore", "HubSpot Score", Kind::Number),
    ("hs_email_domain", "Email Domain", Kind::Text),
    ("num_associated_deals", "Number of Associated Deals", Kind::Number),
    ("lastmodifieddate", "Last Modified Date", Kind::DateTime),
];

const COMPANIES: &[Row] = &[
    ("name", "Company name", Kind::Text),
    ("domain", "Company Domain Name", Kind::Text),
    ("description", "Description", Kind::TextArea),
    ("website", "Website URL", Kind::Text),
    ("phone", "Phone Number", Kind::Phone),
    ("address", "Street Address", Kind::Text),
    ("city", "City", Kind::Text),
    ("state", "State/Region", Kind::Text),
    ("zip", "Postal Code", Kind::Text),
    ("country", "Country/Region", Kind::Text),
    ("industry", "Industry", Kind::Choice),
    ("type", "Type", Kind::Choice),
    ("lifecyclestage", "Lifecycle Stage", Kind::Choice),
    ("annualrevenue", "Annual Revenue", Kind::Number),
    ("numberofemployees", "Number of Employees", Kind::Number),
    ("founded_year", "Year Founded", Kind::Text),
    ("is_public", "Is Public", Kind::Bool),
    ("hubspot_owner_id", "Company owner", Kind::Owner),
    ("num_associated_contacts", "Number of Associated Contacts", Kind::Number),
    ("hs_lastmodifieddate", "Last Modified Date", Kind::DateTime),
];

const DEALS: &[Row] = &[
    ("dealname", "Deal Name", Kind::Text),
    ("amount", "Amount", Kind::Number),
    ("pipeline", "Pipeline", Kind::Choice),
    ("dealstage", "Deal Stage", Kind::Choice),
    ("dealtype", "Deal Type", Kind::Choice),
    ("closedate", "Close Date", Kind::DateTime),
    ("description", "Deal Description", Kind::TextArea),
    ("hs_priority", "Priority", Kind::Choice),
    ("closed_lost_reason", "Closed Lost Reason", Kind::TextArea),
    ("hubspot_owner_id", "Deal owner", Kind::Owner),
    ("num_associated_contacts", "Number of Associated Contacts", Kind::Number),
    ("hs_lastmodifieddate", "Last Modified Date", Kind::DateTime),
];

const TICKETS: &[Row] = &[
    ("subject", "Ticket name", Kind::Text),
    ("content", "Ticket description", Kind::TextArea),
    ("hs_pipeline", "Pipeline", Kind::Choice),
    ("hs_pipeline_stage", "Ticket status", Kind::Choice),
    ("hs_ticket_priority", "Priority", Kind::Choice),
    ("hs_ticket_category", "Category", Kind::Choices),
    ("closed_date", "Close date", Kind::DateTime),
    ("hubspot_owner_id", "Ticket owner", Kind::Owner),
    ("hs_lastmodifieddate", "Last Modified Date", Kind::DateTime),
];

const CUSTOM: &[Row] = &[
    ("hs_createdate", "Object create date/time", Kind::DateTime),
    ("hs_lastmodifieddate", "Object last modified date/time", Kind::DateTime),
    ("hubspot_owner_id", "Owner", Kind::Owner),
];

const READ_ONLY: &[&str] =
    &["hubspotscore", "hs_email_domain", "num_associated_deals", "num_associated_contacts"];

const LIFECYCLE: Options = &[
    ("subscriber", "Subscriber"),
    ("lead", "Lead"),
    ("marketingqualifiedlead", "Marketing Qualified Lead"),
    ("salesqualifiedlead", "Sales Qualified Lead"),
    ("opportunity", "Opportunity"),
    ("customer", "Customer"),
    ("evangelist", "Evangelist"),
    ("other", "Other"),
];

const LEAD_STATUS: Options = &[
    ("NEW", "New"),
    ("OPEN", "Open"),
    ("IN_PROGRESS", "In Progress"),
    ("OPEN_DEAL", "Open Deal"),
    ("UNQUALIFIED", "Unqualified"),
    ("ATTEMPTED_TO_CONTACT", "Attempted to Contact"),
    ("CONNECTED", "Connected"),
    ("BAD_TIMING", "Bad Timing"),
];

const DEAL_STAGES: Options = &[
    ("appointmentscheduled", "Appointment Scheduled"),
    ("qualifiedtobuy", "Qualified To Buy"),
    ("presentationscheduled", "Presentation Scheduled"),
    ("decisionmakerboughtin", "Decision Maker Bought-In"),
    ("contractsent", "Contract Sent"),
    ("closedwon", "Closed Won"),
    ("closedlost", "Closed Lost"),
];

fn options(object: Object, name: &str) -> Options {
    match (object, name) {
        (_, "lifecyclestage") => LIFECYCLE,
        (_, "hs_lead_status") => LEAD_STATUS,
        (_, "dealstage") => DEAL_STAGES,
        (_, "pipeline") => &[("default", "Sales Pipeline")],
        (_, "dealtype") => {
            &[("newbusiness", "New Business"), ("existingbusiness", "Existing Business")]
        }
        (_, "hs_priority") => &[("low", "Low"), ("medium", "Medium"), ("high", "High")],
        (_, "hs_pipeline") => &[("0", "Support Pipeline")],
        (_, "hs_pipeline_stage") => {
            &[("1", "New"), ("2", "Waiting on contact"), ("3", "Waiting on us"), ("4", "Closed")]
        }
        (_, "hs_ticket_priority") => {
            &[("LOW", "Low"), ("MEDIUM", "Medium"), ("HIGH", "High"), ("URGENT", "Urgent")]
        }
        (_, "hs_ticket_category") => &[
            ("PRODUCT_ISSUE", "Product Issue"),
            ("BILLING_ISSUE", "Billing Issue"),
            ("FEATURE_REQUEST", "Feature Request"),
            ("GENERAL_INQUIRY", "General Inquiry"),
        ],
        (_, "numemployees") => {
            &[("1-5", "1-5"), ("5-25", "5-25"), ("25-50", "25-50"), ("50-100", "50-100")]
        }
        (_, "hs_language") => {
            &[("de", "German"), ("en", "English"), ("es", "Spanish"), ("fr", "French")]
        }
        (_, "hs_persona") => &[("persona_1", "Persona 1"), ("persona_2", "Persona 2")],
        (_, "hs_buying_role") => &[
            ("BLOCKER", "Blocker"),
            ("BUDGET_HOLDER", "Budget Holder"),
            ("CHAMPION", "Champion"),
            ("DECISION_MAKER", "Decision Maker"),
            ("END_USER", "End User"),
            ("INFLUENCER", "Influencer"),
        ],
        (Object::Companies, "industry") => &[
            ("COMPUTER_SOFTWARE", "Computer Software"),
            ("FINANCIAL_SERVICES", "Financial Services"),
            ("HOSPITAL_HEALTH_CARE", "Hospital & Health Care"),
            ("RETAIL", "Retail"),
        ],
        (Object::Companies, "type") => &[
            ("PROSPECT", "Prospect"),
            ("PARTNER", "Partner"),
            ("RESELLER", "Reseller"),
            ("VENDOR", "Vendor"),
            ("OTHER", "Other"),
        ],
        _ => &[],
    }
}

/// The standard properties of an object type.
pub(super) fn properties(object: Object) -> impl Iterator<Item = Property> {
    let rows = match object {
        Object::Contacts => CONTACTS,
        Object::Companies => COMPANIES,
        Object::Deals => DEALS,
        Object::Tickets => TICKETS,
        Object::Custom(_) => CUSTOM,
    };
    let everywhere = [
        ("hs_object_id", "Record ID", Kind::Number),
        ("createdate", "Create Date", Kind::DateTime),
    ];
    let own_date = matches!(object, Object::Custom(_));
    let everywhere =
        everywhere.into_iter().filter(move |(name, ..)| !own_date || *name != "createdate");
    rows.iter().copied().chain(everywhere).map(move |(name, label, kind)| {
        let origin = match name {
            "hs_object_id" => Origin::RecordId,
            "createdate" | "hs_createdate" => Origin::Created,
            "lastmodifieddate" | "hs_lastmodifieddate" => Origin::Modified,
            _ => Origin::Stored,
        };
        let owned = |(value, label): &(&str, &str)| ((*value).to_owned(), (*label).to_owned());
        Property {
            name: name.to_owned(),
            label: label.to_owned(),
            kind,
            origin,
            options: options(object, name).iter().map(owned).collect(),
            unique: false,
            read_only: origin != Origin::Stored || READ_ONLY.contains(&name),
            custom: false,
            group: group(object),
            description: String::new(),
        }
    })
}
