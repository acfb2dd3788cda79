//! Finds the name that a misspelt one most likely stands for.

/// The candidate closest to `name`, where one is close enough to be meant.
pub(crate) fn closest<'a>(
    name: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    let plain = |text: &str| text.to_lowercase().replace(['_', '-', ' '], "");
    let wanted = plain(name);
    let distance_max = (name.chars().count() / 3).max(1);
    candidates
        .into_iter()
        .map(|candidate| (strsim::damerau_levenshtein(&wanted, &plain(candidate)), candidate))
        .filter(|(distance, _)| *distance <= distance_max)
        .min_by_key(|(distance, candidate)| (*distance, *candidate))
        .map(|(_, candidate)| candidate)
}

/// `did you mean …?`, or the list of what there is when it is short, or nothing.
pub(crate) fn hint<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> String {
    let candidates: Vec<&str> = candidates.into_iter().collect();
    match closest(name, candidates.iter().copied()) {
        Some(meant) => format!("did you mean `{meant}`?"),
        None if (1..=12).contains(&candidates.len()) => {
            format!("there is {}", listed(candidates))
        }
        None => String::new(),
    }
}

/// Names in backticks, separated by commas.
pub(crate) fn listed<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    let names: Vec<String> = names.into_iter().map(|name| format!("`{name}`")).collect();
    names.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_near_name_is_found_and_a_far_one_is_not() {
        let names = ["lifecyclestage", "firstname", "email"];
        assert_eq!(closest("lifecycle_stage", names), Some("lifecyclestage"));
        assert_eq!(closest("emial", names), Some("email"));
        assert_eq!(closest("zzz", names), None);
        assert_eq!(hint("zzz", ["a", "b"]), "there is `a`, `b`");
    }
}
