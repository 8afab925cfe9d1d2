//! System calls for datagrams: those that report a truncation, and those of Unix sockets.

use std::io;
use std::net::SocketAddr;
use std::os::fd::BorrowedFd;
use std::os::unix::net::SocketAddr as UnixAddress;

use rustix::net::{self, RecvFlags, SendFlags, SocketAddrAny};
use squall_executor::fault::{self, Call};

use super::address::{for_kernel, from_kernel};

/// A datagram's whole length, which may exceed the buffer, and its sender.
pub(crate) type Received<A> = (usize, A);

/// `recvfrom(2)` with `MSG_TRUNC` for an IP socket.
pub(crate) fn recv_datagram(
    socket: BorrowedFd<'_>,
    into: &mut [u8],
) -> io::Result<Received<SocketAddr>> {
    let (len, sender) = recv_whole_len(socket, into)?;
    let sender = sender.ok_or_else(|| io::Error::other("an IP datagram without a sender"))?;
    Ok((len, sender.try_into()?))
}

/// `recvfrom(2)` with `MSG_TRUNC` for a Unix socket.
pub(crate) fn recv_unix_datagram(
    socket: BorrowedFd<'_>,
    into: &mut [u8],
) -> io::Result<Received<UnixAddress>> {
    let (len, sender) = recv_whole_len(socket, into)?;
    Ok((len, from_kernel(sender)?))
}

fn recv_whole_len(
    socket: BorrowedFd<'_>,
    into: &mut [u8],
) -> io::Result<Received<Option<SocketAddrAny>>> {
    fault::check(Call::Recv)?;
    let (_, len, sender) = net::recvfrom(socket, into, RecvFlags::TRUNC)?;
    Ok((len, sender))
}

/// `sendto(2)` with `MSG_NOSIGNAL`.
pub(crate) fn send_unix_datagram(
    socket: BorrowedFd<'_>,
    datagram: &[u8],
    to: &UnixAddress,
) -> io::Result<usize> {
    let to = for_kernel(to)?;
    fault::check(Call::Send)?;
    Ok(net::sendto(socket, datagram, SendFlags::NOSIGNAL, &to)?)
}
