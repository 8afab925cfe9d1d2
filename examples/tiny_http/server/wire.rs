//! A stream with a deadline. The connection waits for its client only here, except in `linger`.

use std::cell::Cell;
use std::fmt;
use std::future::{Future, poll_fn};
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use rustix::net::sockopt::set_socket_linger;
use squall_net::{IoStream, Sleep, StreamError, sleep, yield_now};

use crate::server::body_source::{BodySource, Filled};
use crate::server::piece::FilePart;
use crate::server::shutdown::ShutdownWatcher;
use crate::server::transport::Transport;

/// The stream of a connection, and the client's current deadline.
#[derive(Debug)]
pub(crate) struct Wire<S> {
    pub(crate) stream: IoStream<S>,
    /// One timer as long as the connection lives, reset for each phase and as the client reads.
    deadline: Sleep,
    /// How many bytes of the next response's status line were sent early.
    sent_early: u8,
    /// The waker of the handler's last read of the body that had to wait. That read may have ended.
    body_waker: Option<Waker>,
}

/// The part of the response that comes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NextPart {
    StatusLine,
    ChunkSize,
    /// A piece without framing, of which no byte is known.
    Piece,
}

impl NextPart {
    /// The bytes that can be sent before the rest is known.
    pub(crate) fn early_bytes(self) -> &'static [u8] {
        match self {
            NextPart::StatusLine => b"HTTP/1.1 ",
            NextPart::ChunkSize => b"00000000", // curl accepts 16 digits
            NextPart::Piece => b"",
        }
    }
}

impl<S: Transport> Wire<S> {
    pub(crate) fn new(stream: IoStream<S>) -> Wire<S> {
        Wire { stream, deadline: sleep(Duration::MAX), sent_early: 0, body_waker: None }
    }

    /// Sets the deadline to `time` from now.
    pub(crate) fn allow(&mut self, time: Duration) {
        // Not from the turn's time: a handler may have computed for long since the turn began.
        self.deadline.reset_after(time);
    }

    /// Moves the deadline by `time`, from where it was and not from now.
    pub(crate) fn extend(&mut self, time: Duration) {
        match self.deadline.deadline().and_then(|deadline| deadline.checked_add(time)) {
            Some(deadline) => self.deadline.reset(deadline),
            None => self.deadline.reset_after(Duration::MAX),
        }
    }

    /// Waits until the kernel has every queued byte. Fails with `TimedOut` if the client takes no
    /// byte for `time`.
    pub(crate) async fn flush(&mut self, time: Duration) -> Result<(), StreamError> {
        let mut queued = usize::MAX;
        let mut is_last_chance = false;
        poll_fn(|cx| {
            if let Poll::Ready(outcome) = self.stream.poll_flush(cx) {
                return Poll::Ready(outcome);
            }
            loop {
                if self.stream.queued() < queued {
                    queued = self.stream.queued();
                    is_last_chance = false;
                    self.allow(time);
                }
                ready!(Pin::new(&mut self.deadline).poll(cx));
                // The stream sends queued bytes without waking this task. So the client is late
                // only if nothing was sent since the deadline was set.
                if self.stream.queued() < queued {
                    continue;
                }
                if is_last_chance {
                    return Poll::Ready(Err(client_does_not_read().into()));
                }
                // If the loop was held up, the client may have read meanwhile, and the stream has
                // not run yet. It does before the next turn.
                is_last_chance = true;
                self.allow(Duration::ZERO);
            }
        })
        .await
    }

    /// Sends a part of a file, behind the queued bytes. Fails with `TimedOut` if the client takes no
    /// byte for `time`.
    pub(crate) async fn send_file(
        &mut self,
        mut part: FilePart,
        time: Duration,
    ) -> Result<(), StreamError> {
        self.flush(time).await?;
        while part.len() > 0 {
            match self.send_some(&part, time).await {
                Ok(0) => return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into()),
                Ok(sent) => part.start += sent as u64,
                Err(error) if error.kind() == io::ErrorKind::Unsupported => {
                    return self.stream.write(part.read()?);
                }
                Err(error) => return Err(error.into()),
            }
        }
        // A client that reads as fast as the kernel sends must not hold up the others.
        yield_now().await;
        Ok(())
    }

    /// Sends once from a part of a file. Returns the number of bytes.
    async fn send_some(&mut self, part: &FilePart, time: Duration) -> io::Result<usize> {
        let max = usize::try_from(part.len()).unwrap_or(usize::MAX);
        let mut is_last_chance = false;
        self.allow(time);
        poll_fn(|cx| {
            loop {
                let send = |socket: &S| socket.poll_send_file(cx, &part.file, part.start, max);
                match self.stream.with_transport(send) {
                    None => return Poll::Ready(Err(io::ErrorKind::NotConnected.into())),
                    Some(Poll::Ready(sent)) => return Poll::Ready(sent),
                    Some(Poll::Pending) => ready!(Pin::new(&mut self.deadline).poll(cx)),
                }
                if is_last_chance {
                    return Poll::Ready(Err(client_does_not_read()));
                }
                // As in `flush`: if the loop was held up, it may not have looked at the socket yet.
                is_last_chance = true;
                self.allow(Duration::ZERO);
            }
        })
        .await
    }

    /// Reads once, before the deadline.
    pub(crate) fn fill(&mut self) -> impl Future<Output = Result<Filled, StreamError>> {
        self.fill_unless(None)
    }

    /// Reads once, before the deadline, unless the server shuts down first.
    pub(crate) fn fill_unless(
        &mut self,
        mut shutdown: Option<&mut ShutdownWatcher>,
    ) -> impl Future<Output = Result<Filled, StreamError>> {
        poll_fn(move |cx| {
            if let Poll::Ready(filled) = self.poll_fill(cx) {
                return Poll::Ready(filled);
            }
            if shutdown.as_mut().is_some_and(|shutdown| shutdown.register(cx)) {
                return Poll::Ready(Ok(Filled::Shutdown));
            }
            Pin::new(&mut self.deadline).poll(cx).map(|()| Ok(Filled::TimedOut))
        })
    }

    /// Reads once, without a deadline.
    fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<Result<Filled, StreamError>> {
        self.stream.poll_fill(cx).map_ok(|n| if n > 0 { Filled::Bytes } else { Filled::End })
    }

    /// Reads ahead until the buffer is full. Ready at the end of the client's stream.
    ///
    /// The handler may wait for the same bytes with another waker than that of `cx`, and the stream
    /// keeps only one. So each read wakes the handler's waker too.
    pub(crate) fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), StreamError>> {
        loop {
            let filled = ready!(self.poll_fill(cx));
            if let Some(waker) = self.body_waker.take() {
                waker.wake();
            }
            match filled {
                Ok(Filled::Bytes) => {}
                Ok(_) => return Poll::Ready(Ok(())),
                Err(StreamError::TooLong { .. }) => return Poll::Pending, // the buffer is full
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }

    /// Queues a response from its status line on. Leaves out the bytes that were sent early.
    pub(crate) fn write_response(&mut self, text: &[u8]) -> Result<(), StreamError> {
        let sent = std::mem::take(&mut self.sent_early);
        self.stream.write(&text[usize::from(sent)..])
    }

    /// Queues the next byte of a response before the rest of `part` is known.
    pub(crate) fn write_early(&mut self, byte: u8, part: NextPart) -> Result<(), StreamError> {
        if part == NextPart::StatusLine {
            self.sent_early += 1;
        }
        self.stream.write(&[byte])
    }

    /// Sets whether every end of the connection is a reset, however it comes about.
    pub(crate) fn set_ends_in_reset(&self, is_reset: bool) {
        let linger = is_reset.then_some(Duration::ZERO);
        // The system call cannot fail on an open socket, and a closed one needs nothing.
        let _ = self.stream.with_transport(|socket| set_socket_linger(socket, linger));
    }
}

fn client_does_not_read() -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, "the client does not read")
}

/// A wire that a handler and the [client watch](crate::server::disconnect) use in turn.
///
/// Each use takes the wire out and puts it back, so no borrow is held while the stream is polled.
pub(crate) struct SharedWire<'a, S>(Cell<Option<&'a mut Wire<S>>>);

impl<'a, S> SharedWire<'a, S> {
    pub(crate) fn new(wire: &'a mut Wire<S>) -> SharedWire<'a, S> {
        SharedWire(Cell::new(Some(wire)))
    }

    /// Calls `f` with the wire.
    ///
    /// # Panics
    /// If `f` uses this `SharedWire` itself, or an earlier `f` has panicked.
    pub(crate) fn with<R>(&self, f: impl FnOnce(&mut Wire<S>) -> R) -> R {
        let wire = self.0.take().expect("no use of the wire is nested in another");
        let result = f(wire);
        self.0.set(Some(wire));
        result
    }
}

impl<S: Transport> BodySource for SharedWire<'_, S> {
    fn take(&self, take: &mut dyn FnMut(&[u8]) -> usize) {
        self.with(|wire| {
            let taken = take(wire.stream.buffer());
            wire.stream.consume(taken);
        });
    }

    fn allow(&self, time: Duration) {
        self.with(|wire| wire.allow(time));
    }

    fn write_response(&self, text: &[u8]) -> Result<(), StreamError> {
        self.with(|wire| wire.write_response(text))
    }

    fn poll_beyond(&self, cx: &mut Context<'_>, len: usize) -> Poll<Result<Filled, StreamError>> {
        self.with(|wire| {
            // The client watch may have read them already.
            if wire.stream.buffer().len() > len {
                return Poll::Ready(Ok(Filled::Bytes));
            }
            if let Poll::Ready(filled) = wire.poll_fill(cx) {
                return Poll::Ready(filled);
            }
            if !wire.body_waker.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
                wire.body_waker = Some(cx.waker().clone());
            }
            Pin::new(&mut wire.deadline).poll(cx).map(|()| Ok(Filled::TimedOut))
        })
    }

    fn peer_addr(&self) -> io::Result<SocketAddr> {
        let peer = self.with(|wire| wire.stream.with_transport(S::peer_addr));
        peer.unwrap_or_else(|| Err(io::ErrorKind::NotConnected.into()))
    }
}

impl<S> fmt::Debug for SharedWire<'_, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedWire").finish_non_exhaustive()
    }
}
