//! A row of the table of destinations: everything the rest of outflow needs to know about one of them.

use std::sync::Arc;

use flow::metrics::Metrics;
use flow::{Clock, Code, Destination, Result};
use serde_json::{Map, Value};

/// What a destination is opened with.
pub struct OpenArgs {
    /// The connection's name in the project file; the `destination` label of metrics.
    pub connection: String,
    /// The connection's options, secrets resolved.
    pub options: Map<String, Value>,
    /// Where requests are counted.
    pub metrics: Arc<Metrics>,
    /// Where the time of day comes from.
    pub clock: Arc<dyn Clock>,
}

impl std::fmt::Debug for OpenArgs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The options hold secrets.
        f.debug_struct("OpenArgs").field("connection", &self.connection).finish_non_exhaustive()
    }
}

/// Builds the router of a vendor double; the error is a sentence about the settings.
pub type Simulate = fn(&simulator::Settings) -> Result<simulator::Router, String>;

/// A destination outflow can write to. Adding one is a folder and a row of this table.
#[derive(Debug)]
pub struct DestinationKind {
    /// The `type` of a connection, for example `hubspot`.
    pub name: &'static str,
    /// What kind of tool it is: `crm`, `support`, `product`, `storage`.
    pub category: &'static str,
    /// One sentence for people.
    pub summary: &'static str,
    /// Opens the destination. Pure: no network, no tasks.
    pub open: fn(OpenArgs) -> Result<Arc<dyn Destination>>,
    /// JSON Schema of the connection's options.
    pub options_schema: fn() -> schemars::Schema,
    /// The built-in double of the vendor, where there is one.
    pub simulate: Option<Simulate>,
    /// Codes only this destination uses; the shared ones are [`crate::codes::CODES`].
    pub codes: &'static [&'static Code],
}

impl DestinationKind {
    /// Options that are enough to open the destination where nobody looks at credentials, as at its double: `text` for
    /// each option that must be there, and for those of the schema's first example, which shows one way to sign in.
    pub fn practice_options(&self, text: &str) -> Map<String, Value> {
        let schema = (self.options_schema)().to_value();
        let required =
            schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str);
        let shown = schema["examples"][0].as_object().into_iter().flat_map(Map::keys);
        let names = required.chain(shown.map(String::as_str));
        names.map(|name| (name.to_owned(), Value::from(text))).collect()
    }
}
