//! Sending and receiving datagrams of UDP through the kernel.

use std::io;
use std::net::{SocketAddr, ToSocketAddrs, UdpSocket};
use std::os::fd::{AsFd, BorrowedFd};
use std::task::{Context, Poll};

use squall_executor::{AsyncFd, set_nonblocking};

use crate::socket::datagram::Datagram;
use crate::sys;

/// A UDP socket. A simulated one has the same methods.
#[derive(Debug)]
pub(crate) struct DatagramSocket {
    fd: AsyncFd<UdpSocket>,
}

impl DatagramSocket {
    pub(crate) fn bind(address: impl ToSocketAddrs) -> io::Result<DatagramSocket> {
        DatagramSocket::new(UdpSocket::bind(address).map_err(sys::name_lookup_error)?)
    }

    pub(crate) fn new(socket: UdpSocket) -> io::Result<DatagramSocket> {
        set_nonblocking(socket.as_fd())?;
        Ok(DatagramSocket { fd: AsyncFd::from_nonblocking(socket) })
    }

    pub(crate) fn connect(&self, peer: SocketAddr) -> io::Result<()> {
        self.fd.get_ref().connect(peer)
    }

    pub(crate) async fn send(&self, datagram: &[u8]) -> io::Result<usize> {
        self.fd.write_with(|socket| socket.send(datagram)).await
    }

    pub(crate) async fn send_to(&self, datagram: &[u8], peer: SocketAddr) -> io::Result<usize> {
        self.fd.write_with(|socket| socket.send_to(datagram, peer)).await
    }

    pub(crate) async fn recv(&self, into: &mut [u8]) -> io::Result<usize> {
        self.fd.read_with(|socket| socket.recv(into)).await
    }

    pub(crate) async fn recv_from(&self, into: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        self.fd.read_with(|socket| socket.recv_from(into)).await
    }

    pub(crate) async fn recv_datagram(&self, into: &mut [u8]) -> io::Result<Datagram<SocketAddr>> {
        let room = into.len();
        let receive = |socket: &UdpSocket| sys::recv_datagram(socket.as_fd(), into);
        let (whole_len, sender) = self.fd.read_with(receive).await?;
        Ok(Datagram::new(room, whole_len, sender))
    }

    pub(crate) async fn peek_from(&self, into: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        self.fd.read_with(|socket| socket.peek_from(into)).await
    }

    pub(crate) fn poll_recv_from(
        &self,
        cx: &mut Context<'_>,
        into: &mut [u8],
    ) -> Poll<io::Result<(usize, SocketAddr)>> {
        self.fd.poll_read_with(cx, |socket| socket.recv_from(into))
    }

    pub(crate) fn poll_send_to(
        &self,
        cx: &mut Context<'_>,
        datagram: &[u8],
        peer: SocketAddr,
    ) -> Poll<io::Result<usize>> {
        self.fd.poll_write_with(cx, |socket| socket.send_to(datagram, peer))
    }

    pub(crate) fn local_addr(&self) -> io::Result<SocketAddr> {
        self.fd.get_ref().local_addr()
    }

    pub(crate) fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.fd.get_ref().peer_addr()
    }

    pub(crate) fn into_std(self) -> UdpSocket {
        self.fd.into_inner()
    }
}

impl AsFd for DatagramSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}
