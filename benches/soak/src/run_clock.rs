//! The clock that all processes of a run share.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// Counts seconds since the run began. The processes of a run read the same monotonic clock.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RunClock {
    origin_nanos: u64,
}

impl RunClock {
    /// The run begins now.
    pub(crate) fn begin() -> RunClock {
        RunClock { origin_nanos: monotonic_nanos() }
    }

    /// The clock of a process whose run began at [`origin_nanos`](Self::origin_nanos).
    pub(crate) fn since(origin_nanos: u64) -> RunClock {
        RunClock { origin_nanos }
    }

    pub(crate) fn origin_nanos(self) -> u64 {
        self.origin_nanos
    }

    /// The seconds since the run began.
    pub(crate) fn seconds(self) -> f64 {
        Duration::from_nanos(monotonic_nanos().saturating_sub(self.origin_nanos)).as_secs_f64()
    }
}

fn monotonic_nanos() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    now.tv_sec.unsigned_abs() * 1_000_000_000 + now.tv_nsec.unsigned_abs()
}
