//! Search: filters over an index that lags behind the writes, as HubSpot's does.

use std::cmp::Ordering;
use std::sync::Arc;

use axum::extract::{Path, State};
use serde::Deserialize;
use serde_json::json;

use super::batch::wanted;
use super::body::Posted;
use super::input;
use super::portal::Portal;
use super::record::Fields;
use super::reply::{Answer, Problem, drop_comma, json_response};
use super::view::View;

const PAGE_MAX: usize = 200;
const RESULTS_MAX: usize = 10_000;
const GROUPS_MAX: usize = 5;
const FILTERS_MAX: usize = 6;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Request {
    #[serde(default)]
    query: Option<String>,
    #[serde(default)]
    limit: Option<usize>,
    #[serde(default)]
    after: Option<serde_json::Value>,
    #[serde(default)]
    sorts: Vec<Sort>,
    #[serde(default)]
    properties: Vec<String>,
    #[serde(default)]
    filter_groups: Vec<Group>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Group {
    filters: Vec<Filter>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Filter {
    property_name: String,
    operator: String,
    #[serde(default)]
    value: Option<String>,
    #[serde(default)]
    high_value: Option<String>,
    #[serde(default)]
    values: Option<Vec<String>>,
}

/// A property name, with a leading `-` for descending, or the long form.
#[derive(Debug)]
struct Sort {
    name: String,
    descending: bool,
}

impl<'de> Deserialize<'de> for Sort {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let shown = serde_json::Value::deserialize(deserializer)?;
        let text = |value: &serde_json::Value| value.as_str().map(str::to_owned);
        if let Some(name) = text(&shown) {
            let bare = name.strip_prefix('-');
            let descending = bare.is_some();
            return Ok(Self { name: bare.unwrap_or(&name).to_owned(), descending });
        }
        let name = shown.get("propertyName").and_then(text);
        let name = name.ok_or_else(|| serde::de::Error::missing_field("propertyName"))?;
        Ok(Self { name, descending: shown.get("direction") == Some(&json!("DESCENDING")) })
    }
}

const OPERATORS: &[&str] = &[
    "EQ",
    "NEQ",
    "LT",
    "LTE",
    "GT",
    "GTE",
    "BETWEEN",
    "IN",
    "NOT_IN",
    "HAS_PROPERTY",
    "NOT_HAS_PROPERTY",
    "CONTAINS_TOKEN",
    "NOT_CONTAINS_TOKEN",
];

impl Request {
    fn check(&self) -> Result<usize, Problem> {
        let refuse = |message: String| Err(Problem::validation(message));
        if self.filter_groups.len() > GROUPS_MAX {
            return refuse(format!("At most {GROUPS_MAX} filterGroups are allowed"));
        }
        if self.filter_groups.iter().any(|group| group.filters.len() > FILTERS_MAX) {
            return refuse(format!("At most {FILTERS_MAX} filters are allowed in a group"));
        }
        if self.sorts.len() > 1 {
            return refuse("Only one sort is allowed".to_owned());
        }
        let filters = || self.filter_groups.iter().flat_map(|group| &group.filters);
        if let Some(unknown) = filters().find(|f| !OPERATORS.contains(&f.operator.as_str())) {
            return refuse(format!("Unknown operator {}", unknown.operator));
        }
        let limit = self.limit.unwrap_or(10);
        if limit == 0 || limit > PAGE_MAX {
            return refuse(format!("limit must be between 1 and {PAGE_MAX}"));
        }
        let after = match &self.after {
            None => 0,
            Some(after) => {
                let text = after.as_str().map_or_else(|| after.to_string(), str::to_owned);
                let number = if text.is_empty() { Ok(0) } else { text.parse() };
                number.map_err(|_| Problem::validation("`after` must be a number"))?
            }
        };
        if after + limit > RESULTS_MAX {
            return refuse(format!("A search shows at most {RESULTS_MAX} results"));
        }
        Ok(after)
    }
}

pub(super) async fn search(
    State(portal): State<Arc<Portal>>,
    Path(object): Path<String>,
    Posted { call, bytes }: Posted,
) -> Answer {
    let object = portal.object(&object)?;
    let request: Request = input::parse(&bytes).map_err(Problem::validation)?;
    let after = request.check()?;
    let schema = portal.schema(object);
    for filter in request.filter_groups.iter().flat_map(|group| &group.filters) {
        if schema.find(&filter.property_name).is_none() {
            let name = &filter.property_name;
            return Err(Problem::validation(format!("Property {name} does not exist")));
        }
    }
    let mut store = portal.store(object);
    store.catch_up(call.arrived().unix_ms);
    let mut hits: Vec<(u32, Option<String>)> = Vec::new();
    for position in 0..store.len() {
        let record = store.at(position);
        if record.archived_ms.is_some() {
            continue;
        }
        let known = match &record.indexed {
            Some(stale) => stale.fields.as_ref(),
            None => Some(&record.fields),
        };
        let Some(known) = known else { continue };
        let view = View { schema: &schema, id: store.id(position), record };
        if matches(&request, &view, known) {
            let key = request.sorts.first().and_then(|sort| view.value_in(known, &sort.name));
            hits.push((position, key));
        }
    }
    if let Some(sort) = request.sorts.first() {
        hits.sort_by(|a, b| compare(a.1.as_deref(), b.1.as_deref(), sort.descending));
    }
    let names = wanted(object, &request.properties);
    let mut out = format!(r#"{{"total":{},"results":["#, hits.len()).into_bytes();
    let end = (after + request.limit.unwrap_or(10)).min(hits.len());
    for (position, _) in hits.get(after..end).unwrap_or_default() {
        let record = store.at(*position);
        View { schema: &schema, id: store.id(*position), record }.push(&mut out, &names);
        out.push(b',');
    }
    drop_comma(&mut out);
    out.push(b']');
    if end < hits.len() {
        let next = json!({ "next": { "after": end.to_string() } });
        out.extend_from_slice(format!(r#","paging":{next}"#).as_bytes());
    }
    out.push(b'}');
    Ok(json_response(200, out))
}

fn matches(request: &Request, view: &View<'_>, known: &Fields) -> bool {
    let fits = |filter: &Filter| {
        let value = view.value_in(known, &filter.property_name);
        passes(filter, value.as_deref())
    };
    let groups = &request.filter_groups;
    let filtered = groups.is_empty() || groups.iter().any(|group| group.filters.iter().all(fits));
    filtered
        && request.query.as_deref().is_none_or(|text| {
            let text = text.to_lowercase();
            known.iter().any(|(_, value)| value.to_lowercase().contains(&text))
        })
}

fn passes(filter: &Filter, value: Option<&str>) -> bool {
    let wanted = filter.value.as_deref().unwrap_or_default();
    let same = |value: &str, other: &str| value.eq_ignore_ascii_case(other);
    let ordered = |test: fn(Ordering) -> bool| value.is_some_and(|v| test(order(v, wanted)));
    let one_of = |value: &str| filter.values.iter().flatten().any(|other| same(value, other));
    let token = |value: &str| {
        let (value, wanted) = (value.to_lowercase(), wanted.to_lowercase());
        match wanted.trim_matches('*') {
            bare if bare.len() < wanted.len() => value.contains(bare),
            bare => value.split(|c: char| !c.is_alphanumeric()).any(|word| word == bare),
        }
    };
    match filter.operator.as_str() {
        "EQ" => value.is_some_and(|value| same(value, wanted)),
        "NEQ" => value.is_some_and(|value| !same(value, wanted)),
        "LT" => ordered(Ordering::is_lt),
        "LTE" => ordered(Ordering::is_le),
        "GT" => ordered(Ordering::is_gt),
        "GTE" => ordered(Ordering::is_ge),
        "BETWEEN" => {
            let high = filter.high_value.as_deref().unwrap_or_default();
            value.is_some_and(|v| order(v, wanted).is_ge() && order(v, high).is_le())
        }
        "IN" => value.is_some_and(one_of),
        "NOT_IN" => value.is_some_and(|value| !one_of(value)),
        "HAS_PROPERTY" => value.is_some(),
        "NOT_HAS_PROPERTY" => value.is_none(),
        "CONTAINS_TOKEN" => value.is_some_and(token),
        _ => value.is_some_and(|value| !token(value)),
    }
}

/// Numbers by size, everything else as text; epoch milliseconds are compared with dates as dates.
fn order(value: &str, other: &str) -> Ordering {
    let other = match (value.contains('T'), super::time::datetime(other)) {
        (true, Ok(moment)) => moment,
        _ => other.to_owned(),
    };
    match (value.parse::<f64>(), other.parse::<f64>()) {
        (Ok(value), Ok(other)) => value.total_cmp(&other),
        _ => value.cmp(&other),
    }
}

fn compare(a: Option<&str>, b: Option<&str>, descending: bool) -> Ordering {
    let ascending = match (a, b) {
        (Some(a), Some(b)) => order(a, b),
        (a, b) => a.is_some().cmp(&b.is_some()),
    };
    if descending { ascending.reverse() } else { ascending }
}
