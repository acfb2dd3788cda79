//! What the warehouse and the destination say is shown at the place it is about.

use engine::Problem;
use flow::arrow::datatypes::DataType;
use flow::{Checked, Code, ColumnInfo, Error, Kind};
use transform::MappingError;

use super::{Folder, shown};
use crate::diagnostic::Report;

static WAREHOUSE: Code =
    Code { id: "E1011", kind: Kind::Config, title: "", cause: "", remedy: "look" };
static DESTINATION: Code =
    Code { id: "E2003", kind: Kind::Config, title: "", cause: "", remedy: "look" };

#[track_caller]
fn check(problem: Problem, place: &str) {
    let project = Folder::new().project();
    let diagnostic = project.syncs[0].problem(&problem);
    assert_eq!(format!("{:?}", diagnostic.place().expect("a place")), place);
    assert!(shown(&Report::from(diagnostic)).contains("look"));
}

#[test]
fn an_error_of_the_warehouse_is_at_the_column_or_the_model() {
    let error = |message: &str| Problem::Error(Error::new(&WAREHOUSE, message));
    check(error("the model has no column `updated_at`"), "syncs/usage.yml:12:11");
    check(error("the model has no column `user_id`"), "syncs/usage.yml:9:16");
    check(error("the model has no column `email`"), "syncs/usage.yml:18:5");
    check(error("the relation `analytics.users` does not exist"), "syncs/usage.yml:8:10");
}

#[test]
fn an_error_of_the_destination_is_at_the_field_or_the_object() {
    let error = |message: &str| Problem::Error(Error::new(&DESTINATION, message));
    check(error("`plan` cannot be written"), "syncs/usage.yml:22:3");
    check(error("there is no such object"), "syncs/usage.yml:16:11");
}

#[test]
fn an_error_of_the_mapping_is_at_its_field() {
    let error = |field: &str| {
        let (message, help) = ("no such field".to_owned(), "look".to_owned());
        Problem::Mapping(MappingError {
            code: &DESTINATION,
            field: field.to_owned(),
            message,
            help,
        })
    };
    check(error("phone"), "syncs/usage.yml:23:3");
    check(error("email"), "syncs/usage.yml:18:5");
    check(error("unheard_of"), "syncs/usage.yml:16:11");
}

#[test]
fn a_model_with_a_denied_column_is_refused() {
    let folder = Folder::new();
    folder.edit("syncs/usage.yml", "schedule:", "privacy: { deny_columns: [salary] }\nschedule:");
    let project = folder.project();
    let column = |name: &str| ColumnInfo {
        name: name.to_owned(),
        data_type: DataType::Utf8,
        source_type: "text".to_owned(),
    };
    let columns = vec![column("user_id"), column("salary")];
    let denied = project.syncs[0].denied(&Checked { columns, findings: Vec::new() });
    assert_eq!(denied.len(), 1);
    assert!(denied[0].message.contains("`salary`"));
    let columns = vec![column("user_id")];
    assert!(project.syncs[0].denied(&Checked { columns, findings: Vec::new() }).is_empty());
}
