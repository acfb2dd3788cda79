#![doc = include_str!("README.md")]

mod api;
mod manners;
mod options;
mod reply;
mod workspace;

use std::sync::Arc;

use simulator::{Double, Router, Settings};

pub use options::OPTIONS;

use manners::Intercom;
use options::Options;
use workspace::Workspace;

/// Builds the Intercom double; `simulator::start` takes it.
///
/// # Errors
/// A sentence about an option that is unknown or cannot be read.
pub fn build(settings: &Settings) -> Result<Router, String> {
    let workspace = Arc::new(Workspace::new(Options::read(settings)?));
    let double = Double {
        routes: Router::new().fallback(api::dispatch).with_state(Arc::clone(&workspace)),
        admin: Router::new(),
        quotas: workspace.options.quotas(),
        manners: Arc::new(Intercom(Arc::clone(&workspace))),
        records: workspace,
    };
    simulator::assemble(double, settings)
}
