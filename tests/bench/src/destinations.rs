//! Each destination at its own double: as few write calls as its limit allows, and all of the vendor's documented rate
//! without a call that is refused. Salesforce's jobs are measured with a million rows.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use serde_json::Value;

use crate::child::measure;
use crate::end_to_end::{Simulator, outflow};
use crate::figure::Figure;
use crate::{Scale, warehouse};

/// One way to write, and what the vendor allows.
struct Way {
    name: &'static str,
    vendor: &'static str,
    /// The connection, without its address.
    connection: &'static str,
    object: &'static str,
    match_on: &'static str,
    mappings: &'static str,
    /// Options of the double.
    options: &'static [&'static str],
    /// Rows per write call.
    rows_max: u64,
    /// Calls in so many seconds; `None` where the vendor counts no calls per time.
    rate: Option<(f64, f64)>,
    /// Rows to send, enough to fill several of the vendor's windows.
    rows: u64,
}

const WAYS: [Way; 6] = [
    Way {
        name: "hubspot",
        vendor: "hubspot",
        connection: "type: hubspot, token: \"${HUBSPOT_TOKEN}\"",
        object: "contacts",
        match_on: "email: email",
        mappings: "  firstname: name\n",
        options: &[],
        rows_max: 100,
        rate: Some((190.0, 10.0)),
        rows: 76_000,
    },
    Way {
        name: "salesforce.collections",
        vendor: "salesforce",
        connection: "type: salesforce, access_token: \"${HUBSPOT_TOKEN}\", api: collections",
        object: "Contact",
        match_on: "External_Id__c: id",
        mappings: "  LastName: name\n  Email: email\n",
        options: &[],
        rows_max: 200,
        rate: None,
        rows: 50_000,
    },
    Way {
        name: "salesforce.bulk",
        vendor: "salesforce",
        connection: "type: salesforce, access_token: \"${HUBSPOT_TOKEN}\"",
        object: "Contact",
        match_on: "External_Id__c: id",
        mappings: "  LastName: name\n  Email: email\n",
        options: &["body_max=120000000"],
        rows_max: 100_000,
        rate: None,
        rows: 1_000_000,
    },
    Way {
        name: "zendesk",
        vendor: "zendesk",
        connection: "type: zendesk, email: a@example.com, token: \"${HUBSPOT_TOKEN}\", plan: enterprise",
        object: "users",
        match_on: "email: email",
        mappings: "  name: name\n",
        options: &["plan=enterprise"],
        rows_max: 100,
        rate: None,
        rows: 30_000,
    },
    Way {
        name: "intercom",
        vendor: "intercom",
        connection: "type: intercom, token: \"${HUBSPOT_TOKEN}\"",
        object: "contacts",
        match_on: "email: email",
        mappings: "  name: name\n",
        options: &[],
        rows_max: 1,
        rate: Some((1_666.0, 10.0)),
        rows: 6_000,
    },
    Way {
        name: "mixpanel",
        vendor: "mixpanel",
        connection: "type: mixpanel, token: t, project_id: \"1\", service_account_user: u, \
                     service_account_secret: \"${HUBSPOT_TOKEN}\"",
        object: "profiles",
        match_on: "distinct_id: id",
        mappings: "  $name: name\n  $email: email\n",
        options: &[],
        rows_max: 2_000,
        rate: None,
        rows: 200_000,
    },
];

/// A first load by each way.
pub(crate) fn run(scale: &Scale) -> Vec<Figure> {
    WAYS.iter().flat_map(|way| load(way, scale.rows(way.rows))).collect()
}

fn load(way: &Way, rows: u64) -> Vec<Figure> {
    eprintln!("  {}", way.name);
    let database = warehouse::rows(rows);
    let simulator = Simulator::of(way.vendor, "vendor", way.options);
    let project = project(way);
    let mut command = outflow(project.path(), &database.url, &simulator.url);
    let cost = measure(&mut command);
    let stats = stats(&simulator.url);
    let count = |name: &str| stats[name].as_f64().unwrap_or(f64::NAN);
    let name = |what: &str| format!("destinations.{}.{what}", way.name);
    let fewest = rows.div_ceil(way.rows_max) as f64;
    let mut figures = vec![
        Figure::at_most(&name("write_calls"), count("writes") / fewest, "of least", 1.02),
        Figure::at_most(&name("refused_calls"), count("throttled"), "calls", 0.0),
        Figure::info(&name("rows_per_second"), rows as f64 / cost.wall_s, "rows/s"),
        Figure::at_most(&name("peak_rss"), cost.peak_rss_mb, "MB", 256.0),
    ];
    figures.extend(way.rate.map(|(calls, seconds)| {
        let possible = calls / seconds * cost.wall_s;
        Figure::at_least(&name("limit_used"), count("requests") / possible, "of limit", 0.95)
    }));
    figures
}

fn project(way: &Way) -> tempfile::TempDir {
    let project = tempfile::tempdir().expect("a folder");
    std::fs::create_dir(project.path().join("syncs")).expect("a folder");
    let file = format!(
        "version: 1\nproject: bench\nconnections:\n  \
         warehouse: {{ type: postgres, url: \"${{WAREHOUSE_URL}}\" }}\n  \
         tool: {{ {}, base_url: \"${{HUBSPOT_BASE_URL}}\" }}\n",
        way.connection
    );
    std::fs::write(project.path().join("outflow.yml"), file).expect("a file");
    let sync = format!(
        "version: 1\nsync: bench\n\
         model: {{ connection: warehouse, table: bench_rows, primary_key: id }}\n\
         changes: {{ method: watermark, column: updated_at, lag: 5m }}\n\
         destination: {{ connection: tool, object: {}, match_on: {{ {} }} }}\n\
         mode: upsert\nmappings:\n{}",
        way.object, way.match_on, way.mappings
    );
    std::fs::write(project.path().join("syncs/bench.yml"), sync).expect("a file");
    project
}

/// What the double counted.
fn stats(url: &str) -> Value {
    let address = url.trim_start_matches("http://");
    let mut stream = TcpStream::connect(address).expect("the double is there");
    let request =
        format!("GET /_sim/stats HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).expect("a request");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
    serde_json::from_str(body).expect("JSON")
}
