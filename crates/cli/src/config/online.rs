//! Puts what the warehouse and the destination say at the place in the sync file that it is about.

use engine::Problem;
use flow::{Changes, Checked};
use transform::MappingError;

use super::checked::{CheckedSync, Places};
use super::file::Place;
use crate::codes::E0115_DENIED_COLUMN;
use crate::diagnostic::Diagnostic;

impl CheckedSync {
    /// A problem of `engine::check`.
    pub fn problem(&self, problem: &Problem) -> Diagnostic {
        match problem {
            Problem::Error(error) => self.error(error),
            Problem::Mapping(error) => self.mapping_error(error),
            Problem::Removed(error) => self.set_error(error),
        }
    }

    /// A field of the mapping that does not fit, at its key.
    pub fn mapping_error(&self, error: &MappingError) -> Diagnostic {
        let place = self.places.field(&error.field).unwrap_or(&self.places.object);
        Diagnostic::error(error.code, &error.message)
            .at(place, "of this field")
            .with_help(&error.help)
    }

    /// A field of `removed.set` that does not fit, at its key.
    fn set_error(&self, error: &MappingError) -> Diagnostic {
        let set = self.places.removed_set.iter().find(|(field, _)| *field == error.field);
        let place = set.map_or(&self.places.object, |(_, place)| place);
        Diagnostic::error(error.code, &error.message)
            .at(place, "of this field")
            .with_help(&error.help)
    }

    /// An error of either side, at the key, the progress column, the model, a field or the object: the
    /// first that its message names, else what its code is about.
    pub fn error(&self, error: &flow::Error) -> Diagnostic {
        let place = self.place_of(error);
        Diagnostic::error(error.code(), error.message()).at(place, "").with_help(error.remedy())
    }

    fn place_of(&self, error: &flow::Error) -> &Place {
        let names = |word: &str| error.message().contains(&format!("`{word}`"));
        let places = &self.places;
        if let (Some(place), true) = (&places.removed_action, error.code() == &engine::codes::E4023)
        {
            return place;
        }
        if let (Some(place), true) = (&places.removed_when, names("removed_when")) {
            return place;
        }
        if !error.code().id.starts_with("E1") {
            let field = places.fields().find(|(field, _)| names(field));
            return field.map_or(&places.object, |(_, place)| place);
        }
        if let (Some(place), Changes::Watermark { column, .. }) =
            (&places.watermark, &self.sync.model.changes)
            && names(column)
        {
            return place;
        }
        let match_column = places.match_on.iter().find(|(_, column, _)| names(column));
        if self.sync.model.primary_key.iter().any(|column| names(column)) {
            &places.primary_key
        } else if let Some((.., place)) = match_column {
            place
        } else {
            &places.relation
        }
    }

    /// The denied columns the model has, as errors; the run must not start when there is one.
    pub fn denied(&self, checked: &Checked) -> Vec<Diagnostic> {
        let Some(place) = &self.places.deny_columns else { return Vec::new() };
        let denied = |name: &str| self.deny_columns.iter().any(|denied| denied == name);
        checked
            .columns
            .iter()
            .filter(|column| denied(&column.name))
            .map(|column| {
                Diagnostic::error(
                    &E0115_DENIED_COLUMN,
                    format!("the model has the denied column `{}`", column.name),
                )
                .at(&self.places.relation, "this model has it")
                .at(place, "denied here")
                .with_help("select the other columns only, with `sql:` or a view")
            })
            .collect()
    }
}

impl Places {
    /// Where a destination field is mapped or matched.
    pub fn field(&self, field: &str) -> Option<&Place> {
        self.fields().find(|(name, _)| *name == field).map(|(_, place)| place)
    }

    fn fields(&self) -> impl Iterator<Item = (&str, &Place)> {
        let mapped = self.mappings.iter().map(|(field, place)| (field.as_str(), place));
        mapped.chain(self.match_on.iter().map(|(field, _, place)| (field.as_str(), place)))
    }
}
