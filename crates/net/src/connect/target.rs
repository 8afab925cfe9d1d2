//! The target of a connect.

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// The target of a connect: an address, or a host name and a port.
///
/// A numeric host becomes an address without a resolver. The exception is an IPv6 address with the
/// name of an interface (`fe80::1%eth0`): the resolver turns that name into the interface's number.
///
/// ```
/// use squall_net::Target;
///
/// let address = Target::from(([127, 0, 0, 1], 80));
/// assert_eq!(Target::from("127.0.0.1:80"), address);
/// assert_eq!(Target::from(("127.0.0.1", 80)), address);
/// assert_eq!(Target::from("example.org:80").to_string(), "example.org:80");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target(pub(crate) Kind);

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Address(SocketAddr),
    Name {
        host: String,
        port: u16,
    },
    /// Text that is not of the form `host:port`. [`Target::check`] returns the error.
    Invalid(String),
}

/// The longest host name in bytes (RFC 1035).
const MAX_NAME_LEN: usize = 253;

impl Target {
    /// Returns `InvalidInput` for text and host names that must not reach a resolver.
    pub(crate) fn check(&self) -> io::Result<()> {
        let invalid = |text| Err(io::Error::new(io::ErrorKind::InvalidInput, text));
        match &self.0 {
            Kind::Invalid(text) => invalid(format!("{text:?} is not of the form host:port")),
            Kind::Name { host, .. } if host.is_empty() => invalid("the host name is empty".into()),
            Kind::Name { host, .. } if host.contains('\0') => {
                invalid(format!("the host name {host:?} contains a NUL byte"))
            }
            Kind::Name { host, .. } if host.len() > MAX_NAME_LEN => {
                let len = host.len();
                invalid(format!("the host name has {len} bytes, more than {MAX_NAME_LEN}"))
            }
            _ => Ok(()),
        }
    }

    fn named(host: &str, port: u16) -> Target {
        let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        let host = bare.filter(|bare| bare.contains(':')).unwrap_or(host);
        Target(match host.parse::<IpAddr>() {
            Ok(ip) => Kind::Address(SocketAddr::new(ip, port)),
            Err(_) => Kind::Name { host: host.to_owned(), port },
        })
    }
}

impl From<SocketAddr> for Target {
    fn from(address: SocketAddr) -> Target {
        Target(Kind::Address(address))
    }
}

impl<I: Into<IpHost>> From<(I, u16)> for Target {
    fn from((host, port): (I, u16)) -> Target {
        match host.into() {
            IpHost::Ip(ip) => Target(Kind::Address(SocketAddr::new(ip, port))),
            IpHost::Text(host) => Target::named(&host, port),
        }
    }
}

impl From<&str> for Target {
    fn from(text: &str) -> Target {
        if let Ok(address) = text.parse() {
            return Target(Kind::Address(address));
        }
        match text.rsplit_once(':').and_then(|(host, port)| Some((host, port.parse().ok()?))) {
            Some((host, port)) if !host.contains(':') || is_bracketed(host) => {
                Target::named(host, port)
            }
            _ => Target(Kind::Invalid(text.to_owned())),
        }
    }
}

/// Whether a host is in brackets, as an IPv6 address must be because it contains colons.
fn is_bracketed(host: &str) -> bool {
    host.starts_with('[') && host.ends_with(']')
}

impl From<String> for Target {
    fn from(text: String) -> Target {
        Target::from(text.as_str())
    }
}

impl From<&String> for Target {
    fn from(text: &String) -> Target {
        Target::from(text.as_str())
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Kind::Address(address) => address.fmt(f),
            Kind::Name { host, port } if host.contains(':') => write!(f, "[{host}]:{port}"),
            Kind::Name { host, port } => write!(f, "{host}:{port}"),
            Kind::Invalid(text) => f.write_str(text),
        }
    }
}

/// The host of a `(host, port)` pair that converts into a [`Target`].
#[derive(Clone, Debug)]
pub enum IpHost {
    /// An address.
    Ip(IpAddr),
    /// An address or a name, as text.
    Text(String),
}

impl From<IpAddr> for IpHost {
    fn from(ip: IpAddr) -> IpHost {
        IpHost::Ip(ip)
    }
}

impl From<Ipv4Addr> for IpHost {
    fn from(ip: Ipv4Addr) -> IpHost {
        IpHost::Ip(ip.into())
    }
}

impl From<Ipv6Addr> for IpHost {
    fn from(ip: Ipv6Addr) -> IpHost {
        IpHost::Ip(ip.into())
    }
}

impl From<[u8; 4]> for IpHost {
    fn from(ip: [u8; 4]) -> IpHost {
        IpHost::Ip(ip.into())
    }
}

impl From<&str> for IpHost {
    fn from(host: &str) -> IpHost {
        IpHost::Text(host.to_owned())
    }
}

impl From<String> for IpHost {
    fn from(host: String) -> IpHost {
        IpHost::Text(host)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // NET-01
    #[test]
    fn only_numeric_hosts_are_addresses() {
        for text in ["127.0.0.1", "4.4.4.4", "::1", "2620:0:1cfe:face:b00c::3", "[::1]"] {
            assert!(matches!(Target::from((text, 1)).0, Kind::Address(_)), "{text}");
        }
        let long = "x".repeat(100);
        for text in
            ["www.google.com", "localhost", "4.4.4.4<", " 127.0.0.1", "", " ", "\n", "\0", &long]
        {
            assert!(matches!(Target::from((text, 1)).0, Kind::Name { .. }), "{text:?}");
        }
        for text in ["", "\0", &"x".repeat(254)] {
            assert_eq!(
                Target::from((text, 1)).check().unwrap_err().kind(),
                io::ErrorKind::InvalidInput
            );
        }
    }

    #[test]
    fn text_is_split_at_the_last_colon() {
        assert_eq!(Target::from("[::1]:80"), Target::from((Ipv6Addr::LOCALHOST, 80)));
        assert_eq!(Target::from("host:80").0, Kind::Name { host: "host".into(), port: 80 });
        let zone = Target::from("[fe80::1%eth0]:80");
        assert_eq!(zone.0, Kind::Name { host: "fe80::1%eth0".into(), port: 80 });
        assert_eq!(
            (&zone, &*zone.to_string()),
            (&("fe80::1%eth0", 80).into(), "[fe80::1%eth0]:80")
        );
        for text in ["host", "host:", ":::1:80", "host:http", "host:65536", ""] {
            let error = Target::from(text).check().unwrap_err();
            assert_eq!(error.to_string(), format!("{text:?} is not of the form host:port"));
        }
    }
}
