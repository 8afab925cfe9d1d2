//! What other threads can touch, from std or from loom.
//!
//! Everything that crosses threads, and the home-only fields beside it, is built from the names of this page, so that
//! `--cfg loom` turns the whole protocol into a model: loom then explores the interleavings and reports a home-only
//! cell that a foreign thread reaches.

#[cfg(not(loom))]
pub(crate) use self::real::*;

#[cfg(loom)]
pub(crate) use self::model::*;

#[cfg(not(loom))]
mod real {
    pub(crate) use std::cell::Cell;
    pub(crate) use std::sync::Arc;
    pub(crate) use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering, fence};

    pub(crate) use crossbeam_queue::SegQueue as Queue;
    pub(crate) use squall_reactor::Notifier;

    /// `std::cell::UnsafeCell` with loom's interface.
    #[derive(Debug)]
    pub(crate) struct UnsafeCell<T>(std::cell::UnsafeCell<T>);

    impl<T> UnsafeCell<T> {
        pub(crate) fn new(value: T) -> UnsafeCell<T> {
            UnsafeCell(std::cell::UnsafeCell::new(value))
        }

        #[inline]
        pub(crate) fn with_mut<R>(&self, f: impl FnOnce(*mut T) -> R) -> R {
            f(self.0.get())
        }
    }

    /// Nothing: what frees a task is seen by the allocator only.
    #[derive(Debug)]
    pub(crate) struct Life;

    impl Life {
        pub(crate) fn begin() -> Life {
            Life
        }

        #[inline]
        pub(crate) fn used(&self) {}

        #[inline]
        pub(crate) fn ends(&self) {}
    }
}

#[cfg(loom)]
mod model {
    pub(crate) use loom::cell::{Cell, UnsafeCell};
    pub(crate) use loom::sync::Arc;
    pub(crate) use loom::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering, fence};

    use loom::sync::{Condvar, Mutex};
    use std::collections::VecDeque;

    /// Stands for an allocation: loom reports an end that did not happen after every use.
    pub(crate) struct Life(UnsafeCell<()>);

    impl Life {
        pub(crate) fn begin() -> Life {
            Life(UnsafeCell::new(()))
        }

        pub(crate) fn used(&self) {
            self.0.with(|_| ());
        }

        pub(crate) fn ends(&self) {
            self.0.with_mut(|_| ());
        }
    }

    /// Stands for crossbeam's queue, which has no model of its own. Its lock orders more than crossbeam's queue does, so
    /// the models say nothing about the orderings inside the queue.
    pub(crate) struct Queue<T>(Mutex<VecDeque<T>>);

    impl<T> Queue<T> {
        pub(crate) fn new() -> Queue<T> {
            Queue(Mutex::new(VecDeque::new()))
        }

        pub(crate) fn push(&self, value: T) {
            self.0.lock().unwrap().push_back(value);
        }

        pub(crate) fn pop(&self) -> Option<T> {
            self.0.lock().unwrap().pop_front()
        }

        pub(crate) fn is_empty(&self) -> bool {
            self.0.lock().unwrap().is_empty()
        }
    }

    /// Stands for the eventfd: a notice ends the current sleep or the next one.
    #[derive(Clone)]
    pub(crate) struct Notifier(Arc<(Mutex<bool>, Condvar)>);

    impl Notifier {
        pub(crate) fn new() -> Notifier {
            Notifier(Arc::new((Mutex::new(false), Condvar::new())))
        }

        pub(crate) fn is_forked(&self) -> bool {
            false
        }

        pub(crate) fn notify(&self) {
            *self.0.0.lock().unwrap() = true;
            self.0.1.notify_one();
        }

        pub(crate) fn sleep(&self) {
            let mut noticed = self.0.0.lock().unwrap();
            while !*noticed {
                noticed = self.0.1.wait(noticed).unwrap();
            }
            *noticed = false;
        }
    }
}
