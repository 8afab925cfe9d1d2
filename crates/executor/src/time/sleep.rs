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
use crate::time::timers::TimerId;

/// Waits for `duration`, counted from this call and not from the first poll. Tornado: `gen.sleep`.
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
    Sleep::until(now().checked_add(duration))
}

/// Waits until `deadline`. Otherwise as [`sleep`].
#[track_caller]
pub fn sleep_until(deadline: Instant) -> Sleep {
    Sleep::until(Some(deadline))
}

/// The time on the clock of this thread's loop. Without a loop, the time on the system's clock.
pub(crate) fn now() -> Instant {
    current::try_get().map_or_else(Instant::now, |core| core.clock.time())
}

/// The future of [`sleep`] and [`sleep_until`].
///
/// # Cancel safety
/// Cancel safe. Dropping the sleep removes its timer at once.
#[must_use = "futures do nothing unless awaited"]
pub struct Sleep {
    /// `None` means that the sleep never ends.
    deadline: Option<Instant>,
    /// The loop and the timer that the sleep has armed on it. `None` until the first poll, and
    /// again once the sleep has found that the timer fired.
    armed: Option<(Rc<Core>, TimerId)>,
    done: bool,
    /// The code that made the sleep.
    location: &'static Location<'static>,
}

impl Sleep {
    #[track_caller]
    pub(crate) fn until(deadline: Option<Instant>) -> Sleep {
        Sleep { deadline, armed: None, done: false, location: Location::caller() }
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
        self.deadline = deadline;
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
        match &self.armed {
            Some((core, timer)) if Rc::ptr_eq(core, &this_loop) => {
                let has_fired = core.alarms.has_fired(*timer, core.clock.deadline(self.deadline));
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
                let timer =
                    this_loop.arm(self.deadline, Alarm::Wake(cx.waker().clone()), self.location);
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
