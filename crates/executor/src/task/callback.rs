//! A callback behind one thin pointer, so that an entry of the ready queue fits into two registers.
//!
//! A `Box<dyn FnOnce()>` is two words, which makes an entry three; moving those through the stack cost more than half of a
//! self-wake.

#![allow(unsafe_code, reason = "the closure's type is erased behind a thin pointer")]

use std::marker::PhantomData;
use std::mem::ManuallyDrop;
use std::panic::Location;
use std::ptr::NonNull;

use crate::task::block_pool;

/// An owned `FnOnce()`.
pub(crate) struct Callback {
    erased: NonNull<Erased>,
    not_send: PhantomData<*const ()>,
}

/// The head of every [`Cell`].
struct Erased {
    /// Where it was added.
    location: &'static Location<'static>,
    /// Takes the cell back, and calls the closure or drops it.
    consume: unsafe fn(NonNull<Erased>, Act),
}

enum Act {
    Call,
    Drop,
}

/// `repr(C)`: a pointer to a cell is a pointer to its head.
#[repr(C)]
struct Cell<F> {
    head: Erased,
    closure: F,
}

impl Callback {
    pub(crate) fn new<F: FnOnce() + 'static>(
        location: &'static Location<'static>,
        closure: F,
    ) -> Callback {
        let place = block_pool::allocate();
        let cell = Cell { head: Erased { location, consume: consume::<F> }, closure };
        // SAFETY: the place was just allocated for it.
        unsafe { place.write(cell) };
        Callback { erased: place.cast(), not_send: PhantomData }
    }

    pub(crate) fn location(&self) -> &'static Location<'static> {
        self.head().location
    }

    fn head(&self) -> &Erased {
        // SAFETY: the cell is alive until it is consumed, and its head is never changed.
        unsafe { self.erased.as_ref() }
    }

    pub(crate) fn call(self) {
        let this = ManuallyDrop::new(self);
        this.consume(Act::Call);
    }

    /// Called once in a callback's life: by `call`, which forgets it, or by its drop.
    fn consume(&self, act: Act) {
        let consume = self.head().consume;
        // SAFETY: `new` has stored the function of the cell's own closure type.
        unsafe { consume(self.erased, act) }
    }
}

impl Drop for Callback {
    fn drop(&mut self) {
        self.consume(Act::Drop);
    }
}

/// A callback that another thread made.
pub(crate) struct RemoteCallback(Callback);

// SAFETY: `new` takes only closures that are Send.
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

unsafe fn consume<F: FnOnce()>(erased: NonNull<Erased>, act: Act) {
    let place = erased.cast::<Cell<F>>();
    // SAFETY: `new` has stored a `Cell<F>` there, and it is consumed once.
    let cell = unsafe { place.read() };
    // SAFETY: as above, and the value was just moved out.
    unsafe { block_pool::release(place) };
    match act {
        Act::Call => (cell.closure)(),
        Act::Drop => drop(cell),
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
