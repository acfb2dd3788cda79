//! A quota ledger in memory, for a pacer that shares its account with no other process.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use flow::{Clock, QuotaChange, QuotaMoment, QuotaStore, Result};
use tokio::time::Instant;

/// Pages in memory.
#[derive(Debug)]
pub(crate) struct Alone {
    pages: Mutex<HashMap<String, String>>,
    began: Instant,
    names: AtomicU64,
    clock: Arc<dyn Clock>,
}

impl Alone {
    pub(crate) fn new(clock: Arc<dyn Clock>) -> Self {
        Self { pages: Mutex::default(), began: Instant::now(), names: AtomicU64::new(0), clock }
    }
}

#[async_trait]
impl QuotaStore for Alone {
    fn name(&self) -> String {
        self.names.fetch_add(1, Ordering::Relaxed).to_string()
    }

    async fn change(&self, account: &str, change: QuotaChange) -> Result<()> {
        let moment = QuotaMoment {
            clock: "alone",
            micros: i64::try_from(self.began.elapsed().as_micros()).unwrap_or(i64::MAX),
            wall_micros: self.clock.now_micros(),
            is_gone: &|_| false,
        };
        let mut pages = self.pages.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(page) = change(pages.get(account).map(String::as_str), &moment) {
            pages.insert(account.to_owned(), page);
        }
        Ok(())
    }
}
