//! One round of a load: warmed up, then measured.

use std::io;
use std::time::{Duration, Instant};

use crate::cpu::Used;
use crate::load::Until;

/// Sends requests and returns the number of answers.
pub(crate) type Ask = Box<dyn FnMut(Until) -> io::Result<u64>>;

/// The load runs for this time before the measurement begins, but no longer than the measurement.
const WARM_UP: Duration = Duration::from_millis(300);

/// How long a load runs before it is measured for `time`.
pub(crate) fn warm_up(time: Duration) -> Duration {
    WARM_UP.min(time)
}

/// What a process has used while a load ran.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Round {
    pub(crate) answered: u64,
    pub(crate) used: Used,
    pub(crate) time: Duration,
}

impl Round {
    /// Runs a load for `time`. `used` returns what the measured process has used so far.
    pub(crate) fn run(
        mut ask: Ask,
        time: Duration,
        used: impl Fn() -> io::Result<Used>,
    ) -> io::Result<Round> {
        ask(Until::Time(warm_up(time)))?;
        let (before, begin) = (used()?, Instant::now());
        let answered = ask(Until::Time(time))?;
        Ok(Round { answered, used: used()?.since(before), time: begin.elapsed() })
    }

    /// Answers a second.
    pub(crate) fn rate(&self) -> f64 {
        self.answered as f64 / self.time.as_secs_f64()
    }
}
