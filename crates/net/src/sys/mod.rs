//! Every system call of this crate that std does not make as it is needed here, each behind `fault::check`.

#![allow(unsafe_code, reason = "system calls are made here and nowhere else in this crate")]

mod address;
mod process;
mod unix;

use std::io::{self, IoSlice};
use std::mem;
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use squall_executor::fault::{self, Call};

use address::{RawAddress, size_of_socklen};

pub(crate) use address::unix_address;
pub(crate) use process::{
    HeldSignals, Taken, adopt_inherited, duplicate_from, fork, give_descriptors, identity,
    is_of_our_group, kill, pidfd_open, pidfd_send_signal, set_parent_death_signal, try_wait,
};
pub(crate) use unix::{
    MAX_FDS, accept_unix, bind_unix, connect_unix, peer_credentials, recv_fds, send_fds, try_lock,
};

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

/// `socket(2)` for a stream, close-on-exec and non-blocking.
fn socket(family: i32) -> io::Result<OwnedFd> {
    fault::check(Call::Socket)?;
    let kind = libc::SOCK_STREAM | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
    // SAFETY: the call takes no pointer.
    let fd = check(unsafe { libc::socket(family, kind, 0) })?;
    // SAFETY: the kernel has just made this descriptor for us; nobody else knows its number.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// `socket(2)`, `bind(2)` if a source is wanted, and `connect(2)`, close-on-exec and non-blocking; the connection is usually
/// still under way.
pub(crate) fn connect(to: SocketAddr, from: Option<SocketAddr>) -> io::Result<TcpStream> {
    let fd = socket(if to.is_ipv4() { libc::AF_INET } else { libc::AF_INET6 })?;
    if let Some(from) = from {
        bind_source(fd.as_fd(), from)?;
    }
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

/// `bind(2)` of a socket that will connect. Port 0 is chosen by the connect, so that one port serves many peers
/// (`IP_BIND_ADDRESS_NO_PORT`); a port that is named may still linger from an earlier connection (`SO_REUSEADDR`).
fn bind_source(fd: BorrowedFd<'_>, from: SocketAddr) -> io::Result<()> {
    if from.port() == 0 {
        set_option(fd, libc::IPPROTO_IP, libc::IP_BIND_ADDRESS_NO_PORT, 1)?;
    } else {
        set_option(fd, libc::SOL_SOCKET, libc::SO_REUSEADDR, 1)?;
    }
    bind(fd, from)
}

/// `bind(2)`.
fn bind(fd: BorrowedFd<'_>, to: SocketAddr) -> io::Result<()> {
    let address = RawAddress::encode(to);
    // SAFETY: the kernel reads `length` bytes of an address from a storage that holds them.
    check(unsafe {
        libc::bind(fd.as_raw_fd(), (&raw const address.storage).cast(), address.length)
    })?;
    Ok(())
}

/// How a listening socket is made.
#[derive(Clone, Copy)]
pub(crate) struct Listen {
    pub(crate) backlog: i32,
    pub(crate) reuse_port: bool,
}

/// `socket(2)`, `bind(2)` and `listen(2)`, close-on-exec and non-blocking. An IPv6 socket is for IPv6 only, so that both
/// families can have the same port.
pub(crate) fn listen(on: SocketAddr, how: Listen) -> io::Result<TcpListener> {
    let fd = socket(if on.is_ipv4() { libc::AF_INET } else { libc::AF_INET6 })?;
    set_option(fd.as_fd(), libc::SOL_SOCKET, libc::SO_REUSEADDR, 1)?;
    if how.reuse_port {
        set_option(fd.as_fd(), libc::SOL_SOCKET, libc::SO_REUSEPORT, 1)?;
    }
    if on.is_ipv6() {
        set_option(fd.as_fd(), libc::IPPROTO_IPV6, libc::IPV6_V6ONLY, 1)?;
    }
    set_option(fd.as_fd(), libc::IPPROTO_TCP, libc::TCP_NODELAY, 1)?;
    bind(fd.as_fd(), on)?;
    let listener = TcpListener::from(fd);
    set_backlog(&listener, how.backlog)?;
    Ok(listener)
}

/// `listen(2)`: makes a socket listen, or changes the backlog of one that does; the kernel caps it at `somaxconn`.
pub(crate) fn set_backlog(listener: &impl AsRawFd, backlog: i32) -> io::Result<()> {
    // SAFETY: the call takes no pointer.
    check(unsafe { libc::listen(listener.as_raw_fd(), backlog) })?;
    Ok(())
}

/// `setsockopt(2)` with `TCP_NODELAY`, which accepted sockets inherit.
pub(crate) fn set_nodelay(listener: &TcpListener) -> io::Result<()> {
    set_option(listener.as_fd(), libc::IPPROTO_TCP, libc::TCP_NODELAY, 1)
}

/// `setsockopt(2)` with an int.
fn set_option(fd: BorrowedFd<'_>, level: i32, name: i32, value: i32) -> io::Result<()> {
    let length = size_of_socklen::<libc::c_int>();
    // SAFETY: the kernel reads an int from a live int.
    check(unsafe {
        libc::setsockopt(fd.as_raw_fd(), level, name, (&raw const value).cast(), length)
    })?;
    Ok(())
}

/// `getsockopt(2)` with an int of `SOL_SOCKET`.
pub(crate) fn socket_option(fd: BorrowedFd<'_>, name: i32) -> io::Result<i32> {
    let mut value: libc::c_int = 0;
    let mut length = size_of_socklen::<libc::c_int>();
    // SAFETY: the kernel writes at most `length` bytes into a live int.
    check(unsafe {
        libc::getsockopt(
            fd.as_raw_fd(),
            libc::SOL_SOCKET,
            name,
            (&raw mut value).cast(),
            &raw mut length,
        )
    })?;
    Ok(value)
}

/// `recv(2)`.
#[inline]
pub(crate) fn recv(socket: BorrowedFd<'_>, into: &mut [u8]) -> io::Result<usize> {
    fault::check(Call::Recv)?;
    // SAFETY: the kernel writes at most `len` bytes into a live slice of that length.
    let read = unsafe { libc::recv(socket.as_raw_fd(), into.as_mut_ptr().cast(), into.len(), 0) };
    usize::try_from(read).map_err(|_| io::Error::last_os_error())
}

/// `send(2)` with `MSG_NOSIGNAL`.
#[inline]
pub(crate) fn send(socket: BorrowedFd<'_>, from: &[u8]) -> io::Result<usize> {
    fault::check(Call::Send)?;
    let (data, length) = (from.as_ptr().cast(), from.len());
    // SAFETY: the kernel reads at most `len` bytes from a live slice of that length.
    let sent = unsafe { libc::send(socket.as_raw_fd(), data, length, libc::MSG_NOSIGNAL) };
    usize::try_from(sent).map_err(|_| io::Error::last_os_error())
}

/// `sendmsg(2)` with `MSG_NOSIGNAL`; std's vectored write is `writev`, which raises SIGPIPE.
pub(crate) fn sendmsg(socket: BorrowedFd<'_>, from: &[IoSlice<'_>]) -> io::Result<usize> {
    fault::check(Call::Send)?;
    // SAFETY: all zeros is a valid `msghdr`: null pointers and zero lengths.
    let mut message: libc::msghdr = unsafe { mem::zeroed() };
    message.msg_iov = from.as_ptr().cast_mut().cast(); // IoSlice is an iovec by its documentation
    message.msg_iovlen = from.len().min(IOV_MAX);
    // SAFETY: the kernel reads at most `msg_iovlen` slices that live for the whole call, and their bytes.
    let sent = unsafe { libc::sendmsg(socket.as_raw_fd(), &raw const message, libc::MSG_NOSIGNAL) };
    usize::try_from(sent).map_err(|_| io::Error::last_os_error())
}

/// The most slices that the kernel takes at once.
pub(crate) const IOV_MAX: usize = 1024;

/// `shutdown(2)`.
pub(crate) fn shutdown(socket: BorrowedFd<'_>, how: Shutdown) -> io::Result<()> {
    fault::check(Call::Shutdown)?;
    let how = match how {
        Shutdown::Read => libc::SHUT_RD,
        Shutdown::Write => libc::SHUT_WR,
        Shutdown::Both => libc::SHUT_RDWR,
    };
    // SAFETY: the call takes no pointer.
    check(unsafe { libc::shutdown(socket.as_raw_fd(), how) })?;
    Ok(())
}

fn check(result: i32) -> io::Result<i32> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}
