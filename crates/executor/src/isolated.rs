//! A loop that has no part in its process. The hosts of a simulation are such loops.
//!
//! It watches no descriptor, gets only the signals that [`EventLoop::raise`] passes to it, and takes
//! its random numbers from its maker. [`EventLoop::run_ready`] runs it without a system call.

use std::cell::Cell;
use std::fmt;
use std::io;
use std::panic::Location;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use libc::c_int;

use crate::builder::Builder;
use crate::current::Running;
use crate::error::RunError;
use crate::event_loop::{EventLoop, Run};
use crate::insight::panics::shield;
use crate::loop_core::Core;
use crate::task::root_future::RootFuture;

/// Where an isolated loop takes its random numbers from.
#[derive(Clone)]
pub(crate) struct Isolation {
    pub(crate) random: Rc<dyn Fn() -> u64>,
}

thread_local! {
    static LOOPS_WOKEN: Cell<u64> = const { Cell::new(0) };
}

/// How often this thread has woken a loop that did not run.
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

impl Builder {
    /// Makes a loop that has no part in the process. `random` draws its random numbers.
    #[doc(hidden)]
    pub fn isolated(mut self, random: impl Fn() -> u64 + 'static) -> Builder {
        self.options.isolation = Some(Isolation { random: Rc::new(random) });
        self
    }
}

/// A future that a loop runs by turns.
#[doc(hidden)]
pub struct TurnByTurn<'a> {
    core: &'a Rc<Core>,
    run: Run<'a>,
}

impl TurnByTurn<'_> {
    /// As [`EventLoop::run_ready`], and polls the future when its turn comes.
    ///
    /// # Errors
    /// As there.
    pub fn run_ready(&mut self) -> Result<usize, RunError> {
        let _running = Running::begin(self.core)?;
        self.core.turn(&mut self.run, |_| Some(Duration::ZERO))
    }

    /// Whether the future is ready.
    pub fn is_done(&self) -> bool {
        self.run.root.as_ref().is_some_and(RootFuture::is_done)
    }
}

impl fmt::Debug for TurnByTurn<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TurnByTurn").field("is_done", &self.is_done()).finish_non_exhaustive()
    }
}

impl EventLoop {
    /// Runs one turn without sleeping. Asks the kernel only if the loop watches a descriptor.
    ///
    /// # Errors
    /// As [`run_once`](Self::run_once).
    #[doc(hidden)]
    pub fn run_ready(&self) -> Result<usize, RunError> {
        let _running = Running::begin(&self.core)?;
        let mut run = Run { root: None, ends_on_stop: false, is_embedded: false };
        self.core.turn(&mut run, |_| Some(Duration::ZERO))
    }

    /// Runs a future by turns, in its place among the tasks, as [`block_on`](Self::block_on) does.
    #[doc(hidden)]
    #[track_caller]
    pub fn root<'a>(
        &'a self,
        poll: &'a mut dyn FnMut(&mut Context<'_>) -> Poll<()>,
    ) -> TurnByTurn<'a> {
        let core = &self.core;
        let root = RootFuture::new(&core.scheduler, core.origin(Location::caller()), poll);
        let run = Run { root: Some(root), ends_on_stop: false, is_embedded: false };
        TurnByTurn { core, run }
    }

    /// Passes a signal to the streams of this loop that listen to it. Returns false if none does.
    #[doc(hidden)]
    pub fn raise(&self, signal: c_int) -> bool {
        let listeners = self.core.signal_listeners.borrow();
        let wakers: Vec<_> =
            listeners.iter().filter_map(|listener| listener.raise(signal)).collect();
        drop(listeners);
        let is_taken = !wakers.is_empty();
        for waker in wakers.into_iter().flatten() {
            shield("a waker", || waker.wake());
        }
        is_taken
    }
}
