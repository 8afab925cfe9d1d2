//! The types of the protocol between threads: from std, or under `--cfg loom` from loom.
//!
//! The inbox, the tasks with the fields that only the loop's thread may touch, the output channel,
//! the blocking pool and the pending signals are built from these types. So `--cfg loom` turns the
//! whole protocol into a model. Loom then explores the interleavings, and reports another thread
//! that touches a cell of the loop's thread.

#[cfg(not(loom))]
pub(crate) use self::real::*;

#[cfg(loom)]
pub(crate) use self::model::*;

#[cfg(not(loom))]
mod real {
    pub(crate) use std::cell::Cell;
    pub(crate) use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
    pub(crate) use std::sync::{Arc, Condvar, Mutex, MutexGuard};
    pub(crate) use std::thread;

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

    /// Checks nothing outside of the models.
    #[derive(Debug)]
    pub(crate) struct FreeCheck;

    impl FreeCheck {
        pub(crate) fn new() -> FreeCheck {
            FreeCheck
        }

        #[inline]
        pub(crate) fn record_use(&self) {}

        #[inline]
        pub(crate) fn record_free(&self) {}
    }
}

#[cfg(loom)]
mod model {
    pub(crate) use loom::cell::{Cell, UnsafeCell};
    pub(crate) use loom::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
    pub(crate) use loom::sync::{Arc, Mutex, MutexGuard};
    pub(crate) use loom::thread;

    use std::collections::VecDeque;
    use std::sync::LockResult;
    use std::time::Duration;

    /// Stands for an allocation. Loom reports a free that did not happen after every use.
    pub(crate) struct FreeCheck(UnsafeCell<()>);

    impl FreeCheck {
        pub(crate) fn new() -> FreeCheck {
            FreeCheck(UnsafeCell::new(()))
        }

        pub(crate) fn record_use(&self) {
            self.0.with(|_| ());
        }

        pub(crate) fn record_free(&self) {
            self.0.with_mut(|_| ());
        }
    }

    /// Stands for crossbeam's queue, which does not support loom. The lock here orders more than
    /// that queue does, so the models do not check the orderings inside the queue.
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

    /// A condition variable whose waits reach their time limit when the model says so, because loom
    /// has no clock.
    pub(crate) struct Condvar {
        condvar: loom::sync::Condvar,
        /// How often [`time_out`](Self::time_out) was called. Changes only under the lock.
        time_outs: AtomicUsize,
    }

    impl Condvar {
        pub(crate) fn new() -> Condvar {
            Condvar { condvar: loom::sync::Condvar::new(), time_outs: AtomicUsize::new(0) }
        }

        pub(crate) fn notify_one(&self) {
            self.condvar.notify_one();
        }

        pub(crate) fn notify_all(&self) {
            self.condvar.notify_all();
        }

        pub(crate) fn wait_timeout_while<'a, T>(
            &self,
            mut guard: MutexGuard<'a, T>,
            _limit: Duration,
            mut must_wait: impl FnMut(&mut T) -> bool,
        ) -> LockResult<(MutexGuard<'a, T>, ())> {
            let before = self.time_outs.load(Ordering::Relaxed);
            while must_wait(&mut guard) && self.time_outs.load(Ordering::Relaxed) == before {
                guard = self.condvar.wait(guard).unwrap();
            }
            Ok((guard, ()))
        }

        /// Ends the waits that are under way, as if their time limits had passed.
        #[cfg(test)]
        pub(crate) fn time_out<T>(&self, _lock: &MutexGuard<'_, T>) {
            self.time_outs.fetch_add(1, Ordering::Relaxed);
            self.condvar.notify_all();
        }
    }

    /// Stands for the eventfd: `notify` ends the current sleep, or the next if none is under way.
    #[derive(Clone)]
    pub(crate) struct Notifier(Arc<(Mutex<bool>, loom::sync::Condvar)>);

    impl Notifier {
        pub(crate) fn new() -> Notifier {
            Notifier(Arc::new((Mutex::new(false), loom::sync::Condvar::new())))
        }

        pub(crate) fn is_forked(&self) -> bool {
            false
        }

        pub(crate) fn notify(&self) {
            *self.0.0.lock().unwrap() = true;
            self.0.1.notify_one();
        }

        pub(crate) fn sleep(&self) {
            let mut notified = self.0.0.lock().unwrap();
            while !*notified {
                notified = self.0.1.wait(notified).unwrap();
            }
            *notified = false;
        }
    }
}
