//! The errors only HubSpot has: about associations. What all destinations share is in `writer::codes`.

use flow::{Code, Kind};

/// A record that is written, and an association of it that is not.
pub static R222_ASSOCIATION: Code = Code {
    id: "R222",
    kind: Kind::Row,
    title: "HubSpot refuses an association of the row",
    cause: "The record itself was written. Associating it with another failed: the other record was deleted or never existed, \
            or a limit for associations of this kind is reached. HubSpot's reason is in the message.",
    remedy: "Check the other record in HubSpot and the column its id comes from; then `outflow rejects retry`. Where the id comes \
             from `lookup: { sync: ... }`, run that sync with `--full-refresh` should its record have been deleted by hand.",
};

/// A value that names no record.
pub static R223_RECORD_ID: Code = Code {
    id: "R223",
    kind: Kind::Row,
    title: "A value to associate with is not a HubSpot record id",
    cause: "A field `associations.OBJECT` takes record ids: digits, several separated by `;`, at most 500. Nothing of the row was sent.",
    remedy: "Map a column that holds HubSpot's record ids, or use `lookup: { sync: ..., key: ... }`, which takes the id of the record \
             that another sync has written.",
};

/// All of them, for `outflow explain`.
pub const CODES: &[&Code] = &[&R222_ASSOCIATION, &R223_RECORD_ID];
