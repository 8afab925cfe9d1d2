//! Runs the future of a scenario on a loop of its own.

use std::io;
use std::time::{Duration, Instant};

use squall_net::{EventLoop, RunError, Stats};

use crate::journal;

/// A scenario that takes longer hangs. They take less than a second, delays included.
const LIMIT: Duration = Duration::from_secs(5);
/// A task that is left after this time does not end.
const SETTLE_TIME: Duration = Duration::from_secs(1);

/// Runs `work` on a new loop, notes its error, and returns the loop's counters.
pub(super) fn on_a_loop(work: impl AsyncFnOnce() -> io::Result<()>) -> Stats {
    let event_loop = match EventLoop::new() {
        Ok(event_loop) => event_loop,
        Err(error) => {
            journal::error("a new loop", &error);
            return Stats::default();
        }
    };
    match event_loop.run_sync(work(), Some(LIMIT)) {
        Ok(Ok(())) => {}
        Ok(Err(error)) => journal::error("the scenario", &error),
        Err(RunError::TimedOut) => {
            journal::fault(format_args!(
                "it hangs: {:?} {}",
                event_loop.stats(),
                event_loop.dump()
            ));
        }
        Err(error) => journal::error("the loop", &error),
    }
    settle(&event_loop);
    event_loop.stats()
}

/// Lets the tasks end that need no one: those that ended in the last batch leave the loop in the next
/// one, and a child that was killed is waited for.
fn settle(event_loop: &EventLoop) {
    let begin = Instant::now();
    while event_loop.stats().live_tasks > 0 && begin.elapsed() < SETTLE_TIME {
        if let Err(error) = event_loop.run_once(Some(Duration::from_millis(1))) {
            return journal::error("the loop", &error);
        }
    }
}
