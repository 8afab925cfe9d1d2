//! Catches panics of foreign code and reports them, so that they do not end the loop.

use std::any::Any;
use std::cell::RefCell;
use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;

use crate::error::panic_text;

pub(crate) type PanicHook = Rc<dyn Fn(&(dyn Any + Send))>;

thread_local! {
    /// The panic hook of this thread's loop. `current::replace` sets it.
    static HOOK: RefCell<Option<PanicHook>> = const { RefCell::new(None) };
}

/// Sets the hook to which panics are reported, in addition to the log.
pub(crate) fn set_hook(hook: Option<PanicHook>) {
    let previous = HOOK.try_with(|slot| slot.replace(hook)); // fails only while the thread ends
    drop(previous); // may run user code, so no borrow is held
}

/// Runs foreign code. Catches a panic in it and reports the panic.
///
/// Unwind safety is asserted: a panic can leave only the user's own data in a bad state, because
/// the loop's structures are never borrowed while foreign code runs.
pub(crate) fn shield(what: &str, f: impl FnOnce()) {
    if let Err(payload) = catch_unwind(AssertUnwindSafe(f)) {
        report(what, payload);
    }
}

/// Reports a panic that reaches no caller, to the log and to the loop's hook. Never panics, even if
/// the logger or the hook does.
pub(crate) fn report(what: &str, payload: Box<dyn Any + Send>) {
    write_to_log(&format!("panic in {what}"), &*payload);
    let hook = HOOK.try_with(|slot| slot.borrow().clone()).ok().flatten();
    if let Some(hook) = hook
        && let Err(hook_payload) = catch_unwind(AssertUnwindSafe(|| hook(&*payload)))
    {
        write_to_log("panic in the panic hook of the event loop", &*hook_payload);
        dispose(hook_payload);
    }
    dispose(payload);
}

/// Logs a panic. The logger may panic too, for example if it writes to a closed terminal.
fn write_to_log(what: &str, payload: &(dyn Any + Send)) {
    let write = || log::error!("{what}: {}", panic_text(payload));
    if let Err(logger_payload) = catch_unwind(AssertUnwindSafe(write)) {
        dispose(logger_payload);
    }
}

/// Drops a payload. Its destructor may panic with another payload, which is dropped too, and so on.
/// The ninth payload is leaked.
fn dispose(mut payload: Box<dyn Any + Send>) {
    for _ in 0..8 {
        match catch_unwind(AssertUnwindSafe(|| drop(payload))) {
            Ok(()) => return,
            Err(next) => payload = next,
        }
    }
    mem::forget(payload);
}
