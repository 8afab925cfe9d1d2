//! Socket addresses as the kernel reads and writes them.

#![allow(unsafe_code, reason = "addresses are read and written in the kernel's layout")]

use std::io;
use std::mem;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::SocketAddr as UnixAddress;
use std::path::Path;

pub(super) fn size_of_socklen<T>() -> libc::socklen_t {
    libc::socklen_t::try_from(size_of::<T>()).expect("an address is smaller than 4 GiB")
}

/// An address as the kernel writes it.
pub(super) struct RawAddress {
    pub(super) storage: libc::sockaddr_storage,
    pub(super) length: libc::socklen_t,
}

impl RawAddress {
    pub(super) fn empty() -> RawAddress {
        // SAFETY: all zeros is a valid `sockaddr_storage`: an address of no family.
        let storage = unsafe { mem::zeroed() };
        RawAddress { storage, length: size_of_socklen::<libc::sockaddr_storage>() }
    }

    pub(super) fn encode(address: SocketAddr) -> RawAddress {
        let mut raw = RawAddress::empty();
        match address {
            SocketAddr::V4(address) => {
                let v4 = libc::sockaddr_in {
                    sin_family: AF_INET,
                    sin_port: address.port().to_be(),
                    sin_addr: libc::in_addr { s_addr: u32::from_ne_bytes(address.ip().octets()) },
                    sin_zero: [0; 8],
                };
                // SAFETY: a `sockaddr_storage` is larger than and aligned for every kind of address.
                unsafe { (&raw mut raw.storage).cast::<libc::sockaddr_in>().write(v4) };
                raw.length = size_of_socklen::<libc::sockaddr_in>();
            }
            SocketAddr::V6(address) => {
                let v6 = libc::sockaddr_in6 {
                    sin6_family: AF_INET6,
                    sin6_port: address.port().to_be(),
                    sin6_flowinfo: address.flowinfo(),
                    sin6_addr: libc::in6_addr { s6_addr: address.ip().octets() },
                    sin6_scope_id: address.scope_id(),
                };
                // SAFETY: as above.
                unsafe { (&raw mut raw.storage).cast::<libc::sockaddr_in6>().write(v6) };
                raw.length = size_of_socklen::<libc::sockaddr_in6>();
            }
        }
        raw
    }

    pub(super) fn decode(&self) -> io::Result<SocketAddr> {
        match self.storage.ss_family {
            AF_INET => {
                // SAFETY: the family says that the storage holds this kind of address, for which it is aligned.
                let v4 = unsafe { (&raw const self.storage).cast::<libc::sockaddr_in>().read() };
                let ip = Ipv4Addr::from(v4.sin_addr.s_addr.to_ne_bytes());
                Ok(SocketAddrV4::new(ip, u16::from_be(v4.sin_port)).into())
            }
            AF_INET6 => {
                // SAFETY: as above.
                let v6 = unsafe { (&raw const self.storage).cast::<libc::sockaddr_in6>().read() };
                let ip = Ipv6Addr::from(v6.sin6_addr.s6_addr);
                let port = u16::from_be(v6.sin6_port);
                Ok(SocketAddrV6::new(ip, port, v6.sin6_flowinfo, v6.sin6_scope_id).into())
            }
            family => Err(io::Error::other(format!("a TCP peer of address family {family}"))),
        }
    }
}

#[expect(clippy::cast_possible_truncation, reason = "2 and 10")]
const AF_INET: libc::sa_family_t = libc::AF_INET as libc::sa_family_t;
#[expect(clippy::cast_possible_truncation, reason = "2 and 10")]
const AF_INET6: libc::sa_family_t = libc::AF_INET6 as libc::sa_family_t;

/// The address of a path, or of a name in the abstract namespace if it begins with a NUL byte. An empty path is refused: to the
/// kernel it is any name that is free.
pub(crate) fn unix_address(path: &Path) -> io::Result<UnixAddress> {
    if path.as_os_str().is_empty() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "an empty path of a socket"));
    }
    match path.as_os_str().as_bytes().strip_prefix(b"\0") {
        Some(name) => UnixAddress::from_abstract_name(name),
        None => UnixAddress::from_pathname(path),
    }
}

/// A Unix address as the kernel reads it; an unnamed one is nothing that could be connected to.
pub(super) fn encode_unix(address: &UnixAddress) -> io::Result<RawAddress> {
    let (lead, name): (&[u8], &[u8]) = match (address.as_pathname(), address.as_abstract_name()) {
        (Some(path), _) => (b"", path.as_os_str().as_bytes()),
        (_, Some(name)) => (b"\0", name),
        _ => return Err(io::Error::new(io::ErrorKind::InvalidInput, "an unnamed address")),
    };
    let mut raw = RawAddress::empty();
    // SAFETY: all zeros is a valid `sockaddr_un`.
    let mut un: libc::sockaddr_un = unsafe { mem::zeroed() };
    un.sun_family = AF_UNIX;
    let length = lead.len() + name.len();
    for (to, from) in un.sun_path.iter_mut().zip(lead.iter().chain(name)) {
        *to = from.cast_signed();
    }
    // A path ends with a NUL byte, for which std has left room; an abstract name is as long as it is.
    let length = (length + usize::from(lead.is_empty())).min(un.sun_path.len());
    let length = libc::socklen_t::try_from(length).expect("at most 108 bytes");
    raw.length = size_of_socklen::<libc::sa_family_t>() + length;
    // SAFETY: a `sockaddr_storage` is larger than and aligned for every kind of address.
    unsafe { (&raw mut raw.storage).cast::<libc::sockaddr_un>().write(un) };
    Ok(raw)
}

#[expect(clippy::cast_possible_truncation, reason = "1")]
const AF_UNIX: libc::sa_family_t = libc::AF_UNIX as libc::sa_family_t;

#[cfg(test)]
mod tests {
    use super::*;

    // R18
    #[test]
    fn addresses_survive_the_way_to_the_kernel_and_back() {
        let v6 = SocketAddrV6::new("fe80::1:2".parse().unwrap(), 65_535, 7, 3);
        for address in
            ["1.2.3.4:80".parse().unwrap(), "[::1]:1".parse().unwrap(), SocketAddr::V6(v6)]
        {
            assert_eq!(RawAddress::encode(address).decode().unwrap(), address);
        }
    }
}
