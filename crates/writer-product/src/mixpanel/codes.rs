//! Codes of Mixpanel alone.

use flow::{Code, Kind};

/// A batch that is found by something else than Mixpanel's ids.
pub static E2140_MATCH: Code = Code {
    id: "E2140",
    kind: Kind::Config,
    title: "Mixpanel finds its records by one id of its own",
    cause: "`match_on` names another field than `distinct_id` (profiles), `group_id` (groups) or `insert_id` (events), or more than one.",
    remedy: "Write `match_on: { distinct_id: COLUMN }` for profiles, `{ group_id: COLUMN }` for groups, `{ insert_id: COLUMN }` for events.",
};

/// An id that names nobody.
pub static R260_ID: Code = Code {
    id: "R260",
    kind: Kind::Row,
    title: "Mixpanel ignores records with this id",
    cause: "The id is empty or one of the texts that Mixpanel takes for a programming mistake, such as `null`, `0` or `unknown`. Mixpanel drops such records without an error.",
    remedy: "Correct the id in the warehouse, or leave such rows out of the model.",
};

/// A value that Mixpanel would change.
pub static R261_VALUE: Code = Code {
    id: "R261",
    kind: Kind::Row,
    title: "Mixpanel would cut or drop a value of the row",
    cause: "Ids, names and the texts of events have 255 bytes at most, and an event's id has letters, digits and hyphens only. Mixpanel cuts or drops others without an error.",
    remedy: "Shorten the value (`transform: [{ truncate: 255 }]`), or correct it in the warehouse.",
};

/// All of them.
pub const CODES: &[&Code] = &[&E2140_MATCH, &R260_ID, &R261_VALUE];
