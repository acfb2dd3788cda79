//! How a command ends early: with an error of a port, a usage error, or problems already shown.

use std::io;
use std::path::Path;

use crate::exit;

/// Why a command stopped.
#[derive(Debug)]
pub(crate) enum Failure {
    /// An error with a documented code.
    Error(flow::Error),
    /// The command line asks for something that is not there: what, and what to do instead.
    Usage(String, String),
    /// Already explained on stderr; only the exit code, the documented code where there is one, and one sentence for
    /// the summary are left.
    Shown(u8, Option<&'static str>, String),
    /// A file of the user's could not be read or written.
    File(String, io::Error),
}

/// The result of a command.
pub(crate) type Result<T, E = Failure> = std::result::Result<T, E>;

impl Failure {
    /// A usage error with a remedy.
    pub(crate) fn usage(message: impl Into<String>, help: impl Into<String>) -> Self {
        Self::Usage(message.into(), help.into())
    }

    /// A file that could not be read or written.
    pub(crate) fn file(path: &Path, error: io::Error) -> Self {
        Self::File(path.display().to_string(), error)
    }

    /// What the process exits with.
    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Self::Error(error) => exit::of(error.kind()),
            Self::Usage(..) => exit::USAGE,
            Self::Shown(code, ..) => *code,
            Self::File(..) => exit::FAILED,
        }
    }

    /// The documented code, where there is one.
    pub(crate) fn code(&self) -> Option<&'static str> {
        match self {
            Self::Error(error) => Some(error.code().id),
            Self::Shown(_, code, _) => *code,
            _ => None,
        }
    }

    /// One sentence: what is wrong.
    pub(crate) fn message(&self) -> String {
        match self {
            Self::Error(error) => error.message().to_owned(),
            Self::Usage(message, _) | Self::Shown(_, _, message) => message.clone(),
            Self::File(path, error) => format!("{path}: {error}"),
        }
    }

    /// What to do next; empty where the message says it.
    pub(crate) fn help(&self) -> &str {
        match self {
            Self::Error(error) => error.remedy(),
            Self::Usage(_, help) => help,
            Self::Shown(..) | Self::File(..) => "",
        }
    }
}

impl From<flow::Error> for Failure {
    fn from(error: flow::Error) -> Self {
        Self::Error(error)
    }
}
