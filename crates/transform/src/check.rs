//! Checks that need neither a model nor a destination, for `outflow validate` without a connection.

use crate::error::{MappingError, Misfit};
use crate::mappings::{FieldMapping, IfMissing, Lookup, Mappings, OnNull, Origin, Transform};
use crate::template::Templates;
use crate::{codes, steps};

/// Finds every mistake that shows without a model and a destination: settings this version cannot do,
/// templates and date formats that are not valid, and mappings that contradict `match_on`.
///
/// `match_on` is pairs of destination field and model column.
pub fn check(mappings: &Mappings, match_on: &[(String, String)]) -> Vec<MappingError> {
    let mut errors = Vec::new();
    for (at, (field, _)) in match_on.iter().enumerate() {
        if match_on[..at].iter().any(|(seen, _)| seen == field) {
            let misfit = Misfit::new(
                &codes::E0210_CONTRADICTION,
                "`match_on` names the field twice",
                "name it once",
            );
            errors.push(misfit.of(field));
        }
    }
    let mut templates = Templates::new();
    for (field, mapping) in mappings.iter() {
        let column = match_on.iter().find(|(name, _)| name == field).map(|(_, column)| column);
        let result = supported(mapping).and_then(|()| arguments(field, mapping, &mut templates));
        let result = match (result, column) {
            (Ok(read), Some(column)) => agrees(mapping, column, &read),
            (Ok(_), None) => Ok(()),
            (Err(misfit), _) => Err(misfit),
        };
        errors.extend(result.err().map(|misfit| misfit.of(field)));
    }
    errors
}

/// The model columns that the mappings and `match_on` read, also inside templates, each once.
///
/// A template that is not valid reads nothing here; [`check`] says what is wrong with it.
pub fn columns(mappings: &Mappings, match_on: &[(String, String)]) -> Vec<String> {
    let mut templates = Templates::new();
    let mut names: Vec<String> = Vec::new();
    let mut add = |name: &str| {
        if !names.iter().any(|seen| seen == name) {
            names.push(name.to_owned());
        }
    };
    for (field, mapping) in mappings.iter() {
        match &mapping.origin {
            Origin::Column(name) => add(name),
            Origin::Template(source) => {
                if let Ok(template) = templates.add(field, source) {
                    template.columns.iter().for_each(|name| add(name));
                }
            }
            Origin::Lookup(lookup) => lookup.place.columns().into_iter().for_each(&mut add),
            Origin::Const(_) | Origin::Run(_) => {}
        }
    }
    match_on.iter().for_each(|(_, name)| add(name));
    names
}

fn supported(mapping: &FieldMapping) -> Result<(), Misfit> {
    let creates = |lookup: &Lookup| lookup.if_missing == IfMissing::Create;
    let (what, instead) = if matches!(&mapping.origin, Origin::Lookup(lookup) if creates(lookup)) {
        (
            "if_missing: create",
            "write the other records by a sync of their own, and look them up in it",
        )
    } else if mapping.only_if_empty {
        ("only_if_empty", "remove it, or map a column that is NULL where the field must stay")
    } else if mapping.only_on_create {
        ("only_on_create", "remove it; the field is then written in every row that changes")
    } else {
        return Ok(());
    };
    Err(Misfit::new(
        &codes::E0209_NOT_SUPPORTED,
        format!("`{what}` is not supported by this version"),
        instead,
    ))
}

/// Checks what steps were given; returns the columns a template reads.
fn arguments(
    field: &str,
    mapping: &FieldMapping,
    templates: &mut Templates,
) -> Result<Vec<String>, Misfit> {
    for transform in &mapping.transform {
        if let Transform::DateFormat(format) = transform {
            steps::format_items(format)?;
        }
    }
    match &mapping.origin {
        Origin::Template(source) => Ok(templates.add(field, source)?.columns),
        _ => Ok(Vec::new()),
    }
}

/// A mapped match field must say the same as `match_on`: a record is found by what is sent.
fn agrees(mapping: &FieldMapping, column: &str, template_reads: &[String]) -> Result<(), Misfit> {
    let source = match &mapping.origin {
        Origin::Column(name) if name != column => Some(format!("the column `{name}`")),
        Origin::Template(_) if !template_reads.iter().any(|name| name == column) => {
            Some("a template without that column".to_owned())
        }
        Origin::Const(_) => Some("a constant".to_owned()),
        Origin::Run(_) => Some("the run".to_owned()),
        _ => None,
    };
    if let Some(source) = source {
        return Err(Misfit::new(
            &codes::E0210_CONTRADICTION,
            format!(
                "`match_on` takes this field from the column `{column}`, the mapping from {source}"
            ),
            "use one column in both, or leave the field out of `mappings`: it is sent anyway",
        ));
    }
    let setting = match (mapping.on_null, &mapping.default) {
        (Some(OnNull::Send | OnNull::Clear | OnNull::Skip), _) => "on_null",
        (_, Some(_)) => "default",
        _ => return Ok(()),
    };
    Err(Misfit::new(
        &codes::E0210_CONTRADICTION,
        format!(
            "records are found by this field, so `{setting}` cannot fill in or leave out its value"
        ),
        format!("remove `{setting}`; a row whose match value is NULL or empty is rejected"),
    ))
}

/// Lookups of the mappings, in their order: the field, and what is looked up. What they find is given to
/// [`crate::Mapper::map`] in the same order.
pub fn lookups(mappings: &Mappings) -> Vec<(&str, &Lookup)> {
    mappings
        .iter()
        .filter_map(|(field, mapping)| match &mapping.origin {
            Origin::Lookup(lookup) => Some((field, lookup)),
            _ => None,
        })
        .collect()
}
