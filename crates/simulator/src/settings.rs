//! What a simulator is started with, and strict reading of its options.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;

use crate::FaultRule;

/// Whether the vendor's rate limits hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LimitSwitch {
    /// The limits of the vendor's account tier.
    #[default]
    Vendor,
    /// No rate limits, for measuring; quota headers are left out.
    Off,
}

/// Certificate and key for TLS.
#[derive(Debug, Clone)]
pub struct TlsFiles {
    /// PEM file with the certificate chain, the server's own first.
    pub cert: PathBuf,
    /// PEM file with the private key.
    pub key: PathBuf,
}

/// How to start a simulator.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Address to listen on; port 0 takes a free one.
    pub bind: SocketAddr,
    /// Rate limits on or off.
    pub limits: LimitSwitch,
    /// Options by name: those in [`OPTIONS`] and the vendor's own.
    pub options: BTreeMap<String, String>,
    /// Fault rules that hold from the first call on.
    pub faults: Vec<FaultRule>,
    /// Serve TLS instead of plain HTTP.
    pub tls: Option<TlsFiles>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            bind: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            limits: LimitSwitch::default(),
            options: BTreeMap::new(),
            faults: Vec::new(),
            tls: None,
        }
    }
}

/// One option a simulator understands.
#[derive(Debug, Clone, Copy)]
pub struct OptionHelp {
    /// Name; a name that ends in `.*` stands for every name with that beginning.
    pub name: &'static str,
    /// One sentence for people, with the default.
    pub help: &'static str,
}

/// Options of every simulator.
pub const OPTIONS: &[OptionHelp] = &[
    OptionHelp {
        name: "latency",
        help: "Milliseconds before each answer, `50` or a range `20-80`. Default 0.",
    },
    OptionHelp { name: "journal", help: "Requests the journal keeps in memory. Default 20000." },
    OptionHelp {
        name: "body_max",
        help: "Largest request body in bytes; more is answered with 413. Default 10485760.",
    },
    OptionHelp {
        name: "clock",
        help: "`stopped` lets time pass by POST /_sim/advance only. Default real.",
    },
    OptionHelp { name: "seed", help: "Seed of everything random. Default 1." },
    OptionHelp {
        name: "allow_remote",
        help: "`true` lets the simulator listen on an address that is not loopback. Default false.",
    },
];

impl Settings {
    /// An option's value, parsed.
    ///
    /// # Errors
    /// A sentence that names the option when the text cannot be parsed.
    pub fn option<T: FromStr>(&self, name: &str) -> Result<Option<T>, String> {
        let Some(text) = self.options.get(name) else { return Ok(None) };
        match text.parse() {
            Ok(value) => Ok(Some(value)),
            Err(_) => Err(format!("option `{name}`: cannot read `{text}`")),
        }
    }

    /// Refuses options nobody understands, so that a typing error is not a silent default.
    ///
    /// # Errors
    /// A sentence with the unknown name and the known ones.
    pub fn refuse_unknown(&self, vendor: &[OptionHelp]) -> Result<(), String> {
        let known = || OPTIONS.iter().chain(vendor).map(|option| option.name);
        for name in self.options.keys() {
            let fits = |pattern: &str| match pattern.strip_suffix(".*") {
                Some(start) => name.strip_prefix(start).is_some_and(|rest| rest.starts_with('.')),
                None => pattern == name,
            };
            if !known().any(fits) {
                let names: Vec<&str> = known().collect();
                return Err(format!("unknown option `{name}`; known: {}", names.join(", ")));
            }
        }
        Ok(())
    }
}

/// The settings every simulator has, read once.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Common {
    pub(crate) latency_ms: (u64, u64),
    pub(crate) journal_max: usize,
    pub(crate) body_max: usize,
    pub(crate) seed: u64,
    pub(crate) clock_ticks: bool,
}

impl Common {
    pub(crate) fn read(settings: &Settings) -> Result<Self, String> {
        Ok(Self {
            latency_ms: latency(settings)?,
            journal_max: settings.option("journal")?.unwrap_or(20_000),
            body_max: settings.option("body_max")?.unwrap_or(10 * 1024 * 1024),
            seed: settings.option("seed")?.unwrap_or(1),
            clock_ticks: match settings.options.get("clock").map_or("real", String::as_str) {
                "real" => true,
                "stopped" => false,
                other => return Err(format!("option `clock`: `{other}` is not real or stopped")),
            },
        })
    }
}

fn latency(settings: &Settings) -> Result<(u64, u64), String> {
    let Some(text) = settings.options.get("latency") else { return Ok((0, 0)) };
    let (low, high) = text.split_once('-').unwrap_or((text, text));
    match (low.trim().parse(), high.trim().parse()) {
        (Ok(low), Ok(high)) if low <= high => Ok((low, high)),
        _ => Err(format!("option `latency`: `{text}` is neither `MS` nor `LOW-HIGH`")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(name: &str, value: &str) -> Settings {
        let options = BTreeMap::from([(name.to_owned(), value.to_owned())]);
        Settings { options, ..Settings::default() }
    }

    #[test]
    fn an_option_nobody_knows_is_refused_by_name() {
        let error = with("latencey", "5").refuse_unknown(&[]).unwrap_err();
        assert!(error.contains("`latencey`") && error.contains("latency, journal"), "{error}");
        let own = [OptionHelp { name: "property.*", help: "" }];
        assert!(with("property.2", "x").refuse_unknown(&own).is_ok());
        assert!(with("propertyx", "x").refuse_unknown(&own).is_err());
    }

    #[test]
    fn latency_is_a_number_or_a_range() {
        let read = |text| Common::read(&with("latency", text)).map(|common| common.latency_ms);
        assert_eq!(read("50"), Ok((50, 50)));
        assert_eq!(read("20-80"), Ok((20, 80)));
        assert!(read("80-20").is_err());
        assert!(read("soon").is_err());
    }
}
