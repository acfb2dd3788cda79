//! Ways to miss a row or to send it for ever: each is tried in the naive way, which must fail here, and in ours, which
//! must not. `HAZARDS.md` is the table of all of them.

mod clocks;
mod keys;
mod sessions;
mod table;

use flow::{Mark, Model, Scope, Source, Watermark};
use reader::postgres::Postgres;
use tokio_postgres::Client;

use crate::warehouse::{request, texts};

/// What a run keeps of a read, and the ids it read, in order.
struct Kept {
    ids: Vec<String>,
    mark: Option<Mark>,
    clock: Watermark,
    /// The largest finite watermark that was read.
    last: Option<Watermark>,
}

impl Kept {
    /// What the next run asks for: never from a moment after the snapshot's clock on, and never earlier than it must.
    fn next(&self) -> Scope {
        let from = self.last.map_or(self.clock, |last| last.min(self.clock));
        match &self.mark {
            Some(mark) => Scope::Changed { from: Some(from), mark: mark.clone() },
            None => Scope::Since(from),
        }
    }
}

async fn read(source: &Postgres, model: &Model, scope: Scope) -> Kept {
    let mut page = request(model);
    page.scope = scope;
    let mut read = source.read(page).await.unwrap();
    let mut batches = Vec::new();
    while let Some(batch) = read.next().await.unwrap() {
        batches.push(batch);
    }
    let positions = batches.iter().filter_map(|batch| batch.last.as_ref()?.watermark);
    let last = positions.filter(|at| *at < Watermark::INFINITY).max();
    Kept { ids: texts(&batches, "id"), mark: read.mark(), clock: read.opening().clock, last }
}

/// The first column of a query, as text.
async fn ask(client: &Client, sql: &str) -> Vec<String> {
    let rows = client.query(sql, &[]).await.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
    rows.iter().map(|row| row.get(0)).collect()
}
