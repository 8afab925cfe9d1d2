//! Tornado's Future: a value that is set once, and that any number of tasks and callbacks wait for.
//!
//! A [`Future`] is for a result that comes from somewhere else than a task: from a callback, a
//! handler, a reply that a connection's reader finds. A task needs none, because its `JoinHandle`
//! is awaited in the same way. Clones are the same value, on one thread. A result from another
//! thread comes by a [`Handle`](crate::Handle), or by a channel of any crate.
//!
//! ```
//! use std::cell::RefCell;
//! use std::collections::HashMap;
//! use squall_executor::{block_on, future::Future, spawn};
//!
//! /// Questions that wait for their answers, by number.
//! type Pending = RefCell<HashMap<u32, Future<String>>>;
//!
//! block_on(async {
//!     let pending = Pending::default();
//!     let answer = Future::new();
//!     pending.borrow_mut().insert(7, answer.clone());
//!     let asking = spawn(answer);
//!
//!     // Later, where the answers are read:
//!     let asked = pending.borrow_mut().remove(&7).expect("it was asked");
//!     asked.set_result("seven".to_owned()).expect("it is set once");
//!     assert_eq!(asking.await.unwrap().unwrap(), "seven");
//! });
//! ```
//!
//! A `Future` never runs a callback itself: it queues callbacks on a loop, which runs them.

use std::cell::{Cell, RefCell};
use std::error::Error;
use std::fmt;
use std::future::Future as StdFuture;
use std::io;
use std::panic::Location;
use std::pin::Pin;
use std::rc::{Rc, Weak};
use std::task::{Context, Poll, Waker, ready};

use crate::current;
use crate::insight::panics::shield;
use crate::loop_core::Core;
use crate::task::budget;
use crate::task::callback::Callback;
use crate::task::entry::Entry;

/// A value that is set once and shared by all clones on one thread.
///
/// [`set_result`](Self::set_result) never runs a waiting task or callback inside the call. It puts
/// them into the ready queue, in the order in which they began to wait. A `Future` can be made and
/// set without a loop on this thread; then `set_result` wakes the waiting tasks itself. Tornado:
/// `concurrent.Future`.
///
/// ```
/// use squall_executor::{block_on, future::Future, spawn};
///
/// block_on(async {
///     let answer = Future::new();
///     let waiter = spawn({
///         let answer = answer.clone();
///         async move { answer.await.unwrap() }
///     });
///     answer.set_result(42).unwrap();
///     assert_eq!(waiter.await.unwrap(), 42);
/// });
/// ```
pub struct Future<T> {
    state: Rc<State<T>>,
    /// This clone's number in the list of waiters. `None` until a poll first stores a waker.
    waiter_number: Cell<Option<u64>>,
}

struct State<T> {
    value: RefCell<Value<T>>,
    waiters: RefCell<Vec<Waiter<T>>>,
    next_number: Cell<u64>,
}

enum Value<T> {
    Pending,
    Set(T),
    Taken,
    Cancelled,
}

enum Waiter<T> {
    Task(u64, Waker),
    /// The loop on which the callback was added, and a function that makes its queue entry once the
    /// future is done. The entry owns a clone of the future, so an entry that is stored here would
    /// make a reference cycle.
    Callback(Weak<Core>, Box<dyn FnOnce(Future<T>) -> Entry>),
}

impl<T> Future<T> {
    /// Makes a future that has no value yet.
    pub fn new() -> Future<T> {
        Future {
            state: Rc::new(State {
                value: RefCell::new(Value::Pending),
                waiters: RefCell::new(Vec::new()),
                next_number: Cell::new(0),
            }),
            waiter_number: Cell::new(None),
        }
    }

    /// Sets the value and schedules the waiting tasks and callbacks.
    ///
    /// # Errors
    /// Returns `value` if a value was set before or the future was cancelled.
    pub fn set_result(&self, value: T) -> Result<(), T> {
        if self.done() {
            return Err(value);
        }
        self.settle(Value::Set(value));
        Ok(())
    }

    /// Cancels the future: it is done without a value. Schedules the waiting tasks and callbacks.
    ///
    /// Returns false if the future was done already.
    pub fn cancel(&self) -> bool {
        if self.done() {
            return false;
        }
        self.settle(Value::Cancelled);
        true
    }

    /// Whether the value was set, even if it was taken since, or the future was cancelled.
    pub fn done(&self) -> bool {
        !matches!(*self.state.value.borrow(), Value::Pending)
    }

    /// Whether the future was cancelled.
    pub fn cancelled(&self) -> bool {
        matches!(*self.state.value.borrow(), Value::Cancelled)
    }

    /// Calls `f` in a later batch after the future is done. If it is done already, queues `f` at
    /// once.
    ///
    /// `f` runs on the loop that is this thread's loop now. If that loop is closed when the future
    /// becomes done, `f` runs on the loop that is this thread's then. If there is none, `f` is
    /// dropped.
    ///
    /// # Panics
    /// If there is no loop on this thread.
    #[track_caller]
    pub fn add_done_callback(&self, f: impl FnOnce(&Future<T>) + 'static)
    where
        T: 'static,
    {
        let core = current::get();
        let location = Location::caller();
        let entry =
            move |future: Future<T>| Entry::Callback(Callback::new(location, move || f(&future)));
        if self.done() {
            core.scheduler.push(entry(self.clone()));
        } else {
            let waiter = Waiter::Callback(Rc::downgrade(&core), Box::new(entry));
            self.state.waiters.borrow_mut().push(waiter);
        }
    }

    /// Waits until the future is done. Neither takes nor clones the value.
    pub fn ready(&self) -> Ready<T> {
        Ready(self.clone())
    }

    /// Calls `f` with the value and returns its result. Returns `None` if there is no value.
    ///
    /// While `f` runs, [`take`](Self::take) returns `None`.
    pub fn with_result<R>(&self, f: impl FnOnce(&T) -> R) -> Option<R> {
        match &*self.state.value.borrow() {
            Value::Set(value) => Some(f(value)),
            _ => None,
        }
    }

    /// Takes the value out, or returns `None` if there is none. The future stays done.
    pub fn take(&self) -> Option<T> {
        let mut value = self.state.value.try_borrow_mut().ok()?;
        match std::mem::replace(&mut *value, Value::Taken) {
            Value::Set(taken) => Some(taken),
            other => {
                *value = other;
                None
            }
        }
    }

    fn settle(&self, value: Value<T>) {
        *self.state.value.borrow_mut() = value;
        let waiters = self.state.waiters.take();
        let this_loop = current::try_get().filter(|core| !core.scheduler.is_closed());
        for waiter in waiters {
            match (waiter, &this_loop) {
                (Waiter::Task(_, waker), Some(this_loop)) => this_loop.scheduler.wake(waker),
                // Without a loop there is no queue in which the waker could wait, so it runs here.
                (Waiter::Task(_, waker), None) => shield("a waker", || waker.wake()),
                (Waiter::Callback(core, entry), this_loop) => {
                    let core = core.upgrade().filter(|core| !core.scheduler.is_closed());
                    match core.as_ref().or(this_loop.as_ref()) {
                        Some(core) => core.scheduler.push(entry(self.clone())),
                        None => shield("the destructor of a callback", || drop(entry)),
                    }
                }
            }
        }
    }

    /// Returns ready if the future is done; otherwise stores the waker.
    fn poll_done(&self, cx: &mut Context<'_>) -> Poll<Result<(), Cancelled>> {
        if let Some(outcome) = self.outcome() {
            ready!(budget::poll_spend(cx.waker()));
            return Poll::Ready(outcome);
        }
        // Cloning or dropping a waker may run foreign code, which may set this same future. So no
        // borrow is held here, and the outcome is checked again.
        let waker = cx.waker().clone();
        if let Some(outcome) = self.outcome() {
            return Poll::Ready(outcome);
        }
        drop(self.store_waker(waker));
        Poll::Pending
    }

    fn outcome(&self) -> Option<Result<(), Cancelled>> {
        match &*self.state.value.borrow() {
            Value::Pending => None,
            Value::Cancelled => Some(Err(Cancelled)),
            Value::Set(_) | Value::Taken => Some(Ok(())),
        }
    }

    /// Stores this clone's waker and returns the one that it replaces.
    ///
    /// A clone that waits already keeps its place in the list. A new one goes to the end.
    fn store_waker(&self, waker: Waker) -> Option<Waker> {
        let mut waiters = self.state.waiters.borrow_mut();
        let number = self.waiter_number.get();
        let place = waiters.iter_mut().find_map(|waiter| match waiter {
            Waiter::Task(known, place) if Some(*known) == number => Some(place),
            _ => None,
        });
        if let Some(place) = place {
            return Some(std::mem::replace(place, waker));
        }
        let number = self.state.next_number.get();
        self.state.next_number.set(number + 1);
        self.waiter_number.set(Some(number));
        waiters.push(Waiter::Task(number, waker));
        None
    }
}

impl<T, E> Future<Result<T, E>> {
    /// Sets an error as the result. Tornado: `Future.set_exception`.
    ///
    /// # Errors
    /// Returns `error` if the future was done already.
    pub fn set_exception(&self, error: E) -> Result<(), E> {
        if self.done() {
            return Err(error);
        }
        self.settle(Value::Set(Err(error)));
        Ok(())
    }
}

/// Awaiting clones the value. [`ready`](Future::ready) and [`take`](Future::take) do not.
impl<T: Clone> StdFuture for Future<T> {
    type Output = Result<T, Cancelled>;

    /// # Panics
    /// If the value was [taken](Future::take).
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        ready!(self.poll_done(cx))?;
        let value = self.with_result(T::clone);
        Poll::Ready(Ok(value.expect("the value of this Future was taken: await ready() instead")))
    }
}

impl<T> Clone for Future<T> {
    /// Makes another handle to the same value. Each clone waits on its own.
    fn clone(&self) -> Future<T> {
        Future { state: Rc::clone(&self.state), waiter_number: Cell::new(None) }
    }
}

impl<T> Default for Future<T> {
    fn default() -> Future<T> {
        Future::new()
    }
}

impl<T> Drop for Future<T> {
    /// Removes this clone from the list of waiters.
    fn drop(&mut self) {
        let Some(number) = self.waiter_number.take() else { return };
        let mut waiters = self.state.waiters.borrow_mut();
        let place = waiters
            .iter()
            .position(|waiter| matches!(waiter, Waiter::Task(known, _) if *known == number));
        let removed = place.map(|place| waiters.remove(place));
        drop(waiters);
        drop(removed);
    }
}

impl<T> fmt::Debug for Future<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match *self.state.value.borrow() {
            Value::Pending => "Future(pending)",
            Value::Set(_) => "Future(set)",
            Value::Taken => "Future(taken)",
            Value::Cancelled => "Future(cancelled)",
        })
    }
}

/// The future of [`Future::ready`].
#[must_use = "futures do nothing unless awaited"]
pub struct Ready<T>(Future<T>);

impl<T> StdFuture for Ready<T> {
    type Output = Result<(), Cancelled>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.0.poll_done(cx)
    }
}

impl<T> fmt::Debug for Ready<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Ready({:?})", self.0)
    }
}

/// Makes a [`Future`] and the only right to set it.
///
/// A [`Setter`] that is dropped without a value cancels the future, so that no task waits for a value
/// that cannot come.
///
/// ```
/// use squall_executor::{block_on, future::{Cancelled, promise}, spawn};
///
/// block_on(async {
///     let (setter, answer) = promise();
///     spawn(async move { setter.set_result(42) });
///     assert_eq!(answer.await, Ok(42));
///
///     let (setter, answer) = promise::<u32>();
///     drop(setter);
///     assert_eq!(answer.await, Err(Cancelled));
/// });
/// ```
pub fn promise<T>() -> (Setter<T>, Future<T>) {
    let future = Future::new();
    (Setter(future.clone()), future)
}

/// The right to set a [`Future`] once. Returned by [`promise`].
///
/// Dropping it cancels the future, unless the future is done.
#[must_use = "dropping it cancels the future"]
pub struct Setter<T>(Future<T>);

impl<T> Setter<T> {
    /// Sets the value and schedules the waiting tasks and callbacks.
    ///
    /// # Errors
    /// Returns `value` if the future was done already: cancelled, or set through a clone of it.
    pub fn set_result(self, value: T) -> Result<(), T> {
        self.0.set_result(value)
    }

    /// Whether the future is done already, so that a value would be refused.
    pub fn is_done(&self) -> bool {
        self.0.done()
    }
}

impl<T> Drop for Setter<T> {
    fn drop(&mut self) {
        self.0.cancel();
    }
}

impl<T> fmt::Debug for Setter<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Setter({:?})", self.0)
    }
}

/// The [`Future`] was cancelled, so it will never have a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cancelled;

impl fmt::Display for Cancelled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the future was cancelled")
    }
}

impl Error for Cancelled {}

impl From<Cancelled> for io::Error {
    fn from(error: Cancelled) -> io::Error {
        io::Error::other(error)
    }
}
