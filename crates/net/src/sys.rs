//! Every system call of this crate, each behind `fault::check`.
//!
//! `recv` and `send` are std's, which pass `MSG_NOSIGNAL`; what std does not have is called here.

#![allow(unsafe_code, reason = "system calls are made here and nowhere else in this crate")]

use std::io::{self, IoSlice, Read, Write};
use std::mem;
use std::net::{
    Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr, SocketAddrV4, SocketAddrV6, TcpListener, TcpStream,
};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use squall_executor::fault::{self, Call};

/// `accept4(2)`, close-on-exec and non-blocking.
pub(crate) fn accept(listener: &TcpListener) -> io::Result<(TcpStream, SocketAddr)> {
    fault::check(Call::Accept)?;
    let mut address = RawAddress::empty();
    let flags = libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
    // SAFETY: the kernel writes at most `length` bytes of an address into a storage of that size, and the new length.
    let fd = check(unsafe {
        libc::accept4(
            listener.as_raw_fd(),
            (&raw mut address.storage).cast(),
            &raw mut address.length,
            flags,
        )
    })?;
    // SAFETY: the kernel has just made this descriptor for us; nobody else knows its number.
    let fd = unsafe { OwnedFd::from_raw_fd(fd) };
    Ok((TcpStream::from(fd), address.decode()?))
}

/// `socket(2)` and `connect(2)`, close-on-exec and non-blocking; the connection is usually still under way.
pub(crate) fn connect(to: SocketAddr) -> io::Result<TcpStream> {
    fault::check(Call::Socket)?;
    let family = if to.is_ipv4() { libc::AF_INET } else { libc::AF_INET6 };
    let kind = libc::SOCK_STREAM | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
    // SAFETY: the call takes no pointer.
    let fd = check(unsafe { libc::socket(family, kind, 0) })?;
    // SAFETY: the kernel has just made this descriptor for us; nobody else knows its number.
    let fd = unsafe { OwnedFd::from_raw_fd(fd) };
    fault::check(Call::Connect)?;
    let address = RawAddress::encode(to);
    // SAFETY: the kernel reads `length` bytes of an address from a storage that holds them.
    let result = check(unsafe {
        libc::connect(fd.as_raw_fd(), (&raw const address.storage).cast(), address.length)
    });
    match result {
        Err(error) if error.raw_os_error() != Some(libc::EINPROGRESS) => Err(error),
        _ => Ok(TcpStream::from(fd)),
    }
}

/// `listen(2)`: changes the backlog of a listening socket; the kernel caps it at `somaxconn`.
pub(crate) fn set_backlog(listener: &TcpListener, backlog: i32) -> io::Result<()> {
    // SAFETY: the call takes no pointer.
    check(unsafe { libc::listen(listener.as_raw_fd(), backlog) })?;
    Ok(())
}

/// `setsockopt(2)` with `TCP_NODELAY`, which accepted sockets inherit.
pub(crate) fn set_nodelay(listener: &TcpListener) -> io::Result<()> {
    let on: libc::c_int = 1;
    let length = size_of_socklen::<libc::c_int>();
    // SAFETY: the kernel reads an int from a live int.
    check(unsafe {
        libc::setsockopt(
            listener.as_raw_fd(),
            libc::IPPROTO_TCP,
            libc::TCP_NODELAY,
            (&raw const on).cast(),
            length,
        )
    })?;
    Ok(())
}

/// `recv(2)`.
pub(crate) fn recv(mut stream: &TcpStream, into: &mut [u8]) -> io::Result<usize> {
    fault::check(Call::Recv)?;
    stream.read(into)
}

/// `send(2)` with `MSG_NOSIGNAL`.
pub(crate) fn send(mut stream: &TcpStream, from: &[u8]) -> io::Result<usize> {
    fault::check(Call::Send)?;
    stream.write(from)
}

/// `sendmsg(2)` with `MSG_NOSIGNAL`; std's vectored write is `writev`, which raises SIGPIPE.
pub(crate) fn sendmsg(stream: &TcpStream, from: &[IoSlice<'_>]) -> io::Result<usize> {
    fault::check(Call::Send)?;
    // SAFETY: all zeros is a valid `msghdr`: null pointers and zero lengths.
    let mut message: libc::msghdr = unsafe { mem::zeroed() };
    message.msg_iov = from.as_ptr().cast_mut().cast(); // IoSlice is an iovec by its documentation
    message.msg_iovlen = from.len().min(IOV_MAX);
    // SAFETY: the kernel reads at most `msg_iovlen` slices that live for the whole call, and their bytes.
    let sent = unsafe { libc::sendmsg(stream.as_raw_fd(), &raw const message, libc::MSG_NOSIGNAL) };
    usize::try_from(sent).map_err(|_| io::Error::last_os_error())
}

/// The most slices that the kernel takes at once.
pub(crate) const IOV_MAX: usize = 1024;

/// `shutdown(2)`.
pub(crate) fn shutdown(stream: &TcpStream, how: Shutdown) -> io::Result<()> {
    fault::check(Call::Shutdown)?;
    stream.shutdown(how)
}

fn check(result: i32) -> io::Result<i32> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

fn size_of_socklen<T>() -> libc::socklen_t {
    libc::socklen_t::try_from(size_of::<T>()).expect("an address is smaller than 4 GiB")
}

/// An address as the kernel writes it.
struct RawAddress {
    storage: libc::sockaddr_storage,
    length: libc::socklen_t,
}

impl RawAddress {
    fn empty() -> RawAddress {
        // SAFETY: all zeros is a valid `sockaddr_storage`: an address of no family.
        let storage = unsafe { mem::zeroed() };
        RawAddress { storage, length: size_of_socklen::<libc::sockaddr_storage>() }
    }

    fn encode(address: SocketAddr) -> RawAddress {
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

    fn decode(&self) -> io::Result<SocketAddr> {
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
