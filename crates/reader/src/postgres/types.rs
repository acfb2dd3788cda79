//! Which Arrow type each PostgreSQL type arrives in, and in which form it travels. `TYPES.md` is the table for people.

use std::sync::Arc;

use flow::arrow::datatypes::{DataType, Field, TimeUnit};
use tokio_postgres::types::{Kind, Type};

use super::dialect::Dialect;

/// Largest precision of an exact Arrow decimal.
const DECIMAL_DIGITS_MAX: i32 = 38;

/// How the values of a column travel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Carry {
    Bool,
    Int2,
    Int4,
    Int8,
    Oid,
    Float4,
    Float8,
    /// `numeric(precision, scale)` that an Arrow decimal holds exactly.
    Decimal {
        precision: u8,
        scale: i8,
    },
    /// Any other numeric, as canonical text.
    NumericText,
    /// A numeric that the server casts to text, of this precision and scale where an Arrow decimal holds it exactly.
    WrittenNumber(Option<(u8, i8)>),
    /// The binary form is the text.
    Text,
    /// `char(n)`: the padding is not part of the value.
    PaddedText,
    Jsonb,
    Uuid,
    Date,
    Time,
    Timestamp,
    TimestampTz,
    Bytea,
    /// The server casts it to text.
    ServerText,
    /// A one-dimensional array.
    List(Box<Carry>),
}

impl Carry {
    /// How values of this type travel; `None` where they cannot.
    pub(super) fn of(kind: &Type, typmod: i32) -> Option<Self> {
        let carry = match *kind {
            Type::BOOL => Self::Bool,
            Type::INT2 => Self::Int2,
            Type::INT4 => Self::Int4,
            Type::INT8 => Self::Int8,
            Type::OID => Self::Oid,
            Type::FLOAT4 => Self::Float4,
            Type::FLOAT8 => Self::Float8,
            Type::NUMERIC => numeric(typmod),
            Type::TEXT | Type::VARCHAR | Type::NAME | Type::JSON => Self::Text,
            Type::BPCHAR => Self::PaddedText,
            Type::JSONB => Self::Jsonb,
            Type::UUID => Self::Uuid,
            Type::DATE => Self::Date,
            Type::TIME => Self::Time,
            Type::TIMESTAMP => Self::Timestamp,
            Type::TIMESTAMPTZ => Self::TimestampTz,
            Type::BYTEA => Self::Bytea,
            // These count from 0 and have no array syntax of their own.
            Type::INT2_VECTOR | Type::OID_VECTOR | Type::RECORD => Self::ServerText,
            _ => match kind.kind() {
                Kind::Domain(base) => return Self::of(base, typmod),
                Kind::Array(element) => Self::List(Box::new(Self::of(element, typmod)?)),
                Kind::Pseudo if *kind != Type::UNKNOWN => return None,
                _ => Self::ServerText,
            },
        };
        Some(carry)
    }

    /// How the same values travel from a server with this dialect.
    pub(super) fn sent_by(self, dialect: &Dialect) -> Self {
        match self {
            Self::Decimal { precision, scale } if !dialect.numeric_is_binary => {
                Self::WrittenNumber(Some((precision, scale)))
            }
            Self::NumericText if !dialect.numeric_is_binary => Self::WrittenNumber(None),
            other => other,
        }
    }

    /// The Arrow type.
    pub(super) fn data_type(&self) -> DataType {
        match self {
            Self::Bool => DataType::Boolean,
            Self::Int2 => DataType::Int16,
            Self::Int4 => DataType::Int32,
            Self::Int8 => DataType::Int64,
            Self::Oid => DataType::UInt32,
            Self::Float4 => DataType::Float32,
            Self::Float8 => DataType::Float64,
            Self::Decimal { precision, scale } => DataType::Decimal128(*precision, *scale),
            Self::WrittenNumber(Some((precision, scale))) => {
                DataType::Decimal128(*precision, *scale)
            }
            Self::NumericText
            | Self::WrittenNumber(None)
            | Self::Text
            | Self::PaddedText
            | Self::Jsonb
            | Self::Uuid
            | Self::ServerText => DataType::Utf8,
            Self::Date => DataType::Date32,
            Self::Time => DataType::Time64(TimeUnit::Microsecond),
            Self::Timestamp => DataType::Timestamp(TimeUnit::Microsecond, None),
            Self::TimestampTz => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
            Self::Bytea => DataType::Binary,
            Self::List(element) => {
                DataType::List(Arc::new(Field::new_list_field(element.data_type(), true)))
            }
        }
    }

    /// `column`, an SQL expression, in the form it travels in; `text` is the type that holds any text.
    pub(super) fn projection(&self, column: &str, text: &str) -> String {
        let mut dimensions = String::new();
        let mut carry = self;
        while let Self::List(element) = carry {
            dimensions.push_str("[]");
            carry = element;
        }
        match carry {
            Self::ServerText | Self::WrittenNumber(_) => format!("{column}::{text}{dimensions}"),
            _ => column.to_owned(),
        }
    }
}

fn numeric(typmod: i32) -> Carry {
    if typmod < 4 {
        return Carry::NumericText;
    }
    let precision = ((typmod - 4) >> 16) & 0xffff;
    // Eleven bits, signed since PostgreSQL 15.
    let scale = (((typmod - 4) & 0x7ff) ^ 1024) - 1024;
    if (1..=DECIMAL_DIGITS_MAX).contains(&precision) && (0..=precision).contains(&scale) {
        Carry::Decimal { precision: precision as u8, scale: scale as i8 }
    } else {
        Carry::NumericText
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numerics_are_exact_decimals_where_arrow_can_hold_them() {
        let typmod = |precision: i32, scale: i32| ((precision << 16) | (scale & 0x7ff)) + 4;
        assert_eq!(numeric(typmod(12, 2)), Carry::Decimal { precision: 12, scale: 2 });
        assert_eq!(numeric(typmod(38, 38)), Carry::Decimal { precision: 38, scale: 38 });
        for other in [-1, typmod(39, 2), typmod(5, -2), typmod(3, 5)] {
            assert_eq!(numeric(other), Carry::NumericText);
        }
    }
}
