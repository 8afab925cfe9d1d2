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
use crate::loop_core::Core;
use crate::time::alarms::Alarm;
use crate::time::clock::Clock;
use crate::time::timers::TimerId;

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
    Sleep::new(match current::try_get() {
        Some(core) => Deadline::of(core.clock.time().checked_add(duration)),
        None => Deadline::Unbound(Box::new(Unbound { duration, created: Instant::now() })),
    })
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
    current::try_get().map_or_else(Instant::now, |core| core.clock.time())
}

/// The future of [`sleep`] and [`sleep_until`].
///
/// # Cancel safety
/// Cancel safe. Dropping the sleep removes its timer at once.
#[must_use = "futures do nothing unless awaited"]
pub struct Sleep {
    deadline: Deadline,
    /// The loop and the timer that the sleep has armed on it. `None` until the first poll, and
    /// again once the sleep has found that the timer fired.
    armed: Option<(Rc<Core>, TimerId)>,
    done: bool,
    /// The code that made the sleep.
    location: &'static Location<'static>,
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

    /// The time on the clock of the loop that polls the sleep. An unbound sleep is bound to that
    /// clock: if it is a test's, the duration counts from now, because the sleep's creation has no
    /// time on it.
    fn bind(&mut self, clock: &Clock) -> Option<Instant> {
        if let Deadline::Unbound(unbound) = self {
            let begin = if clock.is_simulated() { clock.now() } else { unbound.created };
            *self = Deadline::of(begin.checked_add(unbound.duration));
        }
        match self {
            Deadline::At(time) => Some(*time),
            _ => None,
        }
    }
}

impl Sleep {
    #[track_caller]
    fn new(deadline: Deadline) -> Sleep {
        Sleep { deadline, armed: None, done: false, location: Location::caller() }
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

    /// As [`reset`](Self::reset). With `None`, the sleep never ends.
    pub(crate) fn set_deadline(&mut self, deadline: Option<Instant>) {
        self.deadline = Deadline::of(deadline);
        self.done = false;
        self.armed = self.armed.take().and_then(|(core, timer)| {
            let timer = core.alarms.move_to(timer, core.clock.deadline(deadline))?;
            Some((core, timer))
        });
    }

    fn disarm(&mut self) {
        if let Some((core, timer)) = self.armed.take() {
            drop(core.alarms.disarm(timer));
        }
    }
}

impl Future for Sleep {
    type Output = ();

    /// # Panics
    /// If there is no loop on this thread.
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if self.done {
            return Poll::Ready(());
        }
        let this_loop = current::get();
        let deadline = self.deadline.bind(this_loop.clock.clock());
        match &self.armed {
            Some((core, timer)) if Rc::ptr_eq(core, &this_loop) => {
                let has_fired = core.alarms.has_fired(*timer, core.clock.deadline(deadline));
                if !has_fired && core.alarms.set_waker(*timer, cx.waker()) {
                    return Poll::Pending;
                }
                self.armed = None;
                self.done = true;
                Poll::Ready(())
            }
            // Not armed yet, or armed on another loop, which may not run when the deadline comes.
            _ => {
                self.disarm();
                if this_loop.scheduler.is_closed() {
                    return Poll::Pending; // the loop is closing, and this sleep ends with it
                }
                let timer = this_loop.arm(deadline, Alarm::Wake(cx.waker().clone()), self.location);
                self.armed = Some((this_loop, timer));
                Poll::Pending
            }
        }
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        self.disarm();
    }
}

impl fmt::Debug for Sleep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sleep").field("deadline", &self.deadline).field("done", &self.done).finish()
    }
}
