//! Sending and receiving bytes, the part that the stream sockets of every family share.

use std::io::{self, IoSlice};
use std::net::{Shutdown, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd};
use std::task::{Context, Poll};

use squall_executor::fault::{self, Call};
use squall_executor::{AsyncFd, set_nonblocking};

use crate::sys;

/// A connected stream socket on a loop.
#[derive(Debug)]
pub(crate) struct StreamSocket<T: AsFd> {
    pub(crate) fd: AsyncFd<T>,
}

/// An address family of stream sockets.
pub(crate) trait Family {
    /// Whether a read that returns fewer bytes than it had room for has drained the socket. False
    /// if bytes can carry a descriptor: a read stops after such bytes.
    const SHORT_READ_DRAINS: bool;
}

impl Family for std::net::TcpStream {
    const SHORT_READ_DRAINS: bool = true;
}

impl Family for std::os::unix::net::UnixStream {
    const SHORT_READ_DRAINS: bool = false;
}

impl<T: AsFd> StreamSocket<T> {
    pub(crate) fn new(socket: T) -> io::Result<StreamSocket<T>> {
        set_nonblocking(socket.as_fd())?;
        Ok(StreamSocket { fd: AsyncFd::from_nonblocking(socket) })
    }

    pub(crate) fn from_nonblocking(socket: T) -> StreamSocket<T> {
        StreamSocket { fd: AsyncFd::from_nonblocking(socket) }
    }

    pub(crate) fn std(&self) -> &T {
        self.fd.get_ref()
    }

    #[inline(always)]
    pub(crate) fn poll_send(&self, cx: &mut Context<'_>, from: &[u8]) -> Poll<io::Result<usize>> {
        let polled = self.fd.poll_write_with(cx, |socket| send(socket.as_fd(), from));
        self.note_if_full(&polled, || from.len());
        polled
    }

    pub(crate) fn poll_send_slices(
        &self,
        cx: &mut Context<'_>,
        from: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let from = &from[..from.len().min(sys::IOV_MAX)];
        let polled = self.fd.poll_write_with(cx, |socket| sendmsg(socket.as_fd(), from));
        self.note_if_full(&polled, || from.iter().map(|slice| slice.len()).sum());
        polled
    }

    pub(crate) fn poll_write_with<R>(
        &self,
        cx: &mut Context<'_>,
        mut f: impl FnMut(BorrowedFd<'_>) -> io::Result<R>,
    ) -> Poll<io::Result<R>> {
        self.fd.poll_write_with(cx, |socket| f(socket.as_fd()))
    }

    pub(crate) fn poll_read_with<R>(
        &self,
        cx: &mut Context<'_>,
        mut f: impl FnMut(BorrowedFd<'_>) -> io::Result<R>,
    ) -> Poll<io::Result<R>> {
        self.fd.poll_read_with(cx, |socket| f(socket.as_fd()))
    }

    /// Notes that the socket is full, if a write sent fewer bytes than it was given.
    #[inline]
    fn note_if_full(&self, polled: &Poll<io::Result<usize>>, given: impl FnOnce() -> usize) {
        if let Poll::Ready(Ok(n)) = polled
            && *n < given()
            && !fault::was_shortened(Call::Send)
        {
            self.fd.note_full();
        }
    }
}

impl<T: AsFd + Family> StreamSocket<T> {
    #[inline(always)]
    pub(crate) fn poll_recv(
        &self,
        cx: &mut Context<'_>,
        into: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let polled = self.fd.poll_read_with(cx, |socket| recv(socket.as_fd(), into));
        if T::SHORT_READ_DRAINS
            && let Poll::Ready(Ok(n)) = polled
            && n < into.len()
            && !fault::was_shortened(Call::Recv)
        {
            self.fd.note_drained();
        }
        polled
    }
}

/// As [`sys::recv`], unless a test plans a short read.
#[inline]
fn recv(socket: BorrowedFd<'_>, into: &mut [u8]) -> io::Result<usize> {
    let room = fault::allowed(Call::Recv, into.len());
    sys::recv(socket, &mut into[..room])
}

/// As [`sys::send`], unless a test plans a short write.
#[inline]
fn send(socket: BorrowedFd<'_>, from: &[u8]) -> io::Result<usize> {
    let given = fault::allowed(Call::Send, from.len());
    sys::send(socket, &from[..given])
}

/// As [`sys::sendmsg`], unless a test plans a short write: then a part of the first slice.
#[inline]
fn sendmsg(socket: BorrowedFd<'_>, from: &[IoSlice<'_>]) -> io::Result<usize> {
    let first = from.first().map_or(0, |slice| slice.len());
    let given = fault::allowed(Call::Send, first);
    if given < first {
        return sys::send(socket, &from[0][..given]);
    }
    sys::sendmsg(socket, from)
}

/// Readiness, as of [`AsyncFd`].
impl<T: AsFd> StreamSocket<T> {
    #[inline]
    pub(crate) fn is_read_ready(&self) -> bool {
        self.fd.is_read_ready()
    }

    #[inline]
    pub(crate) fn poll_read_ready(&self, cx: &Context<'_>) -> Poll<()> {
        self.fd.poll_read_ready(cx)
    }

    pub(crate) fn wake_waiting(&self) {
        self.fd.wake_waiting();
    }
}

/// What only TCP has. A simulated socket has the same methods.
impl StreamSocket<std::net::TcpStream> {
    pub(crate) fn local_addr(&self) -> io::Result<SocketAddr> {
        self.std().local_addr()
    }

    pub(crate) fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.std().peer_addr()
    }

    pub(crate) fn set_nodelay(&self, on: bool) -> io::Result<()> {
        self.std().set_nodelay(on)
    }

    pub(crate) fn make_close_a_reset(&self) {
        let _ = sys::make_close_a_reset(self.as_fd()); // fails only for a bad descriptor
    }

    pub(crate) fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        sys::shutdown(self.as_fd(), how)
    }

    pub(crate) fn into_std(self) -> std::net::TcpStream {
        self.fd.into_inner()
    }
}

impl<T: AsFd> From<AsyncFd<T>> for StreamSocket<T> {
    fn from(fd: AsyncFd<T>) -> StreamSocket<T> {
        StreamSocket { fd }
    }
}

impl<T: AsFd> AsFd for StreamSocket<T> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// Implements the traits of futures-io and `AsFd` for a type with a field `socket` and a method
/// `shutdown`.
macro_rules! stream_traits {
    ($Stream:ty) => {
        impl $Stream {
            /// Makes a system call of your own that writes to the socket, for example `sendfile(2)`.
            ///
            /// Calls `f` when the socket may be writable. If `f` returns `WouldBlock`, stores the
            /// waker until there is room. The socket keeps one waker for writing, so do not write in
            /// another way until this is ready. Of an [`IoStream`](crate::IoStream), flush the queue
            /// first, and get here by [`with_transport`](crate::IoStream::with_transport).
            ///
            /// # Errors
            /// Those of `f` and of `epoll_ctl(2)`. `Unsupported`: the stream is simulated and has no
            /// socket.
            pub fn poll_write_with<R>(
                &self,
                cx: &mut Context<'_>,
                f: impl FnMut(BorrowedFd<'_>) -> io::Result<R>,
            ) -> Poll<io::Result<R>> {
                self.socket.poll_write_with(cx, f)
            }

            /// Makes a system call of your own that reads from the socket, for example `splice(2)`.
            ///
            /// As [`poll_write_with`](Self::poll_write_with), for the other direction. The bytes that
            /// an [`IoStream`](crate::IoStream) has in its buffer come before those of the socket.
            ///
            /// # Errors
            /// As [`poll_write_with`](Self::poll_write_with).
            pub fn poll_read_with<R>(
                &self,
                cx: &mut Context<'_>,
                f: impl FnMut(BorrowedFd<'_>) -> io::Result<R>,
            ) -> Poll<io::Result<R>> {
                self.socket.poll_read_with(cx, f)
            }

            /// False if the last read has drained the socket.
            #[inline]
            pub(crate) fn may_read(&self) -> bool {
                self.socket.is_read_ready()
            }

            /// Wakes the tasks that wait for the socket.
            pub(crate) fn wake_waiting(&self) {
                self.socket.wake_waiting();
            }

            /// As `may_read`. If false, stores the waker.
            #[inline]
            pub(crate) fn poll_readable(&self, cx: &Context<'_>) -> Poll<()> {
                self.socket.poll_read_ready(cx)
            }
        }

        impl futures_io::AsyncRead for $Stream {
            #[inline(always)] // two calls, on the shortest roads of a stream
            fn poll_read(
                self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                into: &mut [u8],
            ) -> Poll<io::Result<usize>> {
                self.socket.poll_recv(cx, into)
            }
        }

        impl futures_io::AsyncWrite for $Stream {
            #[inline(always)]
            fn poll_write(
                self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                from: &[u8],
            ) -> Poll<io::Result<usize>> {
                self.socket.poll_send(cx, from)
            }

            fn poll_write_vectored(
                self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                from: &[io::IoSlice<'_>],
            ) -> Poll<io::Result<usize>> {
                self.socket.poll_send_slices(cx, from)
            }

            /// Does nothing: the kernel already has every written byte.
            #[inline]
            fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
                Poll::Ready(Ok(()))
            }

            /// Shuts down the write side; reading goes on.
            fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
                Poll::Ready(self.shutdown(Shutdown::Write))
            }
        }

        impl AsFd for $Stream {
            fn as_fd(&self) -> BorrowedFd<'_> {
                self.socket.as_fd()
            }
        }
    };
}

pub(crate) use stream_traits;
