//! What is known of a received datagram.

/// What [`UdpSocket::recv_datagram`](crate::UdpSocket::recv_datagram) or
/// [`UnixDatagram::recv_datagram`](crate::UnixDatagram::recv_datagram) has received.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Datagram<A> {
    /// The number of bytes in the buffer.
    pub len: usize,
    /// The sender's address.
    pub sender: A,
    /// Whether the datagram was longer than the buffer. The bytes that did not fit are lost.
    pub is_truncated: bool,
}

impl<A> Datagram<A> {
    /// Describes a datagram of `whole_len` bytes that was received into a buffer of `room` bytes.
    pub(crate) fn new(room: usize, whole_len: usize, sender: A) -> Datagram<A> {
        Datagram { len: whole_len.min(room), sender, is_truncated: whole_len > room }
    }
}
