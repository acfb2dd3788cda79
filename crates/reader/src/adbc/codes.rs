//! The documented codes of ADBC drivers: `E1120` to `E1123`.

use flow::{Code, Kind};

/// A driver that cannot be loaded.
pub static E1120_NO_DRIVER: Code = Code {
    id: "E1120",
    kind: Kind::Config,
    title: "The ADBC driver cannot be loaded.",
    cause: "There is no shared library at `driver`, it is for another machine, or it has not the function `entrypoint`.",
    remedy: "Correct `driver`; DuckDB's library needs `entrypoint: duckdb_adbc_init`. Drivers are in the packages adbc-driver-* of PyPI.",
};

/// Anything else a driver says.
pub static E1121_DRIVER: Code = Code {
    id: "E1121",
    kind: Kind::Failed,
    title: "The ADBC driver reported an error.",
    cause: "See the message. What a driver says about rows is not shown, since it may quote them.",
    remedy: "Run the same SQL in the database's own client, and look at its log.",
};

/// Login or rights refused.
pub static E1122_REFUSED: Code = Code {
    id: "E1122",
    kind: Kind::Credentials,
    title: "The warehouse behind the driver refuses the login or the read.",
    cause: "The credentials in `database` are wrong or expired, or the role may not read the model.",
    remedy: "Mend the credentials, or grant the role SELECT on the model's tables.",
};

/// No connection.
pub static E1123_UNREACHABLE: Code = Code {
    id: "E1123",
    kind: Kind::Unreachable,
    title: "The warehouse behind the driver cannot be reached.",
    cause: "A setting in `database` or `connection` is wrong, the network is down, the warehouse did not answer in time, or a database file is in use by another process.",
    remedy: "Check the settings in the driver's documentation; then run again.",
};
