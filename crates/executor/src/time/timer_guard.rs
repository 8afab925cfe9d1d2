//! [`TimerGuard`]: a timer that is removed when its guard is dropped.

use std::fmt;
use std::rc::Weak;

use crate::current;
use crate::loop_core::Core;
use crate::time::timers::TimerId;

impl TimerId {
    /// Returns a guard that removes the timer when the guard is dropped.
    ///
    /// ```
    /// use std::time::Duration;
    /// use squall_executor::{block_on, call_later, sleep};
    ///
    /// block_on(async {
    ///     let second = Duration::from_secs(1);
    ///     let reminder = call_later(second, || unreachable!("nobody forgot")).cancel_on_drop();
    ///     sleep(Duration::from_millis(1)).await;
    ///     drop(reminder);
    /// });
    /// ```
    pub fn cancel_on_drop(self) -> TimerGuard {
        let event_loop = current::owner_of(self).map(|core| core.weak_self.clone());
        TimerGuard { timer: self, event_loop: event_loop.unwrap_or_default() }
    }
}

/// Removes a timer when it is dropped. Returned by [`TimerId::cancel_on_drop`].
///
/// The drop may happen anywhere: in a destructor, while a panic unwinds, after the loop has ended.
#[must_use = "dropping it removes the timer"]
pub struct TimerGuard {
    timer: TimerId,
    /// The loop that has armed the timer.
    event_loop: Weak<Core>,
}

impl TimerGuard {
    /// The timer's id.
    pub fn id(&self) -> TimerId {
        self.timer
    }

    /// Returns the timer's id and lets the timer fire.
    pub fn detach(mut self) -> TimerId {
        std::mem::replace(&mut self.timer, TimerId::never_armed())
    }
}

impl Drop for TimerGuard {
    fn drop(&mut self) {
        if let Some(core) = self.event_loop.upgrade() {
            drop(core.alarms.disarm(self.timer));
        }
    }
}

impl fmt::Debug for TimerGuard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TimerGuard").field("timer", &self.timer).finish_non_exhaustive()
    }
}
