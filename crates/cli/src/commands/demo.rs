//! `outflow demo`: a whole project from sample files to a simulated HubSpot, run before your eyes, with no server at all.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use clap::Parser;
use simulator::Settings;
use tempfile::TempDir;
use tokio::time::Instant;

use super::simulate;
use crate::args::{Cli, Global};
use crate::context::{Context, Outcome};
use crate::exit;
use crate::failure::{Failure, Result};
use crate::output::Tone;
use crate::project::Project;
use crate::summary::SyncSummary;

/// People in the sample file.
const USERS: u64 = 1_000;
/// The one whose company changes.
const CHANGED: u64 = 417;

/// Arguments of `outflow demo`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Nothing but this binary is needed, and nothing leaves this machine: the rows are a CSV file of 1,000 \
                  people, the destination is a double of HubSpot on loopback.\n\n\
                  Examples:\n  outflow demo\n  outflow demo --dir tryout"
)]
pub(crate) struct DemoArgs {
    /// Leave the project in this new folder, to go on with; by default it is removed in the end.
    #[arg(long, value_name = "DIR")]
    pub dir: Option<PathBuf>,
}

/// Where the project is made.
enum Place {
    Temporary(TempDir),
    Kept(PathBuf),
}

impl Place {
    fn new(args: &DemoArgs) -> Result<Self> {
        let Some(dir) = &args.dir else {
            let made = TempDir::with_prefix("outflow-demo-");
            return made
                .map(Self::Temporary)
                .map_err(|error| Failure::File("a temporary folder".to_owned(), error));
        };
        if fs::read_dir(dir).is_ok_and(|mut entries| entries.next().is_some()) || dir.is_file() {
            return Err(Failure::usage(
                format!("nothing was written: {} is there already", dir.display()),
                "choose a new folder",
            ));
        }
        Ok(Self::Kept(dir.clone()))
    }

    fn path(&self) -> &Path {
        match self {
            Self::Temporary(dir) => dir.path(),
            Self::Kept(dir) => dir,
        }
    }
}

/// Makes the project and shows a plan, a run, a run with nothing to do, and a run of one change.
///
/// # Errors
/// When the folder cannot be written, or a part of the demo stops early.
pub(crate) async fn run(context: &Context, args: &DemoArgs) -> Result<Outcome> {
    let began = Instant::now();
    let place = Place::new(args)?;
    let kind = simulate::known("hubspot")?;
    let simulator = simulate::start_one(kind, &Settings::default(), (None, 0)).await?;
    let (dir, url) = (place.path(), simulator.url());
    write_project(dir, &url)?;
    let context = &Context {
        global: Global { project_dir: dir.to_owned(), env: None, ..context.global.clone() },
        ..context.clone()
    };
    let output = &context.output;
    output.line(format_args!(
        "A project with {USERS} people in data/users.csv, and a simulated HubSpot on {url}."
    ));
    let result = steps(context, dir).await;
    simulator.stop().await;
    let outcome = result?;
    output.line("");
    let seconds = began.elapsed().as_secs_f64();
    output.line(output.paint(Tone::Good, format_args!("That took {seconds:.1} seconds.")));
    if outcome.exit_code == exit::DONE {
        next(context, &place, &url)?;
    }
    Ok(outcome)
}

/// The steps, each with what it shows.
async fn steps(context: &Context, dir: &Path) -> Result<Outcome> {
    let output = &context.output;
    let title = |number: u32, text: &str| {
        output.line("");
        output.line(output.paint(Tone::Head, format_args!("{number}. {text}")));
    };
    let mut syncs = Vec::new();
    title(1, "What would a run send?   outflow plan");
    syncs.extend(typed(context, &["plan"]).await?);
    title(2, "Send it.   outflow run --all");
    syncs.extend(typed(context, &["run", "--all"]).await?);
    title(3, "Again: nothing has changed, so nothing is called.   outflow run --all");
    syncs.extend(typed(context, &["run", "--all"]).await?);
    title(4, "One person changes the company; one row goes.   outflow run --all");
    write(&dir.join("data/users.csv"), &users(Some(CHANGED)))?;
    syncs.extend(typed(context, &["run", "--all"]).await?);
    Ok(Outcome::of_syncs(syncs))
}

/// Runs a command as if it had been typed.
async fn typed(context: &Context, words: &[&str]) -> Result<Vec<SyncSummary>> {
    let words = std::iter::once(&"outflow").chain(words);
    let cli = Cli::try_parse_from(words).expect("the demo's own command lines are right");
    Ok(super::run(context, &cli.command).await?.syncs)
}

/// What to try next.
fn next(context: &Context, place: &Place, url: &str) -> Result<()> {
    let output = &context.output;
    let Place::Kept(dir) = place else {
        output.line("\nNext: `outflow demo --dir tryout` leaves the project for you to change;");
        output.line("`outflow init` begins one with your own warehouse and HubSpot.");
        return Ok(());
    };
    // The simulator forgets everything when it stops, so the project must not remember what was sent to it.
    let state = Project::load(context)?.state_dir().to_owned();
    fs::remove_dir_all(&state).map_err(|error| Failure::file(&state, error))?;
    let port = url.rsplit(':').next().unwrap_or_default();
    output.line(format_args!("\nThe project is in {}. To go on:", dir.display()));
    output.line(format_args!("  outflow simulate hubspot --port {port} &"));
    output.line(format_args!("  cd {}", dir.display()));
    output
        .line("  outflow run --all               # the simulator is a new one: everything is sent");
    output.line("  outflow explain users_to_crm    # the sync in words");
    output.line("Then change a row of data/users.csv and its updated_at, or a mapping in syncs/users_to_crm.yml, and");
    output.line("look at `outflow plan` before the next run. `outflow rejects ls` shows what could not land.");
    Ok(())
}

fn write_project(dir: &Path, url: &str) -> Result<()> {
    let project =
        include_str!("../../templates/demo/outflow.yml").replace("http://127.0.0.1:4010", url);
    write(&dir.join("outflow.yml"), &project)?;
    write(
        &dir.join("syncs/users_to_crm.yml"),
        include_str!("../../templates/demo/syncs/users_to_crm.yml"),
    )?;
    write(&dir.join(".gitignore"), include_str!("../../templates/gitignore"))?;
    write(&dir.join("data/users.csv"), &users(None))
}

fn write(path: &Path, content: &str) -> Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(|error| Failure::file(folder, error))?;
    }
    fs::write(path, content).map_err(|error| Failure::file(path, error))
}

/// The sample file: always the same people, in no particular order; `changed` has moved to another company since.
fn users(changed: Option<u64>) -> String {
    const FIRST: [&str; 8] = ["Ada", "Grace", "Linus", "Zoë", "Edsger", "Barbara", "Ken", "Radia"];
    const LAST: [&str; 7] =
        ["Lovelace", "Hopper", "O'Neil", "Müller", "Dijkstra", "Liskov", "Perlman"];
    const COMPANY: [&str; 5] = ["Acme", "Globex, Inc.", "Initech", "Umbrella", "\"Hooli\""];
    let mut text = String::from("id,email,first_name,last_name,company,updated_at\n");
    for row in 0..USERS {
        let id = row * 389 % USERS + 1;
        let pick = |names: &[&'static str]| names[usize::try_from(id).unwrap_or(0) % names.len()];
        let (first, last) = (pick(&FIRST), pick(&LAST));
        let (company, hour) = match changed == Some(id) {
            true => ("Aperture", 23),
            false => (pick(&COMPANY), id * 22 / USERS),
        };
        let company = company.replace('"', "\"\"");
        let minute = id % 60;
        let _ = writeln!(
            text,
            "{id},user{id}@example.com,{first},{last},\"{company}\",2026-03-01T{hour:02}:{minute:02}:00Z"
        );
    }
    text
}
