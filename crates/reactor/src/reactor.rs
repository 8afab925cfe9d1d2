//! The reactor: an epoll instance, and the owner's state for every registered descriptor.
//!
//! ```text
//!           register                     wait                          get_mut
//!   fd ───────────────▶ slab[index] ◀─────────── epoll's 64 bits ───────────────▶ state
//!        ADD, sets       { fd, generation,        = Token { index,     generations differ:
//!        a generation      state }                  generation }       the event is ignored
//! ```
//!
//! The turn of the loop calls the reactor, on one thread. The reactor never calls back.

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
/// A reactor belongs to the process that made it. A forked child shares the epoll with its parent,
/// so in the child every method that would touch the epoll returns an error. There,
/// [`deregister`](Self::deregister) only returns the state, and a drop closes only the child's
/// descriptors.
///
/// The reactor implements [`AsFd`]: epoll's own descriptor becomes readable when a wait would find
/// something, so another loop can watch a reactor.
pub struct Reactor<S> {
    epoll: Arc<OwnedFd>,
    notifier: Notifier,
    sources: Slab<Source<S>>,
    /// For each descriptor number, the slab index of the source that owns it in epoll, or
    /// [`NO_OWNER`].
    owners: Vec<u32>,
    /// The generation of the next source. It wraps after 2³² registrations. An old token matches a
    /// new source only after exactly that many registrations, and only in the same slot.
    next_generation: u32,
    /// The process that made the epoll.
    process: Process,
    /// Whether to try `epoll_pwait2`; cleared for good by the first refusal.
    tries_pwait2: bool,
    stats: ReactorStats,
    _live: LiveCount,
}

/// The number of reactors in this process. Relaxed, because the count orders no other memory
/// access.
static LIVE_REACTORS: AtomicUsize = AtomicUsize::new(0);

/// Counts a reactor while it exists.
struct LiveCount;

impl LiveCount {
    fn new() -> LiveCount {
        LIVE_REACTORS.fetch_add(1, Ordering::Relaxed);
        LiveCount
    }
}

impl Drop for LiveCount {
    fn drop(&mut self) {
        LIVE_REACTORS.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The number of reactors in this process, including those inherited through a fork.
///
/// The number must be zero before a process forks children that are to have their own reactors.
pub fn live_reactors() -> usize {
    LIVE_REACTORS.load(Ordering::Relaxed)
}

struct Source<S> {
    /// The registered descriptor number, or [`RETIRED`].
    fd: RawFd,
    generation: u32,
    state: S,
}

const NO_OWNER: u32 = u32::MAX;
/// The descriptor was closed without a [`deregister`](Reactor::deregister), and its number belongs
/// to another source now.
const RETIRED: RawFd = -1;

impl<S> Reactor<S> {
    /// Makes an epoll instance and its eventfd, both close-on-exec.
    ///
    /// # Errors
    /// Those of `epoll_create1(2)` and `eventfd(2)`, for instance when no descriptor number is
    /// free. No descriptor stays open then.
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
            tries_pwait2: true,
            stats: ReactorStats::default(),
            _live: LiveCount::new(),
        })
    }

    /// Watches `fd` and keeps `state` for it until [`deregister`](Self::deregister).
    ///
    /// Deregister before you close the descriptor. A closed descriptor stays in epoll until its
    /// last duplicate is closed; until then its events continue, and no call can stop them.
    ///
    /// If a registered descriptor was closed and its number names another file now, registering
    /// that file retires the old registration. The old token is then stale for all methods except
    /// [`deregister`](Self::deregister), which returns the old state and does not affect the new
    /// registration.
    ///
    /// # Errors
    /// - `AlreadyExists`: `fd` is registered already; that registration is untouched.
    /// - `PermissionDenied` (`EPERM`): epoll cannot watch such a file, for instance a regular file.
    /// - `InvalidInput`: [`Mode::Exclusive`] with [`Interest::PRIORITY`].
    /// - others of `epoll_ctl(2)`, such as out of memory or too many epoll watches.
    ///
    /// On an error, `state` is dropped and nothing stays registered.
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

    /// Watches the descriptor that `state` itself owns, so that the descriptor cannot be closed
    /// while it is registered.
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
        let len = self.sources.len();
        if len == self.sources.capacity() {
            self.sources.reserve_exact(len / 8 + 16); // a list that doubles is half empty
        }
        let slot = self.sources.vacant_entry();
        let index = u32::try_from(slot.key()).ok().filter(|&index| index != NO_OWNER);
        let index = index.ok_or(io::ErrorKind::OutOfMemory)?;
        let generation = self.next_generation;
        let token = Token::new(index, generation);
        sys::epoll_add(&self.epoll, fd, flags, token.to_bits())?;
        self.stats.registrations += 1;
        self.next_generation = generation.wrapping_add(1);
        slot.insert(Source { fd, generation, state });
        self.set_owner(fd, index);
        Ok(token)
    }

    /// Records which source owns a descriptor number, and retires the former owner. The kernel has
    /// just accepted the number, so the former owner's descriptor is closed.
    fn set_owner(&mut self, fd: RawFd, index: u32) {
        let number = usize::try_from(fd).expect("the kernel accepted a negative descriptor");
        let missing = (number + 1).saturating_sub(self.owners.len());
        if missing > 0 {
            if number >= self.owners.capacity() {
                self.owners.reserve_exact(missing + number / 8); // as above
            }
            self.owners.resize(number + 1, NO_OWNER);
        }
        let former = std::mem::replace(&mut self.owners[number], index);
        if former != NO_OWNER {
            self.sources[former as usize].fd = RETIRED;
        }
    }

    /// Replaces the interest and the mode, and arms a [`Mode::OneShot`] registration again.
    ///
    /// # Errors
    /// - `NotFound`: the token is stale, or another registration has its descriptor number now.
    /// - `InvalidInput`: the old or the new mode is [`Mode::Exclusive`].
    /// - others of `epoll_ctl(2)`.
    ///
    /// # Cost
    /// One `epoll_ctl`.
    pub fn modify(&mut self, token: Token, interest: Interest, mode: Mode) -> io::Result<()> {
        self.check_process()?;
        let source = self.find_active(token).ok_or(io::ErrorKind::NotFound)?;
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

    /// Stops watching the descriptor and returns the state; `None` for a stale token.
    ///
    /// Events that a wait has already returned for the registration no longer match any state.
    ///
    /// # Cost
    /// One `epoll_ctl`.
    pub fn deregister(&mut self, token: Token) -> Option<S> {
        let fd = self.find(token)?.fd;
        let source = self.sources.remove(token.index());
        if let Ok(number) = usize::try_from(fd) {
            self.owners[number] = NO_OWNER;
            // A forked child leaves the descriptor in epoll: the parent still needs its events.
            if self.process.is_current() {
                // ENOENT and EBADF mean that the descriptor was closed, and the kernel has removed
                // it already.
                let _ = sys::epoll_delete(&self.epoll, fd);
                self.stats.deregistrations += 1;
            }
        }
        Some(source.state)
    }

    /// The state of a registration; `None` for a stale token.
    pub fn get(&self, token: Token) -> Option<&S> {
        Some(&self.find_active(token)?.state)
    }

    /// The state of a registration, mutable; `None` for a stale token.
    pub fn get_mut(&mut self, token: Token) -> Option<&mut S> {
        self.find_active(token)?;
        self.sources.get_mut(token.index()).map(|source| &mut source.state)
    }

    fn find_active(&self, token: Token) -> Option<&Source<S>> {
        self.find(token).filter(|source| source.fd != RETIRED)
    }

    /// Finds a source, retired sources included.
    fn find(&self, token: Token) -> Option<&Source<S>> {
        let source = self.sources.get(token.index())?;
        (source.generation == token.generation()).then_some(source)
    }

    /// Waits until a descriptor is ready, a [`Notifier`] is used or `timeout` has passed. `None`
    /// waits for ever.
    ///
    /// Returns the number of events in `events`. Zero means that `timeout` has passed, that a
    /// notifier was used, or that a signal handler ran on this thread. The caller checks for work
    /// and waits again for the rest of its time. The timeout is as exact as the kernel allows, and
    /// rounding never shortens it.
    ///
    /// # Errors
    /// In a forked child, always. Elsewhere those of `epoll_wait(2)` except `EINTR`; none of them
    /// is known to happen.
    ///
    /// # Cost
    /// One `epoll_pwait2`. If a kernel before 5.11 or a seccomp filter refuses that call, one
    /// `epoll_wait` with the timeout rounded up to whole milliseconds.
    pub fn wait(&mut self, events: &mut Events, timeout: Option<Duration>) -> io::Result<usize> {
        self.check_process()?;
        let list = events.buffer();
        match self.wait_once(list, timeout) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => list.clear(),
            Err(error) => return Err(error),
        }
        let notifier = Token::NOTIFIER.to_bits();
        if let Some(position) = list.iter().position(|event| event.u64 == notifier) {
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
        if self.tries_pwait2 {
            match sys::epoll_pwait2(&self.epoll, list, timeout) {
                Err(error) if is_refusal(&error) => self.tries_pwait2 = false,
                outcome => return outcome,
            }
        }
        sys::epoll_wait(&self.epoll, list, whole_millis(timeout))
    }

    /// A handle with which other threads end a wait of this reactor.
    pub fn notifier(&self) -> Notifier {
        self.notifier.clone()
    }

    /// Returns true if this process was forked from the process that made the reactor.
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

    /// Epoll's own descriptor, for an owner that implements [`AsFd`] but keeps the reactor in a
    /// cell.
    pub fn epoll(&self) -> Arc<OwnedFd> {
        Arc::clone(&self.epoll)
    }

    /// Ends the reactor and returns the states that are left, so that the caller can drop them one
    /// after the other.
    pub fn into_states(self) -> Vec<S> {
        drop(self.epoll); // first, so that no state closes a descriptor that is still in epoll
        self.sources.into_iter().map(|(_, source)| source.state).collect()
    }

    /// The states of all registrations, in no order.
    pub fn states(&self) -> impl Iterator<Item = &S> {
        self.sources.iter().map(|(_, source)| &source.state)
    }

    /// The number of registered descriptors, without the notifier's own.
    pub fn len(&self) -> usize {
        self.sources.len()
    }

    /// Returns true if no descriptor is registered.
    pub fn is_empty(&self) -> bool {
        self.sources.is_empty()
    }

    /// The counters since the reactor was made.
    pub fn stats(&self) -> ReactorStats {
        self.stats
    }
}

/// An old kernel returns `ENOSYS`. A seccomp filter that does not know the call usually returns
/// `EPERM`.
fn is_refusal(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::ENOSYS | libc::EPERM))
}

/// Milliseconds for `epoll_wait`, rounded up: if waits ended early, the loop would spin until the
/// deadline.
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
        // The kernel refuses EPOLLRDHUP together with EPOLLEXCLUSIVE.
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
