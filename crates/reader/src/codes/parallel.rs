//! Findings of reads by several connections.

use flow::{Code, Kind};

/// A read that one connection does better.
pub static E1069_ONE_CONNECTION: Code = Code {
    id: "E1069",
    kind: Kind::Config,
    title: "The model is read by one connection, although the warehouse may be asked by several.",
    cause: "Several connections read parts of a model by ranges of its order. Here no index serves that order, or the model is a query whose rows are not those of one table, so that every part would cost the server about as much as the whole.",
    remedy: "Create an index on the primary key, or on (watermark, primary key); for text, COLLATE \"C\". Or take `read_connections` away.",
};

/// Connections that could not be had.
pub static E1070_FEWER_CONNECTIONS: Code = Code {
    id: "E1070",
    kind: Kind::Config,
    title: "A read had fewer connections than it may have.",
    cause: "The others could not connect, or could not join the snapshot: the server has no connection left, or somebody waits for a lock on the table.",
    remedy: "Nothing; every row was read. Allow the login more connections, or lower `read_connections`.",
};
