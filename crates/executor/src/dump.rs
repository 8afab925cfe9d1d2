//! A picture of everything that lives on a loop.

use std::fmt;
use std::panic::Location;
use std::time::Duration;

use squall_reactor::Reactor;

use crate::event_loop::EventLoop;
use crate::loop_core::{Alarm, Core};
use crate::source::Registered;
use crate::turn_clock::NEVER;

/// Every task, timer and handler of a loop; made by [`EventLoop::dump`], to be printed or looked through.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Dump {
    /// The tasks that are not finished.
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
    /// The name that [`spawn_named`](crate::spawn_named) gave it.
    pub name: Option<String>,
    /// Where it was spawned.
    pub location: &'static Location<'static>,
    /// The time since then, as of the current turn.
    pub age: Duration,
    /// Whether it is queued to be polled; else it waits to be woken.
    pub is_ready: bool,
}

/// A timer that is armed.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct DumpedTimer {
    /// Whether it calls a callback; else it wakes who sleeps.
    pub is_callback: bool,
    /// Where the timer was armed or the sleep was made.
    pub location: &'static Location<'static>,
    /// The time since it was armed, as of the current turn.
    pub age: Duration,
    /// The time until it is due; zero if it is late, [`Duration::MAX`] if it never comes.
    pub due_in: Duration,
}

/// A handler that is registered.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct DumpedHandler {
    /// Where it was added.
    pub location: &'static Location<'static>,
    /// The time since then, as of the current turn.
    pub age: Duration,
}

impl EventLoop {
    /// A picture of every live task, timer and handler, for a log or a debugging page.
    ///
    /// ```
    /// use std::future::pending;
    /// use squall_executor::EventLoop;
    ///
    /// let event_loop = EventLoop::new()?;
    /// drop(event_loop.spawn_named("waits for ever", pending::<()>()));
    /// let dump = event_loop.dump();
    /// assert_eq!(dump.tasks[0].name.as_deref(), Some("waits for ever"));
    /// println!("{dump}");
    /// # std::io::Result::Ok(())
    /// ```
    ///
    /// # Cost
    /// A walk over all of them.
    pub fn dump(&self) -> Dump {
        self.core.dump()
    }
}

impl Core {
    pub(crate) fn dump(&self) -> Dump {
        let now = self.time.now();
        let since = |time: u64| Duration::from_nanos(now.saturating_sub(time));
        let mut timers: Vec<_> = self
            .timers
            .borrow()
            .iter()
            .map(|(deadline, armed)| DumpedTimer {
                is_callback: matches!(armed.alarm, Alarm::Call(_)),
                location: armed.birth.location,
                age: since(armed.birth.time),
                due_in: match deadline {
                    NEVER => Duration::MAX,
                    deadline => Duration::from_nanos(deadline.saturating_sub(now)),
                },
            })
            .collect();
        timers.sort_by_key(|timer| timer.due_in);
        let reactor = self.reactor.borrow();
        let handlers = reactor
            .iter()
            .flat_map(Reactor::states)
            .filter_map(|watched| match watched {
                Registered::Handler(handler) => Some(handler.birth()),
                Registered::Source(_) => None,
            })
            .map(|birth| DumpedHandler { location: birth.location, age: since(birth.time) })
            .collect();
        Dump { tasks: self.scheduler.dump(since), timers, handlers }
    }
}

impl fmt::Display for Dump {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "tasks: {}", self.tasks.len())?;
        for task in &self.tasks {
            let state = if task.is_ready { "ready" } else { "waiting" };
            write!(f, "  {state}, {:.1?} old, of {}", task.age, task.location)?;
            match &task.name {
                Some(name) => writeln!(f, ", \"{name}\"")?,
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
