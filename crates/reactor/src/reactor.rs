//! The reactor: an epoll instance, and beside every registered descriptor the state of its owner.
//!
//! ```text
//!           register                     wait                          get_mut
//!   fd ───────────────▶ slab[index] ◀─────────── epoll's 64 bits ───────────────▶ state
//!        ADD, stamps     { fd, generation,        = Token { index,     generations differ:
//!        a generation      interest, state }        generation }       the event reaches nobody
//! ```
//!
//! Called by the loop's turn, on one thread. It never calls anybody.

use std::fmt;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use slab::Slab;

use crate::{Events, Interest, Mode, Notifier, Process, ReactorStats, Token, sys};

/// An epoll instance that keeps a state `S` for each registered descriptor.
///
/// It belongs to the process that made it. A forked child shares the epoll with its parent, so there every method that would
/// touch it refuses, [`deregister`](Self::deregister) only gives the state back, and a drop only closes the child's descriptors.
///
/// It is [`AsFd`]: the descriptor of the epoll itself turns readable when a wait would find something, so a reactor
/// can sit inside another loop.
pub struct Reactor<S> {
    epoll: Arc<OwnedFd>,
    notifier: Notifier,
    sources: Slab<Source<S>>,
    /// For each descriptor number the slab index of the source that owns it in epoll, or [`NOBODY`].
    owners: Vec<u32>,
    /// Stamped on the next source. It wraps after 2³² registrations; a token would have to sleep exactly that long
    /// and come back to the same slot to be mistaken.
    next_generation: u32,
    /// Who made the epoll.
    process: Process,
    /// Whether to try `epoll_pwait2`; cleared for good by the first refusal.
    fine_timeouts: bool,
    stats: ReactorStats,
    _live: Live,
}

/// How many reactors there are in this process. Only their number is of interest, so nothing else is ordered by it.
static LIVE: AtomicUsize = AtomicUsize::new(0);

/// Counts a reactor while it lives.
struct Live;

impl Live {
    fn new() -> Live {
        LIVE.fetch_add(1, Ordering::Relaxed);
        Live
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        LIVE.fetch_sub(1, Ordering::Relaxed);
    }
}

/// How many reactors live in this process, those that it has inherited by a fork among them: what must be zero before a
/// process forks others that are to have their own.
pub fn live_reactors() -> usize {
    LIVE.load(Ordering::Relaxed)
}

struct Source<S> {
    /// The registered number, or [`RETIRED`].
    fd: RawFd,
    generation: u32,
    state: S,
}

const NOBODY: u32 = u32::MAX;
/// The descriptor was closed behind our back and its number belongs to another source by now.
const RETIRED: RawFd = -1;

impl<S> Reactor<S> {
    /// Makes an epoll instance and its eventfd, both close-on-exec.
    ///
    /// # Errors
    /// Those of `epoll_create1(2)` and `eventfd(2)`: no descriptor is left.
    pub fn new() -> io::Result<Reactor<S>> {
        let epoll = sys::epoll_create()?;
        let notifier = Notifier::new()?;
        let flags = (libc::EPOLLIN | libc::EPOLLET).cast_unsigned();
        let data = Token::NOTIFIER.to_bits();
        sys::epoll_add(&epoll, notifier.as_fd().as_raw_fd(), flags, data)?;
        Ok(Reactor {
            epoll: Arc::new(epoll),
            notifier,
            sources: Slab::new(),
            owners: Vec::new(),
            next_generation: 0,
            process: Process::current()?,
            fine_timeouts: true,
            stats: ReactorStats::default(),
            _live: Live::new(),
        })
    }

    /// Watches `fd` and keeps `state` for it until [`deregister`](Self::deregister).
    ///
    /// Deregister before you close the descriptor: the kernel forgets it by itself only when its last duplicate is
    /// closed, and keeps reporting events that nobody can stop any more until then. If it was closed all the same and its
    /// number has come back as another file, this registration retires the old one: the old token is stale but for
    /// [`deregister`](Self::deregister), which gives its state back and cannot disturb the new owner.
    ///
    /// # Errors
    /// - `AlreadyExists`: this file is registered already; that registration is untouched.
    /// - `PermissionDenied` (`EPERM`): epoll cannot watch such a file, a regular one for instance.
    /// - `InvalidInput`: [`Mode::Exclusive`] with [`Interest::PRIORITY`].
    /// - others of `epoll_ctl(2)`, out of memory or watches among them.
    ///
    /// `state` is dropped then, and nothing stays behind.
    ///
    /// # Cost
    /// One `epoll_ctl`.
    pub fn register(
        &mut self,
        fd: BorrowedFd<'_>,
        interest: Interest,
        mode: Mode,
        state: S,
    ) -> io::Result<Token> {
        self.add(fd.as_raw_fd(), interest, mode, state)
    }

    /// Watches the descriptor that `state` itself owns, which therefore cannot be closed while it is registered.
    ///
    /// # Errors
    /// As [`register`](Self::register).
    pub fn insert(&mut self, interest: Interest, mode: Mode, state: S) -> io::Result<Token>
    where
        S: AsFd,
    {
        let fd = state.as_fd().as_raw_fd();
        self.add(fd, interest, mode, state)
    }

    fn add(&mut self, fd: RawFd, interest: Interest, mode: Mode, state: S) -> io::Result<Token> {
        self.check_process()?;
        let flags = epoll_flags(interest, mode)?;
        let slot = self.sources.vacant_entry();
        let index = u32::try_from(slot.key()).ok().filter(|&index| index != NOBODY);
        let index = index.ok_or(io::ErrorKind::OutOfMemory)?;
        let generation = self.next_generation;
        let token = Token::new(index, generation);
        sys::epoll_add(&self.epoll, fd, flags, token.to_bits())?;
        self.stats.registrations += 1;
        self.next_generation = generation.wrapping_add(1);
        slot.insert(Source { fd, generation, state });
        self.take_over(fd, index);
        Ok(token)
    }

    /// Enters the new owner of a number. The kernel has just accepted it, so a former owner's descriptor is closed.
    fn take_over(&mut self, fd: RawFd, index: u32) {
        let number = usize::try_from(fd).expect("the kernel accepted a negative descriptor");
        if self.owners.len() <= number {
            self.owners.resize(number + 1, NOBODY);
        }
        let former = std::mem::replace(&mut self.owners[number], index);
        if former != NOBODY {
            self.sources[former as usize].fd = RETIRED;
        }
    }

    /// Replaces what is watched for, and arms a [`Mode::OneShot`] source again.
    ///
    /// # Errors
    /// - `NotFound`: the token is stale, or its descriptor was closed and the number has a new owner.
    /// - `InvalidInput`: from or to [`Mode::Exclusive`].
    /// - others of `epoll_ctl(2)`.
    ///
    /// # Cost
    /// One `epoll_ctl`.
    pub fn modify(&mut self, token: Token, interest: Interest, mode: Mode) -> io::Result<()> {
        self.check_process()?;
        let source = self.live(token).ok_or(io::ErrorKind::NotFound)?;
        if mode == Mode::Exclusive {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "an exclusive registration cannot be modified: deregister and register again",
            ));
        }
        let flags = epoll_flags(interest, mode)?;
        sys::epoll_modify(&self.epoll, source.fd, flags, token.to_bits())?;
        self.stats.modifications += 1;
        Ok(())
    }

    /// Stops watching and gives the state back; `None` for a stale token.
    ///
    /// Events that were already collected for it reach nobody.
    ///
    /// # Cost
    /// One `epoll_ctl`.
    pub fn deregister(&mut self, token: Token) -> Option<S> {
        let fd = self.find(token)?.fd;
        let source = self.sources.remove(token.index());
        if let Ok(number) = usize::try_from(fd) {
            self.owners[number] = NOBODY;
            // In a forked child it stays: the parent still wants its events.
            if self.process.is_current() {
                // ENOENT and EBADF say that the descriptor was closed before: the kernel has forgotten it already.
                let _ = sys::epoll_delete(&self.epoll, fd);
                self.stats.deregistrations += 1;
            }
        }
        Some(source.state)
    }

    /// The state of a registration; `None` for a stale token.
    pub fn get(&self, token: Token) -> Option<&S> {
        Some(&self.live(token)?.state)
    }

    /// The state of a registration, to be changed; `None` for a stale token.
    pub fn get_mut(&mut self, token: Token) -> Option<&mut S> {
        self.live(token)?;
        self.sources.get_mut(token.index()).map(|source| &mut source.state)
    }

    fn live(&self, token: Token) -> Option<&Source<S>> {
        self.find(token).filter(|source| source.fd != RETIRED)
    }

    fn find(&self, token: Token) -> Option<&Source<S>> {
        let source = self.sources.get(token.index())?;
        (source.generation == token.generation()).then_some(source)
    }

    /// Waits until a descriptor is ready, a [`Notifier`] is used or `timeout` has passed; `None` waits for ever.
    ///
    /// Returns how many events `events` now holds. Zero means that time is up, that a notifier was used, or that a
    /// signal handler ran on this thread: look around, and wait again with what is left of your time. The timeout is
    /// exact to what the kernel gives and never cut short by rounding.
    ///
    /// # Errors
    /// In a forked child; else those of `epoll_wait(2)` except `EINTR`, of which none is known.
    ///
    /// # Cost
    /// One `epoll_pwait2`, or one `epoll_wait` where a kernel before 5.11 or a filter refuses it: the timeout is
    /// then rounded up to whole milliseconds.
    pub fn wait(&mut self, events: &mut Events, timeout: Option<Duration>) -> io::Result<usize> {
        self.check_process()?;
        let list = events.buffer();
        match self.wait_once(list, timeout) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => list.clear(),
            Err(error) => return Err(error),
        }
        let notice = Token::NOTIFIER.to_bits();
        if let Some(position) = list.iter().position(|event| event.u64 == notice) {
            list.remove(position);
        }
        Ok(list.len())
    }

    fn wait_once(
        &mut self,
        list: &mut Vec<libc::epoll_event>,
        timeout: Option<Duration>,
    ) -> io::Result<()> {
        self.stats.waits += 1;
        if self.fine_timeouts {
            match sys::epoll_pwait2(&self.epoll, list, timeout) {
                Err(error) if is_refusal(&error) => self.fine_timeouts = false,
                outcome => return outcome,
            }
        }
        sys::epoll_wait(&self.epoll, list, whole_millis(timeout))
    }

    /// A handle for other threads, which ends a sleep of this reactor.
    pub fn notifier(&self) -> Notifier {
        self.notifier.clone()
    }

    /// Tells whether this process is a fork of the one that made the reactor.
    pub fn is_forked(&self) -> bool {
        !self.process.is_current()
    }

    /// The process that made the reactor.
    pub fn process(&self) -> Process {
        self.process
    }

    fn check_process(&self) -> io::Result<()> {
        if self.is_forked() {
            return Err(io::Error::other(
                "this reactor was made before a fork and belongs to the parent: make a new one in the child",
            ));
        }
        Ok(())
    }

    /// A hold on epoll's own descriptor, for an owner who lends it out as [`AsFd`] while the reactor is in a cell.
    pub fn epoll(&self) -> Arc<OwnedFd> {
        Arc::clone(&self.epoll)
    }

    /// Ends the reactor and gives back the states that are left, so that their owner can drop them one by one.
    pub fn into_states(self) -> Vec<S> {
        drop(self.epoll); // first: what is closed with a state is then in no epoll any more
        self.sources.into_iter().map(|(_, source)| source.state).collect()
    }

    /// The states of all registrations, in no order.
    pub fn states(&self) -> impl Iterator<Item = &S> {
        self.sources.iter().map(|(_, source)| &source.state)
    }

    /// How many descriptors are registered, the notifier's own not counted.
    pub fn len(&self) -> usize {
        self.sources.len()
    }

    /// Tells whether no descriptor is registered.
    pub fn is_empty(&self) -> bool {
        self.sources.is_empty()
    }

    /// What was counted since the reactor was made.
    pub fn stats(&self) -> ReactorStats {
        self.stats
    }
}

/// An old kernel says `ENOSYS`; a seccomp filter that does not know the call usually says `EPERM`.
fn is_refusal(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::ENOSYS | libc::EPERM))
}

/// Milliseconds for `epoll_wait`, rounded up: a wait that ends early would spin until the time has come.
fn whole_millis(timeout: Option<Duration>) -> i32 {
    match timeout {
        None => -1,
        Some(timeout) => i32::try_from(timeout.as_nanos().div_ceil(1_000_000)).unwrap_or(i32::MAX),
    }
}

fn epoll_flags(interest: Interest, mode: Mode) -> io::Result<u32> {
    if mode == Mode::Exclusive && interest.is_priority() {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "the kernel refuses EPOLLEXCLUSIVE together with PRIORITY",
        ));
    }
    let mut flags = match mode {
        Mode::Level => 0,
        Mode::Edge => libc::EPOLLET,
        Mode::OneShot => libc::EPOLLONESHOT,
        Mode::Exclusive => libc::EPOLLEXCLUSIVE,
    };
    if interest.is_readable() {
        flags |= libc::EPOLLIN;
        // The kernel refuses RDHUP beside EXCLUSIVE.
        flags |= if mode == Mode::Exclusive { 0 } else { libc::EPOLLRDHUP };
    }
    if interest.is_writable() {
        flags |= libc::EPOLLOUT;
    }
    if interest.is_priority() {
        flags |= libc::EPOLLPRI;
    }
    Ok(flags.cast_unsigned())
}

impl<S> AsFd for Reactor<S> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.epoll.as_fd()
    }
}

impl<S> fmt::Debug for Reactor<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reactor")
            .field("epoll", &self.epoll.as_raw_fd())
            .field("sources", &self.sources.len())
            .field("stats", &self.stats)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // T3
    #[test]
    fn coarse_timeouts_are_rounded_up_and_never_wrap() {
        let millis = |timeout| whole_millis(Some(timeout));
        assert_eq!(whole_millis(None), -1);
        assert_eq!(millis(Duration::ZERO), 0);
        assert_eq!(millis(Duration::from_nanos(1)), 1);
        assert_eq!(millis(Duration::from_millis(7)), 7);
        assert_eq!(millis(Duration::from_micros(7_001)), 8);
        assert_eq!(millis(Duration::from_secs(30 * 24 * 3600)), i32::MAX);
        assert_eq!(millis(Duration::MAX), i32::MAX);
    }
}
