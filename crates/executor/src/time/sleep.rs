//! Futures that wait for a time.
//!
//! A sleep arms a timer of this thread's loop when it is first polled, and removes the timer when
//! it is dropped.

use std::fmt;
use std::future::Future;
use std::panic::Location;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use crate::current;
use crate::isolation::count_loop_woken;
use crate::loop_core::Core;
use crate::time::alarms::Alarm;
use crate::time::clock::{Clock, whole_nanos};
use crate::time::timers::TimerId;
use crate::time::turn_clock::MAX_ORIGIN_ERROR;

/// Waits for `duration`, counted from this call and not from the first poll. Tornado: `gen.sleep`.
///
/// A sleep that is made without a loop counts on the clock of the loop that polls it: from this call
/// on the system's clock, and from the first poll on a clock that a test moves.
///
/// The sleep never ends early. It ends in the first turn of the loop at or after its deadline, but
/// never in the turn in which it was first polled. So `sleep(Duration::ZERO)` lets timers and ready
/// descriptors run first. A sleep of [`Duration::MAX`] never ends.
///
/// ```
/// use std::time::{Duration, Instant};
/// use squall_executor::{block_on, sleep};
///
/// let begin = Instant::now();
/// block_on(sleep(Duration::from_millis(2)));
/// assert!(begin.elapsed() >= Duration::from_millis(2));
/// ```
#[track_caller]
pub fn sleep(duration: Duration) -> Sleep {
    Sleep { state: State::after(duration), location: Location::caller() }
}

/// Waits until `deadline`. Otherwise as [`sleep`].
#[track_caller]
pub fn sleep_until(deadline: Instant) -> Sleep {
    Sleep::until(Some(deadline))
}

/// The current time on the clock of this thread's loop. Without a loop, the time on the system's
/// clock.
///
/// Compare it with other times of the same loop, for example with a deadline for
/// [`sleep_until`]. In a test with [`Clock::manual`](crate::Clock::manual), `Instant::now()` is
/// another clock. Tornado: `IOLoop.current().time()`.
///
/// # Cost
/// One reading of the clock. [`turn_time`](crate::turn_time) needs none.
pub fn now() -> Instant {
    current::with(|core| core.clock.time()).unwrap_or_else(Instant::now)
}

/// The future of [`sleep`] and [`sleep_until`].
///
/// # Cancel safety
/// Cancel safe. Dropping the sleep removes its timer at once.
#[must_use = "futures do nothing unless awaited"]
pub struct Sleep {
    state: State,
    /// The code that made the sleep.
    location: &'static Location<'static>,
}

enum State {
    /// The sleep was not polled since it was made, or since its timer had fired.
    Unbound(Deadline),
    Bound(Bound),
    /// The timer has fired.
    Done(Bound),
}

/// A sleep on a loop.
struct Bound {
    core: Rc<Core>,
    /// In nanoseconds on the clock of the loop.
    deadline: u64,
    /// Never armed before the sleep was polled, and once it is ready. Otherwise it may have fired.
    timer: TimerId,
}

impl Drop for Bound {
    #[inline]
    fn drop(&mut self) {
        if self.timer.was_armed() {
            drop(self.core.alarms.disarm(self.timer));
        }
    }
}

impl State {
    /// Before the first poll of a sleep that ends `duration` from now.
    #[inline]
    fn after(duration: Duration) -> State {
        match current::try_get() {
            Some(core) => {
                let deadline = core.clock.nanos_now().saturating_add(whole_nanos(duration));
                State::Bound(Bound { core, deadline, timer: TimerId::never_armed() })
            }
            None => {
                let created = Instant::now();
                State::Unbound(Deadline::After(Box::new(After { duration, created })))
            }
        }
    }
}

#[derive(Debug)]
enum Deadline {
    At(Instant),
    Never,
    /// The sleep was made without a loop, and the loop that polls it first may have a clock of its
    /// own.
    After(Box<After>),
}

#[derive(Debug)]
struct After {
    duration: Duration,
    created: Instant,
}

impl Deadline {
    fn of(time: Option<Instant>) -> Deadline {
        time.map_or(Deadline::Never, Deadline::At)
    }

    /// The time, if it is known.
    fn known(&self) -> Option<Instant> {
        match self {
            Deadline::At(time) => Some(*time),
            _ => None,
        }
    }

    /// The time on the clock of the loop that polls the sleep. An unbound sleep is bound to that
    /// clock: if it is a test's, the duration counts from now, because the sleep's creation has no
    /// time on it.
    fn bind(&mut self, clock: &Clock) -> Option<Instant> {
        if let Deadline::After(after) = self {
            let begin = if clock.is_simulated() { clock.now() } else { after.created };
            *self = Deadline::of(begin.checked_add(after.duration));
        }
        self.known()
    }
}

impl Sleep {
    #[track_caller]
    fn new(deadline: Deadline) -> Sleep {
        Sleep { state: State::Unbound(deadline), location: Location::caller() }
    }

    /// With `None`, the sleep never ends.
    #[track_caller]
    pub(crate) fn until(deadline: Option<Instant>) -> Sleep {
        Sleep::new(Deadline::of(deadline))
    }

    /// Replaces the location of the code that made the sleep.
    pub(crate) fn made_at(mut self, location: &'static Location<'static>) -> Sleep {
        self.location = location;
        self
    }

    /// The time at which the sleep ends or has ended. `None` if it never ends, or if it was made
    /// without a loop and was not polled yet.
    pub fn deadline(&self) -> Option<Instant> {
        match &self.state {
            State::Unbound(deadline) => deadline.known(),
            State::Bound(bound) | State::Done(bound) => bound.core.clock.time_at(bound.deadline),
        }
    }

    /// Changes the deadline, even if the old one has passed.
    ///
    /// A task that waits already is woken at the new deadline, or in the next turn if that has
    /// passed.
    ///
    /// Moving the deadline to a later time is cheap: it stores the time, and moves no timer. A timeout
    /// that each request extends need not be armed anew.
    pub fn reset(&mut self, deadline: Instant) {
        self.set_deadline(Some(deadline));
    }

    /// As [`reset`](Self::reset), with a deadline that is `duration` from now.
    /// [`Duration::MAX`] is never.
    ///
    /// # Cost
    /// One reading of the clock. It is less work than `reset`, because no `Instant` is needed.
    pub fn reset_after(&mut self, duration: Duration) {
        match &self.state {
            State::Bound(Bound { core, timer, .. }) if timer.was_armed() => {
                if !core.is_entered() {
                    return self.set_deadline(now().checked_add(duration));
                }
                let deadline = core.clock.nanos_now().saturating_add(whole_nanos(duration));
                if !self.move_to(deadline) {
                    self.state = State::after(duration);
                }
            }
            _ => self.state = State::after(duration),
        }
    }

    /// As [`reset`](Self::reset). With `None`, the sleep never ends.
    pub(crate) fn set_deadline(&mut self, deadline: Option<Instant>) {
        let is_moved = match &self.state {
            State::Bound(Bound { core, .. }) => {
                if !core.is_entered() {
                    count_loop_woken(); // its timer moves, and it does not run
                }
                let deadline = core.clock.deadline(deadline);
                self.move_to(deadline)
            }
            _ => false,
        };
        if !is_moved {
            self.state = State::Unbound(Deadline::of(deadline));
        }
    }

    /// Moves the timer. Returns false if it was never armed or has fired.
    #[inline]
    fn move_to(&mut self, deadline: u64) -> bool {
        let State::Bound(bound) = &mut self.state else { return false };
        let Some(timer) = bound.core.alarms.move_to(bound.timer, deadline) else { return false };
        (bound.timer, bound.deadline) = (timer, deadline);
        true
    }

    /// As a poll, of a sleep that does not wait for the task of `cx`.
    #[inline(never)] // keeps the poll of a sleep that waits on small
    fn poll_changed(&mut self, cx: &Context<'_>) -> Poll<()> {
        match &mut self.state {
            State::Bound(bound) if bound.core.is_entered() => {
                if bound.poll(cx).is_pending() {
                    return Poll::Pending;
                }
                let state = std::mem::replace(&mut self.state, State::Unbound(Deadline::Never));
                if let State::Bound(bound) = state {
                    self.state = State::Done(bound);
                }
                Poll::Ready(())
            }
            State::Done(_) => Poll::Ready(()),
            _ => self.bind_and_poll(cx),
        }
    }

    /// As a poll, of a sleep that is not bound to the loop of this thread.
    ///
    /// # Panics
    /// If there is no loop on this thread. The sleep is as before then.
    #[cold]
    fn bind_and_poll(&mut self, cx: &Context<'_>) -> Poll<()> {
        let core = current::get();
        let deadline = match &mut self.state {
            State::Unbound(deadline) => deadline.bind(core.clock.clock()),
            // Bound to another loop, which may not run when the deadline comes.
            State::Bound(Bound { core: other, deadline, .. }) => {
                let time = other.clock.time_at(*deadline);
                time.and_then(|time| time.checked_add(MAX_ORIGIN_ERROR)) // never early
            }
            State::Done(_) => return Poll::Ready(()),
        };
        let deadline = core.clock.deadline(deadline);
        let mut bound = Bound { core, deadline, timer: TimerId::never_armed() };
        bound.arm(cx, self.location);
        self.state = State::Bound(bound);
        Poll::Pending
    }
}

impl Bound {
    /// Whether the sleep waits already for its timer to wake the task of `cx`. If false, it may still
    /// be so.
    #[inline]
    fn waits_for(&self, cx: &Context<'_>) -> bool {
        let alarms = &self.core.alarms;
        let task = self.core.scheduler.key_of(cx.waker());
        !alarms.has_fired(self.timer, self.deadline)
            && task.is_some_and(|task| alarms.wakes_task(self.timer, task))
    }

    /// Ready if the timer has fired. Otherwise makes `cx` the task that it will wake. Not for a sleep
    /// that was never armed.
    fn poll(&mut self, cx: &Context<'_>) -> Poll<()> {
        let alarms = &self.core.alarms;
        let has_fired = alarms.has_fired(self.timer, self.deadline);
        if has_fired || !alarms.set_waker(self.timer, cx.waker(), &self.core.scheduler) {
            self.timer = TimerId::never_armed(); // so that the drop does not look for the timer
            return Poll::Ready(());
        }
        Poll::Pending
    }

    /// Arms the timer. A closing loop arms none: then the sleep ends with it.
    #[inline(never)] // keeps the poll of a sleep that waits on small
    fn arm(&mut self, cx: &Context<'_>, location: &'static Location<'static>) {
        let core = &*self.core;
        self.timer = match core.scheduler.key_of(cx.waker()) {
            Some(task) => core.arm_for_task(self.deadline, task, location),
            None => core.arm_at(self.deadline, Alarm::Wake(cx.waker().clone()), location),
        };
    }
}

impl Future for Sleep {
    type Output = ();

    /// # Panics
    /// If there is no loop on this thread.
    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let location = self.location;
        if let State::Bound(bound) = &mut self.state
            && bound.core.is_entered()
        {
            if !bound.timer.was_armed() {
                bound.arm(cx, location);
                return Poll::Pending;
            }
            if bound.waits_for(cx) {
                return Poll::Pending;
            }
        }
        self.poll_changed(cx)
    }
}

impl fmt::Debug for Sleep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let is_done = matches!(self.state, State::Done(_));
        f.debug_struct("Sleep").field("deadline", &self.deadline()).field("done", &is_done).finish()
    }
}
