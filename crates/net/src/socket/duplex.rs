//! A pair of connected streams in memory.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use futures_io::{AsyncRead, AsyncWrite};

/// Makes two ends that are connected: what is written to one is read from the other, at most `capacity` bytes (at least 1) on
/// the way in each direction. For tests, and for protocols between tasks; a stream without a system call.
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
    let way = || {
        Rc::new(RefCell::new(Way {
            bytes: VecDeque::new(),
            capacity: capacity.max(1),
            is_ended: false,
            is_abandoned: false,
            reader: None,
            writer: None,
        }))
    };
    let (there, back) = (way(), way());
    let one = DuplexStream { incoming: Rc::clone(&back), outgoing: Rc::clone(&there) };
    (one, DuplexStream { incoming: there, outgoing: back })
}

/// One end of [`duplex`]. Closing it ends one direction; dropping it ends both.
#[derive(Debug)]
pub struct DuplexStream {
    incoming: Rc<RefCell<Way>>,
    outgoing: Rc<RefCell<Way>>,
}

/// One direction.
#[derive(Debug)]
struct Way {
    /// At most `capacity`.
    bytes: VecDeque<u8>,
    capacity: usize,
    /// Nothing more will be written.
    is_ended: bool,
    /// Nobody will read any more.
    is_abandoned: bool,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

/// Wakes whom `who` finds, with no borrow held.
fn wake(way: &RefCell<Way>, who: impl FnOnce(&mut Way) -> &mut Option<Waker>) {
    let waker = who(&mut way.borrow_mut()).take();
    if let Some(waker) = waker {
        waker.wake();
    }
}

/// Leaves a waker, and drops the former one with no borrow held.
fn wait(way: &RefCell<Way>, waker: Waker, who: impl FnOnce(&mut Way) -> &mut Option<Waker>) {
    let former = who(&mut way.borrow_mut()).replace(waker);
    drop(former);
}

impl AsyncRead for DuplexStream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let moved = {
            let way = &mut *self.incoming.borrow_mut();
            let n = into.len().min(way.bytes.len());
            for (to, from) in into.iter_mut().zip(way.bytes.drain(..n)) {
                *to = from;
            }
            (n > 0 || way.is_ended || into.is_empty()).then_some(n)
        };
        match moved {
            Some(n) => {
                wake(&self.incoming, |way| &mut way.writer);
                Poll::Ready(Ok(n))
            }
            None => {
                wait(&self.incoming, cx.waker().clone(), |way| &mut way.reader);
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
        let moved = {
            let way = &mut *self.outgoing.borrow_mut();
            if way.is_abandoned || way.is_ended {
                return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
            }
            let n = from.len().min(way.capacity - way.bytes.len());
            way.bytes.extend(&from[..n]);
            (n > 0 || from.is_empty()).then_some(n)
        };
        match moved {
            Some(n) => {
                wake(&self.outgoing, |way| &mut way.reader);
                Poll::Ready(Ok(n))
            }
            None => {
                wait(&self.outgoing, cx.waker().clone(), |way| &mut way.writer);
                Poll::Pending
            }
        }
    }

    /// Nothing to do: what was written is on its way.
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    /// Ends this direction; reading goes on.
    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.outgoing.borrow_mut().is_ended = true;
        wake(&self.outgoing, |way| &mut way.reader);
        Poll::Ready(Ok(()))
    }
}

impl Drop for DuplexStream {
    fn drop(&mut self) {
        self.outgoing.borrow_mut().is_ended = true;
        wake(&self.outgoing, |way| &mut way.reader);
        self.incoming.borrow_mut().is_abandoned = true;
        wake(&self.incoming, |way| &mut way.writer);
    }
}
