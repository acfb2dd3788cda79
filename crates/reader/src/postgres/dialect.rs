//! What servers that speak PostgreSQL's protocol do differently: one table, chosen by what the server says it is.
//! `DIALECTS.md` is the table for people.

use std::time::Duration;

use super::literal;
use super::options::ReadBy;

/// How one kind of server is asked.
#[derive(Debug)]
pub(super) struct Dialect {
    /// For messages.
    pub name: &'static str,
    /// What only this kind of server has in its `version()`.
    signs: &'static [&'static str],
    /// Whether catalog, plans, table locks, snapshots, row transactions and log are PostgreSQL's own. Where they are
    /// not, nothing is asked of them.
    pub is_postgres: bool,
    /// What rows are read by where the connection says nothing.
    pub read_by: ReadBy,
    /// Whether the server has `COPY (SELECT ...) TO STDOUT (FORMAT binary)`.
    pub copies: bool,
    /// What follows BEGIN in a transaction with one snapshot, and in one that looks ahead.
    reading: &'static str,
    looking: &'static str,
    /// How far the snapshot lies behind the beginning of the transaction.
    pub behind: Duration,
    /// Settings that the server knows.
    settings: &'static [Setting],
    /// Whether `(a, b) > (x, y)` and arrays can be written.
    pub rows: bool,
    /// How text is compared byte by byte.
    pub bytes: ByBytes,
    /// The type that holds any text.
    pub text: &'static str,
    /// Whether the binary form of numeric is PostgreSQL's.
    pub numeric_is_binary: bool,
    /// Whether timestamps can be infinite.
    pub has_infinity: bool,
    /// Whether a backslash in a string is a character, or `E''` makes it one.
    pub has_escapes: bool,
    /// Whether a table that is replaced under its name gets another number in pg_class.
    pub has_oids: bool,
}

/// How text is compared byte by byte, as keys are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ByBytes {
    /// By the collation "C".
    Collation,
    /// It always is, unless a column asks for something else.
    Always,
    /// The type without a collation is.
    Uncollated,
}

/// Something a session is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Setting {
    StatementTimeout,
    LockTimeout,
    IdleTimeout,
    Is(&'static str, &'static str),
}

use Setting::{IdleTimeout, Is, LockTimeout, StatementTimeout};

/// Limits of a session.
#[derive(Debug, Clone, Copy)]
pub(super) struct Timeouts {
    pub statement: Duration,
    pub lock: Duration,
    pub idle: Duration,
}

const POSTGRES: Dialect = Dialect {
    name: "PostgreSQL",
    signs: &[],
    is_postgres: true,
    read_by: ReadBy::Copy,
    copies: true,
    reading: "ISOLATION LEVEL REPEATABLE READ READ ONLY",
    looking: "ISOLATION LEVEL READ COMMITTED READ ONLY",
    behind: Duration::ZERO,
    settings: &[
        StatementTimeout,
        LockTimeout,
        IdleTimeout,
        Is("client_min_messages", "warning"),
        Is("standard_conforming_strings", "on"),
        Is("TimeZone", "UTC"),
        Is("DateStyle", "ISO, YMD"),
        Is("IntervalStyle", "iso_8601"),
        Is("extra_float_digits", "1"),
        Is("bytea_output", "hex"),
        Is("xmlbinary", "base64"),
    ],
    rows: true,
    bytes: ByBytes::Collation,
    text: "text",
    numeric_is_binary: true,
    has_infinity: true,
    has_escapes: true,
    has_oids: true,
};

/// What everything that calls itself PostgreSQL can do: the SQL of its oldest versions, read as rows of a query.
const CAREFUL: Dialect = Dialect {
    name: "a server that is not PostgreSQL",
    signs: &[
        "Greenplum",
        "Cloudberry",
        "-YB-",
        "Materialize",
        "RisingWave",
        "QuestDB",
        "CrateDB",
        "openGauss",
        "GaussDB",
    ],
    is_postgres: false,
    read_by: ReadBy::Query,
    settings: &[
        StatementTimeout,
        Is("TimeZone", "UTC"),
        Is("DateStyle", "ISO"),
        Is("extra_float_digits", "1"),
    ],
    rows: false,
    ..POSTGRES
};

/// <https://docs.aws.amazon.com/redshift/latest/dg/c_unsupported-postgresql-features.html>: no row or array
/// constructors, no collations, no system columns, constraints that are not enforced. Its settings are those of
/// <https://docs.aws.amazon.com/redshift/latest/dg/cm_chap_ConfigurationRef.html>. All transactions are serializable.
/// The binary form of its numerics is its own.
const REDSHIFT: Dialect = Dialect {
    name: "Amazon Redshift",
    signs: &["Redshift"],
    copies: false,
    reading: "ISOLATION LEVEL SERIALIZABLE READ ONLY",
    looking: "ISOLATION LEVEL SERIALIZABLE READ ONLY",
    bytes: ByBytes::Always,
    text: "varchar(65535)",
    numeric_is_binary: false,
    has_infinity: false,
    has_escapes: false,
    ..CAREFUL
};

/// <https://www.cockroachlabs.com/docs/stable/as-of-system-time>: a read a few seconds in the past waits for no writer
/// and sees tables, too, as they were then. So a table that is replaced meanwhile does not matter.
const COCKROACH: Dialect = Dialect {
    name: "CockroachDB",
    signs: &["CockroachDB"],
    copies: false,
    reading: "ISOLATION LEVEL SERIALIZABLE, READ ONLY, AS OF SYSTEM TIME '-5s'",
    looking: "ISOLATION LEVEL SERIALIZABLE, READ ONLY, AS OF SYSTEM TIME '-5s'",
    behind: Duration::from_secs(5),
    settings: &[
        StatementTimeout,
        LockTimeout,
        IdleTimeout,
        Is("TimeZone", "UTC"),
        Is("IntervalStyle", "iso_8601"),
        Is("extra_float_digits", "1"),
        Is("bytea_output", "hex"),
    ],
    bytes: ByBytes::Uncollated,
    has_oids: false,
    ..CAREFUL
};

/// Every dialect; PostgreSQL's is the one that no other claims.
static DIALECTS: [Dialect; 4] = [REDSHIFT, COCKROACH, CAREFUL, POSTGRES];

impl Dialect {
    /// The dialect of a server whose `version()` says this.
    pub(super) fn of(version: &str) -> &'static Self {
        let [.., careful, postgres] = &DIALECTS;
        let claims = |dialect: &&Self| dialect.signs.iter().any(|sign| version.contains(sign));
        let is_postgres =
            version.starts_with("PostgreSQL ") || version.starts_with("EnterpriseDB ");
        let other = if is_postgres { postgres } else { careful };
        DIALECTS.iter().find(claims).unwrap_or(other)
    }

    /// PostgreSQL's own.
    pub(super) fn postgres() -> &'static Self {
        let [.., postgres] = &DIALECTS;
        postgres
    }

    /// Opens a transaction with one snapshot, which the first query takes. None of these statements takes it yet, so
    /// locks can come first.
    pub(super) fn begin_reading(&self, timeouts: Timeouts) -> String {
        self.begin(self.reading, timeouts)
    }

    /// Opens a transaction for looking ahead.
    pub(super) fn begin_looking(&self, timeouts: Timeouts) -> String {
        self.begin(self.looking, timeouts)
    }

    fn begin(&self, how: &str, timeouts: Timeouts) -> String {
        let mut sql = format!("BEGIN {how}");
        let millis = |limit: Duration| limit.as_millis().to_string();
        for setting in self.settings {
            let (name, value) = match setting {
                StatementTimeout => ("statement_timeout", millis(timeouts.statement)),
                LockTimeout => ("lock_timeout", millis(timeouts.lock)),
                IdleTimeout => ("idle_in_transaction_session_timeout", millis(timeouts.idle)),
                Is(name, value) => (*name, (*value).to_owned()),
            };
            sql.push_str(&format!("; SET LOCAL {name} = {}", literal::string(&value)));
        }
        sql
    }

    /// A quoted string; the server sees exactly these characters.
    pub(super) fn string(&self, text: &str) -> String {
        if self.has_escapes || !text.contains('\\') {
            return literal::string(text);
        }
        // Whether a backslash is one, or begins an escape, depends on a setting there.
        let parts: Vec<String> = text.split('\\').map(literal::string).collect();
        format!("({})", parts.join(" || chr(92) || "))
    }

    /// An expression of text, to be ordered and compared byte by byte.
    pub(super) fn by_bytes(&self, expression: &str) -> String {
        match self.bytes {
            ByBytes::Collation => format!("{expression} COLLATE \"C\""),
            ByBytes::Always => expression.to_owned(),
            ByBytes::Uncollated => format!("{expression}::{}", self.text),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dialect_is_told_by_what_the_server_says_it_is() {
        for (version, name) in [
            (
                "PostgreSQL 15.18 (Debian 15.18-0+deb12u1) on x86_64-pc-linux-gnu, 64-bit",
                "PostgreSQL",
            ),
            (
                "PostgreSQL 14.9 on aarch64-unknown-linux-gnu, compiled by gcc (GCC) 9.5.0",
                "PostgreSQL",
            ),
            ("EnterpriseDB 10.4.9 on x86_64-pc-linux-gnu", "PostgreSQL"),
            (
                "PostgreSQL 8.0.2 on i686-pc-linux-gnu, compiled by GCC gcc (GCC) 3.4.2, Redshift 1.0.77467",
                "Amazon Redshift",
            ),
            ("CockroachDB CCL v24.1.0 (x86_64-pc-linux-gnu, built 2024/05/15)", "CockroachDB"),
            (
                "PostgreSQL 12.12 (Greenplum Database 7.0.0 build 1) on x86_64-pc-linux-gnu",
                CAREFUL.name,
            ),
            ("PostgreSQL 11.2-YB-2.20.1.0-b0 on x86_64-pc-linux-gnu", CAREFUL.name),
            ("Somebody's Own 1.0", CAREFUL.name),
        ] {
            assert_eq!(Dialect::of(version).name, name, "{version}");
        }
        assert!(Dialect::postgres().is_postgres);
    }

    /// A setting that a server does not know would end the transaction.
    #[test]
    fn a_session_is_told_nothing_that_the_server_does_not_know() {
        let second = Duration::from_secs(1);
        let timeouts = Timeouts { statement: second, lock: second * 2, idle: second * 3 };
        let begins: String = DIALECTS
            .iter()
            .map(|dialect| {
                let (looking, reading) =
                    (dialect.begin_looking(timeouts), dialect.begin_reading(timeouts));
                format!("{}\n  {looking}\n  {reading}\n", dialect.name).replace("; ", "\n    ")
            })
            .collect();
        insta::assert_snapshot!(begins);
    }

    #[test]
    fn strings_mean_the_same_whatever_a_backslash_is() {
        assert_eq!(REDSHIFT.string("a'b"), "'a''b'");
        assert_eq!(REDSHIFT.string("a\\'b"), "('a' || chr(92) || '''b')");
        assert_eq!(POSTGRES.string("a\\'b"), literal::string("a\\'b"));
    }
}
