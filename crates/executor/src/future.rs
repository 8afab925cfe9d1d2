//! Tornado's Future: a value that is set once and that any number of tasks and callbacks wait for.

use std::cell::{Cell, RefCell};
use std::error::Error;
use std::fmt;
use std::future::Future as StdFuture;
use std::io;
use std::panic::Location;
use std::pin::Pin;
use std::rc::{Rc, Weak};
use std::task::{Context, Poll, Waker};

use crate::current;
use crate::insight::panics::shield;
use crate::loop_core::Core;
use crate::task::callback::Callback;
use crate::task::entry::Entry;

/// A value that is set once, shared by all clones, on one thread.
///
/// [`set_result`](Self::set_result) never runs a waiter inside the call: it schedules wakers and done-callbacks as
/// entries of the ready queue, in the one order in which they came. Needs no loop to exist. Tornado: `concurrent.Future`.
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
    /// The number under which this clone waits, if it was polled.
    waits: Cell<Option<u64>>,
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
    /// The loop that it was added on, and what makes the entry when the time has come; an entry made before would own the
    /// future that owns it.
    Callback(Weak<Core>, Box<dyn FnOnce(Future<T>) -> Entry>),
}

impl<T> Future<T> {
    /// A future without a value.
    pub fn new() -> Future<T> {
        Future {
            state: Rc::new(State {
                value: RefCell::new(Value::Pending),
                waiters: RefCell::new(Vec::new()),
                next_number: Cell::new(0),
            }),
            waits: Cell::new(None),
        }
    }

    /// Sets the value and schedules whoever waits for it.
    ///
    /// # Errors
    /// The value itself, if there was one already or the future was cancelled.
    pub fn set_result(&self, value: T) -> Result<(), T> {
        if self.done() {
            return Err(value);
        }
        self.settle(Value::Set(value));
        Ok(())
    }

    /// Settles the future without a value and schedules whoever waits; `false` if it was done already.
    pub fn cancel(&self) -> bool {
        if self.done() {
            return false;
        }
        self.settle(Value::Cancelled);
        true
    }

    /// Tells whether the value was set, or the future cancelled.
    pub fn done(&self) -> bool {
        !matches!(*self.state.value.borrow(), Value::Pending)
    }

    /// Tells whether the future was cancelled.
    pub fn cancelled(&self) -> bool {
        matches!(*self.state.value.borrow(), Value::Cancelled)
    }

    /// Calls `f` in a later batch once the future is done, also if it is done already; on this thread's loop of now, or, if
    /// that is gone by then, on the loop of then.
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

    /// Waits until the future is done, without taking or cloning the value.
    pub fn ready(&self) -> Ready<T> {
        Ready(self.clone())
    }

    /// Shows the value to `f`; `None` if there is none. While `f` runs, [`take`](Self::take) finds nothing.
    pub fn with_result<R>(&self, f: impl FnOnce(&T) -> R) -> Option<R> {
        match &*self.state.value.borrow() {
            Value::Set(value) => Some(f(value)),
            _ => None,
        }
    }

    /// Takes the value out; the future stays done.
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
        let here = current::try_get().filter(|core| !core.scheduler.is_closed());
        for waiter in waiters {
            match (waiter, &here) {
                (Waiter::Task(_, waker), Some(here)) => here.scheduler.wake(waker),
                // Without a loop there is no queue for what a waker may do.
                (Waiter::Task(_, waker), None) => shield("a waker", || waker.wake()),
                (Waiter::Callback(core, entry), here) => {
                    let core = core.upgrade().filter(|core| !core.scheduler.is_closed());
                    match core.as_ref().or(here.as_ref()) {
                        Some(core) => core.scheduler.push(entry(self.clone())),
                        None => shield("the destructor of a callback", || drop(entry)),
                    }
                }
            }
        }
    }

    /// Ready when the future is done; else leaves the waker, behind those that wait already.
    fn poll_done(&self, cx: &mut Context<'_>) -> Poll<Result<(), Cancelled>> {
        if let Some(outcome) = self.outcome() {
            return Poll::Ready(outcome);
        }
        // Cloning and dropping a waker may run foreign code, which may set this very future: no borrow is held, and the
        // outcome is looked at once more.
        let waker = cx.waker().clone();
        if let Some(outcome) = self.outcome() {
            return Poll::Ready(outcome);
        }
        drop(self.leave_waker(waker));
        Poll::Pending
    }

    fn outcome(&self) -> Option<Result<(), Cancelled>> {
        match &*self.state.value.borrow() {
            Value::Pending => None,
            Value::Cancelled => Some(Err(Cancelled)),
            Value::Set(_) | Value::Taken => Some(Ok(())),
        }
    }

    /// Puts a waker into this clone's place, behind those that wait already, and returns the one that was there.
    fn leave_waker(&self, waker: Waker) -> Option<Waker> {
        let mut waiters = self.state.waiters.borrow_mut();
        let number = self.waits.get();
        let place = waiters.iter_mut().find_map(|waiter| match waiter {
            Waiter::Task(known, place) if Some(*known) == number => Some(place),
            _ => None,
        });
        if let Some(place) = place {
            return Some(std::mem::replace(place, waker));
        }
        let number = self.state.next_number.get();
        self.state.next_number.set(number + 1);
        self.waits.set(Some(number));
        waiters.push(Waiter::Task(number, waker));
        None
    }
}

impl<T, E> Future<Result<T, E>> {
    /// Sets an error as the result. Tornado: `Future.set_exception`.
    ///
    /// # Errors
    /// The error itself, if the future was done already.
    pub fn set_exception(&self, error: E) -> Result<(), E> {
        if self.done() {
            return Err(error);
        }
        self.settle(Value::Set(Err(error)));
        Ok(())
    }
}

/// Awaiting clones the value; [`ready`](Future::ready) and [`take`](Future::take) do without.
impl<T: Clone> StdFuture for Future<T> {
    type Output = Result<T, Cancelled>;

    /// # Panics
    /// If the value was [taken](Future::take).
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        std::task::ready!(self.poll_done(cx))?;
        let value = self.with_result(T::clone);
        Poll::Ready(Ok(value.expect("the value of this Future was taken: await ready() instead")))
    }
}

impl<T> Clone for Future<T> {
    /// Another view of the same value, with a place of its own among the waiters.
    fn clone(&self) -> Future<T> {
        Future { state: Rc::clone(&self.state), waits: Cell::new(None) }
    }
}

impl<T> Default for Future<T> {
    fn default() -> Future<T> {
        Future::new()
    }
}

impl<T> Drop for Future<T> {
    /// A clone that waited leaves its place.
    fn drop(&mut self) {
        let Some(number) = self.waits.take() else { return };
        let mut waiters = self.state.waiters.borrow_mut();
        let place = waiters
            .iter()
            .position(|waiter| matches!(waiter, Waiter::Task(known, _) if *known == number));
        let gone = place.map(|place| waiters.remove(place));
        drop(waiters);
        drop(gone);
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
