//! Mixpanel: the conformance suite, Mixpanel's own client as a judge of the double, and the client's requests beside ours.

mod conformance;
mod judge;
mod recorded;

use std::sync::Arc;

use flow::arrow::array::{ArrayRef, RecordBatch};
use flow::metrics::Metrics;
use flow::{Clock, Destination, Mode, Payload, WriteBatch};
use serde_json::json;
use support::judge::{Client, printed};
use writer::OpenArgs;

const CLIENT: Client = Client::Python("mixpanel==5.4.1");
const TOKEN: &str = "project-token";
const PROJECT: &str = "123456";
const USER: &str = "sync.account";
const SECRET: &str = "account-secret";

#[derive(Debug)]
struct Epoch;

impl Clock for Epoch {
    fn now_micros(&self) -> i64 {
        1_700_000_000_000_000
    }
}

fn connect(url: &str) -> Arc<dyn Destination> {
    let options = json!({
        "base_url": url, "token": TOKEN, "project_id": PROJECT,
        "service_account_user": USER, "service_account_secret": SECRET,
    });
    writer_product::mixpanel::open(OpenArgs {
        connection: "mixpanel".to_owned(),
        options: options.as_object().expect("an object").clone(),
        metrics: Metrics::new("0", "0"),
        clock: Arc::new(Epoch),
    })
    .expect("valid options")
}

/// A batch of these columns, found by `match_on`.
fn batch(object: &str, mode: Mode, match_on: &str, columns: Vec<(&str, ArrayRef)>) -> WriteBatch {
    let fields = RecordBatch::try_from_iter_with_nullable(
        columns.into_iter().map(|(name, column)| (name, column, true)),
    )
    .expect("columns of one length");
    let absent = vec![None; fields.num_columns()];
    WriteBatch {
        object: object.into(),
        mode,
        match_on: Arc::new([match_on.to_owned()]),
        payload: Payload { fields, absent },
        record_ids: Vec::new(),
        job: None,
        run_id: "run".into(),
    }
}

/// Records whose rows left the model.
fn removed(object: &str, match_on: &str, record_ids: Vec<String>) -> WriteBatch {
    let filler: ArrayRef = Arc::new(flow::arrow::array::NullArray::new(0));
    let mut rows = batch(object, Mode::Delete, match_on, vec![(match_on, filler)]);
    let fields = rows.payload.fields.project(&[]).expect("no column");
    rows.payload = Payload { fields, absent: Vec::new() };
    rows.record_ids = record_ids;
    rows
}

/// Mixpanel's own client, run on `url`; `None` where it cannot be had.
async fn client(mode: &str, url: &str) -> Option<String> {
    let (script, arguments) = (include_str!("judge.py"), [mode, url, TOKEN, PROJECT, USER, SECRET]);
    let output = CLIENT.run(env!("CARGO_TARGET_TMPDIR"), script, &arguments, &[]).await?;
    Some(printed(&output))
}
