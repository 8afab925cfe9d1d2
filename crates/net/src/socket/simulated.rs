//! The sockets of the types that have a simulation: the kernel's, or simulated ones where the code of
//! a simulated host makes them. Both have the same methods.

use std::io::{self, IoSlice};
use std::net::{Shutdown, SocketAddr, ToSocketAddrs};
use std::os::fd::{AsFd, BorrowedFd};
use std::task::{Context, Poll};

use crate::connect::connect::Connected;
use crate::sim::current::{self, Place};
use crate::sim::listener::SimulatedListener;
use crate::sim::stream::SimulatedStream;
use crate::sim::udp::SimulatedUdp;
use crate::socket::accepting_socket::AcceptingSocket;
use crate::socket::datagram::Datagram;
use crate::socket::datagram_socket::DatagramSocket;
use crate::socket::stream_socket::StreamSocket;
use crate::sys;

/// The socket of a [`TcpStream`](crate::TcpStream).
#[derive(Debug)]
pub(crate) enum TcpSocket {
    Kernel(StreamSocket<std::net::TcpStream>),
    Simulated(SimulatedStream),
}

/// The socket of a [`TcpListener`](crate::TcpListener).
#[derive(Debug)]
pub(crate) enum TcpAcceptor {
    Kernel(AcceptingSocket),
    Simulated(SimulatedListener),
}

/// The socket of a [`UdpSocket`](crate::UdpSocket).
#[derive(Debug)]
pub(crate) enum UdpPort {
    Kernel(DatagramSocket),
    Simulated(SimulatedUdp),
}

/// Makes a call on the socket, of whichever kind it is.
macro_rules! on {
    ($either:expr, $socket:ident => $call:expr) => {
        match $either {
            Self::Kernel($socket) => $call,
            Self::Simulated($socket) => $call,
        }
    };
}

/// # Panics
/// The descriptor of the system that is asked for does not exist.
fn no_std_socket() -> ! {
    panic!("into_std is not simulated: a simulated socket has no descriptor to give away")
}

/// The error of a system call that is asked for on a simulated socket.
fn no_descriptor() -> io::Error {
    io::Error::new(io::ErrorKind::Unsupported, "a simulated socket has no descriptor")
}

/// Binds to the first address that is free.
fn bind_first<T>(
    place: &Place,
    addresses: impl ToSocketAddrs,
    bind: impl Fn(Place, SocketAddr) -> io::Result<T>,
) -> io::Result<T> {
    let mut failure = io::ErrorKind::InvalidInput.into();
    let needs_address = |error: io::Error| {
        let text = format!("a simulated host binds to an address, such as \"0.0.0.0:80\": {error}");
        io::Error::new(error.kind(), text)
    };
    for address in
        addresses.to_socket_addrs().map_err(sys::name_lookup_error).map_err(needs_address)?
    {
        match bind(place.clone(), address) {
            Ok(bound) => return Ok(bound),
            Err(error) => failure = error,
        }
    }
    Err(failure)
}

impl TcpSocket {
    pub(crate) fn new(socket: std::net::TcpStream) -> io::Result<TcpSocket> {
        Ok(TcpSocket::Kernel(StreamSocket::new(socket)?))
    }

    #[inline(always)] // as the calls of the kernel's socket
    pub(crate) fn poll_recv(
        &self,
        cx: &mut Context<'_>,
        into: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        on!(self, socket => socket.poll_recv(cx, into))
    }

    #[inline(always)]
    pub(crate) fn poll_send(&self, cx: &mut Context<'_>, from: &[u8]) -> Poll<io::Result<usize>> {
        on!(self, socket => socket.poll_send(cx, from))
    }

    pub(crate) fn poll_send_slices(
        &self,
        cx: &mut Context<'_>,
        from: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        on!(self, socket => socket.poll_send_slices(cx, from))
    }

    pub(crate) fn poll_write_with<R>(
        &self,
        cx: &mut Context<'_>,
        f: impl FnMut(BorrowedFd<'_>) -> io::Result<R>,
    ) -> Poll<io::Result<R>> {
        match self {
            TcpSocket::Kernel(socket) => socket.poll_write_with(cx, f),
            TcpSocket::Simulated(_) => Poll::Ready(Err(no_descriptor())),
        }
    }

    pub(crate) fn poll_read_with<R>(
        &self,
        cx: &mut Context<'_>,
        f: impl FnMut(BorrowedFd<'_>) -> io::Result<R>,
    ) -> Poll<io::Result<R>> {
        match self {
            TcpSocket::Kernel(socket) => socket.poll_read_with(cx, f),
            TcpSocket::Simulated(_) => Poll::Ready(Err(no_descriptor())),
        }
    }

    #[inline]
    pub(crate) fn is_read_ready(&self) -> bool {
        on!(self, socket => socket.is_read_ready())
    }

    #[inline]
    pub(crate) fn poll_read_ready(&self, cx: &Context<'_>) -> Poll<()> {
        on!(self, socket => socket.poll_read_ready(cx))
    }

    pub(crate) fn wake_waiting(&self) {
        on!(self, socket => socket.wake_waiting());
    }

    pub(crate) fn local_addr(&self) -> io::Result<SocketAddr> {
        on!(self, socket => socket.local_addr())
    }

    pub(crate) fn peer_addr(&self) -> io::Result<SocketAddr> {
        on!(self, socket => socket.peer_addr())
    }

    pub(crate) fn set_nodelay(&self, on: bool) -> io::Result<()> {
        match self {
            TcpSocket::Kernel(socket) => socket.set_nodelay(on),
            TcpSocket::Simulated(_) => Ok(()), // a simulated socket never delays
        }
    }

    pub(crate) fn make_close_a_reset(&self) {
        on!(self, socket => socket.make_close_a_reset());
    }

    pub(crate) fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        on!(self, socket => socket.shutdown(how))
    }

    pub(crate) fn into_std(self) -> std::net::TcpStream {
        match self {
            TcpSocket::Kernel(socket) => socket.into_std(),
            TcpSocket::Simulated(_) => no_std_socket(),
        }
    }
}

impl From<Connected> for TcpSocket {
    fn from(connected: Connected) -> TcpSocket {
        match connected {
            Connected::Kernel(fd) => TcpSocket::Kernel(fd.into()),
            Connected::Simulated(stream) => TcpSocket::Simulated(stream),
        }
    }
}

impl AsFd for TcpSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        on!(self, socket => socket.as_fd())
    }
}

impl TcpAcceptor {
    pub(crate) fn bind(address: impl ToSocketAddrs) -> io::Result<TcpAcceptor> {
        match current::place() {
            None => Ok(TcpAcceptor::Kernel(AcceptingSocket::bind(address)?)),
            Some(place) => {
                let listener = bind_first(&place, address, SimulatedListener::bind)?;
                Ok(TcpAcceptor::Simulated(listener))
            }
        }
    }

    pub(crate) fn new(listener: std::net::TcpListener) -> io::Result<TcpAcceptor> {
        Ok(TcpAcceptor::Kernel(AcceptingSocket::new(listener)?))
    }

    pub(crate) fn shared(listener: std::net::TcpListener) -> io::Result<TcpAcceptor> {
        Ok(TcpAcceptor::Kernel(AcceptingSocket::shared(listener)?))
    }

    pub(crate) async fn accept(&self) -> io::Result<(TcpSocket, SocketAddr)> {
        Ok(match self {
            TcpAcceptor::Kernel(socket) => kernel(socket.accept().await?),
            TcpAcceptor::Simulated(socket) => simulated(socket.accept().await?),
        })
    }

    pub(crate) fn poll_accept(
        &self,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<(TcpSocket, SocketAddr)>> {
        match self {
            TcpAcceptor::Kernel(socket) => socket.poll_accept(cx).map_ok(kernel),
            TcpAcceptor::Simulated(socket) => socket.poll_accept(cx).map_ok(simulated),
        }
    }

    pub(crate) fn try_accept(&self) -> io::Result<(TcpSocket, SocketAddr)> {
        Ok(match self {
            TcpAcceptor::Kernel(socket) => kernel(socket.try_accept()?),
            TcpAcceptor::Simulated(socket) => simulated(socket.try_accept()?),
        })
    }

    pub(crate) fn local_addr(&self) -> io::Result<SocketAddr> {
        on!(self, socket => socket.local_addr())
    }

    pub(crate) fn rest(&self) {
        if let TcpAcceptor::Kernel(socket) = self {
            socket.rest();
        }
    }

    pub(crate) fn into_std(self) -> std::net::TcpListener {
        match self {
            TcpAcceptor::Kernel(socket) => socket.into_std(),
            TcpAcceptor::Simulated(_) => no_std_socket(),
        }
    }
}

fn kernel<A>((stream, peer): (StreamSocket<std::net::TcpStream>, A)) -> (TcpSocket, A) {
    (TcpSocket::Kernel(stream), peer)
}

fn simulated<A>((stream, peer): (SimulatedStream, A)) -> (TcpSocket, A) {
    (TcpSocket::Simulated(stream), peer)
}

impl AsFd for TcpAcceptor {
    fn as_fd(&self) -> BorrowedFd<'_> {
        on!(self, socket => socket.as_fd())
    }
}

impl UdpPort {
    pub(crate) fn bind(address: impl ToSocketAddrs) -> io::Result<UdpPort> {
        match current::place() {
            None => Ok(UdpPort::Kernel(DatagramSocket::bind(address)?)),
            Some(place) => Ok(UdpPort::Simulated(bind_first(&place, address, SimulatedUdp::bind)?)),
        }
    }

    pub(crate) fn new(socket: std::net::UdpSocket) -> io::Result<UdpPort> {
        Ok(UdpPort::Kernel(DatagramSocket::new(socket)?))
    }

    pub(crate) fn connect(&self, peer: SocketAddr) -> io::Result<()> {
        on!(self, socket => socket.connect(peer))
    }

    pub(crate) async fn send(&self, datagram: &[u8]) -> io::Result<usize> {
        on!(self, socket => socket.send(datagram).await)
    }

    pub(crate) async fn send_to(&self, datagram: &[u8], peer: SocketAddr) -> io::Result<usize> {
        on!(self, socket => socket.send_to(datagram, peer).await)
    }

    pub(crate) async fn recv(&self, into: &mut [u8]) -> io::Result<usize> {
        on!(self, socket => socket.recv(into).await)
    }

    pub(crate) async fn recv_from(&self, into: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        on!(self, socket => socket.recv_from(into).await)
    }

    pub(crate) async fn recv_datagram(&self, into: &mut [u8]) -> io::Result<Datagram<SocketAddr>> {
        match self {
            UdpPort::Kernel(socket) => socket.recv_datagram(into).await,
            UdpPort::Simulated(socket) => {
                let (whole_len, sender) = socket.recv_whole(into).await?;
                Ok(Datagram::new(into.len(), whole_len, sender))
            }
        }
    }

    pub(crate) async fn peek_from(&self, into: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        on!(self, socket => socket.peek_from(into).await)
    }

    pub(crate) fn poll_recv_from(
        &self,
        cx: &mut Context<'_>,
        into: &mut [u8],
    ) -> Poll<io::Result<(usize, SocketAddr)>> {
        on!(self, socket => socket.poll_recv_from(cx, into))
    }

    pub(crate) fn poll_send_to(
        &self,
        cx: &mut Context<'_>,
        datagram: &[u8],
        peer: SocketAddr,
    ) -> Poll<io::Result<usize>> {
        on!(self, socket => socket.poll_send_to(cx, datagram, peer))
    }

    pub(crate) fn local_addr(&self) -> io::Result<SocketAddr> {
        on!(self, socket => socket.local_addr())
    }

    pub(crate) fn peer_addr(&self) -> io::Result<SocketAddr> {
        on!(self, socket => socket.peer_addr())
    }

    pub(crate) fn into_std(self) -> std::net::UdpSocket {
        match self {
            UdpPort::Kernel(socket) => socket.into_std(),
            UdpPort::Simulated(_) => no_std_socket(),
        }
    }
}

impl AsFd for UdpPort {
    fn as_fd(&self) -> BorrowedFd<'_> {
        on!(self, socket => socket.as_fd())
    }
}
