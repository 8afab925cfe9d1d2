//! Any descriptor as a citizen of the loop.
//!
//! A descriptor is tried first. Only when a call says `WouldBlock` is it registered, once and for both directions,
//! edge-triggered: one that never blocks costs no `epoll_ctl`, any other one ADD and one DEL in its life.

use std::cell::RefCell;
use std::fmt;
use std::future::poll_fn;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::rc::Rc;
use std::task::{Context, Poll, Waker, ready};

use squall_reactor::{Interest, is_ready, set_nonblocking};

use crate::current;
use crate::io::source::{Direction, Source};
use crate::loop_core::Core;

/// A descriptor whose calls can be awaited.
///
/// It belongs to no loop until a call on it would block; then to the loop of that thread, until either is dropped. When it
/// is used again after its loop is gone, it registers with the loop that runs then.
///
/// The `poll_` methods remember one waiter for each direction, the last who polled: they are for an owner. The async
/// methods take `&self` and may have any number of waiters at once.
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
    // Dropped before `io`: the descriptor leaves epoll before it is closed.
    registration: Registration,
    /// Other loops watch it too.
    is_shared: bool,
    io: T,
}

impl<T: AsFd> AsyncFd<T> {
    /// Takes a descriptor over and makes it non-blocking.
    ///
    /// # Errors
    /// Those of `fcntl(2)`.
    pub fn new(io: T) -> io::Result<AsyncFd<T>> {
        set_nonblocking(io.as_fd())?;
        Ok(AsyncFd::from_nonblocking(io))
    }

    /// Takes over a descriptor that is known to be non-blocking; with any other, a call would hold up the whole loop.
    pub fn from_nonblocking(io: T) -> AsyncFd<T> {
        AsyncFd { registration: Registration::default(), is_shared: false, io }
    }

    /// Takes over a listening socket that other loops, in this process or in others, accept from too, and makes it
    /// non-blocking.
    ///
    /// It is watched for reading only, level-triggered and exclusively (`EPOLLEXCLUSIVE`): a connection wakes one loop or a
    /// few, not all, and one that a loop leaves waiting is shown again. So whoever does not want to accept for a while must
    /// [`rest`](Self::rest), or the loop spins.
    ///
    /// # Errors
    /// Those of `fcntl(2)`.
    pub fn new_shared(io: T) -> io::Result<AsyncFd<T>> {
        set_nonblocking(io.as_fd())?;
        Ok(AsyncFd { registration: Registration::default(), is_shared: true, io })
    }

    /// Takes the descriptor out of its loop until the next call on it would block. Who waits for it now is not woken.
    pub fn rest(&self) {
        self.registration.leave();
    }

    /// The descriptor's owner.
    pub fn get_ref(&self) -> &T {
        &self.io
    }

    /// Takes the descriptor out of its loop and gives its owner back.
    pub fn into_inner(self) -> T {
        drop(self.registration);
        self.io
    }

    /// Calls `f` as soon as the descriptor is readable, and again whenever it says `WouldBlock`.
    ///
    /// # Errors
    /// Those of `f`, and of `epoll_ctl(2)`; `PermissionDenied` for a file that epoll cannot watch.
    ///
    /// # Cancel safety
    /// As safe as `f`: nothing happens between a call of `f` that did something and the return.
    pub async fn read_with<R>(&self, f: impl FnMut(&T) -> io::Result<R>) -> io::Result<R> {
        self.call_with(Direction::Read, f).await
    }

    /// Calls `f` as soon as the descriptor is writable, and again whenever it says `WouldBlock`.
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
    /// One `poll(2)`, which tells what the loop cannot know: whether you drained the descriptor since it last looked.
    /// [`read_with`](Self::read_with) does without.
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

    /// Calls `f` if the descriptor may be readable; keeps the waker if it is not.
    ///
    /// # Errors
    /// As [`read_with`](Self::read_with).
    pub fn poll_read_with<R>(
        &self,
        cx: &mut Context<'_>,
        f: impl FnMut(&T) -> io::Result<R>,
    ) -> Poll<io::Result<R>> {
        self.poll_call(Direction::Read, f, &mut Waiter::Owner(cx.waker()))
    }

    /// Calls `f` if the descriptor may be writable; keeps the waker if it is not.
    ///
    /// # Errors
    /// As [`read_with`](Self::read_with).
    pub fn poll_write_with<R>(
        &self,
        cx: &mut Context<'_>,
        f: impl FnMut(&T) -> io::Result<R>,
    ) -> Poll<io::Result<R>> {
        self.poll_call(Direction::Write, f, &mut Waiter::Owner(cx.waker()))
    }

    /// Notes that a read brought less than it had room for, which on a TCP socket means that it is drained: the next read
    /// waits for news at once instead of asking in vain.
    ///
    /// Does nothing if the peer has closed or urgent data was seen, since bytes can be left then without more news, nor
    /// before the descriptor is registered. For TCP only: on a Unix socket, a short read can also mean that the next
    /// bytes carry a descriptor.
    pub fn note_drained(&self) {
        self.registration.note(Direction::Read);
    }

    /// Notes that a write moved less than it was given: the next one waits for room at once.
    pub fn note_full(&self) {
        self.registration.note(Direction::Write);
    }

    async fn call_with<R>(
        &self,
        direction: Direction,
        mut f: impl FnMut(&T) -> io::Result<R>,
    ) -> io::Result<R> {
        let mut listed = ListedWaiter::default();
        poll_fn(|cx| {
            self.poll_call(direction, &mut f, &mut Waiter::Listed(&mut listed, cx.waker()))
        })
        .await
    }

    async fn ready_now(&self, direction: Direction, interest: Interest) -> io::Result<()> {
        let ask = |io: &T| match is_ready(io.as_fd(), interest) {
            Ok(true) => Ok(()),
            Ok(false) => Err(io::ErrorKind::WouldBlock.into()),
            Err(error) => Err(error),
        };
        self.call_with(direction, ask).await
    }

    fn poll_call<R>(
        &self,
        direction: Direction,
        mut f: impl FnMut(&T) -> io::Result<R>,
        waiter: &mut Waiter<'_>,
    ) -> Poll<io::Result<R>> {
        loop {
            ready!(self.registration.poll_ready(direction, waiter));
            match f(&self.io) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.registration.blocked(direction, self.io.as_fd(), self.is_shared)?;
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

/// The registration of a descriptor, from the first time that it had to wait.
#[derive(Default)]
struct Registration {
    watched: RefCell<Option<Watched>>,
}

/// The loop that watches a descriptor, and what the loop knows of it.
struct Watched {
    core: Rc<Core>,
    source: Rc<Source>,
}

impl Watched {
    /// Whether the loop is gone, or is the parent's in a forked child.
    fn is_closed(&self) -> bool {
        self.core.scheduler.is_closed()
    }
}

/// A waiting caller: the owner, who polls, or one of several async calls.
enum Waiter<'a> {
    Owner(&'a Waker),
    Listed(&'a mut ListedWaiter, &'a Waker),
}

impl Registration {
    /// Returns ready unless the last call reported `WouldBlock`; otherwise stores the waker. A ready descriptor is not checked for a
    /// closed loop: the call that follows does no harm, and if it would block, [`blocked`](Self::blocked) checks.
    #[inline]
    fn poll_ready(&self, direction: Direction, waiter: &mut Waiter<'_>) -> Poll<()> {
        let source = {
            let watched = self.watched.borrow();
            let Some(watched) = watched.as_ref() else { return Poll::Ready(()) };
            if watched.source.is_ready(direction) || watched.is_closed() {
                return Poll::Ready(());
            }
            if let Waiter::Owner(waker) = waiter
                && watched.source.will_wake(direction, waker)
            {
                return Poll::Pending;
            }
            Rc::clone(&watched.source)
        };
        waiter.wait_in(&source, direction); // clones the waker: no borrow is held any more
        Poll::Pending
    }

    /// Notes a `WouldBlock`: clears the readiness, or registers with the thread's loop.
    fn blocked(&self, direction: Direction, fd: BorrowedFd<'_>, is_shared: bool) -> io::Result<()> {
        if let Some(watched) = &*self.watched.borrow()
            && !watched.is_closed()
        {
            watched.source.clear(direction);
            return Ok(());
        }
        let core = current::try_get().ok_or_else(|| {
            io::Error::other(
                "no event loop on this thread to wait for a descriptor: \
                 use it in a task of a loop or inside block_on",
            )
        })?;
        let source = Rc::new(Source::blocked(direction));
        core.driver.add_source(fd, &source, is_shared)?;
        // The former loop's last reference may be in there: it is dropped when no borrow is left.
        let former = self.watched.replace(Some(Watched { core, source }));
        drop(former);
        Ok(())
    }

    #[inline]
    fn note(&self, direction: Direction) {
        if let Some(watched) = &*self.watched.borrow() {
            watched.source.clear_unless_final(direction);
        }
    }

    fn leave(&self) {
        let watched = self.watched.take(); // it may own foreign wakers: dropped when no borrow is held
        if let Some(Watched { core, source }) = watched {
            core.driver.remove_source(&source);
        }
    }
}

impl Waiter<'_> {
    /// Leaves the waker in a source.
    fn wait_in(&mut self, source: &Rc<Source>, direction: Direction) {
        match self {
            Waiter::Owner(waker) => source.wait(direction, waker.clone()),
            Waiter::Listed(listed, waker) => {
                let number = listed.number_in(source);
                source.wait_listed(direction, number, waker);
            }
        }
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        self.leave();
    }
}

/// An async call's entry in the list of waiters, which it leaves when it is dropped.
#[derive(Default)]
struct ListedWaiter {
    /// The source that it waits in, and its number there.
    place: Option<(Rc<Source>, u64)>,
}

impl ListedWaiter {
    /// Its number in this source: a new one if the descriptor has moved to another loop since.
    fn number_in(&mut self, source: &Rc<Source>) -> u64 {
        match &self.place {
            Some((known, number)) if Rc::ptr_eq(known, source) => *number,
            _ => {
                self.leave();
                let number = source.new_waiter();
                self.place = Some((Rc::clone(source), number));
                number
            }
        }
    }

    fn leave(&mut self) {
        if let Some((source, number)) = self.place.take() {
            source.remove_listed(number);
        }
    }
}

impl Drop for ListedWaiter {
    fn drop(&mut self) {
        self.leave();
    }
}
