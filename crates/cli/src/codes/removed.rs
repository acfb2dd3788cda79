//! The codes of `mode: mirror`, `removed:` and `mode: delete`.

use flow::{Code, Kind};

/// Only a mirror acts on removed rows.
pub static E0060_REMOVED_WITHOUT_MIRROR: Code = Code {
    id: "E0060",
    kind: Kind::Config,
    title: "only a mirror acts on removed rows",
    cause: "`removed:` and `changes.removed_when` are about records whose row left the model, and no mode but \
          `mirror` does anything with those.",
    remedy: "use `mode: mirror`, or remove the key",
};

/// `set` without `action: update`.
pub static E0061_SET_WITHOUT_UPDATE: Code = Code {
    id: "E0061",
    kind: Kind::Config,
    title: "`removed.set` is for `action: update`",
    cause: "A record that is deleted or left alone has no field set.",
    remedy: "use `action: update`, or remove `set`",
};

/// `action: update` sets nothing.
pub static E0062_NOTHING_TO_SET: Code = Code {
    id: "E0062",
    kind: Kind::Config,
    title: "`removed.action: update` needs fields to set",
    cause: "The record of a row that left the model gets the values that `set` names, and nothing else.",
    remedy: "add `set: { field: value }`, or use another action",
};

/// A field of `removed.set` cannot be set so.
pub static E0063_SET_FIELD: Code = Code {
    id: "E0063",
    kind: Kind::Config,
    title: "a field of `removed.set` cannot be set",
    cause: "The row is not there any more, so values are written as they are; and the field a record is found by \
          stays as it is.",
    remedy: "write the value itself, or `{ run: started_at }`",
};

/// The destination cannot remove records so.
pub static E0064_REMOVAL_NOT_POSSIBLE: Code = Code {
    id: "E0064",
    kind: Kind::Config,
    title: "the destination cannot remove records this way",
    cause: "Records of rows that left the model are addressed by their ids, and not every object can be deleted, or \
          updated, by it.",
    remedy: "use another `removed.action`",
};

/// `mode: delete` sends no field but those the record is found by.
pub static E0065_DELETE_SENDS_NO_FIELD: Code = Code {
    id: "E0065",
    kind: Kind::Config,
    title: "`mode: delete` sends nothing but what the record is found by",
    cause: "The model lists what to delete. Another field would be mapped and never sent.",
    remedy: "map the fields of `match_on` only",
};
