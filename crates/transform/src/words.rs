//! The words of the configuration language and the values they stand for, in one table per setting.

use crate::mappings::{Convert, IfMissing, OnDrift, OnNull, Otherwise, RunValue, Transform};
use crate::suggest;

/// A setting that takes one word of a list.
pub(crate) trait Word: Clone + 'static {
    /// Every word and its value.
    const WORDS: &'static [(&'static str, Self)];

    /// The value of `word`, or a sentence that says which words there are.
    fn from_word(word: &str) -> Result<Self, String> {
        Self::WORDS
            .iter()
            .find(|(candidate, _)| *candidate == word)
            .map(|(_, value)| value.clone())
            .ok_or_else(|| {
                let words = || Self::WORDS.iter().map(|(word, _)| *word);
                match suggest::closest(word, words()) {
                    Some(meant) => format!("unknown `{word}`; did you mean `{meant}`?"),
                    None => format!("unknown `{word}`; use one of {}", suggest::listed(words())),
                }
            })
    }
}

impl Word for RunValue {
    const WORDS: &'static [(&'static str, Self)] =
        &[("id", Self::Id), ("started_at", Self::StartedAt), ("sync", Self::Sync)];
}

impl Word for IfMissing {
    const WORDS: &'static [(&'static str, Self)] = &[
        ("reject", Self::Reject),
        ("set_null", Self::SetNull),
        ("skip", Self::Skip),
        ("create", Self::Create),
    ];
}

impl Word for Otherwise {
    const WORDS: &'static [(&'static str, Self)] =
        &[("reject", Self::Reject), ("set_null", Self::SetNull), ("keep", Self::Keep)];
}

impl Word for OnNull {
    const WORDS: &'static [(&'static str, Self)] = &[
        ("send", Self::Send),
        ("skip", Self::Skip),
        ("clear", Self::Clear),
        ("reject", Self::Reject),
    ];
}

impl Word for OnDrift {
    const WORDS: &'static [(&'static str, Self)] = &[
        ("overwrite", Self::Overwrite),
        ("report", Self::Report),
        ("keep_remote_edit", Self::KeepRemoteEdit),
    ];
}

impl Word for Convert {
    const WORDS: &'static [(&'static str, Self)] = &[
        ("string", Self::String),
        ("number", Self::Number),
        ("boolean", Self::Boolean),
        ("date", Self::Date),
        ("datetime", Self::Datetime),
        ("epoch_ms", Self::EpochMs),
        ("epoch_ms_midnight_utc", Self::EpochMsMidnightUtc),
        ("json", Self::Json),
    ];
}

/// The transforms that are one word.
impl Word for Transform {
    const WORDS: &'static [(&'static str, Self)] = &[
        ("trim", Self::Trim),
        ("lower", Self::Lower),
        ("upper", Self::Upper),
        ("e164", Self::E164 { country_code: None }),
        ("sha256", Self::Sha256),
        ("strip_html", Self::StripHtml),
        ("null_if_empty", Self::NullIfEmpty),
    ];
}
