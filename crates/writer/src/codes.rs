//! The documented errors every destination shares; a destination adds its own in its own crate.

use flow::{Code, Kind};

/// No connection: refused, no route, no such host.
pub static E2001_UNREACHABLE: Code = Code {
    id: "E2001",
    kind: Kind::Unreachable,
    title: "The destination cannot be reached",
    cause: "The connection was refused, the host name is unknown, or nothing answered in time. Nothing was sent.",
    remedy: "Check the network, the firewall and `base_url`, then run again; nothing was changed.",
};

/// TLS was refused.
pub static E2002_TLS: Code = Code {
    id: "E2002",
    kind: Kind::Unreachable,
    title: "The destination's TLS certificate is not trusted",
    cause: "The certificate is for another host, expired, or signed by an authority this machine does not know. Nothing was sent.",
    remedy: "Check `base_url` and the clock; behind an inspecting proxy, set `ca_file` to its certificate authority.",
};

/// Sent, and no complete answer.
pub static E2003_NO_ANSWER: Code = Code {
    id: "E2003",
    kind: Kind::Failed,
    title: "The destination did not answer completely",
    cause: "The request went out, then the time was up or the connection was cut. The rows may or may not have been applied.",
    remedy: "Run again: rows whose outcome is not known are sent again, which an upsert makes safe.",
};

/// An answer that says nothing we understand.
pub static E2004_BAD_ANSWER: Code = Code {
    id: "E2004",
    kind: Kind::Failed,
    title: "The destination's answer cannot be read",
    cause: "The status says success but the body is not the documented JSON: an HTML page, a truncated or an oversized body.",
    remedy: "Check that `base_url` is the API itself and not a web page or a proxy's login, then run again.",
};

/// 5xx and friends.
pub static E2005_SERVER: Code = Code {
    id: "E2005",
    kind: Kind::Failed,
    title: "The destination failed on its side",
    cause: "The destination answered with a server error (5xx) until the retries were used up.",
    remedy: "Look at the vendor's status page and run again later; what landed is remembered.",
};

/// 429.
pub static E2006_THROTTLED: Code = Code {
    id: "E2006",
    kind: Kind::Failed,
    title: "The destination asks to slow down",
    cause: "The account's rate limit is used up, by this process or by other programs that use the same credentials.",
    remedy: "Lower `quota_share` or `requests_per_10s` of the connection when others share the account's limit; otherwise run again.",
};

/// A daily budget is gone.
pub static E2007_DAILY_QUOTA: Code = Code {
    id: "E2007",
    kind: Kind::Parked,
    title: "The account's daily quota is used up",
    cause: "The destination counts requests per day and account, and none are left for this process (see `quota_share`).",
    remedy: "Run again after the quota is renewed; rows that have not landed wait and nothing is lost.",
};

/// A wait that is too long to sit out.
pub static E2008_WAIT_TOO_LONG: Code = Code {
    id: "E2008",
    kind: Kind::Parked,
    title: "The destination asks for a longer wait than a run sits out",
    cause: "The answer's Retry-After is longer than five minutes, so the run ends instead of holding its lease.",
    remedy: "Run again after that time; rows that have not landed wait and nothing is lost.",
};

/// 401.
pub static E2009_CREDENTIALS: Code = Code {
    id: "E2009",
    kind: Kind::Credentials,
    title: "The destination refuses the credentials",
    cause: "The token is wrong, expired or revoked.",
    remedy: "Create a new token at the vendor, put it where the project file takes it from, and run `outflow doctor`.",
};

/// 403.
pub static E2010_PERMISSION: Code = Code {
    id: "E2010",
    kind: Kind::Credentials,
    title: "The credentials lack a permission",
    cause: "The destination knows the token but does not let it do this.",
    remedy: "Grant the permission named in the message to the token at the vendor, then run again.",
};

/// 404 for the whole call.
pub static E2011_NO_SUCH_OBJECT: Code = Code {
    id: "E2011",
    kind: Kind::Config,
    title: "The destination has no such object",
    cause: "The sync's object does not exist in this account, or `base_url` has a wrong path.",
    remedy: "List the objects with `outflow discover CONNECTION` and correct `object` in the sync.",
};

/// The mapping names a field that no row can be written to.
pub static E2012_FIELD: Code = Code {
    id: "E2012",
    kind: Kind::Config,
    title: "A mapped field does not exist or cannot be written",
    cause: "The destination refuses the field for every row: it was deleted, renamed or made read-only.",
    remedy: "Compare with `outflow discover CONNECTION OBJECT`, correct the mapping, then run `outflow validate --online`.",
};

/// Connection options that cannot be used.
pub static E2013_OPTIONS: Code = Code {
    id: "E2013",
    kind: Kind::Config,
    title: "A destination connection's options are not usable",
    cause: "An option is missing, unknown, or has a value of the wrong form.",
    remedy: "Correct the connection in the project file; `outflow schema` lists the options.",
};

/// A base URL that must not be used.
pub static E2014_BASE_URL: Code = Code {
    id: "E2014",
    kind: Kind::Config,
    title: "The destination's address is refused",
    cause: "Only https is spoken to other hosts, plain http only to this machine, and link-local addresses never. \
            The vendor's own host must have a public address unless `base_url` is given.",
    remedy: "Correct `base_url` of the connection, or set it when the vendor is reached through a private address.",
};

/// No usable certificate authorities.
pub static E2015_TRUST: Code = Code {
    id: "E2015",
    kind: Kind::Config,
    title: "No certificate authorities to check the destination with",
    cause: "The file in `ca_file` cannot be read or holds no certificate, or this machine has no certificate store.",
    remedy: "Correct `ca_file`, or install the system's certificates (Debian: `apt-get install ca-certificates`).",
};

/// A call the engine should not have made.
pub static E2016_CALL: Code = Code {
    id: "E2016",
    kind: Kind::Failed,
    title: "A write call breaks the destination's stated limits",
    cause: "A bug in outflow: more rows than a call may have, or a row without the value its record is found by. Nothing was sent.",
    remedy: "Please report it with the output of `outflow doctor`.",
};

/// A mode or match the destination cannot do.
pub static E2017_NOT_OFFERED: Code = Code {
    id: "E2017",
    kind: Kind::Config,
    title: "The destination does not offer this mode or this way to match",
    cause: "The sync's `mode` or `match_on` is not one this destination can do safely. Nothing was sent.",
    remedy: "Choose one of the modes and a single unique field, as the destination's page in the documentation says.",
};

/// A status nobody documented.
pub static E2018_UNEXPECTED: Code = Code {
    id: "E2018",
    kind: Kind::Failed,
    title: "The destination answered with a status that is not in its contract",
    cause: "A redirect (never followed), a proxy in between, or a change on the vendor's side.",
    remedy: "Check `base_url`; if it is right, please report the status in the message.",
};

/// `delivery.api` asks for an interface that is not there.
pub static E2111_NO_SUCH_API: Code = Code {
    id: "E2111",
    kind: Kind::Config,
    title: "The destination does not take rows the way `delivery.api` says",
    cause: "`bulk` is for destinations that take rows as jobs, `collections` for those that take them by calls; the \
            connection's own options may have chosen already.",
    remedy: "Remove `delivery.api`: `auto` is then used.",
};

/// Locked or moving; later.
pub static E2019_BUSY: Code = Code {
    id: "E2019",
    kind: Kind::Failed,
    title: "The destination is busy with this account",
    cause: "Records are locked, or the vendor moves the account between data centres.",
    remedy: "Run again later; what landed is remembered.",
};

/// The ledger that says how much of the account's limits is left.
pub static E2020_QUOTA_LEDGER: Code = Code {
    id: "E2020",
    kind: Kind::Failed,
    title: "The quota ledger does not answer",
    cause: "All syncs and processes on one state share the account's limits through a ledger in the state. It could not \
            be read or written for some seconds, and without it nothing is sent.",
    remedy: "See the cause; when the disk or the database is well again, run again: nothing is lost.",
};

/// A row the destination finds invalid.
pub static R201_INVALID: Code = Code {
    id: "R201",
    kind: Kind::Row,
    title: "The destination finds a value of the row invalid",
    cause: "A value has the wrong form, is not one of the allowed options, or breaks a rule set up in the account.",
    remedy: "Correct the value in the warehouse or the mapping; the row is sent again when it changes, or with `outflow rejects retry`.",
};

/// A row that collides with another record.
pub static R202_CONFLICT: Code = Code {
    id: "R202",
    kind: Kind::Row,
    title: "The row conflicts with another record",
    cause: "A unique field of the row holds a value that another record already has.",
    remedy: "Merge the two records at the destination, or correct the value; then `outflow rejects retry`.",
};

/// A row whose record is not there.
pub static R203_NOT_FOUND: Code = Code {
    id: "R203",
    kind: Kind::Row,
    title: "The row's record does not exist",
    cause: "The record the row points at was deleted, archived or never existed.",
    remedy: "Restore the record or correct the value the record is found by; then `outflow rejects retry`.",
};

/// A row over a limit of its record.
pub static R204_LIMIT: Code = Code {
    id: "R204",
    kind: Kind::Row,
    title: "The row is over a limit of the destination",
    cause: "The record has reached a limit the vendor sets per record, for example of identities.",
    remedy: "Clean up the record at the destination; then `outflow rejects retry`.",
};

/// A row refused for any other reason.
pub static R205_REFUSED: Code = Code {
    id: "R205",
    kind: Kind::Row,
    title: "The destination refuses the row",
    cause: "The destination gave a reason that is not one of the known ones; it is in the message.",
    remedy: "Act on the message; then `outflow rejects retry`.",
};

/// A whole call refused as invalid; a reject once the call holds one row.
pub static R211_CALL_INVALID: Code = Code {
    id: "R211",
    kind: Kind::Poison,
    title: "The destination finds the row invalid",
    cause: "The destination refused a whole call because of a row it did not name; outflow split the call until only this row was left.",
    remedy: "Correct the value in the warehouse or the mapping; the row is sent again when it changes, or with `outflow rejects retry`.",
};

/// A whole call refused for a conflict; a reject once the call holds one row.
pub static R212_CALL_CONFLICT: Code = Code {
    id: "R212",
    kind: Kind::Poison,
    title: "The row conflicts with another record",
    cause: "A unique field of the row holds a value that another record already has. The destination refused the whole call; \
            outflow split it until only this row was left.",
    remedy: "Merge the two records at the destination, or correct the value; then `outflow rejects retry`.",
};

/// A whole call refused for its size; a reject once the call holds one row.
pub static R213_CALL_TOO_LARGE: Code = Code {
    id: "R213",
    kind: Kind::Poison,
    title: "The row is too large for the destination",
    cause: "The destination refuses a request body of this size; outflow split the call until only this row was left.",
    remedy: "Map fewer or shorter fields (the `truncate` transform shortens text).",
};

/// A whole call refused for a limit of one record; a reject once the call holds one row.
pub static R214_CALL_LIMIT: Code = Code {
    id: "R214",
    kind: Kind::Poison,
    title: "The row is over a limit of the destination",
    cause: "The record has reached a limit the vendor sets per record. The destination refused the whole call; \
            outflow split it until only this row was left.",
    remedy: "Clean up the record at the destination; then `outflow rejects retry`.",
};

/// Every code of this crate.
pub const CODES: &[&Code] = &[
    &E2001_UNREACHABLE,
    &E2002_TLS,
    &E2003_NO_ANSWER,
    &E2004_BAD_ANSWER,
    &E2005_SERVER,
    &E2006_THROTTLED,
    &E2007_DAILY_QUOTA,
    &E2008_WAIT_TOO_LONG,
    &E2009_CREDENTIALS,
    &E2010_PERMISSION,
    &E2011_NO_SUCH_OBJECT,
    &E2012_FIELD,
    &E2013_OPTIONS,
    &E2014_BASE_URL,
    &E2015_TRUST,
    &E2016_CALL,
    &E2017_NOT_OFFERED,
    &E2018_UNEXPECTED,
    &E2019_BUSY,
    &E2020_QUOTA_LEDGER,
    &E2111_NO_SUCH_API,
    &R201_INVALID,
    &R202_CONFLICT,
    &R203_NOT_FOUND,
    &R204_LIMIT,
    &R205_REFUSED,
    &R211_CALL_INVALID,
    &R212_CALL_CONFLICT,
    &R213_CALL_TOO_LARGE,
    &R214_CALL_LIMIT,
];
