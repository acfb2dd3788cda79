//! The codes of servers that speak PostgreSQL's protocol and are not PostgreSQL.

use flow::{Code, Kind};

/// Only PostgreSQL has a log to follow.
pub static E1080_NO_LOG: Code = Code {
    id: "E1080",
    kind: Kind::Config,
    title: "The server has no log that can be followed.",
    cause: "`method: log` reads PostgreSQL's logical replication. The server speaks its protocol, and is something else.",
    remedy: "Use `method: watermark` with `lag` and `reconcile`, or `method: snapshot`.",
};

/// The server has no COPY to the client.
pub static E1081_NO_COPY: Code = Code {
    id: "E1081",
    kind: Kind::Config,
    title: "The server has no COPY to the client.",
    cause: "The connection says `read_by: copy`. Amazon Redshift copies to S3 only, CockroachDB has no binary COPY of a query.",
    remedy: "Leave `read_by` out, or set it to `query`.",
};

/// The server is not PostgreSQL.
pub static E1082_NOT_POSTGRES: Code = Code {
    id: "E1082",
    kind: Kind::Config,
    title: "The server speaks PostgreSQL's protocol and is something else.",
    cause: "It is read by SQL that it knows. What only PostgreSQL tells is missing: late commits are found by `lag` and `reconcile` alone, unique keys are looked for in every run, and tables are not locked while they are read.",
    remedy: "Set `lag` to more than the longest transaction takes, and keep `reconcile`. Nothing has to be done for `method: snapshot`.",
};
