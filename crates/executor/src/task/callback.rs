//! A callback behind one thin pointer, so that an entry of the ready queue fits into two registers.
//!
//! With a `Box<dyn FnOnce()>`, which is two words, an entry would be three words. Moving three
//! words through the stack took more than half of the time of a self-wake.

#![allow(unsafe_code, reason = "the closure's type is erased behind a thin pointer")]

use std::marker::PhantomData;
use std::mem::ManuallyDrop;
use std::panic::Location;
use std::ptr::NonNull;

use crate::task::block_pool;

/// An owned `FnOnce()`.
pub(crate) struct Callback {
    header: NonNull<Header>,
    not_send: PhantomData<*const ()>,
}

/// The first field of every [`Allocation`]; it does not depend on the closure's type.
struct Header {
    /// The code that added the callback.
    location: &'static Location<'static>,
    /// Frees the allocation, and calls or drops the closure.
    consume: unsafe fn(NonNull<Header>, Action),
}

enum Action {
    Call,
    Drop,
}

/// The `repr(C)` makes a pointer to the allocation a valid pointer to its header.
#[repr(C)]
struct Allocation<F> {
    header: Header,
    closure: F,
}

impl Callback {
    pub(crate) fn new<F: FnOnce() + 'static>(
        location: &'static Location<'static>,
        closure: F,
    ) -> Callback {
        let place = block_pool::allocate();
        let value = Allocation { header: Header { location, consume: consume::<F> }, closure };
        // SAFETY: `place` was just allocated for a value of this type.
        unsafe { place.write(value) };
        Callback { header: place.cast(), not_send: PhantomData }
    }

    pub(crate) fn location(&self) -> &'static Location<'static> {
        self.header().location
    }

    fn header(&self) -> &Header {
        // SAFETY: the allocation lives until it is consumed, and its header never changes.
        unsafe { self.header.as_ref() }
    }

    pub(crate) fn call(self) {
        let this = ManuallyDrop::new(self);
        this.consume(Action::Call);
    }

    /// Called once for each callback: by `call`, which suppresses the drop, or by the drop.
    fn consume(&self, action: Action) {
        let consume = self.header().consume;
        // SAFETY: `new` stored the function that belongs to this allocation's closure type.
        unsafe { consume(self.header, action) }
    }
}

impl Drop for Callback {
    fn drop(&mut self) {
        self.consume(Action::Drop);
    }
}

/// A callback that may be made on another thread.
pub(crate) struct RemoteCallback(Callback);

// SAFETY: `new` takes only closures that are `Send`, and nothing else makes a `RemoteCallback`.
unsafe impl Send for RemoteCallback {}

impl RemoteCallback {
    pub(crate) fn new(
        location: &'static Location<'static>,
        closure: impl FnOnce() + Send + 'static,
    ) -> RemoteCallback {
        RemoteCallback(Callback::new(location, closure))
    }

    pub(crate) fn into_local(self) -> Callback {
        self.0
    }
}

unsafe fn consume<F: FnOnce()>(header: NonNull<Header>, action: Action) {
    let place = header.cast::<Allocation<F>>();
    // SAFETY: `new` stored an `Allocation<F>` there, and it is consumed once.
    let value = unsafe { place.read() };
    // SAFETY: `place` is from `allocate`, and the value was just moved out.
    unsafe { block_pool::release(place) };
    match action {
        Action::Call => (value.closure)(),
        Action::Drop => drop(value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::rc::Rc;

    #[test]
    fn a_callback_is_called_or_dropped_once_and_freed_either_way() {
        let probe = Rc::new(std::cell::Cell::new(0));
        let make = || {
            let probe = probe.clone();
            Callback::new(Location::caller(), move || probe.set(probe.get() + 1))
        };
        make().call();
        drop(make());
        assert_eq!((probe.get(), Rc::strong_count(&probe)), (1, 1));
        let panics = std::panic::AssertUnwindSafe(|| {
            let probe = probe.clone();
            Callback::new(Location::caller(), move || {
                let _probe = probe;
                panic!("on purpose")
            })
            .call();
        });
        assert!(std::panic::catch_unwind(panics).is_err());
        assert_eq!(Rc::strong_count(&probe), 1);
    }
}
