//! The right to run a sync, or one shard of it: who has it, and what its store shares about it.

use std::any::Any;
use std::fmt;
use std::sync::Arc;

/// The right to run one sync. Dropping it gives the lease back; a killed process gives it back too.
pub struct Lease {
    /// The sync.
    pub sync: String,
    /// Grows with every owner; a commit with an older epoch is refused (S2).
    pub epoch: i64,
    /// What holds the lease; dropped with it.
    pub held: Box<dyn Any + Send + Sync>,
    /// What its store knows of it, and shares with whoever has leave to write under it.
    pub shared: Arc<dyn Any + Send + Sync>,
}

impl Lease {
    /// A lease of which its store knows nothing more.
    #[must_use]
    pub fn new(sync: String, epoch: i64, held: impl Any + Send + Sync) -> Self {
        Self { sync, epoch, held: Box::new(held), shared: Arc::new(()) }
    }

    /// Leave to write under this lease, for a task of its owner. Holds nothing, and is refused once there is a newer
    /// owner.
    #[must_use]
    pub fn leave(&self) -> Self {
        let shared = Arc::clone(&self.shared);
        Self { sync: self.sync.clone(), epoch: self.epoch, held: Box::new(()), shared }
    }
}

impl fmt::Debug for Lease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Lease({}, epoch {})", self.sync, self.epoch)
    }
}
