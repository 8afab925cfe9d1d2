//! Tells a process apart from its forked children.
//!
//! A forked child shares its parent's epoll: a descriptor that the child adds or removes is added
//! or removed for the parent too. So the owner of an epoll stores the [`Process`] that made it, and
//! does not touch it in any other.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::sys;

/// The number of forks from the program's first process to this one. Written only in a new child,
/// which has only one thread.
static FORKS: AtomicU64 = AtomicU64::new(0);

/// Identifies a process, for comparison with the current process.
///
/// ```
/// use squall_reactor::Process;
///
/// let here = Process::current()?;
/// assert!(here.is_current()); // false in a forked child
/// # std::io::Result::Ok(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Process {
    forks: u64,
}

impl Process {
    /// Returns the calling process. Forks are counted from the first call on; `vfork(2)` and a bare
    /// `clone(2)` never are.
    ///
    /// # Errors
    /// That of `pthread_atfork(3)`: out of memory.
    pub fn current() -> io::Result<Process> {
        sys::call_in_children(in_child)?;
        Ok(Process { forks: Process::forks_now() })
    }

    /// Returns true if this is the calling process. Safe in a signal handler.
    #[inline]
    pub fn is_current(self) -> bool {
        self.forks == Process::forks_now()
    }

    /// The number of counted forks from the program's first process to this [`Process`].
    pub fn forks(self) -> u64 {
        self.forks
    }

    /// The [`forks`](Self::forks) of the calling process. Safe in a signal handler.
    #[inline]
    pub fn forks_now() -> u64 {
        FORKS.load(Ordering::Relaxed)
    }
}

/// Runs in a forked child before `fork` returns there. May do only what a signal handler may do.
extern "C" fn in_child() {
    FORKS.fetch_add(1, Ordering::Relaxed);
}
