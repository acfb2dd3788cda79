//! Codes of webhook connections.

use flow::{Code, Kind};

/// A template of the connection that does not compile.
pub static E2130_TEMPLATE: Code = Code {
    id: "E2130",
    kind: Kind::Config,
    title: "A template of a webhook connection is not valid",
    cause: "A path, body or row of the connection is not a minijinja template, or does not fit the rest of the request.",
    remedy: "Correct the place the message names. Values are written `{{ field }}`.",
};

/// A template that uses what there is not.
pub static E2131_NAMES: Code = Code {
    id: "E2131",
    kind: Kind::Config,
    title: "A request of a webhook connection uses a field the sync does not map",
    cause: "Paths and bodies may use the fields of the sync's `mappings`, `row`, `run_id`, and `id` where a record is addressed by its id.",
    remedy: "Map the field, or correct the name in the connection.",
};

/// An answer that cannot be assigned to rows.
pub static E2132_REPLY: Code = Code {
    id: "E2132",
    kind: Kind::Failed,
    title: "The API's answer does not say what became of each row",
    cause: "The API answered 207, or a body in which the places of `reply` are not to be found.",
    remedy: "Correct `reply` of the connection's object: it says where the results are and how each names its row.",
};

/// A row that cannot be made into a request.
pub static R250_REQUEST: Code = Code {
    id: "R250",
    kind: Kind::Row,
    title: "The row cannot be made into a request",
    cause: "A template of the connection failed for the row, or a value of its path is empty or would lead to another path.",
    remedy: "Correct the value in the warehouse or the template; the row is sent again when it changes, or with `outflow rejects retry`.",
};

/// All of them.
pub const CODES: &[&Code] = &[&E2130_TEMPLATE, &E2131_NAMES, &E2132_REPLY, &R250_REQUEST];
