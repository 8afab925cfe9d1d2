//! What the turn of the loop does differently on a clock that a test moves.

use std::time::Duration;

use crate::error::RunError;
use crate::loop_core::Core;

impl Core {
    /// Whether the loop may move its clock instead of sleeping.
    pub(crate) fn may_jump(&self) -> bool {
        self.clock.clock().is_auto_advancing() && !self.blocking.is_busy()
    }

    /// Moves the clock by `time`, unless the kernel has events or other threads have sent messages.
    pub(crate) fn ask_kernel_or_jump(&self, time: Duration) -> Result<usize, RunError> {
        let received = self.ask_kernel(Some(Duration::ZERO), true)?;
        if received == 0 && !self.scheduler.is_ready() {
            self.clock.jump(time);
        }
        Ok(received)
    }

    /// Whether a timer is due that has not fired.
    pub(crate) fn has_due_timer(&self) -> bool {
        let now = self.clock.nanos(self.clock.time());
        self.alarms.next_deadline().is_some_and(|deadline| deadline <= now)
    }

    /// # Panics
    /// If nothing can end the wait that begins now. No time passes during it, so no timer does.
    pub(crate) fn check_can_be_woken(&self) {
        let can_be_woken = self.driver.is_watching()
            || self.blocking.is_busy()
            || !self.signal_listeners.borrow().is_empty()
            || self.scheduler.owner().has_handles()
            || self.scheduler.inbox().has_messages() // of a handle that is gone by now
            || self.scheduler.wakers_elsewhere() > 0;
        assert!(
            can_be_woken,
            "the event loop would wait for ever: nothing is ready, no descriptor, blocking job, \
             signal stream or Handle is left to wake it, and its clock ({:?}) does not move by \
             itself: call Clock::advance_and_settle in a task, or use Clock::auto_advancing()",
            self.clock.clock()
        );
    }
}
