//! What makes a loop isolated: it has no part in its process.
//!
//! It watches no descriptor, gets no signal of the process, and takes its random numbers from its
//! maker. The hosts of a simulation are such loops.

use std::cell::Cell;
use std::io;
use std::rc::Rc;

/// Where an isolated loop takes its random numbers from.
#[derive(Clone)]
pub(crate) struct Isolation {
    pub(crate) random: Rc<dyn Fn() -> u64>,
}

thread_local! {
    static LOOPS_WOKEN: Cell<u64> = const { Cell::new(0) };
}

/// How often this thread has woken a loop that did not run, or has moved a timer of one.
#[doc(hidden)]
pub fn loops_woken() -> u64 {
    LOOPS_WOKEN.get()
}

pub(crate) fn count_loop_woken() {
    LOOPS_WOKEN.set(LOOPS_WOKEN.get().wrapping_add(1));
}

/// The error of a call that an isolated loop refuses.
#[cold]
pub(crate) fn refused() -> io::Error {
    let text = "the wait for a descriptor of the system (AsyncFd, add_handler) is not simulated";
    io::Error::new(io::ErrorKind::Unsupported, text)
}
