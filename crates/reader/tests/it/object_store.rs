//! Files in an object store: the same promises, against moto's S3 over HTTP.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use flow::{Changes, Model, ReadRequest, Relation, Scope, Source};
use serde_json::{Map, Value, json};
use support::borrowed;

use crate::conformance::{holds_in_short, in_bucket, open_files};

/// A running S3, which ends with this.
pub(crate) struct Bucket {
    server: Child,
    url: String,
    client: reqwest::Client,
}

impl Drop for Bucket {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

impl Bucket {
    /// `None`, with the reason printed, where moto cannot be had.
    async fn start() -> Option<Self> {
        let kept = Path::new(env!("CARGO_TARGET_TMPDIR"));
        let dir = borrowed::python(kept, &["moto[s3]==5.*", "flask", "flask-cors"])?;
        let mut server = Command::new(dir.join("bin/moto_server"))
            .args(["-H", "127.0.0.1", "-p", "0"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let stderr = server.stderr.take().unwrap();
        let url = tokio::task::spawn_blocking(move || {
            let mut lines = BufReader::new(stderr).lines().map_while(Result::ok);
            let url = lines.find_map(|line| {
                line.split_whitespace().find(|word| word.starts_with("http://")).map(str::to_owned)
            });
            // Somebody must read on, or the server stops at a full pipe.
            std::thread::spawn(move || lines.for_each(drop));
            url
        });
        let url = url.await.unwrap().expect("moto says where it listens");
        let _ = rustls::crypto::ring::default_provider().install_default();
        // moto wants to see a signature, and does not check it.
        let signed = "AWS4-HMAC-SHA256 Credential=x/20260101/us-east-1/s3/aws4_request, \
            SignedHeaders=host, Signature=0";
        let headers = [(reqwest::header::AUTHORIZATION, signed.parse().unwrap())];
        let client = reqwest::Client::builder().no_proxy();
        let client = client.default_headers(headers.into_iter().collect()).build().unwrap();
        let bucket = Self { server, url, client };
        bucket.put("", Vec::new()).await;
        Some(bucket)
    }

    async fn put(&self, key: &str, body: Vec<u8>) {
        let url = format!("{}/bucket/{key}", self.url);
        let reply = self.client.put(url).body(body).send().await.unwrap();
        assert!(reply.status().is_success(), "{}", reply.status());
    }

    async fn delete(&self, key: &str) {
        let reply = self.client.delete(format!("{}/bucket/{key}", self.url)).send().await;
        assert!(reply.unwrap().status().is_success());
    }

    /// Puts every file of a folder under a name, in place of what was there.
    pub(crate) async fn upload(&self, folder: &Path, name: &str) {
        let listed =
            self.client.get(format!("{}/bucket?list-type=2&prefix=warehouse/{name}/", self.url));
        let listed = listed.send().await.unwrap().text().await.unwrap();
        for part in listed.split("<Key>").skip(1) {
            self.delete(part.split("</Key>").next().unwrap()).await;
        }
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let file = path.file_name().unwrap().to_str().unwrap();
            self.put(&format!("warehouse/{name}/{file}"), std::fs::read(&path).unwrap()).await;
        }
    }

    /// Options of a connection to it.
    pub(crate) fn options(&self, mut options: Map<String, Value>) -> Map<String, Value> {
        options.remove("path");
        options.insert("url".to_owned(), json!("s3://bucket/warehouse"));
        options.insert(
            "storage".to_owned(),
            json!({ "endpoint": self.url, "access_key_id": "x", "secret_access_key": "y", "region": "us-east-1" }),
        );
        options
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn files_in_a_bucket_hold_what_every_source_holds() {
    let Some(bucket) = Bucket::start().await else { return };
    holds_in_short(&in_bucket("parquet", bucket)).await;
}

/// R2: an object that is replaced or removed during the read fails it.
#[tokio::test]
async fn an_object_that_changes_during_the_read_fails_it() {
    let Some(bucket) = Bucket::start().await else { return };
    let rows: String = (0..20_000).map(|id| format!("{id},x\n")).collect();
    bucket.put("warehouse/a/1.csv", format!("id,x\n{rows}").into_bytes()).await;
    let options = json!({ "batch_rows": 100, "columns": { "id": "bigint" } });
    let options = bucket.options(options.as_object().cloned().unwrap());
    let source = open_files(Path::new(""), options);
    let model = Model {
        relation: Relation::Table("a".to_owned()),
        primary_key: vec!["id".to_owned()],
        changes: Changes::Snapshot,
        removed_when: None,
    };
    for replaced in [true, false] {
        bucket.put("warehouse/a/2.csv", b"id,x\n99999,x\n".to_vec()).await;
        let request = ReadRequest {
            model: std::sync::Arc::new(model.clone()),
            columns: Vec::new(),
            scope: Scope::All,
            after: None,
            rows_max: None,
        };
        let mut read = source.read(request).await.unwrap();
        read.next().await.unwrap().unwrap();
        match replaced {
            true => bucket.put("warehouse/a/2.csv", b"id,x\n99998,x\n".to_vec()).await,
            false => bucket.delete("warehouse/a/2.csv").await,
        }
        let error = loop {
            match read.next().await {
                Ok(Some(_)) => {}
                Ok(None) => panic!("a read of two generations has no end"),
                Err(error) => break error,
            }
        };
        assert_eq!(error.code().id, "E1106", "{error}");
    }
    let missing = Model { relation: Relation::Table("nope".to_owned()), ..model };
    assert_eq!(source.check(&missing).await.unwrap_err().code().id, "E1101");
    let found = source.discover(None).await.unwrap();
    assert_eq!(found[0].0, "a");
}
