//! Did you mean: the known word nearest to a misspelled one.

/// The candidate nearest to `word`, when it is near enough to be meant.
pub(crate) fn nearest<'a>(
    word: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    let word = word.to_lowercase();
    let edits_max = (word.chars().count() / 3).max(1);
    candidates
        .into_iter()
        .map(|candidate| (strsim::damerau_levenshtein(&word, &candidate.to_lowercase()), candidate))
        .filter(|(edits, candidate)| *edits <= edits_max || is_other_form(&word, candidate))
        .min_by_key(|(edits, _)| *edits)
        .map(|(_, candidate)| candidate)
}

/// `batchRows` and `batch-rows` for `batch_rows`.
fn is_other_form(word: &str, candidate: &str) -> bool {
    let bare = |text: &str| text.chars().filter(|c| c.is_alphanumeric()).collect::<String>();
    !word.is_empty() && bare(word) == bare(&candidate.to_lowercase())
}

/// The words in backticks, with commas.
pub(crate) fn list<'a>(words: impl IntoIterator<Item = &'a str>) -> String {
    words.into_iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ")
}

/// `did you mean X? ` when a candidate is near, else nothing.
pub(crate) fn did_you_mean<'a>(
    word: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> String {
    nearest(word, candidates).map(|near| format!("did you mean `{near}`? ")).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_word_is_found_only_when_it_is_near() {
        let known = ["batch_rows", "max_concurrency", "on_reject"];
        assert_eq!(nearest("batch_row", known), Some("batch_rows"));
        assert_eq!(nearest("batchRows", known), Some("batch_rows"));
        assert_eq!(nearest("on-reject", known), Some("on_reject"));
        assert_eq!(nearest("frequency", known), None);
        assert_eq!(nearest("", known), None);
    }
}
