//! [`AsyncFd`]: awaits calls on any file descriptor.
//!
//! Each call is tried first. If it returns `WouldBlock`, the descriptor is registered: once,
//! edge-triggered and for both directions. A descriptor that never blocks costs no `epoll_ctl`. Any
//! other costs one ADD and one DEL in its life.

use std::cell::OnceCell;
use std::fmt;
use std::future::poll_fn;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::rc::Rc;
use std::task::{Context, Poll, Waker, ready};

use squall_reactor::{Interest, is_ready, set_nonblocking};

use crate::current;
use crate::io::blocking_flag::BlockingFlag;
use crate::io::direction::Direction;
use crate::io::source;
use crate::io::waiter_list::SlotKey;
use crate::loop_core::Core;
use crate::task::budget;

type Source = source::Source<Core>;

/// A descriptor whose calls can be awaited.
///
/// An `AsyncFd` belongs to no loop until a call on it would block. From then on it belongs to the
/// loop of that thread, until the `AsyncFd` or the loop is dropped. If it is used after its loop is
/// gone, it registers with the loop that runs then.
///
/// The `poll_` methods are for a single owner: each direction keeps only the last waker. The async
/// methods take `&self`, and any number of calls can wait at once.
///
/// ```
/// use std::io::{Read, Write};
/// use std::os::unix::net::UnixStream;
/// use squall_executor::{AsyncFd, block_on};
///
/// let (a, mut b) = UnixStream::pair()?;
/// let line = block_on(async {
///     let a = AsyncFd::new(a)?;
///     b.write_all(b"hello")?;
///     let mut buffer = [0; 16];
///     let n = a.read_with(|mut a| a.read(&mut buffer)).await?;
///     std::io::Result::Ok(buffer[..n].to_vec())
/// })?;
/// assert_eq!(line, b"hello");
/// # std::io::Result::Ok(())
/// ```
pub struct AsyncFd<T: AsFd> {
    // Dropped before `io`, so that the descriptor leaves epoll before it is closed.
    watched: Watched,
    #[expect(dead_code, reason = "its drop restores the flag of a blocking descriptor")]
    flag: BlockingFlag,
    /// Other loops watch the descriptor too, so it is registered as `new_shared` says.
    is_shared: bool,
    io: T,
}

impl<T: AsFd> AsyncFd<T> {
    /// Takes ownership of a descriptor and makes it non-blocking.
    ///
    /// The flag belongs to the open file description, so every duplicate becomes non-blocking, also
    /// in other processes. A description that was blocking becomes blocking again when the `AsyncFd`
    /// is dropped or [gives it back](Self::into_inner); for a pipe or a terminal, with the last
    /// `AsyncFd` of this process that uses it in the same way. A socket stays non-blocking.
    ///
    /// # Errors
    /// Those of `fcntl(2)`; for a blocking descriptor, also those of `dup(2)` and `fstat(2)`.
    ///
    /// # Cost
    /// One `fcntl`. For a blocking descriptor three more system calls, and a second descriptor until
    /// the first is given back.
    pub fn new(io: T) -> io::Result<AsyncFd<T>> {
        let flag = BlockingFlag::clear(io.as_fd())?;
        Ok(AsyncFd { flag, ..AsyncFd::from_nonblocking(io) })
    }

    /// Takes ownership of a descriptor that is already non-blocking. A call on a blocking
    /// descriptor would block the whole loop.
    pub fn from_nonblocking(io: T) -> AsyncFd<T> {
        let flag = BlockingFlag::NONE;
        AsyncFd { watched: Watched::default(), flag, is_shared: false, io }
    }

    /// Takes ownership of a listening socket from which other loops accept too, in this process or
    /// in others. Makes the socket non-blocking.
    ///
    /// The socket is registered for reading only, level-triggered and exclusive (`EPOLLEXCLUSIVE`).
    /// A connection wakes one loop or a few, not all. A connection that no loop accepts is reported
    /// again. So a caller that pauses accepting must call [`rest`](Self::rest), or the loop spins.
    /// The socket stays non-blocking, because other processes may rely on it.
    ///
    /// # Errors
    /// Those of `fcntl(2)`.
    pub fn new_shared(io: T) -> io::Result<AsyncFd<T>> {
        set_nonblocking(io.as_fd())?;
        Ok(AsyncFd { is_shared: true, ..AsyncFd::from_nonblocking(io) })
    }

    /// Deregisters the descriptor until the next call on it would block. Tasks that wait for the
    /// descriptor now are not woken.
    pub fn rest(&self) {
        self.watched.leave();
    }

    /// Returns a reference to the value that owns the descriptor.
    pub fn get_ref(&self) -> &T {
        &self.io
    }

    /// Deregisters the descriptor and returns the value that owns it.
    pub fn into_inner(self) -> T {
        drop(self.watched);
        self.io
    }

    /// Calls `f` when the descriptor may be readable, and again after each `WouldBlock` from `f`.
    ///
    /// # Errors
    /// Those of `f` and of `epoll_ctl(2)`; `PermissionDenied` for a file that epoll cannot watch.
    ///
    /// # Cancel safety
    /// As cancel safe as `f`: a call of `f` that does something is followed by the return, without
    /// an `.await` between them.
    pub async fn read_with<R>(&self, f: impl FnMut(&T) -> io::Result<R>) -> io::Result<R> {
        self.call_with(Direction::Read, f).await
    }

    /// Calls `f` when the descriptor may be writable, and again after each `WouldBlock` from `f`.
    ///
    /// # Errors
    /// As [`read_with`](Self::read_with).
    ///
    /// # Cancel safety
    /// As [`read_with`](Self::read_with).
    pub async fn write_with<R>(&self, f: impl FnMut(&T) -> io::Result<R>) -> io::Result<R> {
        self.call_with(Direction::Write, f).await
    }

    /// Waits until a read would not block: there are bytes, the end of the stream or an error.
    ///
    /// # Errors
    /// Those of `epoll_ctl(2)` and `poll(2)`.
    ///
    /// # Cancel safety
    /// Cancel safe: readiness is not consumed.
    ///
    /// # Cost
    /// One `poll(2)` for each check, because the loop cannot know whether the caller has drained
    /// the descriptor since the last event. [`read_with`](Self::read_with) needs none.
    pub async fn readable(&self) -> io::Result<()> {
        self.ready_now(Direction::Read, Interest::READABLE).await
    }

    /// Waits until a write would not block: there is room, or an error.
    ///
    /// # Errors
    /// As [`readable`](Self::readable).
    ///
    /// # Cancel safety
    /// Cancel safe: readiness is not consumed.
    ///
    /// # Cost
    /// As [`readable`](Self::readable).
    pub async fn writable(&self) -> io::Result<()> {
        self.ready_now(Direction::Write, Interest::WRITABLE).await
    }

    /// Calls `f` if the descriptor may be readable; otherwise stores the waker.
    ///
    /// # Errors
    /// As [`read_with`](Self::read_with).
    #[inline(always)]
    pub fn poll_read_with<R>(
        &self,
        cx: &mut Context<'_>,
        f: impl FnMut(&T) -> io::Result<R>,
    ) -> Poll<io::Result<R>> {
        let wait = |source: &Rc<Source>| source.wait(Direction::Read, cx.waker());
        self.poll_call(Direction::Read, cx.waker(), f, wait)
    }

    /// Calls `f` if the descriptor may be writable; otherwise stores the waker.
    ///
    /// # Errors
    /// As [`read_with`](Self::read_with).
    #[inline(always)]
    pub fn poll_write_with<R>(
        &self,
        cx: &mut Context<'_>,
        f: impl FnMut(&T) -> io::Result<R>,
    ) -> Poll<io::Result<R>> {
        let wait = |source: &Rc<Source>| source.wait(Direction::Write, cx.waker());
        self.poll_call(Direction::Write, cx.waker(), f, wait)
    }

    /// False if the last read would have blocked or has [drained](Self::note_drained) the
    /// descriptor, and no event has come since. Otherwise a read must be tried.
    ///
    /// For callers that want to know before they take a buffer. Makes no system call.
    #[inline]
    pub fn is_read_ready(&self) -> bool {
        self.watched.poll_ready(Direction::Read, |_| Poll::Pending).is_ready()
    }

    /// Ready if [`is_read_ready`](Self::is_read_ready); otherwise stores the waker.
    #[inline]
    pub fn poll_read_ready(&self, cx: &Context<'_>) -> Poll<()> {
        let wait = |source: &Rc<Source>| source.wait_here(Direction::Read, cx.waker());
        self.watched.poll_ready(Direction::Read, wait)
    }

    /// Wakes the tasks that wait for the descriptor, as an event would. For a stream that lets
    /// another task wait in their place.
    #[doc(hidden)]
    pub fn wake_waiting(&self) {
        if let Some(source) = self.watched.0.get() {
            source.wake_all();
        }
    }

    /// Notes that a read filled only part of its buffer.
    ///
    /// On a TCP socket, this means that the socket is drained. The next read then waits for an
    /// event at once, and saves the `recv` that would return `WouldBlock`.
    ///
    /// Does nothing before the descriptor is registered. Does nothing either after the peer has
    /// closed or urgent data was seen: bytes can be left then, without another event. For TCP only:
    /// on a Unix socket, a short read can also mean that the next bytes carry a descriptor.
    #[inline]
    pub fn note_drained(&self) {
        self.watched.note(Direction::Read);
    }

    /// Notes that a write took only part of its bytes. The next write waits for room at once.
    #[inline]
    pub fn note_full(&self) {
        self.watched.note(Direction::Write);
    }

    async fn call_with<R>(
        &self,
        direction: Direction,
        mut f: impl FnMut(&T) -> io::Result<R>,
    ) -> io::Result<R> {
        let mut listed = ListedWaiter::default();
        poll_fn(|cx| {
            let wait = |source: &Rc<Source>| listed.wait(source, direction, cx.waker());
            self.poll_call(direction, cx.waker(), &mut f, wait)
        })
        .await
    }

    async fn ready_now(&self, direction: Direction, interest: Interest) -> io::Result<()> {
        let check = |io: &T| match is_ready(io.as_fd(), interest) {
            Ok(true) => Ok(()),
            Ok(false) => Err(io::ErrorKind::WouldBlock.into()),
            Err(error) => Err(error),
        };
        self.call_with(direction, check).await
    }

    /// Calls `f` unless the descriptor is known not to be ready: then `wait` lets the caller wait.
    #[inline(always)] // each caller has a short road of its own
    fn poll_call<R>(
        &self,
        direction: Direction,
        waker: &Waker,
        mut f: impl FnMut(&T) -> io::Result<R>,
        mut wait: impl FnMut(&Rc<Source>) -> Poll<()>,
    ) -> Poll<io::Result<R>> {
        loop {
            ready!(self.watched.poll_ready(direction, &mut wait));
            ready!(budget::poll_spend(waker));
            match f(&self.io) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    budget::refund();
                    self.watched.would_block(direction, self.io.as_fd(), self.is_shared)?;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                outcome => return Poll::Ready(outcome),
            }
        }
    }
}

impl<T: AsFd> AsFd for AsyncFd<T> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.io.as_fd()
    }
}

impl<T: AsFd + fmt::Debug> fmt::Debug for AsyncFd<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AsyncFd").field("io", &self.io).finish_non_exhaustive()
    }
}

/// The readiness of a descriptor. `None` until a call first would block: then the descriptor counts
/// as ready.
#[derive(Default)]
struct Watched(OnceCell<Rc<Source>>);

impl Watched {
    /// Returns ready unless the last call returned `WouldBlock`; otherwise calls `wait`, which lets
    /// the caller wait for the source.
    ///
    /// A ready descriptor is not checked for a closed loop: the call that follows does no harm. If
    /// that call would block, [`would_block`](Self::would_block) checks.
    #[inline]
    fn poll_ready(
        &self,
        direction: Direction,
        wait: impl FnOnce(&Rc<Source>) -> Poll<()>,
    ) -> Poll<()> {
        match self.0.get() {
            Some(source) if !source.is_ready(direction) => wait(source),
            _ => Poll::Ready(()),
        }
    }

    /// Handles a `WouldBlock`: clears the readiness, or registers with the thread's loop.
    fn would_block(
        &self,
        direction: Direction,
        fd: BorrowedFd<'_>,
        is_shared: bool,
    ) -> io::Result<()> {
        let source = self.0.get_or_init(Rc::default);
        if source.is_watched() {
            source.clear(direction);
            return Ok(());
        }
        let core = current::try_get().ok_or_else(|| {
            io::Error::other(
                "no event loop on this thread to wait for a descriptor: \
                 use it in a task of a loop or inside block_on",
            )
        })?;
        let token = core.driver.add_source(fd, source, is_shared)?;
        source.settle(core, token, direction);
        Ok(())
    }

    #[inline]
    fn note(&self, direction: Direction) {
        if let Some(source) = self.0.get() {
            source.clear_unless_final(direction);
        }
    }

    fn leave(&self) {
        if let Some(source) = self.0.get() {
            source.leave();
        }
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        if let Some(source) = self.0.get() {
            source.end();
        }
    }
}

/// An async call's slot in a source's list of waiters. Dropping it removes the slot.
#[derive(Default)]
struct ListedWaiter {
    /// The source with the slot, and the slot's key there. `None` until the call first waits.
    slot: Option<(Rc<Source>, SlotKey)>,
}

impl ListedWaiter {
    /// Lets the call wait. Ready if no loop would wake it.
    fn wait(&mut self, source: &Rc<Source>, direction: Direction, waker: &Waker) -> Poll<()> {
        if !source.is_watched() {
            return Poll::Ready(());
        }
        let (_, key) =
            self.slot.get_or_insert_with(|| (Rc::clone(source), source.insert_listed(direction)));
        source.wait_listed(*key, waker);
        Poll::Pending
    }
}

impl Drop for ListedWaiter {
    fn drop(&mut self) {
        if let Some((source, key)) = self.slot.take() {
            source.remove_listed(key);
        }
    }
}
