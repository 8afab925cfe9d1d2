//! Which process this is, among those that `fork` makes of one program.
//!
//! A child shares its parent's epoll: what it adds or removes there, it adds or removes for the parent too. So whatever
//! owns one remembers its process and keeps its hands off in a copy of itself.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::sys;

/// How many forks lie between the first process of the program and this one. Written in a child that has only one thread.
static FORKS: AtomicU64 = AtomicU64::new(0);

/// A process, to be compared with the current one.
///
/// ```
/// use squall_reactor::Process;
///
/// let here = Process::current()?;
/// assert!(here.is_current()); // in a child of this process it is not
/// # std::io::Result::Ok(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Process {
    forks: u64,
}

impl Process {
    /// The process that calls. From the first call on, forks are noticed; `vfork(2)` and a bare `clone(2)` never are.
    ///
    /// # Errors
    /// That of `pthread_atfork(3)`: out of memory.
    pub fn current() -> io::Result<Process> {
        sys::call_in_children(in_child)?;
        Ok(Process { forks: Process::forks_now() })
    }

    /// Tells whether it is this one. Safe in a signal handler.
    #[inline]
    pub fn is_current(self) -> bool {
        self.forks == Process::forks_now()
    }

    /// How many forks lie between the program's first process and this one, as far as they were noticed.
    pub fn forks(self) -> u64 {
        self.forks
    }

    /// The [`forks`](Self::forks) of the process that calls. Safe in a signal handler.
    #[inline]
    pub fn forks_now() -> u64 {
        FORKS.load(Ordering::Relaxed)
    }
}

/// Runs in a forked child before `fork` returns there; may do only what a signal handler may.
extern "C" fn in_child() {
    FORKS.fetch_add(1, Ordering::Relaxed);
}
