//! Which loop is the thread's, and whether one runs.

use std::cell::Cell;
use std::fmt;
use std::marker::PhantomData;
use std::rc::Rc;

use squall_reactor::Process;

use crate::current::{self, GuardId};
use crate::error::RunError;
use crate::loop_core::Core;

/// Keeps a loop the thread's; made by [`EventLoop::enter`](crate::EventLoop::enter).
#[must_use = "the loop is the thread's only while this guard lives"]
pub struct Entered<'a> {
    guard: GuardId,
    event_loop: PhantomData<&'a Core>,
}

impl Entered<'_> {
    pub(crate) fn new(core: &Rc<Core>) -> Self {
        Entered { guard: current::enter(Rc::clone(core)), event_loop: PhantomData }
    }
}

impl Drop for Entered<'_> {
    fn drop(&mut self) {
        current::leave(self.guard);
    }
}

impl fmt::Debug for Entered<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Entered")
    }
}

/// Marks the thread as running a loop, for as long as one of the `run` methods is on the stack.
pub(crate) struct Running<'a> {
    core: &'a Core,
    outer: Option<Process>,
    _entered: Entered<'a>,
}

thread_local! {
    /// The process in which a loop runs on this thread: a child that was forked by a callback may run one of its own.
    static RUNS: Cell<Option<Process>> = const { Cell::new(None) };
}

impl<'a> Running<'a> {
    pub(crate) fn begin(core: &'a Rc<Core>) -> Result<Running<'a>, RunError> {
        core.check_process()?;
        let outer = RUNS.get();
        if outer.is_some_and(Process::is_current) {
            return Err(RunError::AlreadyRunning);
        }
        RUNS.set(Some(core.process));
        core.scheduler.inbox().wake_up();
        core.time.begin_run();
        Ok(Running { core, outer, _entered: Entered::new(core) })
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.core.time.worked(); // the last turn, which ended without an ask of the kernel
        self.core.scheduler.inbox().rest();
        RUNS.set(self.outer);
    }
}
