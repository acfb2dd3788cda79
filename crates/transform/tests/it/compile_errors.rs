//! The text of every mistake that is found before the first row.

use std::sync::Arc;

use flow::arrow::array::{
    ArrayRef, BooleanArray, Date32Array, Int64Array, RecordBatch, TimestampMicrosecondArray,
};
use flow::{Field, FieldKind, Mode, NullRule};
use transform::{MappingError, check};

use crate::fixture::{Setup, field, mappings, rows, words};

fn model() -> RecordBatch {
    let boolean: ArrayRef = Arc::new(BooleanArray::from(vec![true]));
    let whole: ArrayRef = Arc::new(Int64Array::from(vec![1]));
    let date: ArrayRef = Arc::new(Date32Array::from(vec![1]));
    let moment: ArrayRef = Arc::new(TimestampMicrosecondArray::from(vec![1]));
    rows(
        1,
        vec![
            ("first_name", words(&["Ada"])),
            ("plan", words(&["free"])),
            ("is_active", boolean),
            ("days", whole),
            ("born", date),
            ("seen", moment),
        ],
    )
}

fn shown(errors: &[MappingError]) -> String {
    let line = |error: &MappingError| {
        format!("{} {}: {}\n  help: {}", error.code.id, error.field, error.message, error.help)
    };
    errors.iter().map(line).collect::<Vec<_>>().join("\n")
}

fn errors(json: &str) -> String {
    shown(&Setup::default().errors(json, &model()))
}

#[test]
fn unknown_names_are_explained() {
    insta::assert_snapshot!(errors(r#"{
        "text": "frist_name",
        "plan_teir": "plan",
        "no_such_field": "plan",
        "createdate": "seen"
    }"#), @r#"
    E0201 text: the mapping reads the column `frist_name`, which the model does not have
      help: did you mean `first_name`?
    E0203 plan_teir: `contacts` has no field `plan_teir`
      help: did you mean `plan_tier`? `outflow discover CONNECTION contacts` lists the 20 fields
    E0203 no_such_field: `contacts` has no field `no_such_field`
      help: `outflow discover CONNECTION contacts` lists the 20 fields
    E0204 createdate: the field `createdate` of `contacts` cannot be written
      help: Remove the field, or write to another one.
    "#);
}

#[test]
fn types_that_never_fit_are_explained() {
    insta::assert_snapshot!(errors(r#"{
        "number": "is_active",
        "date": "days",
        "datetime": "is_active",
        "active": "days",
        "second_email": "days",
        "phone": "born",
        "plan_tier": "seen",
        "plans": "born",
        "weekly_active_days": "seen",
        "any": {"from": "seen", "as": "number"},
        "text": {"from": "days", "as": "date"},
        "short": {"from": "days", "transform": [{"date_format": "%Y"}]}
    }"#), @r#"
    E0205 number: the value is a boolean, the field is a number
      help: translate it, for example `values: {true: 1, false: 0}`
    E0205 date: the value is a whole number, the field is a date
      help: a whole number of milliseconds since 1970 needs `as: epoch_ms`; else cast it in SQL
    E0205 datetime: the value is a boolean, the field is a date and time
      help: a whole number of milliseconds since 1970 needs `as: epoch_ms`; else cast it in SQL
    E0205 active: the value is a whole number, the field is a boolean
      help: `as: boolean` takes 0 and 1; else use `values:`
    E0205 second_email: the value is a whole number, the field is an e-mail address
      help: map a text column
    E0205 phone: the value is a date, the field is a telephone number
      help: map a text column
    E0205 plan_tier: the value is a timestamp, the field is a list of options
      help: make text of it with a `template` or `date_format`
    E0205 plans: the value is a date, the field is a list of options
      help: make text of it with a `template` or `date_format`
    E0205 weekly_active_days: the value is a timestamp, the field is a number
      help: `as: epoch_ms` makes a number of a moment
    E0205 any: a timestamp can never become what `as` asks for
      help: `as: epoch_ms` makes a number of a moment
    E0205 text: a whole number can never become what `as` asks for
      help: cast the column in the model's SQL
    E0212 short: `date_format` works on dates and timestamps; this is a whole number
      help: put it before transforms that change the type
    "#);
}

#[test]
fn written_values_that_never_fit_are_explained() {
    insta::assert_snapshot!(errors(r#"{
        "plan_tier": {"const": "Profesional"},
        "plans": {"const": "Free;Gold"},
        "number": {"const": "many"},
        "short": {"const": "abcdef"},
        "active": {"const": 5},
        "date": {"from": "born", "default": "soon"},
        "datetime": {"from": "seen", "default": true},
        "second_email": {"const": "nobody"},
        "any": {"from": "days", "default": "none"},
        "phone": {"const": "123", "transform": ["e164"]},
        "firstname": {"const": null, "on_null": "reject"},
        "weekly_active_days": {"run": "id"}
    }"#), @r#"
    E0206 plan_tier: the constant `Profesional` does not fit the field: the value is not one of the field's 3 options
      help: did you mean `Professional`?
    E0206 plans: the constant `Free;Gold` does not fit the field: the value is not one of the field's 3 options
      help: the options are `Free`, `Professional`, `Enterprise`
    E0206 number: the constant `many` does not fit the field: the text is not a number
      help: Write a value that the field takes.
    E0206 short: the constant `abcdef` does not fit the field: the text has 6 characters; the field takes at most 5
      help: Write a value that the field takes.
    E0205 active: the value is a whole number, the field is a boolean
      help: `as: boolean` takes 0 and 1; else use `values:`
    E0206 date: the default `soon` does not fit the field: the text is not an ISO 8601 date or moment
      help: Write a value that the field takes.
    E0206 datetime: the default `true` does not fit: the value is a boolean, the field is a date and time
      help: a whole number of milliseconds since 1970 needs `as: epoch_ms`; else cast it in SQL
    E0206 second_email: the constant `nobody` does not fit the field: the text is not a valid e-mail address
      help: Write a value that the field takes.
    E0206 any: the default `none` has another type than the column
      help: give both one type, for example with `as`
    E0206 phone: the constant `123` does not fit the field: the number begins neither with + nor with 00 and no country code is given
      help: Write a value that the field takes.
    E0206 firstname: the constant is null, and null rejects every row here
      help: Write a value that the field takes.
    E0206 weekly_active_days: what the run says does not fit the field: the text is not a number
      help: Write a value that the field takes.
    "#);
}

#[test]
fn value_maps_are_checked_entry_by_entry() {
    insta::assert_snapshot!(errors(r#"{
        "plan_tier": {"from": "plan", "values": {"free": "Free", "ent": "Enterprize"}},
        "number": {"from": "days", "values": {"one": 1}},
        "any": {"from": "is_active", "values": {"yes": 1}},
        "short": {"from": "plan", "values": {"free": "Free plan"}},
        "text": {"from": "days", "values": {"1": "a", "1.0": "b"}}
    }"#), @r#"
    E0206 plan_tier: `Enterprize`, the result for `ent`, does not fit the field: the value is not one of the field's 3 options
      help: did you mean `Enterprise`?
    E0214 number: `values` lists `one`, but the column is a whole number
      help: use a whole number as the key, or cast the column to text in the model's SQL
    E0214 any: `values` lists `yes`, but the column is a boolean
      help: use true or false as the key, or cast the column to text in the model's SQL
    E0206 short: `Free plan`, the result for `free`, does not fit the field: the text has 9 characters; the field takes at most 5
      help: Write a value that the field takes.
    E0214 text: `values` lists `1.0` twice in two spellings
      help: remove one of the two
    "#);
    let truncated = r#"{"short": {"from": "plan", "values": {"free": "Free plan"}, "transform": [{"truncate": 5}]}}"#;
    assert_eq!(errors(truncated), "");
}

#[test]
fn templates_are_checked_before_the_first_row() {
    insta::assert_snapshot!(errors(r#"{
        "text": {"template": "{{ first_nam }}"},
        "short": {"template": "{{ first_name "},
        "any": {"template": "{% if plan == 'a' %}{{ plan | shout }}{% endif %}"},
        "phone": {"template": "{{ plan is shiny }}"},
        "lastname": {"template": "{{ plan == none }}"},
        "firstname": {"template": "{{ 'a | b is c' ~ plan | upper }}{# x | y #}{% raw %}{{ x | y }}{% endraw %}"},
        "second_email": {"template": "{{ now() }}"},
        "plan_tier": {"template": "{% include 'x' %}"},
        "number": {"template": "{% for i in range(2) %}{{ range }}{% endfor %}"}
    }"#), @r#"
    E0202 short: the template is not valid: unexpected end of input, expected end of variable block (line 1)
      help: columns are written as {{ column }}, conditions as {% if column %}…{% endif %}
    E0202 any: the template uses the filter `shout`, which does not exist
      help: use minijinja's built-in filters and tests, or the mapping's own `transform`
    E0202 phone: the template uses the test `shiny`, which does not exist
      help: use minijinja's built-in filters and tests, or the mapping's own `transform`
    E0202 lastname: the template compares with none by `==`, which NULL never answers
      help: write `is none` or `is not none`
    E0202 plan_tier: the template is not valid: unknown statement include (line 1)
      help: columns are written as {{ column }}, conditions as {% if column %}…{% endif %}
    E0202 number: the template uses the function `range` without calling it
      help: a column of that name needs another one in the model's SQL
    E0202 text: the template uses `first_nam`, which is not a column of the model
      help: did you mean `first_name`?
    E0202 second_email: the template uses `now`, which is not a column of the model
      help: there is `id`, `email`, `first_name`, `plan`, `is_active`, `days`, `born`, `seen`
    "#);
}

#[test]
fn what_this_version_cannot_do_is_refused_not_ignored() {
    insta::assert_snapshot!(errors(r#"{
        "text": {"lookup": {"object": "Contact", "match_on": {"Email": "email"}, "if_missing": "create"}},
        "short": {"const": "a", "only_if_empty": true},
        "any": {"const": "a", "only_on_create": true}
    }"#), @r#"
    E0209 text: `if_missing: create` is not supported by this version
      help: write the other records by a sync of their own, and look them up in it
    E0209 short: `only_if_empty` is not supported by this version
      help: remove it, or map a column that is NULL where the field must stay
    E0209 any: `only_on_create` is not supported by this version
      help: remove it; the field is then written in every row that changes
    "#);
}

#[test]
fn match_on_is_checked() {
    let with = |field: &str, column: &str, json: &str| {
        let match_on = vec![(field.to_owned(), column.to_owned())];
        shown(&Setup { match_on, ..Setup::default() }.errors(json, &model()))
    };
    let all = [
        with("emial", "email", r#"{"text": "plan"}"#),
        with("phone", "plan", r#"{"text": "plan"}"#),
        with("createdate", "seen", r#"{"text": "plan"}"#),
        with("email", "mail", r#"{"text": "plan"}"#),
        with("email", "email", r#"{"email": "plan"}"#),
        with("email", "email", r#"{"email": {"const": "a@x.io"}}"#),
        with("email", "email", r#"{"email": {"template": "{{ plan }}@x.io"}}"#),
        with("email", "email", r#"{"email": {"from": "email", "on_null": "skip"}}"#),
        with("email", "email", r#"{"email": {"from": "email", "default": "a@x.io"}}"#),
        with("email", "is_active", r#"{"text": "plan"}"#),
    ];
    insta::assert_snapshot!(all.join("\n"), @r#"
    E0203 emial: `contacts` has no field `emial`
      help: did you mean `email`? `outflow discover CONNECTION contacts` lists the 20 fields
    E0207 phone: records of `contacts` cannot be found by `phone`: it is not unique
      help: unique fields are `email`, `external_id`, `number_id`
    E0204 createdate: the field `createdate` of `contacts` cannot be written
      help: Remove the field, or write to another one.
    E0201 email: `match_on` reads the column `mail`, which the model does not have
      help: did you mean `email`?
    E0210 email: `match_on` takes this field from the column `email`, the mapping from the column `plan`
      help: use one column in both, or leave the field out of `mappings`: it is sent anyway
    E0210 email: `match_on` takes this field from the column `email`, the mapping from a constant
      help: use one column in both, or leave the field out of `mappings`: it is sent anyway
    E0210 email: `match_on` takes this field from the column `email`, the mapping from a template without that column
      help: use one column in both, or leave the field out of `mappings`: it is sent anyway
    E0210 email: records are found by this field, so `on_null` cannot fill in or leave out its value
      help: remove `on_null`; a row whose match value is NULL or empty is rejected
    E0210 email: records are found by this field, so `default` cannot fill in or leave out its value
      help: remove `default`; a row whose match value is NULL or empty is rejected
    E0205 email: the value is a boolean, the field is an e-mail address
      help: map a text column
    "#);
    assert_eq!(with("email", "email", r#"{"email": {"template": "{{ email | lower }}"}}"#), "");
}

#[test]
fn keys_modes_and_required_fields_are_checked() {
    let mut setup =
        Setup { primary_key: vec!["user_id".into()], match_on: Vec::new(), ..Setup::default() };
    setup.object.fields.push(Field { required: true, ..field("need", FieldKind::Number) });
    let json = r#"{"text": "plan"}"#;
    insta::assert_snapshot!(shown(&setup.errors(json, &model())), @r#"
    E0201 user_id: `primary_key` reads the column `user_id`, which the model does not have
      help: there is `id`, `email`, `first_name`, `plan`, `is_active`, `days`, `born`, `seen`
    E0215 match_on: mode `upsert` needs `match_on`
      help: Set `match_on: {destination field: model column}`.
    E0208 need: `contacts` requires the field `need`, and no mapping gives it a value
      help: Map the field, for example to a column or a `const`, or use `mode: update`.
    "#);
    setup.primary_key = Vec::new();
    setup.mode = Mode::Append;
    insta::assert_snapshot!(shown(&setup.errors(json, &model())), @r#"
    E0201 primary_key: `primary_key` names no column
      help: Correct the name, or select the column in the model. `outflow discover CONNECTION RELATION` lists the columns.
    E0208 need: `contacts` requires the field `need`, and no mapping gives it a value
      help: Map the field, for example to a column or a `const`, or use `mode: update`.
    "#);
    let update = Setup { mode: Mode::Update, object: setup.object, ..Setup::default() };
    assert_eq!(shown(&update.errors(json, &model())), "", "an update needs no required field");
}

#[test]
fn emptying_is_refused_where_the_destination_cannot() {
    let setup = Setup { null_rule: NullRule::Impossible, ..Setup::default() };
    let json = r#"{"text": {"from": "plan", "on_null": "clear"}, "short": {"from": "plan", "on_null": "skip"}}"#;
    insta::assert_snapshot!(shown(&setup.errors(json, &model())), @r#"
    E0211 text: `on_null` asks to empty the field, which this destination cannot do
      help: Use `on_null: skip`, `on_null: reject` or a `default`.
    "#);
}

#[test]
fn mistakes_that_need_no_connection_are_found_without_one() {
    let written = mappings(
        r#"{
        "text": {"template": "{{ x"},
        "short": {"from": "x", "transform": [{"date_format": "%!"}]},
        "any": {"const": 1, "only_if_empty": true},
        "email": "other",
        "fine": "x"
    }"#,
    );
    let pair = || ("email".to_owned(), "email".to_owned());
    insta::assert_snapshot!(shown(&check(&written, &[pair(), pair()])), @r#"
    E0210 email: `match_on` names the field twice
      help: name it once
    E0202 text: the template is not valid: unexpected end of input, expected end of variable block (line 1)
      help: columns are written as {{ column }}, conditions as {% if column %}…{% endif %}
    E0212 short: `%!` is not a date format
      help: use strftime specifiers, for example "%Y-%m-%d" or "%d.%m.%Y %H:%M"
    E0209 any: `only_if_empty` is not supported by this version
      help: remove it, or map a column that is NULL where the field must stay
    E0210 email: `match_on` takes this field from the column `email`, the mapping from the column `other`
      help: use one column in both, or leave the field out of `mappings`: it is sent anyway
    "#);
}
