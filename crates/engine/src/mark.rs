//! What a run leaves for the next one, once every row is settled.

use std::sync::PoisonError;

use flow::Changes;

use crate::conductor::Conductor;
use crate::overlooked::overlooked;

impl Conductor<'_> {
    /// The read ended cleanly, whatever becomes of its rows.
    pub(crate) fn read_ended(&mut self) {
        let facts = self.facts.lock().unwrap_or_else(PoisonError::into_inner);
        (self.in_pieces, self.compared) = (facts.in_pieces, facts.compared);
    }

    /// Every row is settled: the next run asks what changed since the snapshots of this one.
    pub(crate) fn complete(&mut self) {
        let rows = self.overlooked.rows();
        let facts = std::mem::take(&mut *self.facts.lock().unwrap_or_else(PoisonError::into_inner));
        self.mark.clone_from(&facts.mark);
        let is_log = matches!(self.sync.model.changes, Changes::Log(_));
        self.followed_to = facts.clock.filter(|_| is_log);
        self.settler.complete(facts.mark, facts.compared.then_some(self.meta.started_at));
        self.findings.extend(facts.findings);
        if rows > 0 {
            self.settler.found_only_by_compare(rows);
            self.findings.push(overlooked(rows));
        }
    }

    /// Tells the source, once its mark is durable, what it need not keep any longer.
    pub(crate) async fn tell_settled(&mut self) {
        let Some(mark) = self.mark.take().filter(|_| !self.commit_failed) else { return };
        if let Some(followed_to) = self.followed_to {
            self.ports.metrics.source_watermark(&self.sync.name, followed_to);
            self.ports.metrics.delivered_watermark(&self.sync.name, followed_to);
        }
        if let Err(error) = self.ports.source.settled(&self.sync.model, &mark).await {
            // The next run tells it again.
            tracing::warn!(code = error.code().id, "the warehouse was not told what is settled");
        }
    }
}
