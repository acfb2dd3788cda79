//! The keys of `outflow.yml`.

use std::borrow::Cow;
use std::collections::BTreeMap;

use flow::Secret;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;

use crate::config::amount::Duration;

use super::{
    Alerts, DeliverySection, Freshness, Guards, NAME, NAME_IN_WORDS, Name, PrivacySection,
    Schedule, Vars, Version,
};

/// The project: connections, where the state is, and what all syncs share.
#[derive(JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "outflow project")]
#[expect(dead_code, reason = "describes the file; its sections are read one by one")]
pub(crate) struct ProjectFile {
    version: Version,
    /// The project's name; part of the state and of what the warehouse sees as application name.
    project: ProjectName,
    state: Option<State>,
    /// Warehouses and destinations, by the name syncs use.
    #[schemars(extend("propertyNames" = { "pattern": NAME, "description": NAME_IN_WORDS }))]
    connections: BTreeMap<String, Connection>,
    defaults: Option<Defaults>,
    /// Other values for `--env NAME`.
    #[schemars(extend("propertyNames" = { "pattern": NAME, "description": NAME_IN_WORDS }))]
    environments: Option<BTreeMap<String, Environment>>,
    /// Values for `${var:name}` in sync files.
    vars: Option<Vars>,
    alerts: Option<Alerts>,
}

/// The project's name.
struct ProjectName;

impl JsonSchema for ProjectName {
    fn schema_name() -> Cow<'static, str> {
        "ProjectName".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "pattern": "^[A-Za-z0-9][A-Za-z0-9_.-]{0,62}$",
            "description": "A name: letters, digits, `_`, `.` and `-`, 63 at most.",
        })
    }
}

/// A state, or the address of one in PostgreSQL, which is written out before anything looks at it.
struct State;

impl JsonSchema for State {
    fn schema_name() -> Cow<'static, str> {
        "State".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let section = generator.subschema_for::<StateSection>();
        json_schema!({
            "description": "Where watermarks, ledger, runs and rejects are kept.",
            "anyOf": [
                section,
                {
                    "type": "string",
                    "writeOnly": true,
                    "pattern": "^(postgres(ql)?://|\\$\\{)",
                    "description": "Short for `backend: postgres` and this `url`."
                }
            ]
        })
    }
}

/// Where watermarks, ledger, runs and rejects are kept.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct StateSection {
    /// Kind of store.
    #[serde(default)]
    pub(crate) backend: Backend,
    /// The folder of the local state, relative to the project.
    #[schemars(length(min = 1))]
    pub(crate) path: Option<String>,
    /// The connection, of type postgres, of a state in PostgreSQL.
    #[expect(dead_code, reason = "looked up at its place")]
    connection: Option<Name>,
    /// The server of a state in PostgreSQL, instead of `connection`.
    #[expect(dead_code, reason = "read at its place")]
    url: Option<Secret>,
    /// The schema of a state in PostgreSQL, which holds nothing else. Default: `outflow_state`.
    #[schemars(length(min = 1, max = 63))]
    pub(crate) schema: Option<String>,
    /// How long a process that stands still keeps a sync of a state in PostgreSQL. Default: `30s`.
    pub(crate) lease: Option<Duration>,
}

/// Kind of state store.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Backend {
    /// Files in `.outflow/` of the project.
    #[default]
    Local,
    /// A schema in PostgreSQL, for several machines.
    Postgres,
}

/// A warehouse or a destination. The options depend on the type.
#[derive(JsonSchema)]
#[expect(dead_code, reason = "describes the file; options are read by the type's own crate")]
pub(crate) struct Connection {
    /// What is connected to; decides the other keys.
    #[serde(rename = "type")]
    kind: String,
}

/// Options of `type: simulator`: a built-in double in place of a destination.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SimulatorOptions {
    /// The destination type it stands in for.
    #[schemars(length(min = 1))]
    pub(crate) profile: String,
    /// Where the simulator listens; by default where `outflow simulate` does.
    #[schemars(length(min = 1))]
    pub(crate) url: Option<String>,
}

/// Put under every sync; a sync's own keys win.
#[derive(JsonSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "describes the file; merged as a tree")]
pub(crate) struct Defaults {
    /// Who answers for the sync.
    owner: Option<String>,
    /// Words to select syncs by.
    #[schemars(extend("uniqueItems" = true))]
    tags: Option<Vec<String>>,
    schedule: Option<Schedule>,
    delivery: Option<DeliverySection>,
    guards: Option<Guards>,
    freshness: Option<Freshness>,
    privacy: Option<PrivacySection>,
    alerts: Option<Alerts>,
}

/// What an environment changes. A connection that is named here replaces the whole connection.
#[derive(JsonSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "describes the file; merged as a tree")]
pub(crate) struct Environment {
    state: Option<State>,
    /// Connections that are replaced.
    #[schemars(extend("propertyNames" = { "pattern": NAME, "description": NAME_IN_WORDS }))]
    connections: Option<BTreeMap<String, Connection>>,
    defaults: Option<Defaults>,
    vars: Option<Vars>,
    alerts: Option<Alerts>,
}
