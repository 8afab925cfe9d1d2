//! The eventfd that ends a reactor's wait.

use std::fmt;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::sync::Arc;

use crate::{Process, sys};

/// Ends the wait of a [`Reactor`](crate::Reactor), from any thread.
///
/// The eventfd is registered edge-triggered. Every write is a new edge, so the reactor never reads
/// the eventfd, and a wake-up costs one system call in all. If no wait is under way, the next wait
/// returns at once. The last clone closes the eventfd. So a call after the reactor is dropped
/// cannot write to a reused descriptor number. In a forked child, [`notify`](Self::notify) does
/// nothing: the eventfd is the parent's.
#[derive(Clone)]
pub struct Notifier {
    eventfd: Arc<File>,
    process: Process,
}

impl Notifier {
    pub(crate) fn new() -> io::Result<Notifier> {
        Ok(Notifier { eventfd: Arc::new(sys::eventfd()?), process: Process::current()? })
    }

    /// Ends the current wait, or the next one if none is under way. Safe in a signal handler,
    /// except that `errno` may change.
    ///
    /// # Cost
    /// One `write`. Once in 2⁶⁴ - 2 calls the counter is full, which costs a `read` and a second
    /// `write`.
    pub fn notify(&self) {
        let write = || sys::eventfd_write(&self.eventfd, 1);
        let empty = || sys::eventfd_read(&self.eventfd);
        while self.process.is_current() && must_repeat(write, empty) {}
    }
}

/// Tries to add one to the counter. Returns true if the caller must try again. The models call this
/// with a counter of their own.
pub(crate) fn must_repeat(
    write: impl FnOnce() -> io::Result<()>,
    empty: impl FnOnce() -> io::Result<u64>,
) -> bool {
    match write() {
        Ok(()) => false,
        // The counter is full. Empty it and write again, since only a write makes an edge. If
        // another thread has emptied it first, `empty` returns `WouldBlock`, which is just as good.
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
            let _ = empty();
            true
        }
        Err(error) if error.kind() == io::ErrorKind::Interrupted => true,
        // No other error is known, and a signal handler must not panic.
        Err(_) => false,
    }
}

impl Notifier {
    /// Returns true if this process was forked from the process that made the reactor.
    pub fn is_forked(&self) -> bool {
        !self.process.is_current()
    }
}

impl AsFd for Notifier {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.eventfd.as_fd()
    }
}

impl fmt::Debug for Notifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Notifier").field("eventfd", &self.eventfd.as_raw_fd()).finish()
    }
}

const _: () = {
    const fn is_send_and_sync<T: Send + Sync>() {}
    is_send_and_sync::<Notifier>();
};

#[cfg(test)]
mod tests {
    use super::*;

    // R15
    #[test]
    fn a_full_counter_neither_blocks_nor_loses_the_notice() {
        let notifier = Notifier::new().unwrap();
        sys::eventfd_write(&notifier.eventfd, u64::MAX - 1).unwrap();
        notifier.notify();
        assert_eq!(sys::eventfd_read(&notifier.eventfd).unwrap(), 1);
    }
}
