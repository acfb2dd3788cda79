//! The codes of the project files: `E00xx` is how they are written, `E01xx` what they mean.

mod changes;
mod removed;
mod state;

use flow::{Code, Kind};

pub use changes::{E0070_LOG_OF, E0071_SLOT_TWICE, E0072_CONTINUOUS};
pub use removed::{
    E0060_REMOVED_WITHOUT_MIRROR, E0061_SET_WITHOUT_UPDATE, E0062_NOTHING_TO_SET, E0063_SET_FIELD,
    E0064_REMOVAL_NOT_POSSIBLE, E0065_DELETE_SENDS_NO_FIELD,
};
pub use state::{E0120_STATE_CONNECTION, E0121_STATE_KEYS, E0122_STATE_SERVER};

/// The project file is missing.
pub static E0001_NO_PROJECT: Code = Code {
    id: "E0001",
    kind: Kind::Config,
    title: "the project file is missing",
    cause: "A project is a folder with an `outflow.yml`. It is looked for in the working \
          directory, or in the folder that `--project-dir` names, and nowhere else.",
    remedy: "run the command in the project's folder, name it with `-C DIR`, or make a project \
           with `outflow init`",
};

/// A project file cannot be read.
pub static E0002_UNREADABLE_FILE: Code = Code {
    id: "E0002",
    kind: Kind::Config,
    title: "a project file cannot be read",
    cause: "The file is not there, may not be read, is not UTF-8 text, or is larger than a \
          configuration file can sensibly be.",
    remedy: "mend the file's path, permissions or encoding",
};

/// A file is not valid YAML.
pub static E0003_YAML_SYNTAX: Code = Code {
    id: "E0003",
    kind: Kind::Config,
    title: "a file is not valid YAML",
    cause: "The parser could not go on at this place, so the rest of this file was not checked. \
          Other files were.",
    remedy: "mend the line that is shown; often it is the indentation, a missing space after `:`, \
           or text with `: ` or ` #` that needs quotes",
};

/// A key is written twice in one map.
pub static E0004_DUPLICATE_KEY: Code = Code {
    id: "E0004",
    kind: Kind::Config,
    title: "a key is written twice in one map",
    cause: "YAML tools disagree about which of the two would count, so neither is taken.",
    remedy: "keep one of the two",
};

/// A YAML feature is not used in project files.
pub static E0005_YAML_FEATURE: Code = Code {
    id: "E0005",
    kind: Kind::Config,
    title: "a YAML feature is not used in project files",
    cause: "Anchors, aliases, merge keys, tags, keys that are not scalars and several documents \
          in one file make a file mean something other than what it shows.",
    remedy: "write the value where it is used; what all syncs share belongs in `defaults:` of \
           outflow.yml",
};

/// A file is nested too deeply.
pub static E0006_TOO_DEEP: Code = Code {
    id: "E0006",
    kind: Kind::Config,
    title: "a file is nested too deeply",
    cause: "No project file needs so many levels; the limit keeps a broken file from using up \
          memory.",
    remedy: "flatten the file",
};

/// An unquoted number would change on the way.
pub static E0007_UNCLEAR_NUMBER: Code = Code {
    id: "E0007",
    kind: Kind::Config,
    title: "an unquoted number would change on the way",
    cause: "A number with leading zeros, with more digits than a number carries exactly, or that \
          is not finite would arrive as something else than what is written.",
    remedy: "put it in quotes to keep it as text, or write the exact number",
};

/// An unknown key.
pub static E0010_UNKNOWN_KEY: Code = Code {
    id: "E0010",
    kind: Kind::Config,
    title: "an unknown key",
    cause: "Keys are checked strictly, so that a misspelled key is never silently without effect.",
    remedy: "mend the spelling or remove the key; `outflow schema sync` and `outflow schema \
           project` list every key",
};

/// A key is missing.
pub static E0011_MISSING_KEY: Code = Code {
    id: "E0011",
    kind: Kind::Config,
    title: "a key is missing",
    cause: "The map cannot be used without this key.",
    remedy: "add the key",
};

/// A value has the wrong type.
pub static E0012_WRONG_TYPE: Code = Code {
    id: "E0012",
    kind: Kind::Config,
    title: "a value has the wrong type",
    cause: "The value is, for example, text where a list or a number is expected. In YAML 1.2 \
          `yes` and `on` are text; only `true` and `false` are booleans.",
    remedy: "write the value in the form that is named",
};

/// A value is not one of those allowed.
pub static E0013_VALUE_NOT_ALLOWED: Code = Code {
    id: "E0013",
    kind: Kind::Config,
    title: "a value is not one of those allowed",
    cause: "The key takes one of a few words.",
    remedy: "use one of the listed values",
};

/// A text does not have the expected form.
pub static E0014_WRONG_FORM: Code = Code {
    id: "E0014",
    kind: Kind::Config,
    title: "a text does not have the expected form",
    cause: "Names, durations and shares have a fixed form, for example `5m` or `0.5%`.",
    remedy: "write the value in the form that is named",
};

/// A value is too small, too large, or there are too few or too many.
pub static E0015_OUT_OF_RANGE: Code = Code {
    id: "E0015",
    kind: Kind::Config,
    title: "a value is too small, too large, or there are too few or too many",
    cause: "The value has the right type but is outside of its limits.",
    remedy: "use a value inside the limits",
};

/// Exactly one of several keys is needed.
pub static E0016_EXACTLY_ONE: Code = Code {
    id: "E0016",
    kind: Kind::Config,
    title: "exactly one of several keys is needed",
    cause: "The keys are alternatives: with none there is nothing to do, and with several it is \
          not clear which one counts.",
    remedy: "keep exactly one of the keys",
};

/// A checked value could not be used.
pub static E0019_SCHEMA_BUG: Code = Code {
    id: "E0019",
    kind: Kind::Config,
    title: "a checked value could not be used",
    cause: "The value passed the schema and was then refused, which is a bug in outflow.",
    remedy: "report it with the message; until then write the value in another form",
};

/// An environment variable is not set.
pub static E0020_UNDEFINED_VARIABLE: Code = Code {
    id: "E0020",
    kind: Kind::Config,
    title: "an environment variable is not set",
    cause: "The project file takes a value from the environment of the process, and it is not \
          there.",
    remedy: "set the variable, or write `${NAME:-default}`",
};

/// A `${...}` cannot be understood.
pub static E0021_BAD_REFERENCE: Code = Code {
    id: "E0021",
    kind: Kind::Config,
    title: "a `${...}` cannot be understood",
    cause: "The forms are `${NAME}`, `${NAME:-default}`, `${NAME:?message}`, `${file:/path}` and, \
          in sync files, `${var:name}`. `$${` stands for a plain `${`.",
    remedy: "the forms are `${NAME}`, `${NAME:-default}`, `${NAME:?message}` and `${file:/path}`; \
           `$${` is a plain `${`",
};

/// `${...}` is not substituted here.
pub static E0022_REFERENCE_NOT_HERE: Code = Code {
    id: "E0022",
    kind: Kind::Config,
    title: "`${...}` is not substituted here",
    cause: "Environment variables and files are substituted only in `connections`, `state` and \
          `alerts` of outflow.yml, so that a sync means the same on every machine.",
    remedy: "declare the value under `vars:` and write `${var:name}`, or write `$${` for a plain \
           `${`",
};

/// The file of a `${file:...}` cannot be read.
pub static E0023_UNREADABLE_SECRET: Code = Code {
    id: "E0023",
    kind: Kind::Config,
    title: "the file of a `${file:...}` cannot be read",
    cause: "The file is not there, may not be read, is not UTF-8 text, or is larger than a secret \
          can sensibly be.",
    remedy: "mend the path or the permissions",
};

/// A `${var:...}` is not declared.
pub static E0024_UNKNOWN_VAR: Code = Code {
    id: "E0024",
    kind: Kind::Config,
    title: "a `${var:...}` is not declared",
    cause: "Variables of sync files are declared under `vars:` of the sync, of the environment, \
          or of outflow.yml.",
    remedy: "declare it under `vars:`",
};

/// A variable in SQL may only be a plain word.
pub static E0025_UNSAFE_VAR: Code = Code {
    id: "E0025",
    kind: Kind::Config,
    title: "a variable in SQL may only be a plain word",
    cause: "A value that is put into SQL must not be able to change the statement: letters, \
          digits, `_`, `.`, `:` and single `-` are allowed.",
    remedy: "use a plain word or number, or write the SQL out",
};

/// The environment is not declared.
pub static E0030_UNKNOWN_ENVIRONMENT: Code = Code {
    id: "E0030",
    kind: Kind::Config,
    title: "the environment is not declared",
    cause: "`--env NAME` takes a name from `environments:` of outflow.yml.",
    remedy: "use one of the declared names, or declare it",
};

/// This version does not have this feature yet.
pub static E0040_NOT_YET: Code = Code {
    id: "E0040",
    kind: Kind::Config,
    title: "this version does not have this feature yet",
    cause: "The key is part of the project format, but this version cannot do it. It is refused \
          rather than ignored, because ignoring it would send other rows than the file says.",
    remedy: "remove the key, or do it the way the help names",
};

/// Two syncs have the same name.
pub static E0101_SYNC_NAME_TWICE: Code = Code {
    id: "E0101",
    kind: Kind::Config,
    title: "two syncs have the same name",
    cause: "The name is the identity of a sync in the state, in metrics and on the command line.",
    remedy: "rename one of the two; a renamed sync starts with an empty state",
};

/// The connection is not declared.
pub static E0102_UNKNOWN_CONNECTION: Code = Code {
    id: "E0102",
    kind: Kind::Config,
    title: "the connection is not declared",
    cause: "A sync names its connections; they are declared under `connections:` of outflow.yml.",
    remedy: "use the name of a declared connection, or declare it",
};

/// The connection is on the wrong side.
pub static E0103_CONNECTION_SIDE: Code = Code {
    id: "E0103",
    kind: Kind::Config,
    title: "the connection is on the wrong side",
    cause: "Rows go one way: a model is read from a warehouse, and a destination is written to.",
    remedy: "name a warehouse under `model:` and a destination under `destination:`",
};

/// The connection type is not known.
pub static E0104_UNKNOWN_CONNECTION_TYPE: Code = Code {
    id: "E0104",
    kind: Kind::Config,
    title: "the connection type is not known",
    cause: "The type decides which options a connection takes and what it can do.",
    remedy: "use one of the listed types",
};

/// The options of a connection cannot be used.
pub static E0105_BAD_OPTIONS: Code = Code {
    id: "E0105",
    kind: Kind::Config,
    title: "the options of a connection cannot be used",
    cause: "The options have the right form, but together, or with the values of this \
          environment, they make no usable connection.",
    remedy: "change the option that is named",
};

/// The model's SQL is empty.
pub static E0106_EMPTY_SQL: Code = Code {
    id: "E0106",
    kind: Kind::Config,
    title: "the model's SQL is empty",
    cause: "A model is one SELECT statement.",
    remedy: "write the statement",
};

/// The SQL file cannot be used.
pub static E0107_SQL_FILE: Code = Code {
    id: "E0107",
    kind: Kind::Config,
    title: "the SQL file cannot be used",
    cause: "`sql_file` is a path relative to the project folder and may not lead out of it.",
    remedy: "mend the path; SQL files usually lie in `models/`",
};

/// Mode mirror needs `removed:`.
pub static E0109_MIRROR_WITHOUT_REMOVED: Code = Code {
    id: "E0109",
    kind: Kind::Config,
    title: "mode mirror needs `removed:`",
    cause: "A mirror acts on records whose row left the model, and only `removed:` says how.",
    remedy: "add `removed: { action: delete | update | ignore }`",
};

/// A mirror cannot see removals through a watermark.
pub static E0110_MIRROR_ON_WATERMARK: Code = Code {
    id: "E0110",
    kind: Kind::Config,
    title: "a mirror cannot see removals through a watermark",
    cause: "A row that is gone has no watermark, so a mirror on a bare watermark would never act \
          on it.",
    remedy: "add `changes.removed_when`, or use `changes: { method: snapshot }`",
};

/// The destination needs `match_on`.
pub static E0111_MATCH_ON_NEEDED: Code = Code {
    id: "E0111",
    kind: Kind::Config,
    title: "the destination needs `match_on`",
    cause: "Without a field to find the record by, a run that is repeated would create records \
          twice.",
    remedy: "add `match_on: { destination_field: model_column }`",
};

/// Two syncs write the same destination field.
pub static E0112_FIELD_OWNED_TWICE: Code = Code {
    id: "E0112",
    kind: Kind::Config,
    title: "two syncs write the same destination field",
    cause: "The value would be that of whichever sync ran last.",
    remedy: "let one sync own the field, or set `enabled: false` on one of the two",
};

/// `batch_rows` is above the destination's limit.
pub static E0113_BATCH_TOO_LARGE: Code = Code {
    id: "E0113",
    kind: Kind::Config,
    title: "`batch_rows` is above the destination's limit",
    cause: "The destination takes only so many rows in one call.",
    remedy: "lower `batch_rows`, or remove it: the limit is then used",
};

/// The destination cannot do this mode safely.
pub static E0114_MODE_NOT_POSSIBLE: Code = Code {
    id: "E0114",
    kind: Kind::Config,
    title: "the destination cannot do this mode safely",
    cause: "A mode is offered only where a repeated call cannot do harm.",
    remedy: "use one of the listed modes",
};

/// A denied column is used.
pub static E0115_DENIED_COLUMN: Code = Code {
    id: "E0115",
    kind: Kind::Config,
    title: "a denied column is used",
    cause: "`privacy.deny_columns` lists columns that must never leave the warehouse, and the \
          sync uses one of them, or its model yields it.",
    remedy: "remove the column from the model and the mapping, or from `deny_columns`",
};

/// The schedule contradicts itself.
pub static E0116_SCHEDULE: Code = Code {
    id: "E0116",
    kind: Kind::Config,
    title: "the schedule contradicts itself",
    cause: "`every`, `cron` and `continuous` are alternatives.",
    remedy: "keep one of them",
};

/// `freshness.warn_after` is not before `error_after`.
pub static E0117_FRESHNESS: Code = Code {
    id: "E0117",
    kind: Kind::Config,
    title: "`freshness.warn_after` is not before `error_after`",
    cause: "The warning must come before the error.",
    remedy: "make `warn_after` the shorter of the two",
};

/// A lookup in a sync that cannot have the record.
pub static E0080_LOOKUP_SYNC: Code = Code {
    id: "E0080",
    kind: Kind::Config,
    title: "a lookup names a sync that cannot have the record",
    cause: "`lookup.sync` is another sync of the project that writes to the same destination connection, and `key` has a column for each \
            part of its primary key.",
    remedy: "correct the name or the columns; or look the record up at the destination with `object` and `match_on`",
};

/// Two syncs that wait for each other.
pub static E0081_LOOKUP_CIRCLE: Code = Code {
    id: "E0081",
    kind: Kind::Config,
    title: "syncs look records up in each other",
    cause: "A record can hold another one's id only when that one is written first.",
    remedy: "leave one of the lookups out, or write the links in one direction only",
};

/// A guard has no effect.
pub static E0118_GUARD_WITHOUT_EFFECT: Code = Code {
    id: "E0118",
    kind: Kind::Config,
    title: "a guard has no effect",
    cause: "In this mode, or without the limit it belongs to, the guard would never stop anything, and \
          somebody may rely on it.",
    remedy: "remove the guard, or choose the mode it is for",
};

/// Two guards contradict each other.
pub static E0119_GUARDS_CONTRADICT: Code = Code {
    id: "E0119",
    kind: Kind::Config,
    title: "two guards contradict each other",
    cause: "Invalid rows are rejects too: where fewer rejects than invalid rows are allowed, `max_invalid` is \
          never reached.",
    remedy: "make `max_invalid` at most `max_rejected`, or remove one of them",
};

/// A secret is written in the file.
pub static E0150_LITERAL_SECRET: Code = Code {
    id: "E0150",
    kind: Kind::Config,
    title: "a secret is written in the file",
    cause: "Whoever can read the repository or a backup of it has the secret. This is a warning: \
          the value is used.",
    remedy: "write `${NAME}` and set the variable, or `${file:/path}`; then change the secret, \
           since it is known",
};

/// Every code of this crate.
pub const CODES: &[&Code] = &[
    &E0001_NO_PROJECT,
    &E0002_UNREADABLE_FILE,
    &E0003_YAML_SYNTAX,
    &E0004_DUPLICATE_KEY,
    &E0005_YAML_FEATURE,
    &E0006_TOO_DEEP,
    &E0007_UNCLEAR_NUMBER,
    &E0010_UNKNOWN_KEY,
    &E0011_MISSING_KEY,
    &E0012_WRONG_TYPE,
    &E0013_VALUE_NOT_ALLOWED,
    &E0014_WRONG_FORM,
    &E0015_OUT_OF_RANGE,
    &E0016_EXACTLY_ONE,
    &E0019_SCHEMA_BUG,
    &E0020_UNDEFINED_VARIABLE,
    &E0021_BAD_REFERENCE,
    &E0022_REFERENCE_NOT_HERE,
    &E0023_UNREADABLE_SECRET,
    &E0024_UNKNOWN_VAR,
    &E0025_UNSAFE_VAR,
    &E0030_UNKNOWN_ENVIRONMENT,
    &E0040_NOT_YET,
    &E0060_REMOVED_WITHOUT_MIRROR,
    &E0061_SET_WITHOUT_UPDATE,
    &E0062_NOTHING_TO_SET,
    &E0063_SET_FIELD,
    &E0064_REMOVAL_NOT_POSSIBLE,
    &E0065_DELETE_SENDS_NO_FIELD,
    &E0101_SYNC_NAME_TWICE,
    &E0102_UNKNOWN_CONNECTION,
    &E0103_CONNECTION_SIDE,
    &E0104_UNKNOWN_CONNECTION_TYPE,
    &E0105_BAD_OPTIONS,
    &E0106_EMPTY_SQL,
    &E0107_SQL_FILE,
    &E0109_MIRROR_WITHOUT_REMOVED,
    &E0110_MIRROR_ON_WATERMARK,
    &E0111_MATCH_ON_NEEDED,
    &E0112_FIELD_OWNED_TWICE,
    &E0113_BATCH_TOO_LARGE,
    &E0114_MODE_NOT_POSSIBLE,
    &E0115_DENIED_COLUMN,
    &E0116_SCHEDULE,
    &E0117_FRESHNESS,
    &E0070_LOG_OF,
    &E0071_SLOT_TWICE,
    &E0072_CONTINUOUS,
    &E0080_LOOKUP_SYNC,
    &E0081_LOOKUP_CIRCLE,
    &E0118_GUARD_WITHOUT_EFFECT,
    &E0120_STATE_CONNECTION,
    &E0121_STATE_KEYS,
    &E0122_STATE_SERVER,
    &E0119_GUARDS_CONTRADICT,
    &E0150_LITERAL_SECRET,
];
