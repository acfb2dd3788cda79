//! Where requests may go: https to the vendor, plain http only to this machine, never to a link-local address (X3).

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use flow::{Error, Result};
use reqwest::Url;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use crate::codes::E2014_BASE_URL;

/// The checked root of all request URLs, without a trailing slash.
#[derive(Debug, Clone)]
pub struct BaseUrl {
    url: String,
    host: String,
    secure: bool,
    reach: Reach,
}

/// Which addresses the host may turn out to have; checked again on every connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reach {
    /// The vendor's own host: public addresses only.
    Public,
    /// A host the user named: anything but link-local and unusable addresses.
    Named,
    /// Plain http: this machine only.
    Loopback,
}

impl BaseUrl {
    /// The URL of `connection`: the one given by the user, else the vendor's own.
    ///
    /// # Errors
    /// [`E2014_BASE_URL`] when it is not a plain https URL, or an http URL of this machine.
    pub fn new(connection: &str, given: Option<&str>, vendor: &str) -> Result<Self> {
        Self::parse(given.unwrap_or(vendor), given.is_some()).map_err(|reason| {
            Error::new(&E2014_BASE_URL, format!("connection `{connection}`: `base_url` {reason}"))
        })
    }

    fn parse(text: &str, named: bool) -> Result<Self, &'static str> {
        let url = Url::parse(text).map_err(|_| "is not a URL")?;
        if !url.username().is_empty() || url.password().is_some() {
            return Err("must not hold a user name or password");
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err("must not have a query or a fragment");
        }
        let host = url.host_str().filter(|host| !host.is_empty()).ok_or("has no host")?;
        let address = host.trim_matches(['[', ']']).parse::<IpAddr>().ok();
        let reach = match url.scheme() {
            "https" if named => Reach::Named,
            "https" => Reach::Public,
            "http" => Reach::Loopback,
            _ => return Err("must begin with https:// (or http:// for this machine)"),
        };
        let local_name = host == "localhost" || host.ends_with(".localhost");
        match address {
            Some(address) if !reach.allows(address) => {
                return Err(match reach {
                    Reach::Loopback => "may use http only for this machine; use https",
                    _ => "names an address that no destination may have",
                });
            }
            None if reach == Reach::Loopback && !local_name => {
                return Err("may use http only for this machine; use https");
            }
            _ => {}
        }
        Ok(Self {
            host: host.to_owned(),
            secure: url.scheme() == "https",
            url: url.as_str().trim_end_matches('/').to_owned(),
            reach,
        })
    }

    /// The URL of `path`, which begins with a slash and is already percent-encoded.
    pub fn join(&self, path: &str) -> String {
        format!("{}{path}", self.url)
    }

    /// The host, for messages.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Whether requests are encrypted.
    pub fn is_secure(&self) -> bool {
        self.secure
    }

    /// The name lookup that keeps connections within what this URL may reach.
    pub(crate) fn resolver(&self) -> Guard {
        Guard(self.reach)
    }
}

impl Reach {
    fn allows(self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        match self {
            Self::Loopback => address.is_loopback(),
            Self::Named => address.is_loopback() || !is_unusable(address),
            Self::Public => !is_unusable(address) && !is_private(address),
        }
    }
}

/// Addresses nobody's API has; link-local holds the metadata services of cloud machines.
fn is_unusable(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => {
            v4.is_link_local()
                || v4.is_multicast()
                || v4.is_broadcast()
                || v4.octets()[0] == 0
                || v4.octets()[0] >= 240
        }
        IpAddr::V6(v6) => {
            v6.is_unspecified() || v6.is_multicast() || v6.segments()[0] & 0xffc0 == 0xfe80
        }
    }
}

fn is_private(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => {
            let [a, b, c, _] = v4.octets();
            v4.is_private()
                || v4.is_loopback()
                || v4.is_documentation()
                || (a == 100 && (64..128).contains(&b))
                || (a == 192 && b == 0 && c == 0)
                || (a == 198 && (b == 18 || b == 19))
        }
        // Unique local addresses, and IPv4 behind a translator, where the range cannot be told.
        IpAddr::V6(v6) => {
            v6.is_loopback()
                || v6.segments()[0] & 0xfe00 == 0xfc00
                || v6.segments()[..2] == [0x64, 0xff9b]
        }
    }
}

/// A name lookup that drops every address the base URL may not reach.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Guard(Reach);

impl Resolve for Guard {
    fn resolve(&self, name: Name) -> Resolving {
        let reach = self.0;
        Box::pin(async move {
            let found: Vec<SocketAddr> =
                tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
            let allowed: Vec<SocketAddr> =
                found.iter().copied().filter(|address| reach.allows(address.ip())).collect();
            if allowed.is_empty() && !found.is_empty() {
                return Err(AddressRefused.into());
            }
            Ok(Box::new(allowed.into_iter()) as Addrs)
        })
    }
}

/// The host has only addresses it may not have.
#[derive(Debug)]
pub(crate) struct AddressRefused;

impl fmt::Display for AddressRefused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the host's address is in a range that is not allowed")
    }
}

impl std::error::Error for AddressRefused {}

#[cfg(test)]
mod tests {
    use std::str::FromStr;

    use super::*;

    const VENDOR: &str = "https://api.example.com";

    fn given(url: &str) -> Result<BaseUrl> {
        BaseUrl::new("crm", Some(url), VENDOR)
    }

    #[test]
    fn the_vendors_own_address_is_the_default_and_paths_join_it() {
        let base = BaseUrl::new("crm", None, VENDOR).expect("valid");
        assert_eq!(base.join("/v1/x"), "https://api.example.com/v1/x");
        assert_eq!(base.host(), "api.example.com");
        let proxy = given("https://proxy.corp/hubspot/").expect("valid");
        assert_eq!(proxy.join("/v1/x"), "https://proxy.corp/hubspot/v1/x");
    }

    #[test]
    fn plain_http_is_for_this_machine_only() {
        for url in ["http://127.0.0.1:1", "http://localhost:8080", "http://[::1]:9"] {
            assert!(given(url).is_ok(), "{url}");
        }
        for url in ["http://api.example.com", "http://10.0.0.1", "http://[::ffff:10.0.0.1]"] {
            let error = given(url).expect_err("clear text to another host");
            assert!(error.message().contains("https"), "{url}: {error}");
        }
    }

    #[test]
    fn a_named_private_host_is_allowed_and_a_link_local_one_never() {
        for url in ["https://10.0.0.1", "https://192.168.1.1:8443", "https://[fc00::1]"] {
            assert!(given(url).is_ok(), "{url}");
        }
        for url in [
            "https://169.254.169.254",
            "https://[fe80::1]",
            "https://0.0.0.0",
            "https://[::ffff:169.254.169.254]",
            "https://224.0.0.1",
            "https://0xa9fea9fe",
        ] {
            assert!(given(url).is_err(), "{url}");
        }
    }

    #[test]
    fn urls_with_secrets_queries_or_other_schemes_are_refused_without_being_shown() {
        for url in [
            "https://user:hunter2@api.example.com",
            "https://api.example.com?key=hunter2",
            "https://api.example.com#hunter2",
            "ftp://hunter2",
            "hunter2",
            "file:///hunter2",
        ] {
            let error = given(url).expect_err("refused");
            assert!(!error.message().contains("hunter2"), "{error}");
        }
    }

    // X3: a vendor's name that resolves to this machine or the network behind it is not followed.
    #[tokio::test]
    async fn the_address_is_checked_when_a_name_is_looked_up() {
        for (reach, allowed) in
            [(Reach::Public, false), (Reach::Named, true), (Reach::Loopback, true)]
        {
            let name = Name::from_str("localhost").expect("a name");
            assert_eq!(Guard(reach).resolve(name).await.is_ok(), allowed, "{reach:?}");
        }
    }

    #[test]
    fn private_ranges_are_known() {
        for address in [
            "10.1.1.1",
            "172.16.0.1",
            "192.168.0.1",
            "100.64.0.1",
            "127.0.0.1",
            "fc00::1",
            "::1",
            "64:ff9b::a00:1",
            "198.18.0.1",
        ] {
            assert!(!Reach::Public.allows(address.parse().expect("an address")), "{address}");
        }
        for address in ["104.16.1.1", "2606:4700::1", "172.32.0.1", "100.128.0.1"] {
            assert!(Reach::Public.allows(address.parse().expect("an address")), "{address}");
        }
    }
}
