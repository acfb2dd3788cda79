//! `outflow simulate`: doubles of destinations on loopback, until a signal comes.

use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};

use simulator::{FaultRule, LimitSwitch, Running, Settings, TlsFiles};
use writer::DestinationKind;

use crate::config::CATALOG;
use crate::context::{Context, Outcome};
use crate::failure::{Failure, Result};
use crate::signals::Signals;

/// Where the first simulator listens unless told otherwise.
const PORT: u16 = 4010;

/// Arguments of `outflow simulate`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Each simulator prints its name and address on stdout once it answers, and runs until Ctrl-C.\n\
                  Point a connection's `base_url` at the address. GET /_sim/stats shows what was called.\n\n\
                  Example: outflow simulate hubspot --port 8701 --fault 'do=status:429;nth=3;retry-after=1'"
)]
pub(crate) struct SimulateArgs {
    /// Destinations, for example `hubspot`.
    #[arg(required = true)]
    pub names: Vec<String>,
    /// Port of the first one, the next ones follow; 0 takes free ones. By default 4010, or a free one where that is
    /// taken.
    #[arg(long, value_name = "PORT")]
    pub port: Option<u16>,
    /// Rate limits: the vendor's own, or none, for measuring.
    #[arg(
        long,
        value_name = "vendor|off",
        default_value = "vendor",
        hide_default_value = true,
        hide_possible_values = true
    )]
    pub limits: Limits,
    /// An option of the simulator. Repeatable.
    #[arg(long, value_name = "NAME=VALUE")]
    pub option: Vec<String>,
    /// Something that goes wrong: `do=ACTION` with `match=PATH`, `nth=N`, `times=N`, `p=SHARE` and more,
    /// separated by semicolons. Repeatable.
    #[arg(long, value_name = "SPEC")]
    pub fault: Vec<String>,
    /// Milliseconds before each answer, `50` or a range `20-80`.
    #[arg(long, value_name = "MS")]
    pub latency_ms: Option<String>,
    /// Serve TLS with this certificate (PEM).
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    pub tls_cert: Option<std::path::PathBuf>,
    /// Private key of the certificate (PEM).
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    pub tls_key: Option<std::path::PathBuf>,
}

/// Whether the vendor's rate limits hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Limits {
    /// As the vendor has them.
    Vendor,
    /// None, for measuring.
    Off,
}

/// Runs the simulators until the first signal.
///
/// # Errors
/// A usage error for an unknown name, option or fault; and when a port cannot be had.
pub(crate) async fn run(context: &Context, args: &SimulateArgs) -> Result<Outcome> {
    let kinds: Vec<&DestinationKind> =
        args.names.iter().map(|name| known(name)).collect::<Result<_>>()?;
    let settings = settings(args)?;
    let signals = Signals::listen(context.output.clone(), "stopping");
    let mut running = Vec::new();
    for (index, kind) in kinds.into_iter().enumerate() {
        let started = start_one(kind, &settings, (args.port, index)).await?;
        let url = started.url();
        context.output.line(format_args!("{} {url}", kind.name));
        context.output.event("simulator", &serde_json::json!({ "name": kind.name, "url": url }));
        running.push(started);
    }
    signals.first().await;
    for simulator in running {
        simulator.stop().await;
    }
    // Ending it by a signal is how it is meant to end.
    Ok(Outcome::done())
}

pub(super) async fn start_one(
    kind: &DestinationKind,
    settings: &Settings,
    (wanted, index): (Option<u16>, usize),
) -> Result<Running> {
    let first = wanted.unwrap_or(PORT);
    let port = match first {
        0 => 0,
        _ => u16::try_from(usize::from(first) + index)
            .map_err(|_| Failure::usage("the ports go past 65535", "give a smaller --port"))?,
    };
    let taken = |error: &io::Error| error.kind() == io::ErrorKind::AddrInUse;
    let started = match start(kind, settings, port).await? {
        Err(error) if wanted.is_none() && taken(&error) => start(kind, settings, 0).await?,
        started => started,
    };
    started.map_err(|error| match error.kind() {
        io::ErrorKind::InvalidInput => Failure::usage(error.to_string(), ""),
        io::ErrorKind::AddrInUse => {
            Failure::usage(format!("port {port} is taken"), "choose another one with --port")
        }
        _ => Failure::File(format!("the simulator {}", kind.name), error),
    })
}

/// Starts a simulator; the inner error is that of the socket or the settings.
async fn start(
    kind: &DestinationKind,
    settings: &Settings,
    port: u16,
) -> Result<io::Result<Running>> {
    let build = kind.simulate.ok_or_else(|| no_simulator(kind.name))?;
    let bind = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    Ok(simulator::start(build, Settings { bind, ..settings.clone() }).await)
}

pub(super) fn known(name: &str) -> Result<&'static DestinationKind> {
    CATALOG.simulated().find(|kind| kind.name == name).ok_or_else(|| no_simulator(name))
}

fn no_simulator(name: &str) -> Failure {
    let known: Vec<&str> = CATALOG.simulated().map(|kind| kind.name).collect();
    Failure::usage(
        format!("there is no simulator `{name}`"),
        format!("simulators: {}", known.join(", ")),
    )
}

fn settings(args: &SimulateArgs) -> Result<Settings> {
    let mut options = BTreeMap::new();
    for option in &args.option {
        let (name, value) = option.split_once('=').ok_or_else(|| {
            Failure::usage(
                format!("--option `{option}` has no value"),
                "write it as --option NAME=VALUE",
            )
        })?;
        options.insert(name.to_owned(), value.to_owned());
    }
    if let Some(latency) = &args.latency_ms {
        options.insert("latency".to_owned(), latency.clone());
    }
    let faults: Vec<FaultRule> = args
        .fault
        .iter()
        .map(|text| {
            text.parse().map_err(|error: String| {
                Failure::usage(error, "for example --fault 'do=status:503;nth=2'")
            })
        })
        .collect::<Result<_>>()?;
    let tls = args.tls_cert.clone().zip(args.tls_key.clone());
    Ok(Settings {
        limits: match args.limits {
            Limits::Vendor => LimitSwitch::Vendor,
            Limits::Off => LimitSwitch::Off,
        },
        options,
        faults,
        tls: tls.map(|(cert, key)| TlsFiles { cert, key }),
        ..Settings::default()
    })
}
