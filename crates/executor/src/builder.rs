//! Options for a new loop.

use std::any::Any;
use std::fmt;
use std::io;
use std::rc::Rc;

use crate::clock::Clock;
use crate::event_loop::EventLoop;
use crate::panics::PanicHook;

/// Options for a new [`EventLoop`]; made by [`EventLoop::builder`].
#[derive(Clone, Default)]
pub struct Builder {
    clock: Clock,
    panic_hook: Option<PanicHook>,
}

impl Builder {
    /// The clock that timers run on; the machine's monotonic one by default.
    pub fn clock(mut self, clock: Clock) -> Builder {
        self.clock = clock;
        self
    }

    /// Calls `hook` with the payload of every panic that nobody else sees: of a callback, a handler, a destructor, or a
    /// task without a [`JoinHandle`](crate::JoinHandle). The log is told in any case, and the loop goes on.
    pub fn on_panic(mut self, hook: impl Fn(&(dyn Any + Send)) + 'static) -> Builder {
        self.panic_hook = Some(Rc::new(hook));
        self
    }

    /// Makes the loop.
    ///
    /// # Errors
    /// As [`EventLoop::new`].
    pub fn build(self) -> io::Result<EventLoop> {
        EventLoop::from_parts(self.clock, self.panic_hook)
    }
}

impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder")
            .field("clock", &self.clock)
            .field("on_panic", &self.panic_hook.is_some())
            .finish()
    }
}

impl EventLoop {
    /// Options for a new loop.
    pub fn builder() -> Builder {
        Builder::default()
    }
}
