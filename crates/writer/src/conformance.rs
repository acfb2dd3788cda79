//! The suite every row of every table of destinations passes against its own double.
//!
//! It knows no vendor: what it writes follows from the destination's limits and from the fields it describes,
//! and what arrived is read back through the double's own routes. It panics where a rule is broken, and tells the cases
//! that mean nothing at a destination, each with the reason.

mod bench;
mod complete;
mod faults;
mod fields;
mod jobs;
mod reading;
pub mod refusals;
mod removals;
mod values;

use flow::{Attribution, Kind, Mode, Outcome, Retry};
use serde_json::{Map, Value};

use self::bench::{Bench, open};
pub use self::complete::complete;
use crate::{DestinationKind, Simulate};

/// Most records the suite looks through.
const LOOKED_THROUGH: usize = 10_000;

/// A destination as the suite drives it.
pub struct Subject<'a> {
    /// The row of its table.
    pub kind: &'a DestinationKind,
    /// Its double.
    pub double: Option<Simulate>,
    /// Options besides those it cannot do without.
    pub options: Map<String, Value>,
    /// The field records are found by and a text field, where the destination describes none.
    pub fields: Option<(&'static str, &'static str)>,
    /// What is wrong with a bad row. Default: a value that is none of the options of a field.
    pub bad: Option<Bad>,
}

/// What makes a row one that is refused.
#[derive(Debug, Clone)]
pub enum Bad {
    /// A field has a value it cannot have.
    Value {
        /// The field.
        field: String,
        /// A value it can have.
        good: String,
        /// One it cannot.
        bad: String,
    },
    /// Its record cannot be found by this.
    Key(&'static str),
}

/// A case holds, or the reason why it means nothing at the destination.
type Told = Result<(), &'static str>;

impl<'a> Subject<'a> {
    /// A destination with a double of its own that describes its fields.
    pub fn of(kind: &'a DestinationKind) -> Self {
        Self { kind, double: kind.simulate, options: Map::new(), fields: None, bad: None }
    }

    fn sets_its_timeout(&self) -> bool {
        (self.kind.options_schema)().to_value()["properties"].get("request_timeout").is_some()
    }
}

/// Runs every case on one destination, and tells those that mean nothing there, with the reason.
///
/// # Panics
/// When the destination breaks a rule of the port, or has no double to show it with.
pub async fn run(subject: &Subject<'_>) -> Vec<(&'static str, &'static str)> {
    let start = || Bench::start(subject);
    empty_batches_send_nothing(&start().await).await;
    one_row_and_a_full_call_land(&start().await).await;
    a_row_too_many_is_refused_unsent(&start().await).await;
    modes_not_offered_are_refused_unsent(&start().await).await;
    an_unreachable_destination_was_sent_nothing(subject).await;
    let mut told = vec![
        ("null clears", values::null_clears_and_absent_keeps(&start().await).await),
        ("renames", a_record_addressed_by_its_id_is_renamed(&start().await).await),
    ];
    values::run(subject).await;
    told.extend(faults::run(subject).await);
    told.push(("read-back", reading::records_are_read_as_they_were_written(&start().await).await));
    told.push(("jobs", jobs::run(subject).await));
    told.push(("removals", removals::run(subject).await));
    told.into_iter().filter_map(|(case, told)| Some((case, told.err()?))).collect()
}

async fn empty_batches_send_nothing(bench: &Bench) {
    let before = bench.requests().await;
    bench.lands(&Vec::new()).await;
    assert_eq!(bench.requests().await, before, "{}", bench.name);
}

async fn one_row_and_a_full_call_land(bench: &Bench) {
    bench.lands(&bench.rows(1, "first")).await;
    let before = bench.requests().await;
    // A job's limit is ours, and more than what can be looked through here.
    let full = bench.rows_max().min(LOOKED_THROUGH);
    bench.lands(&bench.rows(full, "second")).await;
    let one_call = bench.requests().await == before + 1;
    // One record alone may have to be looked up first.
    let looked_up = bench.limits.attribution == Attribution::Single;
    assert!(one_call || looked_up || bench.knows_only_jobs(), "{}: one call", bench.name);
    let held = bench.held().await;
    assert_eq!(held.len(), full, "{}: the first row was updated", bench.name);
    assert!(held.values().all(|text| text.as_deref() == Some("second")), "{held:?}");
}

async fn a_row_too_many_is_refused_unsent(bench: &Bench) {
    let before = bench.requests().await;
    let rows = bench.rows(bench.rows_max() + 1, "too many");
    let error = bench.write(&rows).await.expect_err("refused");
    assert_eq!((error.retry(), error.is_ambiguous()), (Retry::Never, false), "{error:?}");
    assert_eq!(bench.requests().await, before, "{}", bench.name);
}

async fn a_record_addressed_by_its_id_is_renamed(bench: &Bench) -> Told {
    if !bench.limits.renames {
        return Err("what a record is found by is all that addresses it");
    }
    let mut rows = bench.rows(bench.few(), "before");
    let receipt = bench.write(&rows).await.expect("an answer");
    let record_ids: Option<Vec<String>> = receipt
        .outcomes
        .iter()
        .map(|outcome| match outcome {
            Outcome::Delivered { remote_id, .. } => remote_id.clone(),
            _ => None,
        })
        .collect();
    let names = bench.found_by(2 * rows.len());
    let new_names = &names[rows.len()..];
    for (row, name) in rows.iter_mut().zip(new_names) {
        row.0.clone_from(name);
    }
    let mut batch = bench.batch(&bench.text.name, &rows);
    batch.record_ids = record_ids.expect("a destination that renames gives record ids");
    let receipt = bench.destination.write(&batch).await.expect("an answer");
    for outcome in &receipt.outcomes {
        let renamed = matches!(outcome, Outcome::Delivered { created: None | Some(false), .. });
        assert!(renamed, "{}: {outcome:?}", bench.name);
    }
    let held: Vec<String> = bench.held().await.into_keys().collect();
    assert_eq!(held, new_names, "{}: renamed, not doubled", bench.name);
    Ok(())
}

async fn modes_not_offered_are_refused_unsent(bench: &Bench) {
    let before = bench.requests().await;
    for mode in [Mode::Upsert, Mode::Update, Mode::Create, Mode::Mirror, Mode::Append, Mode::Delete]
    {
        if bench.limits.modes.contains(&mode) {
            continue;
        }
        let mut batch = bench.batch(&bench.text.name, &bench.rows(1, "text"));
        batch.mode = mode;
        let error = bench.destination.write(&batch).await.expect_err("refused");
        assert_eq!(error.kind(), Kind::Config, "{}: {mode:?}: {error:?}", bench.name);
    }
    assert_eq!(bench.requests().await, before, "{}", bench.name);
    let url = bench.server.url();
    assert!(url.starts_with("http://127."), "{url}: the suite stays on this machine");
}

async fn an_unreachable_destination_was_sent_nothing(subject: &Subject<'_>) {
    let closed = std::net::TcpListener::bind("127.0.0.1:0").and_then(|port| port.local_addr());
    let url = format!("http://{}", closed.expect("a free port"));
    let destination = open(subject, &url, "30s").expect("opening sends nothing");
    let object = destination.objects().into_iter().next().expect("it names an object");
    let error = destination.describe(&object).await.expect_err("nobody is there");
    assert_eq!(error.kind(), Kind::Unreachable, "{}: {error:?}", subject.kind.name);
    assert_eq!((error.retry(), error.is_ambiguous()), (Retry::Backoff, false), "{error:?}");
}
