//! Every code this crate raises, with what `outflow explain` says about it.

use flow::{Code, Kind};

/// The model has no such column.
pub static E0201_UNKNOWN_COLUMN: Code = Code {
    id: "E0201",
    kind: Kind::Config,
    title: "The model has no such column",
    cause: "A mapping, `match_on` or `primary_key` names a column that the model does not have. Names are compared exactly, letter case included.",
    remedy: "Correct the name, or select the column in the model. `outflow discover CONNECTION RELATION` lists the columns.",
};

/// The template is not valid.
pub static E0202_TEMPLATE: Code = Code {
    id: "E0202",
    kind: Kind::Config,
    title: "The template is not valid",
    cause: "The template has a syntax error, or uses a variable, filter or test that does not exist. Its variables are the model's columns.",
    remedy: "Correct the template. Filters are minijinja's built-in ones; NULL is tested with `is none`.",
};

/// The destination object has no such field.
pub static E0203_UNKNOWN_FIELD: Code = Code {
    id: "E0203",
    kind: Kind::Config,
    title: "The destination object has no such field",
    cause: "A mapping or `match_on` names a field that the destination does not list for this object.",
    remedy: "Use the field's internal name, or create the field at the destination. `outflow discover CONNECTION OBJECT` lists the fields.",
};

/// The destination field cannot be written.
pub static E0204_READ_ONLY_FIELD: Code = Code {
    id: "E0204",
    kind: Kind::Config,
    title: "The destination field cannot be written",
    cause: "The destination computes this field or keeps it for itself; every write to it would be refused.",
    remedy: "Remove the field, or write to another one.",
};

/// The value's type can never fit the destination field.
pub static E0205_TYPE_NEVER_FITS: Code = Code {
    id: "E0205",
    kind: Kind::Config,
    title: "The value's type can never fit the destination field",
    cause: "The column's type and the field's type have no value in common, for example a boolean column for a number field.",
    remedy: "Convert the value with `as:` or `values:`, or cast it in the model's SQL.",
};

/// A written value does not fit the destination field.
pub static E0206_VALUE_NEVER_FITS: Code = Code {
    id: "E0206",
    kind: Kind::Config,
    title: "A written value does not fit the destination field",
    cause: "A constant, default or result of `values` would be refused in every row, for example because it is not one of the field's options.",
    remedy: "Write a value that the field takes.",
};

/// The match field is not unique at the destination.
pub static E0207_MATCH_NOT_UNIQUE: Code = Code {
    id: "E0207",
    kind: Kind::Config,
    title: "The match field is not unique at the destination",
    cause: "Records can only be found by a field that no two records share.",
    remedy: "Match on a field that the destination marks as unique.",
};

/// A required field is not mapped.
pub static E0208_REQUIRED_NOT_MAPPED: Code = Code {
    id: "E0208",
    kind: Kind::Config,
    title: "A required field is not mapped",
    cause: "The destination cannot create a record without this field.",
    remedy: "Map the field, for example to a column or a `const`, or use `mode: update`.",
};

/// This version cannot do that.
pub static E0209_NOT_SUPPORTED: Code = Code {
    id: "E0209",
    kind: Kind::Config,
    title: "This version cannot do that",
    cause: "The setting is part of the configuration language, but this version of outflow cannot act on it and will not ignore it.",
    remedy: "Remove the setting, or join the value in the model's SQL.",
};

/// The settings contradict each other.
pub static E0210_CONTRADICTION: Code = Code {
    id: "E0210",
    kind: Kind::Config,
    title: "The settings contradict each other",
    cause: "Two settings of the mapping say different things, for example `match_on` names one column and the mapping of the same field another.",
    remedy: "Keep one of the two.",
};

/// The destination cannot empty a field.
pub static E0211_CANNOT_EMPTY: Code = Code {
    id: "E0211",
    kind: Kind::Config,
    title: "The destination cannot empty a field",
    cause: "`on_null: send` or `on_null: clear` was asked for, and this destination has no way to empty a field.",
    remedy: "Use `on_null: skip`, `on_null: reject` or a `default`.",
};

/// A transform cannot work here.
pub static E0212_BAD_STEP: Code = Code {
    id: "E0212",
    kind: Kind::Config,
    title: "A transform cannot work here",
    cause: "A transform or `as` does not apply to the type of its value, or its argument is wrong.",
    remedy: "Correct the argument, or change the order: values, transform, as.",
};

/// The model's columns changed during the run.
pub static E0213_COLUMNS_CHANGED: Code = Code {
    id: "E0213",
    kind: Kind::Failed,
    title: "The model's columns changed during the run",
    cause: "A batch arrived with other columns or types than the mapping was checked against.",
    remedy: "Run again; the mapping is then checked against the new columns.",
};

/// An entry of `values` can never match.
pub static E0214_DEAD_VALUE: Code = Code {
    id: "E0214",
    kind: Kind::Config,
    title: "An entry of `values` can never match",
    cause: "The entry's key is not a value that the column's type can have, for example a word for a number column.",
    remedy: "Remove the entry, or correct its key.",
};

/// Nothing says how to find a record.
pub static E0215_NO_MATCH: Code = Code {
    id: "E0215",
    kind: Kind::Config,
    title: "Nothing says how to find a record",
    cause: "The mode updates or deletes records, and `match_on` is empty.",
    remedy: "Set `match_on: {destination field: model column}`.",
};

/// The row's primary key is NULL.
pub static R101_KEY_NULL: Code = Code {
    id: "R101",
    kind: Kind::Row,
    title: "The row's primary key is NULL",
    cause: "A row without a key cannot be told from other rows, so it is never sent.",
    remedy: "Give every row of the model a key, or filter such rows out.",
};

/// Several rows have the same primary key.
pub static R102_KEY_DUPLICATE: Code = Code {
    id: "R102",
    kind: Kind::Row,
    title: "Several rows have the same primary key",
    cause: "None of the rows can be preferred, so none is sent. Keys are compared by value: 1, 1.0 and 1.00 are one key.",
    remedy: "Make the model give one row per key.",
};

/// The value that finds the record is missing.
pub static R103_MATCH_MISSING: Code = Code {
    id: "R103",
    kind: Kind::Row,
    title: "The value that finds the record is missing",
    cause: "A match field is NULL or empty in this row, so the record cannot be found or created.",
    remedy: "Fill the column, or filter such rows out of the model.",
};

/// A value of the row cannot be carried exactly.
pub static R104_NOT_CARRIED: Code = Code {
    id: "R104",
    kind: Kind::Row,
    title: "A value of the row cannot be carried exactly",
    cause: "The warehouse's value has no exact form here, for example a NaN in a numeric(12,2) column.",
    remedy: "Cast or clean the column in the model's SQL.",
};

/// A value is NULL and the mapping refuses NULL.
pub static R105_NULL_REFUSED: Code = Code {
    id: "R105",
    kind: Kind::Row,
    title: "A value is NULL and the mapping refuses NULL",
    cause: "The mapping says `on_null: reject`.",
    remedy: "Fill the column, set a `default`, or use another `on_null`.",
};

/// A required field would be empty.
pub static R106_REQUIRED_NULL: Code = Code {
    id: "R106",
    kind: Kind::Row,
    title: "A required field would be empty",
    cause: "The destination cannot hold a record without this field.",
    remedy: "Fill the column or set a `default`.",
};

/// The value is not one of the field's options.
pub static R107_NOT_AN_OPTION: Code = Code {
    id: "R107",
    kind: Kind::Row,
    title: "The value is not one of the field's options",
    cause: "The destination's field takes only listed values, compared exactly.",
    remedy: "Translate the value with `values:`, or add the option at the destination.",
};

/// The text is too long for the field.
pub static R108_TOO_LONG: Code = Code {
    id: "R108",
    kind: Kind::Row,
    title: "The text is too long for the field",
    cause: "The destination's field has a limit of characters.",
    remedy: "Add `transform: [{truncate: N}]`, or shorten the text in the model.",
};

/// The text is not a number.
pub static R109_NOT_A_NUMBER: Code = Code {
    id: "R109",
    kind: Kind::Row,
    title: "The text is not a number",
    cause: "A number is digits with an optional sign, one decimal point and an exponent; no group separators, no units. Empty text is not a number.",
    remedy: "Clean the column in the model's SQL, or use `transform: [null_if_empty]`.",
};

/// The value is not a date or a moment the field takes.
pub static R110_NOT_A_DATE: Code = Code {
    id: "R110",
    kind: Kind::Row,
    title: "The value is not a date or a moment the field takes",
    cause: "Text must be ISO 8601. A date field takes no time of day.",
    remedy: "Use `as: date` to take the day in UTC, or clean the column in the model's SQL.",
};

/// The value is out of range.
pub static R111_OUT_OF_RANGE: Code = Code {
    id: "R111",
    kind: Kind::Row,
    title: "The value is out of range",
    cause: "Infinity and NaN, and dates outside the years 0001 to 9999, have no form at the destination.",
    remedy: "Clean the column in the model's SQL.",
};

/// The value is not true or false.
pub static R112_NOT_A_BOOLEAN: Code = Code {
    id: "R112",
    kind: Kind::Row,
    title: "The value is not true or false",
    cause: "Text may be true/false, t/f, yes/no, y/n, on/off or 1/0; numbers with `as: boolean` 1 or 0.",
    remedy: "Translate the value with `values:`.",
};

/// The text is not a valid e-mail address.
pub static R113_NOT_AN_EMAIL: Code = Code {
    id: "R113",
    kind: Kind::Row,
    title: "The text is not a valid e-mail address",
    cause: "The destination would refuse it: it needs one @, a name before it and a domain with a dot after it, without spaces.",
    remedy: "Clean the column; `transform: [trim]` removes spaces around the address.",
};

/// The text is not a telephone number in E.164 form.
pub static R114_NOT_E164: Code = Code {
    id: "R114",
    kind: Kind::Row,
    title: "The text is not a telephone number in E.164 form",
    cause: "The number must start with + or 00, or a country code must be given as `{e164: \"48\"}`, and have 8 to 15 digits.",
    remedy: "Clean the column, or use `on_null: skip` after turning bad numbers into NULL in SQL.",
};

/// The value is not in `values`.
pub static R115_VALUE_UNLISTED: Code = Code {
    id: "R115",
    kind: Kind::Row,
    title: "The value is not in `values`",
    cause: "The mapping translates listed values only and says `otherwise: reject`, which is also the default.",
    remedy: "Add the value to `values`, or use `otherwise: keep` or `otherwise: set_null`.",
};

/// The template failed for this row.
pub static R116_TEMPLATE_FAILED: Code = Code {
    id: "R116",
    kind: Kind::Row,
    title: "The template failed for this row",
    cause: "A filter or operator did not accept the row's values, or the template did too much work.",
    remedy: "Make the template accept such rows, for example with `{% if column is none %}`.",
};

/// The text is not valid JSON.
pub static R117_NOT_JSON: Code = Code {
    id: "R117",
    kind: Kind::Row,
    title: "The text is not valid JSON",
    cause: "The mapping says `as: json`.",
    remedy: "Clean the column in the model's SQL.",
};

/// A value is NULL and the destination cannot empty the field.
pub static R118_CANNOT_EMPTY_FIELD: Code = Code {
    id: "R118",
    kind: Kind::Row,
    title: "A value is NULL and the destination cannot empty the field",
    cause: "This destination has no way to empty a field.",
    remedy: "Set `on_null: skip` to leave the field alone, or a `default`.",
};

/// A looked-up record that is not there.
pub static R119_NOT_FOUND: Code = Code {
    id: "R119",
    kind: Kind::Row,
    title: "The record that is looked up does not exist",
    cause: "A `lookup` found no record with the row's value, or the other sync has not delivered it, and `if_missing` is `reject`.",
    remedy: "Nothing, if the other record is on its way: the row is tried again by every run. Else correct the value, or write `if_missing: set_null` or `skip`.",
};

/// A looked-up record that is not the only one.
pub static R120_AMBIGUOUS: Code = Code {
    id: "R120",
    kind: Kind::Row,
    title: "More than one record fits what is looked up",
    cause: "A `lookup` found several records with the row's value; none of them is taken by luck.",
    remedy: "Merge the records at the destination, or look the record up by a unique field. The row is tried again by every run.",
};

/// All of them.
pub const CODES: &[&Code] = &[
    &E0201_UNKNOWN_COLUMN,
    &E0202_TEMPLATE,
    &E0203_UNKNOWN_FIELD,
    &E0204_READ_ONLY_FIELD,
    &E0205_TYPE_NEVER_FITS,
    &E0206_VALUE_NEVER_FITS,
    &E0207_MATCH_NOT_UNIQUE,
    &E0208_REQUIRED_NOT_MAPPED,
    &E0209_NOT_SUPPORTED,
    &E0210_CONTRADICTION,
    &E0211_CANNOT_EMPTY,
    &E0212_BAD_STEP,
    &E0213_COLUMNS_CHANGED,
    &E0214_DEAD_VALUE,
    &E0215_NO_MATCH,
    &R101_KEY_NULL,
    &R102_KEY_DUPLICATE,
    &R103_MATCH_MISSING,
    &R104_NOT_CARRIED,
    &R105_NULL_REFUSED,
    &R106_REQUIRED_NULL,
    &R107_NOT_AN_OPTION,
    &R108_TOO_LONG,
    &R109_NOT_A_NUMBER,
    &R110_NOT_A_DATE,
    &R111_OUT_OF_RANGE,
    &R112_NOT_A_BOOLEAN,
    &R113_NOT_AN_EMAIL,
    &R114_NOT_E164,
    &R115_VALUE_UNLISTED,
    &R116_TEMPLATE_FAILED,
    &R117_NOT_JSON,
    &R118_CANNOT_EMPTY_FIELD,
    &R119_NOT_FOUND,
    &R120_AMBIGUOUS,
];
