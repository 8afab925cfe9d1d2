//! A simulated UDP socket.

use std::cell::Cell;
use std::fmt;
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd};
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use squall_executor::{poll_spend_budget, refund_budget};

use crate::sim::current::Place;
use crate::sim::mailbox::Mailbox;
use crate::sim::ports::Protocol;
use crate::sim::socket::Socket;
use crate::sim::trace::{Content, Packet};
use crate::sim::world::World;

/// The longest datagram.
const MAX_DATAGRAM: usize = 65_507;

pub(crate) struct SimulatedUdp {
    socket: Socket,
    /// As the socket's, until it is connected.
    address: Cell<SocketAddr>,
    mailbox: Rc<Mailbox>,
}

impl SimulatedUdp {
    /// # Errors
    /// Those of [`Socket::bind`].
    pub(crate) fn bind(place: Place, address: SocketAddr) -> io::Result<SimulatedUdp> {
        let socket = Socket::bind(place, address, Protocol::Udp)?;
        let mailbox = Rc::<Mailbox>::default();
        socket.place.machine.ports.borrow_mut().add_mailbox(socket.address, &mailbox);
        Ok(SimulatedUdp { address: Cell::new(socket.address), socket, mailbox })
    }

    /// Sets the peer, and the own address if it is unspecified.
    ///
    /// # Errors
    /// `EINVAL` from the loopback device to another host.
    pub(crate) fn connect(&self, peer: SocketAddr) -> io::Result<()> {
        let machine = &self.socket.place.machine;
        let (peer, address) = machine.route(peer, self.address.get())?;
        machine.ports.borrow_mut().move_mailbox(&self.mailbox, address);
        self.address.set(address);
        self.mailbox.peer.set(Some(peer));
        Ok(())
    }

    pub(crate) fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.address.get())
    }

    /// # Errors
    /// `ENOTCONN` if the socket is not connected.
    pub(crate) fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.mailbox.peer.get().ok_or_else(|| io::Error::from_raw_os_error(libc::ENOTCONN))
    }

    pub(crate) async fn send(&self, datagram: &[u8]) -> io::Result<usize> {
        poll_fn(|cx| self.poll_send(cx, datagram, None)).await
    }

    pub(crate) async fn send_to(&self, datagram: &[u8], peer: SocketAddr) -> io::Result<usize> {
        poll_fn(|cx| self.poll_send(cx, datagram, Some(peer))).await
    }

    pub(crate) async fn recv(&self, into: &mut [u8]) -> io::Result<usize> {
        Ok(self.recv_from(into).await?.0)
    }

    pub(crate) async fn recv_from(&self, into: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        poll_fn(|cx| self.poll_recv_from(cx, into)).await
    }

    /// As [`recv_from`](Self::recv_from), and returns the length of the whole datagram.
    pub(crate) async fn recv_whole(&self, into: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        let copy = |datagram: &[u8], sender, into: &mut [u8]| {
            copy_part(datagram, into);
            (datagram.len(), sender)
        };
        poll_fn(|cx| self.poll_recv(cx, false, |datagram, sender| copy(datagram, sender, into)))
            .await
    }

    pub(crate) async fn peek_from(&self, into: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        let mut peek = |cx: &mut Context<'_>| {
            self.poll_recv(cx, true, |datagram, sender| (copy_part(datagram, into), sender))
        };
        poll_fn(|cx| peek(cx)).await
    }

    pub(crate) fn poll_recv_from(
        &self,
        cx: &mut Context<'_>,
        into: &mut [u8],
    ) -> Poll<io::Result<(usize, SocketAddr)>> {
        self.poll_recv(cx, false, |datagram, sender| (copy_part(datagram, into), sender))
    }

    pub(crate) fn poll_send_to(
        &self,
        cx: &mut Context<'_>,
        datagram: &[u8],
        peer: SocketAddr,
    ) -> Poll<io::Result<usize>> {
        self.poll_send(cx, datagram, Some(peer))
    }

    /// Sends a datagram. `None` stands for the peer of a connected socket.
    fn poll_send(
        &self,
        cx: &mut Context<'_>,
        datagram: &[u8],
        to: Option<SocketAddr>,
    ) -> Poll<io::Result<usize>> {
        ready!(poll_spend_budget(cx.waker()));
        Poll::Ready(self.send_now(datagram, to))
    }

    fn send_now(&self, datagram: &[u8], to: Option<SocketAddr>) -> io::Result<usize> {
        let Place { world, machine } = &self.socket.place;
        let to = to.or(self.mailbox.peer.get());
        let to = to.ok_or_else(|| io::Error::from_raw_os_error(libc::EDESTADDRREQ))?;
        if datagram.len() > MAX_DATAGRAM {
            return Err(io::Error::from_raw_os_error(libc::EMSGSIZE));
        }
        if to.port() == 0 {
            return Err(io::Error::from_raw_os_error(libc::EINVAL));
        }
        let (to, from) = machine.route(to, self.address.get())?;
        if let Some(error) = self.mailbox.error.take() {
            return Err(io::Error::from_raw_os_error(error));
        }
        // A datagram to an address that no host has is lost on the way.
        if let Some(target) = world.machine_at(to.ip(), machine) {
            let content = Content::Datagram(datagram.len());
            let bytes = Bytes::copy_from_slice(datagram);
            let datagram =
                Datagram { from: (machine.number, from), to: (target.number, to), content, bytes };
            datagram.send(world);
        }
        Ok(datagram.len())
    }

    /// Calls `take` with the next datagram and its sender, and removes it unless it is kept.
    fn poll_recv<R>(
        &self,
        cx: &mut Context<'_>,
        is_kept: bool,
        take: impl FnOnce(&[u8], SocketAddr) -> R,
    ) -> Poll<io::Result<R>> {
        ready!(poll_spend_budget(cx.waker()));
        if let Some(error) = self.mailbox.error.take() {
            return Poll::Ready(Err(io::Error::from_raw_os_error(error)));
        }
        let Some((sender, bytes)) = self.mailbox.first() else {
            refund_budget();
            self.mailbox.waiting.add(cx.waker());
            return Poll::Pending;
        };
        if !is_kept {
            self.mailbox.remove_first();
        }
        Poll::Ready(Ok(take(&bytes, sender)))
    }
}

/// Copies what finds room. Returns the number of bytes.
fn copy_part(datagram: &[u8], into: &mut [u8]) -> usize {
    let n = datagram.len().min(into.len());
    into[..n].copy_from_slice(&datagram[..n]);
    n
}

/// A datagram under way, or the news that nobody has its port. An end is the number of a host and an
/// address there.
struct Datagram {
    from: (usize, SocketAddr),
    to: (usize, SocketAddr),
    content: Content,
    bytes: Bytes,
}

impl Datagram {
    fn send(self, world: &World) {
        let transit = world.transit(self.from.0, self.to.0, self.bytes.len());
        world.schedule(transit.arrives, |world| self.arrive(world));
    }

    fn packet(&self) -> Packet {
        Packet {
            from: self.from.0,
            to: self.to.0,
            ports: (self.from.1.port(), self.to.1.port()),
            content: self.content,
        }
    }

    fn arrive(self, world: &Rc<World>) {
        if !world.carries(self.packet()) {
            return;
        }
        let machine = world.machine(self.to.0);
        let mailbox = machine.ports.borrow().mailbox_at(self.to.1, self.from.1);
        let is_news = self.content == Content::Unreachable;
        match mailbox {
            // Only a connected socket is told.
            Some(mailbox) if is_news && mailbox.peer.get().is_none() => {}
            Some(mailbox) => {
                if is_news {
                    mailbox.error.set(Some(libc::ECONNREFUSED));
                } else {
                    mailbox.put(self.from.1, self.bytes);
                }
                world.place(self.to.0).enter(|| mailbox.waiting.wake_all());
            }
            None if is_news => {}
            None => {
                let content = Content::Unreachable;
                Datagram { from: self.to, to: self.from, content, bytes: Bytes::new() }.send(world);
            }
        }
    }
}

impl AsFd for SimulatedUdp {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl fmt::Debug for SimulatedUdp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SimulatedUdp").field("address", &self.address.get()).finish_non_exhaustive()
    }
}
