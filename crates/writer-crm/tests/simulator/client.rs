//! A simulator on a free port and a plain HTTP client for it.

use std::collections::BTreeMap;
use std::sync::Once;

use reqwest::Method;
use reqwest::header::HeaderMap;
use serde_json::{Value, json};
use simulator::{Running, Settings};
use writer_crm::hubspot::simulator::build;

pub(crate) const UPSERT: &str = "/crm/v3/objects/contacts/batch/upsert";

/// A running double.
pub(crate) struct Sim {
    running: Running,
    http: reqwest::Client,
}

/// An answer, read to its end.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
}

impl Reply {
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|e| panic!("{e}: {}", self.text))
    }

    /// Holds the reply to a refusal in HubSpot's shape; its message.
    #[track_caller]
    pub(crate) fn refused(&self, status: u16, category: &str) -> String {
        let body = self.json();
        assert_eq!(self.status, status, "{body}");
        assert_eq!(body["status"], "error", "{body}");
        assert_eq!(body["category"], category, "{body}");
        assert!(body["correlationId"].as_str().is_some_and(|id| id.len() >= 36), "{body}");
        body["message"].as_str().unwrap().to_owned()
    }

    #[track_caller]
    pub(crate) fn ok(&self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}", self.text);
        self.json()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }
}

impl Sim {
    pub(crate) async fn start(options: &[(&str, &str)]) -> Self {
        let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        let options: BTreeMap<String, String> = options.iter().map(own).collect();
        Self::with(Settings { options, ..Settings::default() }).await
    }

    /// A double with the custom property `external_id`, unique, and one of every other type.
    pub(crate) async fn with_custom_properties() -> Self {
        let properties = "contacts:external_id:string:unique;contacts:plan:enumeration:Free|Pro;\
                          contacts:tags:multi:a|b|c;contacts:score:number;contacts:born:date;\
                          contacts:seen:datetime;contacts:active:bool;\
                          companies:account:string:unique";
        Self::start(&[("property", properties)]).await
    }

    pub(crate) async fn with(settings: Settings) -> Self {
        let running = simulator::start(build, settings).await.unwrap();
        Self { running, http: http() }
    }

    pub(crate) fn url(&self) -> String {
        self.running.url()
    }

    pub(crate) fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        self.http.request(method, format!("{}{path}", self.url())).bearer_auth("pat-test")
    }

    pub(crate) async fn send(&self, request: reqwest::RequestBuilder) -> Reply {
        self.try_send(request).await.unwrap()
    }

    pub(crate) async fn try_send(
        &self,
        request: reqwest::RequestBuilder,
    ) -> Result<Reply, reqwest::Error> {
        let answer = request.send().await?;
        let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
        Ok(Reply { status, headers, text: answer.text().await? })
    }

    pub(crate) async fn get(&self, path: &str) -> Reply {
        self.send(self.request(Method::GET, path)).await
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> Reply {
        self.send(self.request(Method::POST, path).json(&body)).await
    }

    /// Upserts contacts by e-mail address with trace ids `row-0`, `row-1` and so on.
    pub(crate) async fn upsert(&self, rows: &[(&str, Value)]) -> Reply {
        self.post(UPSERT, upsert_body(rows)).await
    }

    pub(crate) async fn stats(&self) -> Value {
        self.get("/_sim/stats").await.ok(200)
    }

    pub(crate) async fn records(&self, object: &str) -> Vec<Value> {
        let reply = self.get(&format!("/_sim/records/{object}")).await;
        reply.ok(200).as_array().unwrap().clone()
    }

    pub(crate) async fn fault(&self, rule: &str) {
        let request = self.request(Method::POST, "/_sim/faults").body(rule.to_owned());
        self.send(request).await.ok(200);
    }

    /// Skips time at the simulator, so that no test waits for a window.
    pub(crate) async fn advance(&self, seconds: f64) {
        let path = format!("/_sim/advance?seconds={seconds}");
        self.send(self.request(Method::POST, &path)).await.ok(200);
    }
}

pub(crate) fn http() -> reqwest::Client {
    static PROVIDER: Once = Once::new();
    PROVIDER.call_once(|| {
        rustls::crypto::ring::default_provider().install_default().unwrap();
    });
    reqwest::Client::builder().no_proxy().build().unwrap()
}

pub(crate) fn upsert_body(rows: &[(&str, Value)]) -> Value {
    let inputs: Vec<Value> = rows
        .iter()
        .enumerate()
        .map(|(number, (email, properties))| {
            json!({
                "idProperty": "email", "id": email, "properties": properties,
                "objectWriteTraceId": format!("row-{number}"),
            })
        })
        .collect();
    json!({ "inputs": inputs })
}

/// The result that echoes a trace id.
#[track_caller]
pub(crate) fn result<'a>(body: &'a Value, trace: &str) -> &'a Value {
    let results = body["results"].as_array().unwrap();
    let found = results.iter().find(|result| result["objectWriteTraceId"] == trace);
    found.unwrap_or_else(|| panic!("no result for {trace} in {body}"))
}

/// The error that names a trace id.
#[track_caller]
pub(crate) fn error<'a>(body: &'a Value, trace: &str) -> &'a Value {
    let errors = body["errors"].as_array().unwrap();
    let named = |error: &&Value| error["context"]["objectWriteTraceId"] == json!([trace]);
    errors.iter().find(named).unwrap_or_else(|| panic!("no error for {trace} in {body}"))
}

/// The traces of the results, in the order of the answer.
pub(crate) fn traces(body: &Value) -> Vec<String> {
    let results = body["results"].as_array().unwrap();
    results.iter().map(|r| r["objectWriteTraceId"].as_str().unwrap().to_owned()).collect()
}

/// `count` rows with addresses `user-0@x.io` and so on.
pub(crate) fn many(count: usize) -> Value {
    let emails: Vec<String> = (0..count).map(|number| format!("user-{number}@x.io")).collect();
    let rows: Vec<(&str, Value)> =
        emails.iter().map(|email| (email.as_str(), json!({ "firstname": "Ada" }))).collect();
    upsert_body(&rows)
}
