//! When the load stops sending requests.

use std::time::{Duration, Instant};

/// The end of a run.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Until {
    Time(Duration),
    Requests(u64),
}

impl Until {
    /// Whether another request may begin after `begun` requests. Reads the clock only at every
    /// 64th.
    pub(crate) fn allows(self, begun: u64, since: Instant) -> bool {
        match self {
            Until::Time(time) => !begun.is_multiple_of(64) || since.elapsed() < time,
            Until::Requests(most) => begun < most,
        }
    }
}
