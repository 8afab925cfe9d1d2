//! The address that the limit on posts counts by.

use std::net::{IpAddr, Ipv6Addr};

use tiny_http::{HttpError, Request};

/// The sender of a request, as far as the guestbook tells clients apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ClientAddress {
    /// An IPv4 address, or an IPv6 network of 64 bits, of which one client has all addresses.
    pub(crate) network: IpAddr,
    /// The browser speaks HTTPS with the proxy before this program.
    pub(crate) is_secure: bool,
}

impl ClientAddress {
    /// The sender of this request. `behind_proxy`: a proxy passes all requests on, and adds the
    /// client's address at the end of `X-Forwarded-For`. What stands before that address may be the
    /// client's invention.
    ///
    /// # Errors
    /// As [`Request::peer_addr`].
    pub(crate) fn of(
        request: &Request<'_>,
        behind_proxy: bool,
    ) -> Result<ClientAddress, HttpError> {
        let mut address = request.peer_addr()?.ip();
        let mut is_secure = false;
        if behind_proxy {
            let fields =
                request.headers().filter(|(name, _)| name.eq_ignore_ascii_case("x-forwarded-for"));
            let last = fields.last().and_then(|(_, value)| last_address(value));
            address = last.unwrap_or(address);
            is_secure = request.header("x-forwarded-proto") == Some(b"https");
        }
        Ok(ClientAddress { network: network(address), is_secure })
    }
}

fn last_address(field: &[u8]) -> Option<IpAddr> {
    let last = field.rsplit(|byte| *byte == b',').next()?;
    str::from_utf8(last).ok()?.trim().parse().ok()
}

fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => address.into(),
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ipv6_client_is_its_network_and_a_mapped_address_is_ipv4() {
        let network_of = |text: &str| network(text.parse().unwrap()).to_string();
        assert_eq!(network_of("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::");
        assert_eq!(network_of("::ffff:192.0.2.1"), "192.0.2.1");
        assert_eq!(network_of("192.0.2.1"), "192.0.2.1");
    }

    #[test]
    fn only_the_last_forwarded_address_counts() {
        assert_eq!(last_address(b"192.0.2.1, 198.51.100.7 "), "198.51.100.7".parse().ok());
        assert_eq!(last_address(b"192.0.2.1, unknown"), None);
    }
}
