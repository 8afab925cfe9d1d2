//! A list of everything that lives on a loop.

use std::fmt;
use std::panic::Location;
use std::time::Duration;

/// Every task, timer and handler of a loop, to print or to inspect. Made by [`dump`](crate::dump).
/// It holds nothing of the loop, and may be sent to another thread.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Dump {
    /// The tasks that are not finished, and the future of a running `block_on`.
    pub tasks: Vec<DumpedTask>,
    /// The timers that are armed, the next one first.
    pub timers: Vec<DumpedTimer>,
    /// The handlers of [`add_handler`](crate::add_handler).
    pub handlers: Vec<DumpedHandler>,
}

/// A task that is not finished.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct DumpedTask {
    /// The name from [`spawn_named`](crate::spawn_named).
    pub name: Option<String>,
    /// Where the task was spawned.
    pub location: &'static Location<'static>,
    /// The time since it was spawned, as of the current turn.
    pub age: Duration,
    /// True if the task is queued to be polled, false if it waits for a wake.
    pub is_ready: bool,
    /// True for the future of `block_on` or `run_sync`, which is not a task of its own.
    pub is_root: bool,
}

/// A timer that is armed.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct DumpedTimer {
    /// True if the timer calls a callback, false if it wakes a sleeping task.
    pub is_callback: bool,
    /// Where the timer was armed or the sleep was made.
    pub location: &'static Location<'static>,
    /// The time since it was armed, as of the current turn.
    pub age: Duration,
    /// The time until the timer is due. Zero if it is overdue, [`Duration::MAX`] if it never fires.
    pub due_in: Duration,
}

/// A handler that is registered.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct DumpedHandler {
    /// Where the handler was added.
    pub location: &'static Location<'static>,
    /// The time since it was added, as of the current turn.
    pub age: Duration,
}

const _: () = {
    const fn is_send_and_sync<T: Send + Sync>() {}
    is_send_and_sync::<Dump>();
};

impl fmt::Display for Dump {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "tasks: {}", self.tasks.len())?;
        for task in &self.tasks {
            let state = if task.is_ready { "ready" } else { "waiting" };
            write!(f, "  {state}, {:.1?} old, of {}", task.age, task.location)?;
            match &task.name {
                Some(name) => writeln!(f, ", \"{name}\"")?,
                None if task.is_root => writeln!(f, ", the future of block_on")?,
                None => writeln!(f)?,
            }
        }
        writeln!(f, "timers: {}", self.timers.len())?;
        for timer in &self.timers {
            let what = if timer.is_callback { "callback" } else { "sleep" };
            match timer.due_in {
                Duration::MAX => write!(f, "  {what}, never due")?,
                due_in => write!(f, "  {what}, due in {due_in:.1?}")?,
            }
            writeln!(f, ", {:.1?} old, of {}", timer.age, timer.location)?;
        }
        write!(f, "handlers: {}", self.handlers.len())?;
        for handler in &self.handlers {
            write!(f, "\n  {:.1?} old, of {}", handler.age, handler.location)?;
        }
        Ok(())
    }
}
