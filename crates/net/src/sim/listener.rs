//! A simulated listening socket.

use std::fmt;
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd};
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use squall_executor::{poll_spend_budget, refund_budget};

use crate::sim::backlog::Backlog;
use crate::sim::connection::Side;
use crate::sim::current::Place;
use crate::sim::ports::Protocol;
use crate::sim::socket::Socket;
use crate::sim::stream::SimulatedStream;

pub(crate) struct SimulatedListener {
    socket: Socket,
    backlog: Rc<Backlog>,
}

impl SimulatedListener {
    /// Listens on an address of the host.
    ///
    /// # Errors
    /// Those of [`Socket::bind`].
    pub(crate) fn bind(place: Place, address: SocketAddr) -> io::Result<SimulatedListener> {
        let socket = Socket::bind(place, address, Protocol::Tcp)?;
        let limit = socket.place.world.config.backlog;
        let backlog = socket.place.machine.ports.borrow_mut().add_listener(socket.address, limit);
        Ok(SimulatedListener { socket, backlog })
    }

    pub(crate) fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.socket.address)
    }

    pub(crate) async fn accept(&self) -> io::Result<(SimulatedStream, SocketAddr)> {
        poll_fn(|cx| self.poll_accept(cx)).await
    }

    /// # Errors
    /// `EMFILE`: the connection stays in the queue. `WouldBlock`.
    pub(crate) fn try_accept(&self) -> io::Result<(SimulatedStream, SocketAddr)> {
        let place = &self.socket.place;
        let is_full = place.machine.open_sockets.get() >= place.world.config.max_sockets;
        if is_full && !self.backlog.is_empty() {
            return Err(io::Error::from_raw_os_error(libc::EMFILE));
        }
        let none_queued = || io::Error::from_raw_os_error(libc::EAGAIN);
        let connection = self.backlog.pop().ok_or_else(none_queued)?;
        let peer = connection.end(Side::Client).address;
        Ok((SimulatedStream::accept(place.clone(), connection)?, peer))
    }

    pub(crate) fn poll_accept(
        &self,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<(SimulatedStream, SocketAddr)>> {
        ready!(poll_spend_budget(cx.waker()));
        match self.try_accept() {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                refund_budget();
                self.backlog.waiting.add(cx.waker());
                Poll::Pending
            }
            accepted => Poll::Ready(accepted),
        }
    }
}

impl Drop for SimulatedListener {
    /// Resets the connections that nobody has accepted.
    fn drop(&mut self) {
        if self.socket.is_lost() {
            return;
        }
        let world = &self.socket.place.world;
        while let Some(connection) = self.backlog.pop() {
            let end = connection.end(Side::Server);
            end.make_close_a_reset();
            if let Some(last) = end.close(world.now()) {
                world.send(&connection, Side::Server, last, Bytes::new());
            }
        }
    }
}

impl AsFd for SimulatedListener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl fmt::Debug for SimulatedListener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SimulatedListener")
            .field("address", &self.socket.address)
            .finish_non_exhaustive()
    }
}
