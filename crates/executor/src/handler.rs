//! Raw callbacks on descriptors: Tornado's `add_handler`.

use std::cell::{Cell, RefCell};

use squall_reactor::{Event, Token};

use crate::birth::Birth;
use crate::panics::shield;

/// Names a handler of [`add_handler`](crate::add_handler), and never any later one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct HandlerId {
    pub(crate) token: Token,
    /// Which loop it belongs to: tokens of different loops look alike.
    pub(crate) event_loop: u64,
}

type Call = Box<dyn FnMut(Event)>;

pub(crate) struct Handler {
    /// The callback, which owns the descriptor; away while it runs, and for good once it was removed.
    call: RefCell<Option<Call>>,
    /// What the kernel said since the last run. While there is something, the handler is queued.
    news: Cell<Option<Event>>,
    removed: Cell<bool>,
    birth: Birth,
}

impl Handler {
    pub(crate) fn new(birth: Birth) -> Handler {
        Handler {
            call: RefCell::new(None),
            news: Cell::new(None),
            removed: Cell::new(false),
            birth,
        }
    }

    pub(crate) fn birth(&self) -> Birth {
        self.birth
    }

    pub(crate) fn set_call(&self, call: Call) {
        *self.call.borrow_mut() = Some(call);
    }

    /// Notes an event; `true`: the handler must be queued.
    pub(crate) fn deliver(&self, event: Event) -> bool {
        let before = self.news.get();
        self.news.set(Some(before.map_or(event, |before| before.merge(event))));
        before.is_none()
    }

    /// Tells the callback, unless it was removed since it was queued.
    pub(crate) fn run(&self) {
        let Some(event) = self.news.take() else { return };
        let Some(mut call) = self.call.take() else { return };
        // It stays registered after a panic, as in Tornado: the next readiness calls it again.
        shield("a handler", || call(event));
        if self.removed.get() {
            shield("the destructor of a handler", || drop(call));
        } else {
            self.set_call(call);
        }
    }

    /// Makes sure that the callback does not run any more, and gives it back to be dropped without a borrow.
    pub(crate) fn remove(&self) -> Option<Call> {
        self.removed.set(true);
        self.call.take()
    }
}
