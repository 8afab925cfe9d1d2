//! Which hosts a request may name. See [`Options::allow_host`](crate::Options::allow_host) for why.

use std::net::{IpAddr, SocketAddr};

/// Decides about the values of Host.
#[derive(Debug)]
pub(crate) struct HostCheck {
    listens_on: IpAddr,
    /// Further hosts, in lower case.
    allowed: Vec<String>,
}

impl HostCheck {
    pub(crate) fn new(listens_on: SocketAddr, allowed: Vec<String>) -> HostCheck {
        HostCheck { listens_on: listens_on.ip(), allowed }
    }

    /// Whether a request for `host`, which has no port, may be answered. An IPv6 address stands in
    /// brackets.
    pub(crate) fn allows(&self, host: &str) -> bool {
        let literal = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
        match literal.unwrap_or(host).parse::<IpAddr>() {
            // No name was resolved, so nobody can have made it resolve to this server.
            Ok(ip) => ip.is_loopback() || ip == self.listens_on || self.listens_on.is_unspecified(),
            Err(_) => {
                let host = host.to_ascii_lowercase();
                host == "localhost" || host.ends_with(".localhost") || self.allowed.contains(&host)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(listens_on: &str) -> HostCheck {
        HostCheck::new(listens_on.parse().unwrap(), vec!["build-7.lan".to_owned()])
    }

    #[test]
    fn loopback_hosts_and_hosts_that_were_allowed_are_answered() {
        let check = check("127.0.0.1:80");
        for host in ["localhost", "LocalHost", "x.localhost", "127.0.0.1", "127.8.8.8", "[::1]"] {
            assert!(check.allows(host), "{host}");
        }
        assert!(check.allows("build-7.lan") && check.allows("Build-7.LAN"));
    }

    #[test]
    fn other_names_and_addresses_are_refused() {
        let check = check("127.0.0.1:80");
        for host in ["", "evil.example", "localhost.evil.example", "build-7.lan.evil.example"] {
            assert!(!check.allows(host), "{host}");
        }
        for host in ["192.0.2.1", "[2001:db8::1]", "127.0.0.1.nip.example", "evillocalhost"] {
            assert!(!check.allows(host), "{host}");
        }
    }

    #[test]
    fn the_address_that_is_listened_on_is_answered_and_every_address_if_it_is_unspecified() {
        assert!(check("192.0.2.1:80").allows("192.0.2.1"));
        assert!(!check("192.0.2.1:80").allows("192.0.2.2"));
        for unspecified in ["0.0.0.0:80", "[::]:80"] {
            assert!(check(unspecified).allows("192.0.2.1"));
            assert!(check(unspecified).allows("[2001:db8::1]"));
            assert!(!check(unspecified).allows("evil.example"));
        }
    }
}
