//! What a server process prints.

use serde::{Deserialize, Serialize};

/// A line of a server's standard output.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ServerReport {
    /// The first line: the ports.
    Listening { http: u16, lines: u16 },
    /// Once a second, from each loop.
    Sample(Sample),
    /// The last line of the single server.
    Ended(Ended),
}

/// One second of a loop and its process.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Sample {
    /// Seconds since the run began.
    pub(crate) at: f64,
    pub(crate) pid: u32,
    /// The worker's number; `None` for the single server.
    pub(crate) worker: Option<usize>,
    /// Bytes that are allocated and not freed, by the counting allocator.
    pub(crate) live_bytes: isize,
    pub(crate) resident_bytes: u64,
    /// Open descriptors of the process.
    pub(crate) descriptors: usize,
    pub(crate) tasks: usize,
    pub(crate) timers: usize,
    /// Descriptors that are registered at the loop.
    pub(crate) sources: usize,
    /// Open connections of both servers.
    pub(crate) connections: usize,
    /// Panics since the process began.
    pub(crate) panics: u64,
    /// Turns since the loop began.
    pub(crate) turns: u64,
    /// The longest turn since the loop began, in seconds.
    pub(crate) longest_turn: f64,
}

impl Sample {
    /// What must be the same whenever a server rests.
    pub(crate) fn rest(&self) -> Rest {
        Rest {
            descriptors: self.descriptors,
            tasks: self.tasks,
            timers: self.timers,
            sources: self.sources,
            connections: self.connections,
        }
    }
}

/// What a loop and its process hold when no client is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Rest {
    pub(crate) descriptors: usize,
    pub(crate) tasks: usize,
    pub(crate) timers: usize,
    pub(crate) sources: usize,
    pub(crate) connections: usize,
}

/// What is left in the process of the single server after its loop and thread have ended, compared to
/// before they began.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
pub(crate) struct Ended {
    pub(crate) live_bytes: isize,
    pub(crate) descriptors: isize,
    pub(crate) threads: isize,
}

impl Ended {
    pub(crate) fn is_nothing(&self) -> bool {
        self.live_bytes == 0 && self.descriptors == 0 && self.threads == 0
    }
}
