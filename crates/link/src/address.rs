//! The connection URL, and which TLS mode it and the options ask for. Never a silent downgrade (X2).

use std::path::{Path, PathBuf};
use std::str::FromStr;

use flow::Secret;
use schemars::JsonSchema;
use serde::Deserialize;
use tokio_postgres::Config;
use tokio_postgres::config::{Host, SslMode};

/// How the server's certificate is checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Tls {
    /// Signed by a trusted CA, and for this host.
    VerifyFull,
    /// Signed by a trusted CA, for whatever host.
    VerifyCa,
    /// Encrypted, but anyone could be at the other end.
    RequireUnverified,
    /// Clear text.
    Off,
}

/// What is said about where to connect.
#[derive(Debug, Clone, Copy)]
pub struct At<'a> {
    /// `postgres://user:password@host:port/database`, or libpq's pairs of key and value.
    pub url: &'a Secret,
    /// The TLS mode, where one is named outside of the URL.
    pub tls: Option<Tls>,
    /// PEM file with the CA certificates to trust instead of the system's.
    pub ca_file: Option<&'a Path>,
}

/// Where to connect and how, after every contradiction was refused.
#[derive(Debug, Clone)]
pub(crate) struct Address {
    /// The driver's configuration, with its own TLS mode already set.
    pub(crate) config: Config,
    /// The TLS mode that holds.
    pub(crate) tls: Tls,
    /// CA file of the options or of the URL's `sslrootcert`.
    pub(crate) ca_file: Option<PathBuf>,
    /// Hosts and ports for messages; no user, no password.
    pub(crate) place: String,
}

impl Address {
    /// # Errors
    /// A sentence without any part of the URL that could be a secret.
    pub(crate) fn parse(at: At<'_>) -> Result<Self, String> {
        let url = at.url.expose().trim();
        let (rest, sslmode) = take_parameter(url, "sslmode");
        let (rest, root) = take_parameter(&rest, "sslrootcert");
        let mut config = Config::from_str(&rest).map_err(|error| unparsed(&error))?;
        if config.get_hosts().is_empty() && config.get_hostaddrs().is_empty() {
            return Err("the url names no host".to_owned());
        }
        if has_stray_at(&config) {
            return Err("user or password in the url hold a character that must be \
                percent-encoded: @ is %40, / is %2F, : is %3A"
                .to_owned());
        }
        let tls = tls_mode(&config, at.tls, sslmode.as_deref())?;
        config.ssl_mode(if tls == Tls::Off { SslMode::Disable } else { SslMode::Require });
        let root = root.filter(|root| root != "system").map(PathBuf::from);
        let place = place(&config);
        Ok(Self { config, tls, ca_file: at.ca_file.map(Path::to_owned).or(root), place })
    }
}

fn unparsed(error: &tokio_postgres::Error) -> String {
    use std::error::Error as _;
    let why = error.source().map(ToString::to_string).unwrap_or_default();
    // Only texts that name an option of the driver are known to hold no part of the URL.
    match why.contains("option `") {
        true => format!("the url cannot be parsed: {why}"),
        false => "the url cannot be parsed; write postgres://user:password@host:port/database \
            with special characters percent-encoded"
            .to_owned(),
    }
}

fn has_stray_at(config: &Config) -> bool {
    config.get_hosts().iter().any(|host| matches!(host, Host::Tcp(name) if name.contains('@')))
}

fn place(config: &Config) -> String {
    let ports = config.get_ports();
    let port = |index: usize| ports.get(index).or(ports.first()).copied().unwrap_or(5432);
    let hosts = config.get_hosts().iter().enumerate().map(|(index, host)| match host {
        Host::Tcp(name) => format!("{name}:{}", port(index)),
        Host::Unix(path) => format!("{}:{}", path.display(), port(index)),
    });
    let addresses = config.get_hostaddrs().iter().enumerate();
    let addresses = addresses.map(|(index, address)| format!("{address}:{}", port(index)));
    match config.get_hosts().is_empty() {
        true => addresses.collect::<Vec<_>>().join(","),
        false => hosts.collect::<Vec<_>>().join(","),
    }
}

/// How far away the server is, which decides the default.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Reach {
    Socket,
    Loopback,
    Remote,
}

fn reach(config: &Config) -> Reach {
    let addresses = config.get_hostaddrs();
    if !addresses.is_empty() {
        let loopback = addresses.iter().all(std::net::IpAddr::is_loopback);
        return if loopback { Reach::Loopback } else { Reach::Remote };
    }
    let local = |host: &Host| match host {
        Host::Unix(_) => true,
        Host::Tcp(name) => {
            name.eq_ignore_ascii_case("localhost")
                || name.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
        }
    };
    let hosts = config.get_hosts();
    if hosts.iter().all(|host| matches!(host, Host::Unix(_))) {
        Reach::Socket
    } else if hosts.iter().all(local) {
        Reach::Loopback
    } else {
        Reach::Remote
    }
}

/// The mode that the options, else the URL, else the distance ask for.
fn tls_mode(config: &Config, option: Option<Tls>, sslmode: Option<&str>) -> Result<Tls, String> {
    let reach = reach(config);
    let from_url = match sslmode {
        None => None,
        Some("disable") => Some(Tls::Off),
        // libpq's `require` trusts any certificate. Here that takes the word `require-unverified`.
        Some("require" | "verify-full") => Some(Tls::VerifyFull),
        Some("verify-ca") => Some(Tls::VerifyCa),
        Some("allow" | "prefer") if reach == Reach::Remote => {
            return Err("sslmode `allow` and `prefer` fall back to clear text without a word; \
                write `tls: verify-full`, or `tls: off` if clear text is what you want"
                .to_owned());
        }
        Some("allow" | "prefer") => None,
        Some(_) => return Err("the url's sslmode is none that PostgreSQL knows".to_owned()),
    };
    let mode = match (option, from_url) {
        (Some(Tls::RequireUnverified), Some(Tls::VerifyFull)) if sslmode == Some("require") => {
            Tls::RequireUnverified
        }
        (Some(option), Some(url)) if option != url => {
            return Err("`tls` and the url's `sslmode` contradict each other; keep one".to_owned());
        }
        (Some(mode), _) | (None, Some(mode)) => mode,
        (None, None) if reach == Reach::Remote => Tls::VerifyFull,
        (None, None) => Tls::Off,
    };
    if reach == Reach::Socket && mode != Tls::Off {
        return Err("a Unix socket has no TLS; leave `tls` and `sslmode` out".to_owned());
    }
    Ok(mode)
}

/// Takes `name=value` out of a URL's query or of a key-value string; the driver does not know all its values.
fn take_parameter(url: &str, name: &str) -> (String, Option<String>) {
    if let Some((head, query)) = url.split_once('?')
        && url.contains("://")
    {
        let (mine, others): (Vec<&str>, Vec<&str>) = query
            .split('&')
            .partition(|pair| pair.split_once('=').is_some_and(|(key, _)| key == name));
        let value = mine.last().and_then(|pair| pair.split_once('=')).map(|(_, v)| decoded(v));
        let rest = match others.is_empty() {
            true => head.to_owned(),
            false => format!("{head}?{}", others.join("&")),
        };
        return (rest, value);
    }
    if url.contains("://") {
        return (url.to_owned(), None);
    }
    match find_pair(url, name) {
        Some((start, end)) => {
            let value = url[start..end].split_once('=').map(|(_, value)| value.trim());
            let value = value.map(|value| value.trim_matches('\'').to_owned());
            (format!("{}{}", &url[..start], &url[end..]), value)
        }
        None => (url.to_owned(), None),
    }
}

/// Start and end of `name = value` in a libpq key-value string.
fn find_pair(text: &str, name: &str) -> Option<(usize, usize)> {
    let bytes = text.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        if bytes[at].is_ascii_whitespace() {
            at += 1;
            continue;
        }
        let start = at;
        let equals = text[at..].find('=')? + at;
        let key = text[at..equals].trim();
        at = equals + 1;
        while bytes.get(at).is_some_and(u8::is_ascii_whitespace) {
            at += 1;
        }
        let quoted = bytes.get(at) == Some(&b'\'');
        at += usize::from(quoted);
        while let Some(byte) = bytes.get(at) {
            match byte {
                b'\\' => at += 1,
                b'\'' if quoted => break,
                byte if !quoted && byte.is_ascii_whitespace() => break,
                _ => {}
            }
            at += 1;
        }
        at = (at + usize::from(quoted)).min(bytes.len());
        if key == name {
            return Some((start, at));
        }
    }
    None
}

fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, tail)) = rest.split_first() {
        let hex = tail.get(..2).and_then(|hex| std::str::from_utf8(hex).ok());
        match (byte, hex.and_then(|hex| u8::from_str_radix(hex, 16).ok())) {
            (b'%', Some(value)) => {
                bytes.push(value);
                rest = &tail[2..];
            }
            _ => {
                bytes.push(byte);
                rest = tail;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(url: &str, tls: Option<Tls>, expected: Result<Tls, &str>) {
        let secret = Secret::new(url);
        match (Address::parse(At { url: &secret, tls, ca_file: None }), expected) {
            (Ok(address), Ok(expected)) => {
                assert_eq!(address.tls, expected, "{url}");
                let mode = address.config.get_ssl_mode();
                let wanted = if expected == Tls::Off { SslMode::Disable } else { SslMode::Require };
                assert_eq!(mode, wanted, "{url}");
            }
            (Err(error), Err(expected)) => assert!(error.contains(expected), "{url}: {error}"),
            (found, expected) => panic!("{url}: {found:?} instead of {expected:?}"),
        }
    }

    /// X2: clear text or an unverified server only where the user named it.
    #[test]
    fn tls_is_verified_unless_a_weaker_mode_is_named() {
        check("postgres://u:p@db.example/x", None, Ok(Tls::VerifyFull));
        check("postgres://u:p@db.example/x?sslmode=verify-full", None, Ok(Tls::VerifyFull));
        check("postgres://u:p@db.example/x?sslmode=verify-ca", None, Ok(Tls::VerifyCa));
        check("postgres://u:p@db.example/x?sslmode=require", None, Ok(Tls::VerifyFull));
        check("postgres://u:p@db.example/x?sslmode=disable", None, Ok(Tls::Off));
        check("postgres://u:p@db.example/x?sslmode=prefer", None, Err("fall back"));
        check("postgres://u:p@db.example/x?sslmode=allow", None, Err("fall back"));
        check("postgres://u:p@db.example/x?sslmode=nonsense", None, Err("sslmode"));
        check("postgres://u:p@db.example/x", Some(Tls::Off), Ok(Tls::Off));
        check(
            "postgres://u:p@db.example/x?sslmode=require",
            Some(Tls::RequireUnverified),
            Ok(Tls::RequireUnverified),
        );
        check("postgres://u:p@db.example/x?sslmode=disable", Some(Tls::VerifyFull), Err("contrad"));
        check("postgres://u:p@db.example/x?sslmode=verify-full", Some(Tls::Off), Err("contradict"));
        check("host=db.example user=u sslmode=verify-ca password='a b'", None, Ok(Tls::VerifyCa));
        check("host=db.example user=u", None, Ok(Tls::VerifyFull));
        check("postgres://u@localhost,db.example/x", None, Ok(Tls::VerifyFull));
    }

    #[test]
    fn near_servers_default_to_clear_text() {
        for url in [
            "postgres://u@localhost/x",
            "postgres://u@127.0.0.1:5433/x",
            "postgres://u@[::1]/x",
            "postgres://u@%2Fvar%2Frun%2Fpostgresql/x",
            "host=/tmp user=u",
            "postgres://u@localhost/x?sslmode=prefer",
        ] {
            check(url, None, Ok(Tls::Off));
        }
        check("postgres://u@localhost/x", Some(Tls::VerifyFull), Ok(Tls::VerifyFull));
        check("host=/tmp user=u", Some(Tls::VerifyFull), Err("Unix socket"));
    }

    #[test]
    fn broken_urls_do_not_show_their_secrets() {
        for url in [
            "postgres://u:hunter2@part@db.example/x",
            "postgres://u:hunter2@db.example:port/x",
            "hunter2",
            "postgres://u:hunter2@db.example/x?nonsense=1",
            "postgres:///x",
        ] {
            let url = Secret::new(url);
            let error = Address::parse(At { url: &url, tls: None, ca_file: None }).unwrap_err();
            assert!(!error.contains("hunter2") && !error.contains("part@"), "{error}");
        }
    }

    #[test]
    fn parameters_are_taken_out_whole() {
        let dsn = "host=h sslrootcert = '/a b/ca.pem' user=u";
        let (rest, root) = take_parameter(dsn, "sslrootcert");
        assert_eq!((rest.as_str(), root.as_deref()), ("host=h  user=u", Some("/a b/ca.pem")));
        let url = "postgres://h/x?sslrootcert=%2Fa%20b&user=u";
        let (rest, root) = take_parameter(url, "sslrootcert");
        assert_eq!((rest.as_str(), root.as_deref()), ("postgres://h/x?user=u", Some("/a b")));
    }
}
