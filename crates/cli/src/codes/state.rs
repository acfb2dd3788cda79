//! The codes about where the state is.

use flow::{Code, Kind};

/// The state's connection is none.
pub static E0120_STATE_CONNECTION: Code = Code {
    id: "E0120",
    kind: Kind::Config,
    title: "the state's connection cannot keep a state",
    cause: "`state.connection` names a connection that is not there, or one that is not of type postgres.",
    remedy: "name a connection of type postgres whose role may write one schema, or give `state.url`",
};

/// Keys under `state` that do not go together.
pub static E0121_STATE_KEYS: Code = Code {
    id: "E0121",
    kind: Kind::Config,
    title: "the keys of `state` do not go together",
    cause: "`path` belongs to a local state; `connection`, `url`, `schema` and `lease` to `backend: postgres`, which needs \
            one of `connection` and `url`.",
    remedy: "keep the keys of one backend: `state: { backend: postgres, connection: NAME }`, or no `state` at all",
};

/// The state's server cannot be right.
pub static E0122_STATE_SERVER: Code = Code {
    id: "E0122",
    kind: Kind::Config,
    title: "the state's server cannot be used as written",
    cause: "The URL cannot be parsed, it contradicts the TLS mode, the schema's name is too long, or the lease too short.",
    remedy: "write postgres://user:password@host:port/database with special characters percent-encoded, a schema of at \
             most 63 bytes, and a lease of at least 2s",
};
