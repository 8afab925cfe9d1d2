//! A simulated TCP socket.

use std::fmt;
use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::net::{Ipv4Addr, Shutdown, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd};
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use squall_executor::{poll_spend_budget, refund_budget, sleep};

use crate::sim::connection::{Connection, End, Side};
use crate::sim::current::Place;
use crate::sim::ports::Protocol;
use crate::sim::socket::Socket;
use crate::sim::trace::{Content, What};

/// The most bytes of a packet.
const MAX_PACKET: usize = 16 << 10;
/// How long the kernel looks for a host that no link leads to.
const NO_SUCH_HOST: Duration = Duration::from_secs(3);

pub(crate) struct SimulatedStream {
    socket: Socket,
    connection: Rc<Connection>,
    side: Side,
}

impl SimulatedStream {
    /// Connects from a host.
    ///
    /// # Errors
    /// Those of [`Socket::bind`]; `EINVAL` from the loopback device to another host; `EADDRNOTAVAIL`
    /// if the port is connected to this peer; `ECONNREFUSED` if nobody listens; `EHOSTUNREACH` after
    /// 3 s if no host has the address; `ETIMEDOUT` after 127 s of silence.
    pub(crate) async fn connect(
        place: Place,
        to: SocketAddr,
        from: Option<SocketAddr>,
    ) -> io::Result<SimulatedStream> {
        let Place { world, machine } = &place;
        let is_port_chosen = from.is_some_and(|from| from.port() != 0);
        let from = from.unwrap_or(SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), 0));
        let (to, from) = machine.route(to, from)?;
        let socket = Socket::bind(place.clone(), from, Protocol::Tcp)?;
        world.record(What::Connects(machine.number, to));
        let Some(target) = world.machine_at(to.ip(), machine) else {
            sleep(NO_SUCH_HOST).await;
            return Err(io::Error::from_raw_os_error(libc::EHOSTUNREACH));
        };
        let client = (machine.number, socket.address);
        let connection = Connection::new(client, (target.number, to), machine.power.crashes());
        let pair = (socket.address, to);
        if !machine.ports.borrow_mut().add_connection(pair, is_port_chosen) {
            return Err(io::Error::from_raw_os_error(libc::EADDRNOTAVAIL));
        }
        let stream =
            SimulatedStream { socket, connection: Rc::new(connection), side: Side::Client };
        stream.send(Content::Request, Bytes::new());
        poll_fn(|cx| stream.end().poll_connected(cx)).await?;
        Ok(stream)
    }

    /// The server's end of a connection.
    pub(crate) fn accept(place: Place, connection: Rc<Connection>) -> io::Result<SimulatedStream> {
        let socket = Socket::accepted(place, connection.end(Side::Server).address)?;
        Ok(SimulatedStream { socket, connection, side: Side::Server })
    }

    fn end(&self) -> &End {
        self.connection.end(self.side)
    }

    fn peer(&self) -> &End {
        self.connection.end(self.side.other())
    }

    fn buffer(&self) -> usize {
        self.socket.place.world.config.buffer
    }

    fn send(&self, content: Content, bytes: Bytes) {
        self.socket.place.world.send(&self.connection, self.side, content, bytes);
    }

    pub(crate) fn poll_recv(
        &self,
        cx: &mut Context<'_>,
        into: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        ready!(poll_spend_budget(cx.waker()));
        match self.end().recv(into) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                refund_budget();
                self.end().wait_to_read(cx);
                Poll::Pending
            }
            received => {
                if let Some(room) = self.end().take_room(self.buffer()) {
                    self.send(Content::Window(room), Bytes::new());
                }
                Poll::Ready(received)
            }
        }
    }

    pub(crate) fn poll_send(&self, cx: &mut Context<'_>, from: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_send_slices(cx, &[IoSlice::new(from)])
    }

    pub(crate) fn poll_send_slices(
        &self,
        cx: &mut Context<'_>,
        from: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        ready!(poll_spend_budget(cx.waker()));
        let room = match self.end().room(self.buffer()) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                refund_budget();
                self.end().wait_to_write(cx);
                return Poll::Pending;
            }
            room => room?,
        };
        let mut sent = 0;
        for slice in from {
            let slice = &slice[..slice.len().min(room - sent)];
            sent += slice.len();
            for packet in slice.chunks(MAX_PACKET) {
                self.end().count_sent(packet.len());
                self.send(Content::Data(packet.len()), Bytes::copy_from_slice(packet));
            }
        }
        Poll::Ready(Ok(sent))
    }

    pub(crate) fn is_read_ready(&self) -> bool {
        self.end().may_read()
    }

    pub(crate) fn poll_read_ready(&self, cx: &Context<'_>) -> Poll<()> {
        if self.end().may_read() {
            return Poll::Ready(());
        }
        self.end().wait_to_read(cx);
        Poll::Pending
    }

    /// Wakes who waits, as if something had happened.
    pub(crate) fn wake_waiting(&self) {
        self.socket.place.world.wake(self.end());
    }

    pub(crate) fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.socket.address)
    }

    /// # Errors
    /// `ENOTCONN` if the connection is over.
    pub(crate) fn peer_addr(&self) -> io::Result<SocketAddr> {
        if self.end().is_over() {
            return Err(io::Error::from_raw_os_error(libc::ENOTCONN));
        }
        Ok(self.peer().address)
    }

    pub(crate) fn make_close_a_reset(&self) {
        self.end().make_close_a_reset();
    }

    /// # Errors
    /// `ENOTCONN` if the connection is over.
    pub(crate) fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        if how != Shutdown::Read && self.end().shut_write()? {
            self.send(Content::End, Bytes::new());
        }
        if how != Shutdown::Write {
            self.end().shut_read()?;
        }
        self.wake_waiting();
        Ok(())
    }
}

impl Drop for SimulatedStream {
    fn drop(&mut self) {
        if self.socket.is_lost() {
            return; // no kernel is left to tell the peer
        }
        self.wake_waiting(); // their next poll finds the socket gone
        let Place { world, machine } = &self.socket.place;
        if let Some(last) = self.end().close(world.now()) {
            self.send(last, Bytes::new());
        }
        if self.side == Side::Client {
            let pair = (self.socket.address, self.peer().address);
            machine.ports.borrow_mut().remove_connection(pair);
        }
    }
}

impl AsFd for SimulatedStream {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl fmt::Debug for SimulatedStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SimulatedStream")
            .field("local", &self.socket.address)
            .field("peer", &self.peer().address)
            .finish_non_exhaustive()
    }
}
