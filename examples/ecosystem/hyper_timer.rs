//! hyper's timer on squall, for its deadlines such as `header_read_timeout`.

use std::cell::RefCell;
use std::collections::HashMap;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use hyper::rt::{Sleep, Timer};
use squall_net::{executor::now, sleep_until};

/// Runs hyper's deadlines on the loop of the thread that polls the connection.
#[derive(Clone, Copy, Debug, Default)]
pub struct HyperTimer;

impl Timer for HyperTimer {
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Sleep>> {
        self.sleep_until(now() + duration)
    }

    fn sleep_until(&self, deadline: Instant) -> Pin<Box<dyn Sleep>> {
        static LAST: AtomicU64 = AtomicU64::new(0);
        Box::pin(HyperSleep { deadline, number: LAST.fetch_add(1, Ordering::Relaxed) })
    }

    fn now(&self) -> Instant {
        now()
    }
}

/// hyper asks for a sleep that is `Send`, and squall's is not. So this is only the number of one.
struct HyperSleep {
    deadline: Instant,
    number: u64,
}

thread_local! {
    /// The sleeps of this thread that were polled and have not ended.
    static SLEEPS: RefCell<HashMap<u64, squall_net::Sleep>> = RefCell::default();
}

impl HyperSleep {
    fn take(&self) -> Option<squall_net::Sleep> {
        SLEEPS.try_with(|sleeps| sleeps.borrow_mut().remove(&self.number)).ok()?
    }
}

impl Future for HyperSleep {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let mut sleep = self.take().unwrap_or_else(|| sleep_until(self.deadline));
        let polled = Pin::new(&mut sleep).poll(cx);
        if polled.is_pending() {
            SLEEPS.with_borrow_mut(|sleeps| sleeps.insert(self.number, sleep));
        }
        polled
    }
}

impl Drop for HyperSleep {
    fn drop(&mut self) {
        drop(self.take());
    }
}

impl Sleep for HyperSleep {}
