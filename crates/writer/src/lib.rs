#![doc = include_str!("../README.md")]

mod answer;
mod attribution;
mod base_url;
mod basic;
pub mod codes;
mod concurrency;
pub mod conformance;
pub mod csv;
pub mod decode;
pub mod encode;
mod http;
mod keeper;
mod kind;
pub mod options;
mod pace;
mod quota;
mod retry_after;
mod rules;
mod scrub;
mod slots;
mod tls;

pub use answer::{json, percent, text};
pub use attribution::Outcomes;
pub use base_url::BaseUrl;
pub use basic::{base64_url, basic};
pub use codes::CODES;
pub use http::{ANSWER_BYTES_MAX, Client, ClientOptions, Reply, Request, Sink, bearer};
pub use kind::{DestinationKind, OpenArgs, Simulate};
pub use pace::{DayQuota, Pacer, PacerOptions, Permit, Signals, WindowOptions, account, wait};
pub use retry_after::{WAIT_MAX, in_words, retry_after};
pub use scrub::{MESSAGE_CHARS_MAX, scrub};
pub use slots::Reported;

/// The HTTP vocabulary of [`Request`] and [`Reply`], so that destinations agree on one version.
pub use reqwest::{Method, header};
