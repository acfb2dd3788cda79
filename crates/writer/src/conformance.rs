//! The suite every row of every table of destinations passes against its own simulator.
//!
//! It knows no vendor: what it writes follows from the destination's limits and from the fields it describes,
//! and what arrived is read back through the simulator's own routes. It panics where a rule is broken.

mod complete;
mod fields;
mod jobs;
pub mod refusals;
mod removals;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use arrow::array::{ArrayRef, RecordBatch, StringArray};
use flow::metrics::Metrics;
use flow::{
    Attribution, Clock, Destination, Error, Field, FieldKind, Kind, Limits, Mode, NullRule,
    Outcome, Payload, Receipt, Retry, WriteBatch,
};
use serde_json::Value;
use simulator::{Running, Settings};

pub use self::complete::complete;
use self::fields::{assert_each_field_is_listed_once, roomiest_text, value_of};
use self::jobs::MemoryJournal;
use crate::{BaseUrl, Client, ClientOptions, DestinationKind, Method, OpenArgs, Request};

/// A token no vendor gave out; it must appear in no error.
const TOKEN: &str = "conformance-secret";

/// Runs every case on one row of a table.
///
/// # Panics
/// When the destination breaks a rule of the port, or has no simulator to show it with.
pub async fn run(kind: &DestinationKind) {
    empty_batches_send_nothing(&Bench::start(kind).await).await;
    one_row_and_a_full_call_land(&Bench::start(kind).await).await;
    a_row_too_many_is_refused_unsent(&Bench::start(kind).await).await;
    text_of_any_script_arrives(&Bench::start(kind).await).await;
    null_clears_and_absent_keeps(&Bench::start(kind).await).await;
    a_record_addressed_by_its_id_is_renamed(&Bench::start(kind).await).await;
    one_bad_row_is_refused_alone(&Bench::start(kind).await).await;
    bent_answers_name_no_wrong_row(&Bench::start(kind).await).await;
    refused_credentials_change_nothing(&Bench::start(kind).await).await;
    unclear_answers_are_ambiguous_and_repeatable(&Bench::start(kind).await).await;
    modes_not_offered_are_refused_unsent(&Bench::start(kind).await).await;
    an_unreachable_destination_was_sent_nothing(kind).await;
    jobs::run(kind).await;
    removals::run(kind).await;
}

/// One destination with its own fresh simulator.
struct Bench {
    name: &'static str,
    server: Running,
    admin: Client,
    destination: Arc<dyn Destination>,
    limits: Limits,
    object: String,
    match_on: Field,
    text: Field,
    choice: Field,
    /// Further text fields that no record is made without.
    required: Vec<String>,
}

/// What a row of a test holds besides the value it is found by.
#[derive(Clone)]
enum Cell {
    Text(String),
    Null,
    Absent,
}

type Rows = Vec<(String, Cell)>;

impl Bench {
    async fn start(kind: &DestinationKind) -> Self {
        let name = kind.name;
        let build = kind.simulate.unwrap_or_else(|| panic!("{name} has no simulator"));
        let server = simulator::start(build, Settings::default()).await.expect("it starts");
        let destination = open(kind, &server.url()).expect("its required options are text");
        let object = destination.objects().into_iter().next().expect("it names an object");
        let limits = destination.limits(&object).expect("it has limits for its object");
        let schema = destination.describe(&object).await.expect("it describes its object");
        let field = |what: &str, fits: &dyn Fn(&Field) -> bool| -> Field {
            let found = schema.fields.iter().find(|field| !field.read_only && fits(field));
            found.unwrap_or_else(|| panic!("{name}: {object} has no {what}")).clone()
        };
        assert!(limits.modes.contains(&Mode::Upsert), "{name}: the suite writes by upsert");
        assert_each_field_is_listed_once(name, &schema);
        let match_on = field("unique field", &|field| field.unique);
        let text = roomiest_text(&schema).unwrap_or_else(|| panic!("{name}: {object} has no text"));
        let required = schema.fields.iter().filter(|field| field.required && !field.read_only);
        let required = required.map(|field| field.name.clone());
        Self {
            name,
            admin: client(&server.url()),
            required: required.filter(|name| *name != match_on.name).collect(),
            match_on,
            text,
            choice: field("field with options", &|field| {
                matches!(field.kind, FieldKind::Enum { .. })
            }),
            server,
            destination,
            limits,
            object,
        }
    }

    fn knows_only_jobs(&self) -> bool {
        self.limits.jobs.is_some_and(|jobs| jobs.rows_min == 1)
    }

    /// Most rows of one write.
    fn rows_max(&self) -> usize {
        let jobs = self.limits.jobs.filter(|_| self.knows_only_jobs());
        jobs.map_or(self.limits.rows_max, |jobs| jobs.rows_max)
    }

    /// Values records can be found by, one per row.
    fn found_by(&self, rows: usize) -> Vec<String> {
        let spell = |row: usize| match self.match_on.kind {
            FieldKind::Email => format!("row{row}@example.com"),
            FieldKind::Number => format!("{}", 1000 + row),
            _ => format!("row-{row}"),
        };
        (0..rows).map(spell).collect()
    }

    fn rows(&self, rows: usize, text: &str) -> Rows {
        self.found_by(rows)
            .into_iter()
            .map(|found_by| (found_by, Cell::Text(text.to_owned())))
            .collect()
    }

    fn batch(&self, field: &Field, rows: &Rows) -> WriteBatch {
        let found_by: StringArray = rows.iter().map(|(found_by, _)| Some(found_by)).collect();
        let values: StringArray = rows
            .iter()
            .map(|(_, cell)| match cell {
                Cell::Text(text) => Some(text.as_str()),
                Cell::Null | Cell::Absent => None,
            })
            .collect();
        let absent = rows.iter().map(|(_, cell)| matches!(cell, Cell::Absent)).collect();
        let mut columns: Vec<(&str, ArrayRef, bool)> = vec![
            (&self.match_on.name, Arc::new(found_by), true),
            (&field.name, Arc::new(values), true),
        ];
        let mut absent = vec![None, Some(absent)];
        for name in &self.required {
            let same: StringArray = rows.iter().map(|_| Some("required")).collect();
            columns.push((name, Arc::new(same), true));
            absent.push(None);
        }
        WriteBatch {
            object: self.object.as_str().into(),
            mode: Mode::Upsert,
            match_on: Arc::new([self.match_on.name.clone()]),
            payload: Payload {
                fields: RecordBatch::try_from_iter_with_nullable(columns)
                    .expect("columns of one length"),
                absent,
            },
            record_ids: Vec::new(),
            job: self.knows_only_jobs().then(MemoryJournal::fresh),
            run_id: "conformance".into(),
        }
    }

    async fn write(&self, rows: &Rows) -> Result<Receipt, Error> {
        self.write_field(&self.text, rows).await
    }

    async fn write_field(&self, field: &Field, rows: &Rows) -> Result<Receipt, Error> {
        let answer = self.destination.write(&self.batch(field, rows)).await;
        if let Ok(receipt) = &answer {
            assert_eq!(receipt.outcomes.len(), rows.len(), "{}: outcomes", self.name);
        }
        answer.inspect_err(|error| self.shows_no_secret(error))
    }

    /// Writes rows that must land, in as few writes as that takes.
    async fn lands(&self, rows: &Rows) {
        let writes = rows.chunks(self.rows_max()).map(<[_]>::to_vec);
        for part in writes.chain(rows.is_empty().then(Vec::new)) {
            let receipt = self.write(&part).await.expect("an answer");
            for outcome in &receipt.outcomes {
                assert!(is_landed(outcome), "{}: {outcome:?}", self.name);
            }
        }
    }

    /// Two rows, where one write takes two.
    fn few(&self) -> usize {
        self.rows_max().min(2)
    }

    fn shows_no_secret(&self, error: &Error) {
        let shown = format!("{error} {error:?} {}", error.remedy());
        assert!(!shown.contains(TOKEN), "{}: {shown}", self.name);
    }

    /// What the simulator holds: the text field by the value records are found by.
    async fn held(&self) -> BTreeMap<String, Option<String>> {
        let records = self.ask(&format!("/_sim/records/{}", self.object)).await;
        let records = records.as_array().expect("a list of records");
        let held: BTreeMap<_, _> = records
            .iter()
            .filter_map(|record| {
                let found_by = value_of(record, &self.match_on.name)?;
                let text = value_of(record, &self.text.name).filter(|text| !text.is_empty());
                Some((found_by, text))
            })
            .collect();
        assert_eq!(held.len(), records.len(), "{}: records are found by one value", self.name);
        held
    }

    /// Requests the simulator got.
    async fn requests(&self) -> u64 {
        self.ask("/_sim/journal").await.as_array().expect("a list").len() as u64
    }

    async fn ask(&self, path: &str) -> Value {
        let reply = self.admin.send(admin_request(Method::GET, path, None)).await;
        serde_json::from_slice(&reply.expect("an answer").body).expect("JSON")
    }

    /// The next call goes wrong like this.
    async fn fault(&self, rule: &str) {
        let body = Some(rule.as_bytes().to_vec());
        let reply = self.admin.send(admin_request(Method::POST, "/_sim/faults", body)).await;
        assert_eq!(reply.expect("an answer").status, 200, "{}: {rule}", self.name);
    }
}

async fn empty_batches_send_nothing(bench: &Bench) {
    let before = bench.requests().await;
    bench.lands(&Vec::new()).await;
    assert_eq!(bench.requests().await, before, "{}", bench.name);
}

async fn one_row_and_a_full_call_land(bench: &Bench) {
    bench.lands(&bench.rows(1, "first")).await;
    let before = bench.requests().await;
    bench.lands(&bench.rows(bench.rows_max(), "second")).await;
    let one_call = bench.requests().await == before + 1;
    // One record alone may have to be looked up first.
    let looked_up = bench.limits.attribution == Attribution::Single;
    assert!(one_call || looked_up || bench.knows_only_jobs(), "{}: one call", bench.name);
    let held = bench.held().await;
    assert_eq!(held.len(), bench.rows_max(), "{}: the first row was updated", bench.name);
    assert!(held.values().all(|text| text.as_deref() == Some("second")), "{held:?}");
}

async fn a_row_too_many_is_refused_unsent(bench: &Bench) {
    let before = bench.requests().await;
    let rows = bench.rows(bench.rows_max() + 1, "too many");
    let error = bench.write(&rows).await.expect_err("refused");
    assert_eq!((error.retry(), error.is_ambiguous()), (Retry::Never, false), "{error:?}");
    assert_eq!(bench.requests().await, before, "{}", bench.name);
}

async fn text_of_any_script_arrives(bench: &Bench) {
    let texts = ["Zoë", "日本語", "👩‍👩‍👧", "a\"b\\c", "line\nline\ttab", "'; --", "null", "{{x}}"];
    let rows: Rows = bench
        .found_by(texts.len())
        .into_iter()
        .zip(texts.map(|text| Cell::Text(text.to_owned())))
        .collect();
    bench.lands(&rows).await;
    let held = bench.held().await;
    for ((found_by, _), text) in rows.iter().zip(texts) {
        assert_eq!(held[found_by].as_deref(), Some(text), "{}", bench.name);
    }
}

async fn null_clears_and_absent_keeps(bench: &Bench) {
    if bench.limits.null_rule == NullRule::Impossible {
        return;
    }
    let mut rows = bench.rows(2, "before");
    bench.lands(&rows).await;
    rows[0].1 = Cell::Null;
    rows[1].1 = Cell::Absent;
    bench.lands(&rows).await;
    let held = bench.held().await;
    assert_eq!(held[&rows[0].0], None, "{}: null clears", bench.name);
    assert_eq!(held[&rows[1].0].as_deref(), Some("before"), "{}: absent keeps", bench.name);
}

async fn a_record_addressed_by_its_id_is_renamed(bench: &Bench) {
    if !bench.limits.renames {
        return;
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
    let mut batch = bench.batch(&bench.text, &rows);
    batch.record_ids = record_ids.expect("a destination that renames gives record ids");
    let receipt = bench.destination.write(&batch).await.expect("an answer");
    for outcome in &receipt.outcomes {
        let renamed = matches!(outcome, Outcome::Delivered { created: None | Some(false), .. });
        assert!(renamed, "{}: {outcome:?}", bench.name);
    }
    let held: Vec<String> = bench.held().await.into_keys().collect();
    assert_eq!(held, new_names, "{}: renamed, not doubled", bench.name);
}

/// The destination may refuse the row or the whole call; after splitting, exactly the bad row is refused.
async fn one_bad_row_is_refused_alone(bench: &Bench) {
    let FieldKind::Enum { options } = &bench.choice.kind else { unreachable!("chosen so") };
    let rows_max = bench.rows_max().min(100);
    let bad = rows_max / 3;
    let good = Cell::Text(options.first().cloned().unwrap_or_default());
    let mut rows: Rows =
        bench.found_by(rows_max).into_iter().map(|found_by| (found_by, good.clone())).collect();
    rows[bad].1 = Cell::Text("no such option".to_owned());
    let mut refused = Vec::new();
    let mut parts = vec![(0, rows)];
    while let Some((first, mut part)) = parts.pop() {
        match bench.write_field(&bench.choice, &part).await {
            Ok(receipt) => {
                for (index, outcome) in receipt.outcomes.iter().enumerate() {
                    match outcome {
                        Outcome::Rejected { code, field, .. } => {
                            assert_eq!(code.kind, Kind::Row, "{}: {}", bench.name, code.id);
                            assert!(field.as_ref().is_none_or(|field| *field == bench.choice.name));
                            refused.push(first + index);
                        }
                        outcome => assert!(is_landed(outcome), "{}: {outcome:?}", bench.name),
                    }
                }
            }
            Err(error) => {
                assert_eq!(error.kind(), Kind::Poison, "{}: {error:?}", bench.name);
                match part.len() {
                    1 => refused.push(first),
                    rows => {
                        let second = part.split_off(rows / 2);
                        parts.push((first + rows / 2, second));
                        parts.push((first, part));
                    }
                }
            }
        }
    }
    assert_eq!(refused, [bad], "{}", bench.name);
    assert_eq!(bench.held().await.len(), rows_max - 1, "{}", bench.name);
}

/// D6: whatever the answer leaves out, repeats or reorders. A job's answer to its rows is not the next call's: that its
/// result rows find theirs is shown by the destination's own tests.
async fn bent_answers_name_no_wrong_row(bench: &Bench) {
    let rows = bench.rows(bench.rows_max().min(10), "text");
    if rows.len() < 2 || bench.knows_only_jobs() {
        return;
    }
    bench.lands(&rows).await;
    let unknown = async |rule: &str| {
        bench.fault(rule).await;
        let receipt = bench.write(&rows).await.expect("an answer");
        let unknown = |outcome: &&Outcome| matches!(outcome, Outcome::Unknown { .. });
        let count = receipt.outcomes.iter().filter(unknown).count();
        let landed = receipt.outcomes.iter().filter(|outcome| is_landed(outcome)).count();
        assert_eq!(count + landed, rows.len(), "{}: {rule}", bench.name);
        count
    };
    // Where answers have nothing but their place, a list of another length says nothing about any row.
    let by_place = bench.limits.attribution == Attribution::Position;
    let of = |bent: usize| if by_place { rows.len() } else { bent };
    assert_eq!(unknown("do=reorder").await, 0, "{}", bench.name);
    assert_eq!(unknown("do=drop-rows:3").await, of(3), "{}", bench.name);
    assert_eq!(unknown("do=empty-result:200").await, rows.len(), "{}", bench.name);
    // A row that is named twice may be believed or not, but no other row is touched by it.
    assert!(unknown("do=duplicate-rows:2").await <= of(2), "{}", bench.name);
}

async fn refused_credentials_change_nothing(bench: &Bench) {
    let rows = bench.rows(bench.few(), "text");
    bench.fault("do=unauthorized;times=2").await;
    let error = bench.destination.describe(&bench.object).await.expect_err("refused");
    bench.shows_no_secret(&error);
    assert_eq!(error.kind(), Kind::Credentials, "{error:?}");
    let error = bench.write(&rows).await.expect_err("refused");
    assert_eq!((error.kind(), error.is_ambiguous()), (Kind::Credentials, false), "{error:?}");
    assert!(bench.held().await.is_empty(), "{}", bench.name);
    bench.lands(&rows).await;
}

/// D4: what may have been applied says so, and the same call made again makes no second record.
async fn unclear_answers_are_ambiguous_and_repeatable(bench: &Bench) {
    let rows = bench.rows(bench.few(), "text");
    for rule in [
        "do=apply-then-reset",
        "do=apply-then-status:500",
        "do=status:502;body=html",
        "do=status:503;body=empty",
        "do=status:500;body=huge:20",
        "do=truncate",
        "do=half-body",
    ] {
        bench.fault(rule).await;
        let error = bench.write(&rows).await.expect_err("unclear");
        assert!(error.is_ambiguous(), "{}: {rule}: {error:?}", bench.name);
        assert_ne!(error.retry(), Retry::Never, "{}: {rule}: {error:?}", bench.name);
        bench.lands(&rows).await;
        assert_eq!(bench.held().await.len(), rows.len(), "{}: {rule}", bench.name);
    }
}

async fn modes_not_offered_are_refused_unsent(bench: &Bench) {
    let before = bench.requests().await;
    for mode in [Mode::Upsert, Mode::Update, Mode::Create, Mode::Mirror, Mode::Append, Mode::Delete]
    {
        if bench.limits.modes.contains(&mode) {
            continue;
        }
        let mut batch = bench.batch(&bench.text, &bench.rows(1, "text"));
        batch.mode = mode;
        let error = bench.destination.write(&batch).await.expect_err("refused");
        assert_eq!(error.kind(), Kind::Config, "{}: {mode:?}: {error:?}", bench.name);
    }
    assert_eq!(bench.requests().await, before, "{}", bench.name);
    let url = bench.server.url();
    assert!(url.starts_with("http://127."), "{url}: the suite stays on this machine");
}

async fn an_unreachable_destination_was_sent_nothing(kind: &DestinationKind) {
    let closed = std::net::TcpListener::bind("127.0.0.1:0").and_then(|port| port.local_addr());
    let url = format!("http://{}", closed.expect("a free port"));
    let destination = open(kind, &url).expect("opening sends nothing");
    let object = destination.objects().into_iter().next().expect("it names an object");
    let error = destination.describe(&object).await.expect_err("nobody is there");
    assert_eq!(error.kind(), Kind::Unreachable, "{}: {error:?}", kind.name);
    assert_eq!((error.retry(), error.is_ambiguous()), (Retry::Backoff, false), "{error:?}");
}

fn is_landed(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Delivered { .. } | Outcome::AcceptedUnverified { .. })
}

/// Opens the destination at `url`, with the secret for every option it cannot do without.
fn open(kind: &DestinationKind, url: &str) -> Result<Arc<dyn Destination>, Error> {
    let mut options = kind.practice_options(TOKEN);
    options.insert("base_url".to_owned(), Value::from(url));
    (kind.open)(OpenArgs {
        connection: "conformance".to_owned(),
        options,
        metrics: Metrics::new("0", "0"),
        clock: Arc::new(Epoch),
    })
}

fn client(url: &str) -> Client {
    Client::new(ClientOptions {
        connection: "admin".to_owned(),
        base_url: BaseUrl::new("admin", Some(url), "https://localhost").expect("loopback"),
        ca_file: None,
        request_timeout: Duration::from_secs(60),
        headers: reqwest::header::HeaderMap::new(),
        metrics: Metrics::new("0", "0"),
    })
    .expect("a client")
}

fn admin_request(method: Method, path: &str, body: Option<Vec<u8>>) -> Request {
    Request { method, path: path.to_owned(), operation: "admin", body }
}

#[derive(Debug)]
struct Epoch;

impl Clock for Epoch {
    fn now_micros(&self) -> i64 {
        0
    }
}
