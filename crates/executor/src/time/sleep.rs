//! Futures that wait for a time.
//!
//! A sleep arms a timer of this thread's loop when it is first polled, and removes the timer when
//! it is dropped.

use std::fmt;
use std::future::Future;
use std::mem;
use std::panic::Location;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use crate::current;
use crate::loop_core::Core;
use crate::time::alarms::Alarm;
use crate::time::clock::Clock;
use crate::time::timers::TimerId;
use crate::time::turn_clock::{MAX_ORIGIN_ERROR, whole_nanos};

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
    Unarmed(Deadline),
    /// As `Unarmed`, with a deadline in nanoseconds on the clock of a loop.
    Bound(Rc<Core>, u64),
    Armed(Armed),
    Done,
}

/// A sleep's timer. It may have fired.
struct Armed {
    core: Rc<Core>,
    timer: TimerId,
    /// In nanoseconds on the clock of the loop.
    deadline: u64,
}

impl Drop for Armed {
    fn drop(&mut self) {
        drop(self.core.alarms.disarm(self.timer));
    }
}

impl State {
    /// Before the first poll of a sleep that ends `duration` from now.
    #[inline]
    fn after(duration: Duration) -> State {
        match current::try_get() {
            Some(core) => {
                let deadline = core.clock.nanos_now().saturating_add(whole_nanos(duration));
                State::Bound(core, deadline)
            }
            None => {
                let created = Instant::now();
                State::Unarmed(Deadline::Unbound(Box::new(Unbound { duration, created })))
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
    Unbound(Box<Unbound>),
}

#[derive(Debug)]
struct Unbound {
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
        if let Deadline::Unbound(unbound) = self {
            let begin = if clock.is_simulated() { clock.now() } else { unbound.created };
            *self = Deadline::of(begin.checked_add(unbound.duration));
        }
        self.known()
    }
}

impl Sleep {
    #[track_caller]
    fn new(deadline: Deadline) -> Sleep {
        Sleep { state: State::Unarmed(deadline), location: Location::caller() }
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

    /// Changes the deadline, even if the old one has passed.
    ///
    /// A task that waits already is woken at the new deadline, or in the next turn if that has
    /// passed.
    ///
    /// Moving the deadline to a later time is cheap: it costs one store. A timeout that each
    /// request extends need not be armed anew.
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
            State::Armed(Armed { core, .. }) if core.is_entered() => {
                let deadline = core.clock.nanos_now().saturating_add(whole_nanos(duration));
                if !self.move_to(deadline) {
                    self.state = State::after(duration);
                }
            }
            State::Armed(_) => self.set_deadline(now().checked_add(duration)),
            _ => self.state = State::after(duration),
        }
    }

    /// As [`reset`](Self::reset). With `None`, the sleep never ends.
    pub(crate) fn set_deadline(&mut self, deadline: Option<Instant>) {
        let is_moved = match &self.state {
            State::Armed(Armed { core, .. }) => {
                let deadline = core.clock.deadline(deadline);
                self.move_to(deadline)
            }
            _ => false,
        };
        if !is_moved {
            self.state = State::Unarmed(Deadline::of(deadline));
        }
    }

    /// Moves the timer of an armed sleep. Returns false if it has fired.
    #[inline]
    fn move_to(&mut self, deadline: u64) -> bool {
        let State::Armed(armed) = &mut self.state else { return false };
        let Some(timer) = armed.core.alarms.move_to(armed.timer, deadline) else { return false };
        (armed.timer, armed.deadline) = (timer, deadline);
        true
    }

    /// Arms a timer on the loop of this thread.
    #[inline]
    fn arm(&mut self, cx: &Context<'_>) {
        let alarm = match &self.state {
            State::Bound(core, _) if core.is_entered() => {
                if core.scheduler.is_closed() {
                    return; // the loop is closing, and this sleep ends with it
                }
                Alarm::wake(cx.waker(), &core.scheduler)
            }
            State::Done => return,
            _ => return self.bind_and_arm(cx),
        };
        if let State::Bound(core, deadline) = mem::replace(&mut self.state, State::Done) {
            let timer = core.arm_at(deadline, alarm, self.location);
            self.state = State::Armed(Armed { core, timer, deadline });
        }
    }

    /// Arms a timer of a sleep that was not made for the loop of this thread.
    ///
    /// # Panics
    /// If there is no loop on this thread. The sleep is as before then.
    #[cold]
    fn bind_and_arm(&mut self, cx: &Context<'_>) {
        let core = current::get();
        let deadline = match &mut self.state {
            State::Unarmed(deadline) => deadline.bind(core.clock.clock()),
            // Armed on another loop, which may not run when the deadline comes.
            State::Bound(other, deadline) | State::Armed(Armed { core: other, deadline, .. }) => {
                let time = other.clock.time_at(*deadline);
                time.and_then(|time| time.checked_add(MAX_ORIGIN_ERROR)) // never early
            }
            State::Done => return,
        };
        let deadline = core.clock.deadline(deadline);
        self.state = State::Bound(core, deadline);
        self.arm(cx);
    }
}

impl Armed {
    /// Ready if the timer has fired. Otherwise makes `cx` the task that it will wake.
    #[inline]
    fn poll(&self, cx: &Context<'_>) -> Poll<()> {
        let alarms = &self.core.alarms;
        let has_fired = alarms.has_fired(self.timer, self.deadline);
        if has_fired || !alarms.set_waker(self.timer, cx.waker(), &self.core.scheduler) {
            return Poll::Ready(());
        }
        Poll::Pending
    }
}

impl Future for Sleep {
    type Output = ();

    /// # Panics
    /// If there is no loop on this thread.
    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        match &self.state {
            State::Armed(armed) if armed.core.is_entered() => {
                if armed.poll(cx).is_pending() {
                    return Poll::Pending;
                }
                self.state = State::Done;
                Poll::Ready(())
            }
            State::Done => Poll::Ready(()),
            _ => {
                self.arm(cx);
                Poll::Pending
            }
        }
    }
}

impl fmt::Debug for Sleep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let deadline = match &self.state {
            State::Unarmed(deadline) => deadline.known(),
            State::Bound(core, deadline) => core.clock.time_at(*deadline),
            State::Armed(armed) => armed.core.clock.time_at(armed.deadline),
            State::Done => None,
        };
        let is_done = matches!(self.state, State::Done);
        f.debug_struct("Sleep").field("deadline", &deadline).field("done", &is_done).finish()
    }
}
