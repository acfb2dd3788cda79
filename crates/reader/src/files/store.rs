//! Files in an object store: S3 and what speaks like it, Google Cloud Storage, Azure Blob Storage.

use std::collections::BTreeMap;
use std::future::Future;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use flow::{Error, Result, Retry, Secret};
use futures::TryStreamExt;
use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey};
use object_store::azure::{AzureConfigKey, MicrosoftAzureBuilder};
use object_store::client::{HttpClient, HttpConnector};
use object_store::gcp::{GoogleCloudStorageBuilder, GoogleConfigKey};
use object_store::path::Path;
use object_store::{
    ClientOptions, GetOptions, ObjectMeta, ObjectStore, ObjectStoreExt, RetryConfig,
};
use tokio::runtime::Handle;

use super::generation::{Entry, Place, changed};
use super::listing::Wanted;
use crate::codes;

/// Tries of a request the store did not answer, and how long they may take.
const RETRIES_MAX: usize = 4;
const RETRY_TIMEOUT: Duration = Duration::from_secs(60);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
const READ_TIMEOUT: Duration = Duration::from_secs(30);

/// The one HTTP stack of outflow, with every timeout set; a store that redirects is misconfigured.
#[derive(Debug)]
struct Client;

impl HttpConnector for Client {
    fn connect(&self, _: &ClientOptions) -> object_store::Result<HttpClient> {
        let client = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(CONNECT_TIMEOUT)
            .read_timeout(READ_TIMEOUT)
            .timeout(RETRY_TIMEOUT)
            .no_gzip()
            .build();
        client.map(HttpClient::new).map_err(|error| object_store::Error::Generic {
            store: "HTTP",
            source: Box::new(error),
        })
    }
}

/// A folder of an object store.
#[derive(Debug, Clone)]
pub(super) struct Folder {
    store: Arc<dyn ObjectStore>,
    /// Of every name in it; empty, or with a slash at its end.
    prefix: String,
}

impl Folder {
    /// The folder behind a URL. Nothing goes over the network.
    ///
    /// # Errors
    /// What is wrong with the URL or the settings, without their values.
    pub(super) fn open(url: &str, storage: &BTreeMap<String, Secret>) -> Result<Self, String> {
        // A second start in one process keeps the first provider.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let (scheme, rest) =
            url.split_once("://").ok_or_else(|| "`url` has no scheme such as s3://".to_owned())?;
        let (bucket, path) = rest.split_once('/').unwrap_or((rest, ""));
        if bucket.is_empty() || bucket.contains(['@', '?', '#']) || path.contains(['?', '#']) {
            return Err("`url` is a bucket and a folder: s3://bucket/folder".to_owned());
        }
        let failed = |error: object_store::Error| format!("`storage`: {}", scrubbed(&error));
        let store: Arc<dyn ObjectStore> = match scheme {
            "s3" | "s3a" => {
                let builder = AmazonS3Builder::new().with_bucket_name(bucket).with_retry(retry());
                let builder = builder.with_http_connector(Client);
                let builder =
                    set::<_, AmazonS3ConfigKey>(builder, storage, AmazonS3Builder::with_config)?;
                Arc::new(builder.build().map_err(failed)?)
            }
            "gs" => {
                let builder = GoogleCloudStorageBuilder::new().with_bucket_name(bucket);
                let builder = builder.with_retry(retry()).with_http_connector(Client);
                let with = GoogleCloudStorageBuilder::with_config;
                let builder = set::<_, GoogleConfigKey>(builder, storage, with)?;
                Arc::new(builder.build().map_err(failed)?)
            }
            "az" | "abfs" | "azure" => {
                let builder = MicrosoftAzureBuilder::new().with_container_name(bucket);
                let builder = builder.with_retry(retry()).with_http_connector(Client);
                let with = MicrosoftAzureBuilder::with_config;
                let builder = set::<_, AzureConfigKey>(builder, storage, with)?;
                Arc::new(builder.build().map_err(failed)?)
            }
            _ => {
                return Err(format!(
                    "`url` begins with {scheme}://; there are s3://, gs:// and az://"
                ));
            }
        };
        let path = path.trim_matches('/');
        let prefix = if path.is_empty() { String::new() } else { format!("{path}/") };
        Ok(Self { store, prefix })
    }

    /// The files that are meant.
    ///
    /// # Errors
    /// When the store cannot be reached or refuses.
    pub(super) fn list(&self, wanted: &Wanted, handle: &Handle) -> Result<Vec<Entry>> {
        let mut found = Vec::new();
        if let Wanted::Path(name) = wanted {
            match wait(handle, self.store.head(&self.path(name))) {
                Ok(meta) => found.push(meta),
                Err(object_store::Error::NotFound { .. }) => {}
                Err(error) => return Err(failed(name, error)),
            }
        }
        let folder = self.path(&wanted.folder());
        let listing = self.store.list(Some(&folder));
        match wait(handle, listing.try_collect::<Vec<ObjectMeta>>()) {
            Ok(metas) => found.extend(metas),
            Err(object_store::Error::NotFound { .. }) => {}
            Err(error) => return Err(failed(wanted.text(), error)),
        }
        let entries = found.into_iter().filter_map(|meta| {
            let name = meta.location.as_ref().strip_prefix(&self.prefix)?.to_owned();
            wanted.covers(&name).then(|| Entry {
                size: meta.size,
                stamp: stamp(&meta),
                place: Place::Stored(Stored {
                    store: Arc::clone(&self.store),
                    path: meta.location,
                    e_tag: meta.e_tag,
                    handle: handle.clone(),
                }),
                name,
            })
        });
        Ok(entries.collect())
    }

    /// Names of every file in the folder.
    ///
    /// # Errors
    /// As [`Folder::list`].
    pub(super) fn names(&self, handle: &Handle) -> Result<Vec<String>> {
        let folder = self.path("");
        let metas = wait(handle, self.store.list(Some(&folder)).try_collect::<Vec<ObjectMeta>>());
        let metas = metas.map_err(|error| failed("the folder", error))?;
        let name =
            |meta: ObjectMeta| Some(meta.location.as_ref().strip_prefix(&self.prefix)?.to_owned());
        Ok(metas.into_iter().filter_map(name).collect())
    }

    fn path(&self, name: &str) -> Path {
        Path::from(format!("{}{name}", self.prefix))
    }
}

/// One object, as it was when it was listed.
#[derive(Debug, Clone)]
pub(super) struct Stored {
    store: Arc<dyn ObjectStore>,
    path: Path,
    e_tag: Option<String>,
    handle: Handle,
}

impl Stored {
    /// Bytes of the object, of the version that was listed.
    ///
    /// # Errors
    /// `E1106` when it is another one by now.
    pub(super) fn range(&self, name: &str, start: u64, length: usize) -> Result<Bytes> {
        let options = GetOptions {
            range: Some((start..start + length as u64).into()),
            if_match: self.e_tag.clone(),
            ..GetOptions::default()
        };
        let read = async { self.store.get_opts(&self.path, options).await?.bytes().await };
        let bytes = wait(&self.handle, read).map_err(|error| failed(name, error))?;
        if bytes.len() == length { Ok(bytes) } else { Err(changed(name)) }
    }

    /// What the object is now; `None` when it is gone.
    ///
    /// # Errors
    /// When the store cannot be asked.
    pub(super) fn stamp(&self, name: &str) -> Result<Option<String>> {
        match wait(&self.handle, self.store.head(&self.path)) {
            Ok(meta) => Ok(Some(stamp(&meta))),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(failed(name, error)),
        }
    }
}

/// Waits for the store on a thread that may block; the runtime drives the connection.
fn wait<T>(handle: &Handle, work: impl Future<Output = T>) -> T {
    handle.block_on(work)
}

fn retry() -> RetryConfig {
    RetryConfig { max_retries: RETRIES_MAX, retry_timeout: RETRY_TIMEOUT, ..RetryConfig::default() }
}

fn set<B, K: FromStr>(
    mut builder: B,
    storage: &BTreeMap<String, Secret>,
    with: fn(B, K, String) -> B,
) -> Result<B, String> {
    for (name, value) in storage {
        let key = name.parse::<K>().map_err(|_| format!("`storage` has no setting `{name}`"))?;
        builder = with(builder, key, value.expose().to_owned());
    }
    Ok(builder)
}

fn stamp(meta: &ObjectMeta) -> String {
    let (e_tag, version) = (meta.e_tag.as_deref(), meta.version.as_deref());
    let at = meta.last_modified.timestamp_micros();
    format!("{}:{}:{at}:{}", e_tag.unwrap_or_default(), version.unwrap_or_default(), meta.size)
}

/// What a store's refusal means.
fn failed(name: &str, error: object_store::Error) -> Error {
    use object_store::Error as Store;
    let text = scrubbed(&error);
    match error {
        Store::NotFound { .. } | Store::Precondition { .. } => changed(name),
        Store::PermissionDenied { .. } | Store::Unauthenticated { .. } => {
            let message = format!("the object store refuses {name}: {text}");
            Error::new(&codes::E1109_STORE_REFUSES, message)
        }
        _ => {
            let message = format!("the object store fails at {name}: {text}");
            Error::new(&codes::E1108_STORE, message).with_retry(Retry::Backoff)
        }
    }
}

/// An error's text without what may follow a question mark in a URL: signatures.
fn scrubbed(error: &object_store::Error) -> String {
    let words = error.to_string();
    let words = words.split_whitespace().map(|word| word.split('?').next().unwrap_or_default());
    let text: Vec<&str> = words.take(60).collect();
    text.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_and_settings_that_cannot_be_right_are_refused_without_their_values() {
        let secret = |name: &str| BTreeMap::from([(name.to_owned(), Secret::new("hunter2"))]);
        for (url, storage) in [
            ("bucket/folder", BTreeMap::new()),
            ("ftp://bucket/folder", BTreeMap::new()),
            ("s3://", BTreeMap::new()),
            ("s3://key:hunter2@bucket", BTreeMap::new()),
            ("s3://bucket", secret("acces_key")),
            ("gs://bucket", secret("region")),
            ("az://container", BTreeMap::new()),
        ] {
            let error = Folder::open(url, &storage).unwrap_err();
            assert!(!error.contains("hunter2"), "{error}");
        }
        let folder = Folder::open("s3://bucket/a/b/", &BTreeMap::new()).unwrap();
        assert_eq!(folder.prefix, "a/b/");
    }
}
