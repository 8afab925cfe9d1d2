//! Two connected streams in memory.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker, ready};

use futures_io::{AsyncRead, AsyncWrite};
use squall_executor::{poll_spend_budget, refund_budget};

/// Returns two connected streams in memory. Bytes written to one are read from the other.
///
/// Each direction holds at most `capacity` bytes; 0 counts as 1. For tests, and for protocols
/// between tasks. The streams make no system calls.
///
/// ```
/// use squall_net::{IoStream, block_on, duplex};
///
/// block_on(async {
///     let (a, b) = duplex(64);
///     let (mut a, mut b) = (IoStream::new(a), IoStream::new(b));
///     a.write("hello\n")?;
///     assert_eq!(b.read_until(b"\n").await?, "hello\n");
///     Ok(())
/// })
/// # .map_err(|error: squall_net::StreamError| std::io::Error::from(error))
/// # .unwrap();
/// ```
pub fn duplex(capacity: usize) -> (DuplexStream, DuplexStream) {
    let channel = || {
        Rc::new(RefCell::new(Channel {
            bytes: VecDeque::new(),
            capacity: capacity.max(1),
            is_closed: false,
            is_reset: false,
            is_reader_dropped: false,
            read_waker: None,
            write_waker: None,
        }))
    };
    let (forth, back) = (channel(), channel());
    let one = DuplexStream { incoming: Rc::clone(&back), outgoing: Rc::clone(&forth) };
    (one, DuplexStream { incoming: forth, outgoing: back })
}

/// One end of a [`duplex`] pair. Closing it ends the direction that it writes to; dropping it ends
/// both.
#[derive(Debug)]
pub struct DuplexStream {
    incoming: Rc<RefCell<Channel>>,
    outgoing: Rc<RefCell<Channel>>,
}

/// One direction of a [`duplex`] pair.
#[derive(Debug)]
struct Channel {
    /// Written and not yet read; at most `capacity` bytes.
    bytes: VecDeque<u8>,
    capacity: usize,
    /// True once the writing end is closed or dropped: no more bytes will come.
    is_closed: bool,
    /// True once the writing end was reset: after the written bytes, a read fails.
    is_reset: bool,
    /// True once the reading end is dropped: a write fails.
    is_reader_dropped: bool,
    /// The task that waits for bytes.
    read_waker: Option<Waker>,
    /// The task that waits for room.
    write_waker: Option<Waker>,
}

/// Takes the waker out of the field that `slot` returns, and wakes it with no borrow held.
fn wake(channel: &RefCell<Channel>, slot: impl FnOnce(&mut Channel) -> &mut Option<Waker>) {
    let waker = slot(&mut channel.borrow_mut()).take();
    if let Some(waker) = waker {
        waker.wake();
    }
}

/// Stores a waker in the field that `slot` returns, and drops the former waker with no borrow held.
fn store(
    channel: &RefCell<Channel>,
    waker: Waker,
    slot: impl FnOnce(&mut Channel) -> &mut Option<Waker>,
) {
    let former = slot(&mut channel.borrow_mut()).replace(waker);
    drop(former);
}

impl AsyncRead for DuplexStream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        ready!(poll_spend_budget(cx.waker()));
        let moved = {
            let channel = &mut *self.incoming.borrow_mut();
            let n = into.len().min(channel.bytes.len());
            for (to, from) in into.iter_mut().zip(channel.bytes.drain(..n)) {
                *to = from;
            }
            if n == 0 && channel.is_reset && !into.is_empty() {
                return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
            }
            (n > 0 || channel.is_closed || into.is_empty()).then_some(n)
        };
        match moved {
            Some(n) => {
                wake(&self.incoming, |channel| &mut channel.write_waker);
                Poll::Ready(Ok(n))
            }
            None => {
                refund_budget();
                store(&self.incoming, cx.waker().clone(), |channel| &mut channel.read_waker);
                Poll::Pending
            }
        }
    }
}

impl AsyncWrite for DuplexStream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        from: &[u8],
    ) -> Poll<io::Result<usize>> {
        ready!(poll_spend_budget(cx.waker()));
        let moved = {
            let channel = &mut *self.outgoing.borrow_mut();
            if channel.is_reader_dropped || channel.is_closed {
                return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
            }
            let n = from.len().min(channel.capacity - channel.bytes.len());
            channel.bytes.extend(&from[..n]);
            (n > 0 || from.is_empty()).then_some(n)
        };
        match moved {
            Some(n) => {
                wake(&self.outgoing, |channel| &mut channel.read_waker);
                Poll::Ready(Ok(n))
            }
            None => {
                refund_budget();
                store(&self.outgoing, cx.waker().clone(), |channel| &mut channel.write_waker);
                Poll::Pending
            }
        }
    }

    /// Does nothing: the other end can already read every written byte.
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    /// Ends this direction; reading goes on.
    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.outgoing.borrow_mut().is_closed = true;
        wake(&self.outgoing, |channel| &mut channel.read_waker);
        Poll::Ready(Ok(()))
    }
}

impl DuplexStream {
    /// Makes the drop of this end a reset: the other end's reads fail after the written bytes.
    pub(crate) fn make_close_a_reset(&self) {
        self.outgoing.borrow_mut().is_reset = true;
    }
}

impl Drop for DuplexStream {
    fn drop(&mut self) {
        self.outgoing.borrow_mut().is_closed = true;
        wake(&self.outgoing, |channel| &mut channel.read_waker);
        self.incoming.borrow_mut().is_reader_dropped = true;
        wake(&self.incoming, |channel| &mut channel.write_waker);
    }
}
