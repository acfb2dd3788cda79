//! Which syncs a command is about: `--select` and `--exclude`.

use globset::GlobBuilder;

use crate::failure::{Failure, Result};

/// What selectors are compared with.
#[derive(Debug, Clone)]
pub(crate) struct Candidate<'a> {
    /// Sync name.
    pub name: &'a str,
    /// Tags.
    pub tags: &'a [String],
    /// Warehouse connection.
    pub source: &'a str,
    /// Destination connection.
    pub destination: &'a str,
    /// Whether the last run failed.
    pub failed: bool,
    /// Whether it is selected without being named. A name without wildcards selects a disabled sync too.
    pub enabled: bool,
}

/// Words that may stand before the colon of a selector.
const METHODS: &str = "tag:, destination:, connection: and result:failed";

/// One parsed selector.
#[derive(Debug)]
enum Selector {
    Name(Pattern),
    Tag(Pattern),
    Destination(Pattern),
    Connection(Pattern),
    Failed,
}

/// A name with `*`, `?`, `[...]` and `{a,b}`.
type Pattern = globset::GlobMatcher;

/// Whether any of these selectors asks for the result of the last run, which needs the state.
pub(crate) fn needs_results(selectors: &[String]) -> bool {
    selectors.iter().any(|selector| selector.starts_with("result:"))
}

/// Indexes into `candidates` of the syncs that any of `select` and none of `exclude` names, in the order
/// of `candidates`. An empty `select` names every sync.
///
/// # Errors
/// A usage error for a selector that is malformed or names nothing, and when nothing is left.
pub(crate) fn select(
    select: &[String],
    exclude: &[String],
    candidates: &[Candidate<'_>],
) -> Result<Vec<usize>> {
    if candidates.is_empty() {
        return Err(Failure::usage("the project has no syncs", "write one in syncs/, one a file"));
    }
    let mut chosen: Vec<bool> =
        candidates.iter().map(|candidate| select.is_empty() && candidate.enabled).collect();
    for text in select {
        mark(text, candidates, &mut chosen, true)?;
    }
    for text in exclude {
        mark(text, candidates, &mut chosen, false)?;
    }
    let chosen: Vec<usize> = (0..candidates.len()).filter(|index| chosen[*index]).collect();
    // That nothing failed is a good answer to `result:failed`.
    if chosen.is_empty() && !needs_results(select) {
        return Err(Failure::usage(
            "no sync is selected: all that match are excluded or disabled",
            format!("a disabled sync runs when its name is given; there are {}", names(candidates)),
        ));
    }
    Ok(chosen)
}

fn mark(text: &str, candidates: &[Candidate<'_>], chosen: &mut [bool], value: bool) -> Result<()> {
    let selector = parse(text)?;
    let mut matched = false;
    for (candidate, chosen) in candidates.iter().zip(chosen) {
        if selector.matches(candidate) {
            if !value || candidate.enabled || text == candidate.name {
                *chosen = value;
            }
            matched = true;
        }
    }
    // That nothing failed is no typing error.
    if matched || matches!(selector, Selector::Failed) {
        return Ok(());
    }
    Err(nothing(text, candidates))
}

fn parse(text: &str) -> Result<Selector> {
    let Some((method, value)) = text.split_once(':') else {
        return Ok(Selector::Name(pattern(text, text)?));
    };
    match method {
        "tag" => Ok(Selector::Tag(pattern(value, text)?)),
        "destination" => Ok(Selector::Destination(pattern(value, text)?)),
        "connection" => Ok(Selector::Connection(pattern(value, text)?)),
        "result" if value == "failed" => Ok(Selector::Failed),
        _ => Err(Failure::usage(
            format!("`{text}` is not a selector"),
            format!("a selector is a sync name, a glob, or one of {METHODS}"),
        )),
    }
}

fn pattern(glob: &str, text: &str) -> Result<Pattern> {
    GlobBuilder::new(glob).build().map(|glob| glob.compile_matcher()).map_err(|error| {
        Failure::usage(
            format!("`{text}` is not a selector: {}", error.kind()),
            format!("a selector is a sync name, a glob, or one of {METHODS}"),
        )
    })
}

impl Selector {
    fn matches(&self, candidate: &Candidate<'_>) -> bool {
        match self {
            Self::Name(name) => name.is_match(candidate.name),
            Self::Tag(tag) => candidate.tags.iter().any(|known| tag.is_match(known)),
            Self::Destination(name) => name.is_match(candidate.destination),
            Self::Connection(name) => {
                name.is_match(candidate.source) || name.is_match(candidate.destination)
            }
            Self::Failed => candidate.failed,
        }
    }
}

/// The error for a selector that names nothing: what it is like, and what there is.
fn nothing(text: &str, candidates: &[Candidate<'_>]) -> Failure {
    let (word, known, value): (&str, Vec<&str>, &str) = match text.split_once(':') {
        Some(("tag", value)) => (
            "tags",
            candidates.iter().flat_map(|c| c.tags.iter().map(String::as_str)).collect(),
            value,
        ),
        Some(("destination", value)) => {
            ("destinations", candidates.iter().map(|c| c.destination).collect(), value)
        }
        Some((_, value)) => (
            "connections",
            candidates.iter().flat_map(|c| [c.source, c.destination]).collect(),
            value,
        ),
        None => ("syncs", candidates.iter().map(|c| c.name).collect(), text),
    };
    let mut known = known;
    known.sort_unstable();
    known.dedup();
    let near = known
        .iter()
        .map(|name| (strsim::jaro_winkler(name, value), name))
        .filter(|(likeness, _)| *likeness > 0.8)
        .max_by(|(one, _), (other, _)| one.total_cmp(other))
        .map(|(_, name)| format!("did you mean `{name}`? "))
        .unwrap_or_default();
    let listed = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
    Failure::usage(
        format!("`{text}` selects nothing"),
        format!("{near}{word} in this project: {listed}"),
    )
}

/// The names of the syncs there are, for messages.
pub(crate) fn names(candidates: &[Candidate<'_>]) -> String {
    candidates.iter().map(|candidate| candidate.name).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(
        selected: &[&str],
        excluded: &[&str],
    ) -> std::result::Result<Vec<&'static str>, String> {
        let tags = [
            vec!["growth".to_owned(), "hourly".to_owned()],
            vec!["support".to_owned()],
            vec!["growth".to_owned()],
            vec!["growth".to_owned()],
        ];
        let rows = [
            ("usage_to_hubspot", "warehouse", "hubspot", false),
            ("cases_to_salesforce", "warehouse", "salesforce", true),
            ("usage_to_mixpanel", "lake", "mixpanel", false),
            ("paused", "warehouse", "hubspot", false),
        ];
        let candidates: Vec<_> = rows
            .iter()
            .zip(&tags)
            .map(|((name, source, destination, failed), tags)| Candidate {
                name,
                tags,
                source,
                destination,
                failed: *failed,
                enabled: *name != "paused",
            })
            .collect();
        let own = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
        match select(&own(selected), &own(excluded), &candidates) {
            Ok(chosen) => Ok(chosen.into_iter().map(|index| rows[index].0).collect()),
            Err(failure) => {
                assert_eq!(failure.exit_code(), crate::exit::USAGE);
                Err(format!("{} | {}", failure.message(), failure.help()))
            }
        }
    }

    #[test]
    fn names_globs_and_methods_select_in_the_projects_order() {
        assert_eq!(check(&["usage_to_mixpanel"], &[]), Ok(vec!["usage_to_mixpanel"]));
        assert_eq!(check(&["usage_*"], &[]), Ok(vec!["usage_to_hubspot", "usage_to_mixpanel"]));
        assert_eq!(check(&["tag:support"], &[]), Ok(vec!["cases_to_salesforce"]));
        assert_eq!(check(&["destination:hub*"], &[]), Ok(vec!["usage_to_hubspot"]));
        assert_eq!(
            check(&["connection:lake", "connection:salesforce"], &[]),
            Ok(vec!["cases_to_salesforce", "usage_to_mixpanel"])
        );
        assert_eq!(check(&["result:failed"], &[]), Ok(vec!["cases_to_salesforce"]));
        assert_eq!(check(&["tag:growth"], &["*mixpanel"]), Ok(vec!["usage_to_hubspot"]));
        assert_eq!(check(&[], &["tag:growth"]), Ok(vec!["cases_to_salesforce"]));
        assert_eq!(check(&["result:failed"], &["cases*"]), Ok(vec![]));
    }

    #[test]
    fn a_disabled_sync_is_selected_by_its_name_only() {
        assert_eq!(check(&["paused"], &[]), Ok(vec!["paused"]));
        assert_eq!(
            check(&["paused", "tag:growth"], &["*mix*"]),
            Ok(vec!["usage_to_hubspot", "paused"])
        );
        assert!(check(&["paus*"], &[]).is_err());
        assert_eq!(check(&[], &["tag:support", "*mix*"]), Ok(vec!["usage_to_hubspot"]));
    }

    #[test]
    fn a_selector_that_names_nothing_says_what_there_is() {
        assert_eq!(
            check(&["usage_to_hubpot"], &[]),
            Err("`usage_to_hubpot` selects nothing | did you mean `usage_to_hubspot`? syncs in this \
                 project: cases_to_salesforce, paused, usage_to_hubspot, usage_to_mixpanel"
                .to_owned())
        );
        assert_eq!(
            check(&["tag:nightly"], &[]),
            Err("`tag:nightly` selects nothing | tags in this project: growth, hourly, support"
                .to_owned())
        );
        // A typing error in --exclude must not send what was meant to be left out.
        assert!(check(&["usage_*"], &["mixpannel"]).is_err());
        assert!(check(&["usage_*"], &["*"]).is_err());
        assert!(check(&["state:modified"], &[]).is_err());
        assert!(check(&["result:ok"], &[]).is_err());
        assert!(check(&["[oops"], &[]).is_err());
    }
}
