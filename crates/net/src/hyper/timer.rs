//! hyper's timer.

use std::pin::Pin;
use std::time::{Duration, Instant};

use hyper::rt;
use squall_executor::now;

use crate::hyper::sleep::Sleep;

/// Runs hyper's deadlines, such as `header_read_timeout`, on the loop of the thread that polls the
/// connection. On a loop with a test's clock, the deadlines are on that clock.
///
/// # Cost
/// A deadline costs one allocation, a place in a table of its thread, and a timer of the loop. hyper's
/// HTTP/1 makes one for each request; HTTP/2 makes one for the pings of a connection, and moves it,
/// which needs none of these.
#[derive(Clone, Copy, Debug, Default)]
pub struct Timer;

impl rt::Timer for Timer {
    /// Waits for `duration`, counted from this call. [`Duration::MAX`] never ends.
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn rt::Sleep>> {
        Box::pin(Sleep::new(now().checked_add(duration)))
    }

    fn sleep_until(&self, deadline: Instant) -> Pin<Box<dyn rt::Sleep>> {
        Box::pin(Sleep::new(Some(deadline)))
    }

    /// The time on the clock of this thread's loop.
    fn now(&self) -> Instant {
        now()
    }

    fn reset(&self, sleep: &mut Pin<Box<dyn rt::Sleep>>, new_deadline: Instant) {
        match sleep.as_mut().downcast_mut_pin::<Sleep>() {
            Some(sleep) => sleep.get_mut().reset(new_deadline),
            None => *sleep = self.sleep_until(new_deadline), // another timer has made it
        }
    }
}
