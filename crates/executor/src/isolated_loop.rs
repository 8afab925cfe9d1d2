//! Runs loops of which another program turns the hands: the hosts of a simulation.
//!
//! [`EventLoop::run_ready`] runs a turn without a system call, and [`EventLoop::raise`] stands for a
//! signal. Such loops are [isolated](crate::isolation).

use std::fmt;
use std::panic::Location;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use libc::c_int;

use crate::current::Running;
use crate::error::RunError;
use crate::event_loop::{EventLoop, Run};
use crate::insight::panics::shield;
use crate::loop_core::Core;
use crate::task::root_future::RootFuture;

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
        self.core.turn(&mut self.run, Some(Duration::ZERO))
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
        self.core.turn(&mut run, Some(Duration::ZERO))
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
