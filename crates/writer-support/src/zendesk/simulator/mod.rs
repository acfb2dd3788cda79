#![doc = include_str!("README.md")]

mod account;
mod api;
mod field;
mod jobs;
mod manners;
mod options;
mod reply;
mod table;

use std::sync::Arc;

use simulator::{Double, Router, Settings};

pub use options::OPTIONS;

use account::Account;
use manners::Zendesk;
use options::Options;

/// Builds the Zendesk double; `simulator::start` takes it.
///
/// # Errors
/// A sentence about an option that is unknown or cannot be read.
pub fn build(settings: &Settings) -> Result<Router, String> {
    let account = Arc::new(Account::new(Options::read(settings)?)?);
    let double = Double {
        routes: Router::new().fallback(api::dispatch).with_state(Arc::clone(&account)),
        admin: Router::new(),
        quotas: account.options.quotas(),
        manners: Arc::new(Zendesk(Arc::clone(&account))),
        records: account,
    };
    simulator::assemble(double, settings)
}
