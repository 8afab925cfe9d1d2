//! Waiting for a time.

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
/// It ends never early, in the first turn of the loop at or after its time, and never in the turn in which it was first
/// polled: `sleep(Duration::ZERO)` lets timers and descriptors have their turn. [`Duration::MAX`] never ends.
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

/// Waits until `deadline`. Else as [`sleep`].
#[track_caller]
pub fn sleep_until(deadline: Instant) -> Sleep {
    Sleep::until(Some(deadline))
}

/// The time on the clock of this thread's loop, or on the machine's.
pub(crate) fn now() -> Instant {
    current::try_get().map_or_else(Instant::now, |core| core.clock.time())
}

/// The future of [`sleep`] and [`sleep_until`].
///
/// # Cancel safety
/// Cancel safe; dropping it removes its timer at once.
#[must_use = "futures do nothing unless awaited"]
pub struct Sleep {
    /// `None`: a time that never comes.
    deadline: Option<Instant>,
    armed: Option<(Rc<Core>, TimerId)>,
    done: bool,
    /// Who made it.
    location: &'static Location<'static>,
}

impl Sleep {
    #[track_caller]
    pub(crate) fn until(deadline: Option<Instant>) -> Sleep {
        Sleep { deadline, armed: None, done: false, location: Location::caller() }
    }

    /// Waits until another time instead, also if the first has passed. Whoever waits already is woken at the new time; a time that
    /// has passed is the next turn.
    ///
    /// Pushing the deadline back is cheap, a store: a timer that is moved at every request need not be armed anew.
    pub fn reset(&mut self, deadline: Instant) {
        self.set_deadline(Some(deadline));
    }

    /// `None`: a time that never comes.
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
        let here = current::get();
        match &self.armed {
            Some((core, timer)) if Rc::ptr_eq(core, &here) => {
                let has_fired = core.alarms.has_fired(*timer, core.clock.deadline(self.deadline));
                if !has_fired && core.alarms.set_waker(*timer, cx.waker()) {
                    return Poll::Pending;
                }
                self.armed = None;
                self.done = true;
                Poll::Ready(())
            }
            // Not armed yet, or by another loop, which may not run when the time has come.
            _ => {
                self.disarm();
                if here.scheduler.is_closed() {
                    return Poll::Pending; // it ends, and this with it
                }
                let timer = here.arm(self.deadline, Alarm::Wake(cx.waker().clone()), self.location);
                self.armed = Some((here, timer));
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
