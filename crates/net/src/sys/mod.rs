//! The system calls that this crate needs and that std does not make, or not in the form needed
//! here. Calls that can fail on a healthy machine go through `fault::check`, so that tests can make
//! them fail.
//!
//! rustix makes most of the calls. libc makes those that rustix leaves out, such as `fork` and
//! signals (`process`), the texts of the name service (`name_lookup`), and the credentials of a
//! peer whose process has no ID in this PID namespace (`unix`).

mod address;
mod datagram;
mod name_lookup;
mod process;
mod unix;

use std::io::{self, IoSlice};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use rustix::io::Errno;
use rustix::net::sockopt::{
    set_ipv6_v6only, set_socket_linger, set_socket_reuseaddr, set_socket_reuseport, set_tcp_nodelay,
};
use rustix::net::{self, AddressFamily, RecvFlags, SendAncillaryBuffer, SendFlags, SocketFlags};
use squall_executor::fault::{self, Call};

pub(crate) use address::unix_address;
pub(crate) use datagram::{recv_datagram, recv_unix_datagram, send_unix_datagram};
pub(crate) use name_lookup::name_lookup_error;
pub(crate) use process::{
    BlockedSignals, TakenSignal, adopt_inherited, duplicate_from, fork, give_descriptors, identity,
    is_in_our_group, kill, kill_group, leads_group, peek_status, pidfd_open, pidfd_send_signal,
    set_parent_death_signal, try_wait,
};
pub(crate) use rustix::net::sockopt::{
    socket_acceptconn as is_listening, socket_domain as address_family, socket_type,
};
pub(crate) use rustix::net::{AddressFamily as Family, SocketType};
pub(crate) use unix::{
    MAX_FDS, accept_unix, bind_unix, connect_unix, peer_credentials, recv_fds, send_fds,
};

/// The flags of the sockets that this module makes.
const FLAGS: SocketFlags = SocketFlags::CLOEXEC.union(SocketFlags::NONBLOCK);

/// `accept4(2)`, close-on-exec and non-blocking.
#[inline]
pub(crate) fn accept(listener: &TcpListener) -> io::Result<(TcpStream, SocketAddr)> {
    fault::check(Call::Accept)?;
    let (fd, address) = net::acceptfrom_with(listener, FLAGS)?;
    let address = address.ok_or_else(|| io::Error::other("a TCP peer without an address"))?;
    Ok((TcpStream::from(fd), address.try_into()?))
}

/// `socket(2)` for a stream, close-on-exec and non-blocking.
fn socket(family: AddressFamily) -> io::Result<OwnedFd> {
    fault::check(Call::Socket)?;
    Ok(net::socket_with(family, SocketType::STREAM, FLAGS, None)?)
}

/// A socket that is not connected, for a simulated socket that is asked for a descriptor.
#[cfg(feature = "sim")]
pub(crate) fn stand_in(address: SocketAddr) -> io::Result<OwnedFd> {
    socket(family_of(address))
}

fn family_of(address: SocketAddr) -> AddressFamily {
    if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 }
}

/// `socket(2)`, `bind(2)` if `from` is given, and `connect(2)`, close-on-exec and non-blocking, with
/// `TCP_NODELAY`. The connect is usually still in progress when this returns.
pub(crate) fn connect(to: SocketAddr, from: Option<SocketAddr>) -> io::Result<TcpStream> {
    let fd = socket(family_of(to))?;
    if let Some(from) = from {
        bind_source(fd.as_fd(), from)?;
    }
    set_tcp_nodelay(&fd, true)?;
    fault::check(Call::Connect)?;
    match net::connect(&fd, &to) {
        Ok(()) | Err(Errno::INPROGRESS) => Ok(TcpStream::from(fd)),
        Err(errno) => Err(errno.into()),
    }
}

/// `bind(2)` of a socket that will connect. For port 0, the connect chooses the port, so that one
/// port can serve many peers. Any other port may still be in `TIME_WAIT` after an earlier
/// connection (`SO_REUSEADDR`).
fn bind_source(fd: BorrowedFd<'_>, from: SocketAddr) -> io::Result<()> {
    if from.port() == 0 {
        address::bind_no_port(fd)?;
    } else {
        set_socket_reuseaddr(fd, true)?;
    }
    Ok(net::bind(fd, &from)?)
}

/// The options of a listening socket.
#[derive(Clone, Copy)]
pub(crate) struct Listen {
    pub(crate) backlog: i32,
    pub(crate) reuse_port: bool,
}

/// `socket(2)`, `bind(2)` and `listen(2)`, close-on-exec and non-blocking. An IPv6 socket accepts
/// IPv6 only, so that both families can use the same port.
pub(crate) fn listen(on: SocketAddr, how: Listen) -> io::Result<TcpListener> {
    let fd = socket(family_of(on))?;
    set_socket_reuseaddr(&fd, true)?;
    if how.reuse_port {
        set_socket_reuseport(&fd, true)?;
    }
    if on.is_ipv6() {
        set_ipv6_v6only(&fd, true)?;
    }
    set_tcp_nodelay(&fd, true)?;
    net::bind(&fd, &on)?;
    set_backlog(&fd, how.backlog)?;
    Ok(TcpListener::from(fd))
}

/// `listen(2)`: makes a socket listen, or changes the backlog of a listening socket. The kernel
/// caps the backlog at `somaxconn`.
pub(crate) fn set_backlog(listener: &impl AsFd, backlog: i32) -> io::Result<()> {
    Ok(net::listen(listener, backlog)?)
}

/// `setsockopt(2)` with `TCP_NODELAY`, which accepted sockets inherit.
pub(crate) fn set_nodelay(listener: &TcpListener) -> io::Result<()> {
    Ok(set_tcp_nodelay(listener, true)?)
}

/// `setsockopt(2)` with `SO_LINGER` of zero: the close discards unsent bytes and sends a reset.
pub(crate) fn make_close_a_reset(socket: BorrowedFd<'_>) -> io::Result<()> {
    Ok(set_socket_linger(socket, Some(Duration::ZERO))?)
}

/// `recv(2)`.
#[inline]
pub(crate) fn recv(socket: BorrowedFd<'_>, into: &mut [u8]) -> io::Result<usize> {
    fault::check(Call::Recv)?;
    let (received, _) = net::recv(socket, into, RecvFlags::empty())?;
    Ok(received)
}

/// `recv(2)` with `MSG_DONTWAIT`, for a socket that may be blocking.
pub(crate) fn recv_now(socket: BorrowedFd<'_>, into: &mut [u8]) -> io::Result<usize> {
    let (received, _) = net::recv(socket, into, RecvFlags::DONTWAIT)?;
    Ok(received)
}

/// `send(2)` with `MSG_DONTWAIT`, for a socket that may be blocking, and `MSG_NOSIGNAL`.
pub(crate) fn send_now(socket: BorrowedFd<'_>, from: &[u8]) -> io::Result<usize> {
    Ok(net::send(socket, from, SendFlags::DONTWAIT | SendFlags::NOSIGNAL)?)
}

/// `send(2)` with `MSG_NOSIGNAL`.
#[inline]
pub(crate) fn send(socket: BorrowedFd<'_>, from: &[u8]) -> io::Result<usize> {
    fault::check(Call::Send)?;
    Ok(net::send(socket, from, SendFlags::NOSIGNAL)?)
}

/// `sendmsg(2)` with `MSG_NOSIGNAL`. std's vectored write is `writev`, which raises SIGPIPE.
pub(crate) fn sendmsg(socket: BorrowedFd<'_>, from: &[IoSlice<'_>]) -> io::Result<usize> {
    fault::check(Call::Send)?;
    let from = &from[..from.len().min(IOV_MAX)];
    let mut no_control = SendAncillaryBuffer::default();
    Ok(net::sendmsg(socket, from, &mut no_control, SendFlags::NOSIGNAL)?)
}

/// The maximum number of slices in a `sendmsg`.
pub(crate) const IOV_MAX: usize = 1024;

/// `shutdown(2)`.
pub(crate) fn shutdown(socket: BorrowedFd<'_>, how: Shutdown) -> io::Result<()> {
    fault::check(Call::Shutdown)?;
    let how = match how {
        Shutdown::Read => net::Shutdown::Read,
        Shutdown::Write => net::Shutdown::Write,
        Shutdown::Both => net::Shutdown::Both,
    };
    Ok(net::shutdown(socket, how)?)
}
