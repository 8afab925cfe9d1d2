//! Raw callbacks on descriptors: Tornado's `add_handler`.

use std::cell::{Cell, RefCell};

use squall_reactor::{Event, Token};

use crate::insight::origin::Origin;
use crate::insight::panics::shield;

/// Identifies a handler of [`add_handler`](crate::add_handler), and never a later one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct HandlerId {
    pub(crate) token: Token,
    /// The number of the handler's loop, because tokens of different loops can be equal.
    pub(crate) loop_number: u64,
}

type Call = Box<dyn FnMut(Event)>;

pub(crate) struct Handler {
    /// The callback, which owns the descriptor. `None` while it runs, and after the handler was
    /// removed.
    call: RefCell<Option<Call>>,
    /// The events since the last run, merged. While it is `Some`, the handler is queued.
    events: Cell<Option<Event>>,
    removed: Cell<bool>,
    origin: Origin,
}

impl Handler {
    pub(crate) fn new(origin: Origin) -> Handler {
        Handler {
            call: RefCell::new(None),
            events: Cell::new(None),
            removed: Cell::new(false),
            origin,
        }
    }

    pub(crate) fn origin(&self) -> Origin {
        self.origin
    }

    pub(crate) fn set_call(&self, call: Call) {
        *self.call.borrow_mut() = Some(call);
    }

    /// Records an event. Returns true if the caller must queue the handler.
    pub(crate) fn deliver(&self, event: Event) -> bool {
        let before = self.events.get();
        self.events.set(Some(before.map_or(event, |before| before.merge(event))));
        before.is_none()
    }

    /// Calls the callback, unless the handler was removed since it was queued.
    pub(crate) fn run(&self) {
        let Some(event) = self.events.take() else { return };
        let Some(mut call) = self.call.take() else { return };
        // After a panic the handler stays registered, as in Tornado: the next event calls it again.
        shield("a handler", || call(event));
        if self.removed.get() {
            shield("the destructor of a handler", || drop(call));
        } else {
            self.set_call(call);
        }
    }

    /// Makes sure that the callback does not run again. Returns the callback, so that the caller
    /// can drop it while no borrow is held.
    pub(crate) fn remove(&self) -> Option<Call> {
        self.removed.set(true);
        self.call.take()
    }
}
