//! Metrics leave a one-shot run through a file for node_exporter, a plain file, or a Pushgateway.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use flow::metrics::Metrics;
use tokio::task::JoinHandle;

use crate::environment;
use crate::failure::{Failure, Result};

/// Time between two writes of the textfile while a run is going on.
const REWRITE_INTERVAL: Duration = Duration::from_secs(15);
/// A Pushgateway that takes longer is left alone.
const PUSH_TIMEOUT: Duration = Duration::from_secs(10);

/// Where metrics go.
#[derive(Debug, Clone, Default, clap::Args)]
#[command(next_help_heading = "Metrics")]
pub(crate) struct MetricsArgs {
    /// Write `outflow_NAME.prom` in this folder for node_exporter, while running and at the end. NAME is the
    /// sync, or the project where several are selected.
    #[arg(long, value_name = "DIR")]
    pub metrics_textfile: Option<PathBuf>,
    /// Write the metrics to this file at the end.
    #[arg(long, value_name = "FILE")]
    pub metrics_file: Option<PathBuf>,
    /// Push the last-run metrics to this Pushgateway at the end, grouped by job=outflow and sync. That it cannot
    /// be reached is a warning only.
    #[arg(long, value_name = "URL")]
    pub pushgateway: Option<String>,
}

/// Keeps the files current until [`Exporter::finish`].
#[derive(Debug)]
pub(crate) struct Exporter {
    metrics: Arc<Metrics>,
    file: Option<PathBuf>,
    textfile: Option<Textfile>,
    pushgateway: Option<reqwest::Url>,
    rewriting: Option<JoinHandle<()>>,
}

impl Exporter {
    /// Starts writing. `name` goes into the textfile's name.
    ///
    /// # Errors
    /// A usage error when the folder is not there or the address is none: found before the run, not after it.
    pub(crate) fn start(args: &MetricsArgs, name: &str, metrics: Arc<Metrics>) -> Result<Self> {
        let pushgateway = args.pushgateway.as_deref().map(gateway).transpose()?;
        let mut textfile = None;
        let mut rewriting = None;
        if let Some(dir) = &args.metrics_textfile {
            let name = file_name(name);
            let file = Textfile { path: dir.join(format!("outflow_{name}.prom")), name };
            // The first write shows whether the folder is there and may be written.
            file.write(&metrics).map_err(|error| {
                Failure::usage(
                    format!("--metrics-textfile {}: {error}", dir.display()),
                    "create the folder and let this user write it",
                )
            })?;
            rewriting = Some(tokio::spawn(rewrite(Arc::clone(&metrics), file.clone())));
            textfile = Some(file);
        }
        let file = args.metrics_file.clone();
        Ok(Self { metrics, file, textfile, pushgateway, rewriting })
    }

    /// Writes and pushes for the last time. What fails is a warning: the rows are where they belong.
    pub(crate) async fn finish(self, syncs: &[String]) {
        if let Some(rewriting) = &self.rewriting {
            rewriting.abort();
        }
        if let Some(textfile) = &self.textfile {
            textfile.rewrite(&self.metrics);
        }
        if let Some(file) = &self.file {
            measure_memory(&self.metrics);
            if let Err(error) = replace(file, self.metrics.expose().as_bytes()) {
                tracing::warn!(file = %file.display(), %error, "metrics could not be written");
            }
        }
        let Some(url) = &self.pushgateway else { return };
        let text = self.metrics.expose_batch_job();
        for sync in syncs {
            if let Err(error) = push(url, sync, &text).await {
                let error = error.without_url();
                tracing::warn!(sync, %error, "metrics could not be pushed");
            }
        }
    }
}

impl Drop for Exporter {
    fn drop(&mut self) {
        if let Some(rewriting) = &self.rewriting {
            rewriting.abort();
        }
    }
}

async fn rewrite(metrics: Arc<Metrics>, file: Textfile) {
    loop {
        tokio::time::sleep(REWRITE_INTERVAL).await;
        file.rewrite(&metrics);
    }
}

/// A file in node_exporter's folder.
#[derive(Debug, Clone)]
struct Textfile {
    path: PathBuf,
    /// The value of the label that keeps its series apart from those of other files.
    name: String,
}

impl Textfile {
    /// Replaces the file in one step, so that a scrape never sees half of it.
    fn write(&self, metrics: &Metrics) -> io::Result<()> {
        measure_memory(metrics);
        replace(&self.path, metrics.expose_textfile(&self.name).as_bytes())
    }

    fn rewrite(&self, metrics: &Metrics) {
        if let Err(error) = self.write(metrics) {
            tracing::warn!(file = %self.path.display(), %error, "metrics could not be written");
        }
    }
}

fn measure_memory(metrics: &Metrics) {
    if let Some(bytes) = environment::resident_memory() {
        metrics.resident_memory(bytes);
    }
}

/// Writes beside `file` and renames; the name in between does not end like `file`, so nobody picks it up. What cannot
/// be replaced is written to: a pipe, a device, a file that is mounted on its own (`/dev/termination-log`). Of a link
/// the file it leads to is meant.
///
/// # Errors
/// When the folder is missing or neither it nor the file may be written.
pub(crate) fn replace(file: &Path, content: &[u8]) -> io::Result<()> {
    let found = fs::symlink_metadata(file).map(|found| found.file_type());
    if found.is_ok_and(|kind| kind.is_symlink()) {
        return match fs::canonicalize(file) {
            // The streams of the process: what is in them already stays.
            _ if file.starts_with("/dev") || file.starts_with("/proc") => append(file, content),
            Ok(target) => replace(&target, content),
            Err(_) => fs::write(file, content),
        };
    }
    match fs::metadata(file).map(|found| found.is_file()) {
        Ok(false) => append(file, content),
        Ok(true) => renamed(file, content).or_else(|_| fs::write(file, content)),
        Err(_) => renamed(file, content),
    }
}

fn append(file: &Path, content: &[u8]) -> io::Result<()> {
    fs::OpenOptions::new().append(true).open(file)?.write_all(content)
}

fn renamed(file: &Path, content: &[u8]) -> io::Result<()> {
    let mut name = file.as_os_str().to_owned();
    name.push(format!(".{}.tmp", std::process::id()));
    let unfinished = PathBuf::from(name);
    fs::write(&unfinished, content)
        .and_then(|()| fs::rename(&unfinished, file))
        .inspect_err(|_| drop(fs::remove_file(&unfinished)))
}

/// A name that is safe in a file name.
fn file_name(name: &str) -> String {
    name.chars().map(|c| if c.is_alphanumeric() || "_-".contains(c) { c } else { '_' }).collect()
}

fn gateway(address: &str) -> Result<reqwest::Url> {
    match reqwest::Url::parse(address) {
        Ok(url) if matches!(url.scheme(), "http" | "https") => Ok(url),
        _ => Err(Failure::usage(
            "--pushgateway is not an address",
            "give it as http://HOST:9091 or https://HOST",
        )),
    }
}

/// Replaces the group of `sync` on the Pushgateway.
async fn push(
    url: &reqwest::Url,
    sync: &str,
    text: &str,
) -> std::result::Result<(), reqwest::Error> {
    let mut url = url.clone();
    if let Ok(mut path) = url.path_segments_mut() {
        path.pop_if_empty().extend(["metrics", "job", "outflow", "sync", sync]);
    }
    let client = reqwest::Client::builder()
        .timeout(PUSH_TIMEOUT)
        .redirect(reqwest::redirect::Policy::none())
        .build()?;
    let request = client
        .put(url)
        .header("content-type", "text/plain; version=0.0.4; charset=utf-8")
        .body(only_of(text, sync));
    request.send().await?.error_for_status()?;
    Ok(())
}

/// The series of one sync, with the help and type of their families.
fn only_of(text: &str, sync: &str) -> String {
    let label = format!("sync=\"{}\"", sync.replace('\\', "\\\\").replace('"', "\\\""));
    let mut kept = String::new();
    let mut head = String::new();
    for line in text.lines() {
        if line.starts_with("# HELP") {
            head.clear();
        }
        if line.starts_with('#') {
            head.push_str(line);
            head.push('\n');
        } else if line.contains(&label) {
            kept.push_str(&std::mem::take(&mut head));
            kept.push_str(line);
            kept.push('\n');
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pushed_group_holds_one_sync_only() {
        let text = "# HELP a Help.\n# TYPE a gauge\na{sync=\"x\"} 1\na{sync=\"y\"} 2\n\
                    # HELP b Help.\n# TYPE b gauge\nb{sync=\"y\"} 3\n";
        assert_eq!(only_of(text, "x"), "# HELP a Help.\n# TYPE a gauge\na{sync=\"x\"} 1\n");
        assert_eq!(
            only_of(text, "y"),
            "# HELP a Help.\n# TYPE a gauge\na{sync=\"y\"} 2\n# HELP b Help.\n# TYPE b gauge\n\
             b{sync=\"y\"} 3\n"
        );
    }

    #[test]
    fn a_file_is_replaced_whole_and_leaves_nothing_beside_it() {
        let dir = tempfile::tempdir().expect("a temp dir");
        let file = dir.path().join("outflow_a.prom");
        replace(&file, b"one").expect("written");
        replace(&file, b"two").expect("written");
        assert_eq!(fs::read(&file).expect("there"), b"two");
        assert_eq!(fs::read_dir(dir.path()).expect("there").count(), 1);
        assert!(replace(&dir.path().join("no/such.prom"), b"").is_err());
        assert_eq!(file_name("a/b c.d"), "a_b_c_d");
    }

    #[test]
    fn what_cannot_be_replaced_is_written_to() {
        let dir = tempfile::tempdir().expect("a temp dir");
        let (file, link, pipe) =
            (dir.path().join("file"), dir.path().join("link"), dir.path().join("pipe"));
        fs::write(&file, "old").expect("written");
        std::os::unix::fs::symlink("file", &link).expect("a link");
        replace(&link, b"new").expect("written");
        assert!(fs::symlink_metadata(&link).expect("there").is_symlink());
        assert_eq!(fs::read(&file).expect("there"), b"new");

        let made = std::process::Command::new("mkfifo").arg(&pipe).status();
        assert!(made.is_ok_and(|made| made.success()));
        let reader = std::thread::spawn({
            let pipe = pipe.clone();
            move || fs::read(pipe)
        });
        replace(&pipe, b"summary").expect("written");
        assert_eq!(reader.join().expect("no panic").expect("read"), b"summary");
        assert!(!fs::metadata(&pipe).expect("still there").is_file());
    }

    #[test]
    fn a_pushgateway_that_is_no_address_is_a_usage_error() {
        assert!(gateway("http://127.0.0.1:9091").is_ok());
        assert!(gateway("127.0.0.1:9091").is_err());
        assert!(gateway("ftp://x").is_err());
    }
}
