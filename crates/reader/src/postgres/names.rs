//! Tables by their written names, for servers whose catalog is not PostgreSQL's: what the name says, and whether it
//! still means the same table after a read.

use flow::{ColumnInfo, Error, Result};
use tokio_postgres::Column;
use tokio_postgres::types::Type;

use super::columns::ALIAS;
use super::literal;
use super::relation::{Target, replaced};
use super::session::Session;
use crate::codes;

/// A table's name, taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Name {
    /// Database, schema and table, or the last of them.
    parts: Vec<String>,
}

impl Name {
    /// `None` for what is no name: one to three identifiers, quoted or not, with dots between.
    fn parse(written: &str) -> Option<Self> {
        let mut parts = Vec::new();
        let mut rest = written.trim();
        loop {
            let part = match rest.strip_prefix('"') {
                Some(quoted) => {
                    let (part, after) = unquote(quoted)?;
                    rest = after;
                    part
                }
                None => {
                    let end = rest.find('.').unwrap_or(rest.len());
                    let (part, after) = rest.split_at(end);
                    rest = after;
                    let plain = part.chars().enumerate().all(|(index, c)| {
                        c.is_alphabetic() || c == '_' || (index > 0 && (c.is_numeric() || c == '$'))
                    });
                    // As the server does it, which folds only these.
                    plain.then(|| part.to_ascii_lowercase())?
                }
            };
            parts.push(Some(part).filter(|part| !part.is_empty() && !part.contains('\0'))?);
            match rest.strip_prefix('.') {
                Some(after) => rest = after,
                None => break,
            }
        }
        (rest.is_empty() && parts.len() <= 3).then_some(Self { parts })
    }

    fn quoted(&self) -> String {
        self.parts.iter().map(|part| literal::identifier(part)).collect::<Vec<_>>().join(".")
    }

    fn readable(&self) -> String {
        self.parts.iter().map(|part| literal::readable(part)).collect::<Vec<_>>().join(".")
    }
}

/// The identifier before the closing quote, and what follows it.
fn unquote(quoted: &str) -> Option<(String, &str)> {
    let mut part = String::new();
    let mut rest = quoted;
    loop {
        let (before, after) = rest.split_once('"')?;
        part.push_str(before);
        match after.strip_prefix('"') {
            Some(more) => {
                part.push('"');
                rest = more;
            }
            None => return Some((part, after)),
        }
    }
}

/// Finds a table by nothing but its name; whether it is there, and may be read, shows when it is described.
///
/// # Errors
/// `E1010` for what is no name.
pub(super) fn resolve(written: &str) -> Result<Target> {
    let name = Name::parse(written).ok_or_else(|| {
        let message = format!("{written} is no name of a table");
        Error::new(&codes::E1010_NO_RELATION, message)
    })?;
    Ok(Target {
        from: format!("{} AS {ALIAS}", name.quoted()),
        table: None,
        label: name.readable(),
        name: Some(name),
    })
}

/// The number that the catalog gives the table of this name now; `None` where it lists none, or the server has no such
/// numbers.
pub(super) async fn number(session: &mut Session, target: &Target) -> Result<Option<u32>> {
    let dialect = session.dialect();
    let Some(Name { parts }) = target.name.as_ref().filter(|_| dialect.has_oids) else {
        return Ok(None);
    };
    let [.., table] = parts.as_slice() else { return Ok(None) };
    let schema = match parts.as_slice() {
        // Of another database nothing is in this one's catalog.
        [_, _, _] => return Ok(None),
        [schema, _] => format!("n.nspname = {}", dialect.string(schema)),
        _ => "pg_catalog.pg_table_is_visible(c.oid)".to_owned(),
    };
    let sql = format!(
        "SELECT c.oid FROM pg_catalog.pg_class AS c \
         JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace \
         WHERE c.relname = {} AND {schema}",
        dialect.string(table)
    );
    let rows = session.query(&sql, &[], "looking the table up").await?;
    Ok(rows.first().map(|row| row.get(0)))
}

/// Checks, in a transaction after the read's, that the name still means the table it meant before the read's: then it
/// meant it all the time (R2).
///
/// # Errors
/// `E1020` where it means another one.
pub(super) async fn check(session: &mut Session, before: &Named) -> Result<()> {
    session.begin_looking().await?;
    let now = number(session, &before.target).await?;
    session.commit().await?;
    match now == Some(before.number) {
        true => Ok(()),
        false => Err(replaced(&before.target.label)),
    }
}

/// A table as it was known before a read.
#[derive(Debug, Clone)]
pub(super) struct Named {
    pub target: Target,
    pub number: u32,
}

/// The type of a column, named as PostgreSQL's `format_type` does it.
pub(super) fn type_name(column: &Column) -> String {
    let modifier = column.type_modifier();
    let length = |name: &str| match modifier {
        4.. => format!("{name}({})", modifier - 4),
        _ => name.to_owned(),
    };
    match *column.type_() {
        Type::BOOL => "boolean".to_owned(),
        Type::INT2 => "smallint".to_owned(),
        Type::INT4 => "integer".to_owned(),
        Type::INT8 => "bigint".to_owned(),
        Type::FLOAT4 => "real".to_owned(),
        Type::FLOAT8 => "double precision".to_owned(),
        Type::VARCHAR => length("character varying"),
        Type::BPCHAR => length("character"),
        Type::TIMESTAMP => "timestamp without time zone".to_owned(),
        Type::TIMESTAMPTZ => "timestamp with time zone".to_owned(),
        Type::TIME => "time without time zone".to_owned(),
        Type::TIMETZ => "time with time zone".to_owned(),
        Type::NUMERIC if modifier >= 4 => {
            let (precision, scale) = ((modifier - 4) >> 16, (modifier - 4) & 0xffff);
            format!("numeric({precision},{scale})")
        }
        ref other => other.name().to_owned(),
    }
}

/// Tables and views that the login can see, by the standard's own catalog.
pub(super) async fn relations(session: &mut Session) -> Result<Vec<(String, Vec<ColumnInfo>)>> {
    const SQL: &str = "SELECT table_schema::varchar(200), table_name::varchar(200) \
        FROM information_schema.tables \
        WHERE table_schema NOT IN ('information_schema', 'pg_catalog', 'pg_internal', \
            'pg_extension', 'crdb_internal') \
        ORDER BY 1, 2";
    let rows = session.query(SQL, &[], "listing tables and views").await?;
    let name = |row: &tokio_postgres::Row| Name { parts: vec![row.get(0), row.get(1)] };
    Ok(rows.iter().map(|row| (name(row).readable(), Vec::new())).collect())
}

#[cfg(test)]
mod tests {
    use support::Postgres;

    use super::*;

    /// R2: a name that means another table after a read than before it.
    #[tokio::test]
    async fn a_table_that_was_replaced_under_its_name_is_noticed() {
        let swap = "CREATE TABLE n AS SELECT * FROM t; ALTER TABLE t RENAME TO o; \
            ALTER TABLE n RENAME TO t; DROP TABLE o";
        for (change, noticed) in [
            (swap, true),
            ("DROP TABLE t", true),
            ("ALTER TABLE t RENAME TO u", true),
            ("INSERT INTO t VALUES (2); ANALYZE t", false),
        ] {
            let database = Postgres::shared().database("names");
            database.execute("CREATE TABLE t AS SELECT 1 AS id").await;
            let mut session = Session::of(&database.url).await;
            for written in ["t", "public.t", "PUBLIC.\"t\""] {
                let target = resolve(written).unwrap();
                session.begin_looking().await.unwrap();
                let number = number(&mut session, &target).await.unwrap().unwrap();
                session.commit().await.unwrap();
                check(&mut session, &Named { target, number }).await.unwrap();
            }
            let target = resolve("t").unwrap();
            session.begin_looking().await.unwrap();
            let number = number(&mut session, &target).await.unwrap().unwrap();
            session.commit().await.unwrap();
            database.execute(change).await;
            let checked = check(&mut session, &Named { target, number }).await;
            assert_eq!(checked.is_err(), noticed, "{change}");
            if let Err(error) = checked {
                assert_eq!(error.code().id, "E1020");
            }
        }
    }

    /// X4: whatever is written, nothing but a quoted name reaches the server.
    #[test]
    fn names_are_taken_apart_as_the_server_does_it() {
        let from = |written| resolve(written).map(|target| target.from).ok();
        let table = |name: &str| Some(format!("{name} AS m"));
        assert_eq!(from("users"), table("\"users\""));
        assert_eq!(from("Public.Users"), table("\"public\".\"users\""));
        assert_eq!(from("a.\"B c\".\"d\"\"e.f\""), table("\"a\".\"B c\".\"d\"\"e.f\""));
        for wrong in
            ["", "a b", "a;b", "a.", ".a", "a.b.c.d", "\"a", "a\"b\"", "1a", "a--", "a()", "\"\""]
        {
            assert_eq!(from(wrong), None, "{wrong}");
        }
    }
}
