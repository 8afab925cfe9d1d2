//! Panics stay where they happen.

use std::any::Any;
use std::cell::RefCell;
use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;

use crate::error::panic_text;

pub(crate) type PanicHook = Rc<dyn Fn(&(dyn Any + Send))>;

thread_local! {
    /// The hook of this thread's loop; see `current::replace`.
    static HOOK: RefCell<Option<PanicHook>> = const { RefCell::new(None) };
}

/// Sets whom panics are reported to, besides the log.
pub(crate) fn set_hook(hook: Option<PanicHook>) {
    let former = HOOK.try_with(|place| place.replace(hook));
    drop(former); // the user's code may run, with no borrow held; at the end of the thread there is none
}

/// Runs foreign code; a panic in it is reported and goes no further.
///
/// Unwind safety is asserted: what a panic leaves behind is the user's own, and the loop's structures are never
/// borrowed while foreign code runs.
pub(crate) fn shield(what: &str, f: impl FnOnce()) {
    if let Err(payload) = catch_unwind(AssertUnwindSafe(f)) {
        report(what, payload);
    }
}

/// Tells the log and the loop's hook of a panic that nobody else will see. Never panics, whatever the logger and the hook do.
pub(crate) fn report(what: &str, payload: Box<dyn Any + Send>) {
    write_to_log(&format!("panic in {what}"), &*payload);
    let hook = HOOK.try_with(|place| place.borrow().clone()).ok().flatten();
    if let Some(hook) = hook
        && let Err(second) = catch_unwind(AssertUnwindSafe(|| hook(&*payload)))
    {
        write_to_log("panic in the panic hook of the event loop", &*second);
        dispose(second);
    }
    dispose(payload);
}

/// A logger may panic too, as one does that writes to a closed terminal.
fn write_to_log(what: &str, payload: &(dyn Any + Send)) {
    let write = || log::error!("{what}: {}", panic_text(payload));
    if let Err(third) = catch_unwind(AssertUnwindSafe(write)) {
        dispose(third);
    }
}

/// Drops a payload, whose destructor may panic with another one, and so on; after a few of them the last is forgotten.
fn dispose(mut payload: Box<dyn Any + Send>) {
    for _ in 0..8 {
        match catch_unwind(AssertUnwindSafe(|| drop(payload))) {
            Ok(()) => return,
            Err(another) => payload = another,
        }
    }
    mem::forget(payload);
}
