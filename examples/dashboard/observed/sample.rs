//! The numbers of a loop at one moment. Taken on the loop's thread, and sent to the dashboard's.

use std::time::Instant;

use squall_net::{Dump, Stats, dump, stats};

use crate::observed::gauges::{self, Reading};

/// The most tasks and timers that are listed. More would hold up the loop for longer than a
/// dashboard may.
const MAX_LISTED: usize = 10_000;

/// What is asked of a loop. Later ones include the earlier ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Question {
    /// Whether it answers.
    Alive,
    /// Its counters and gauges.
    Numbers,
    /// Its tasks, timers and handlers too.
    Lists,
}

#[derive(Debug)]
pub(crate) struct Sample {
    pub(crate) stats: Stats,
    pub(crate) gauges: Vec<Reading>,
    /// `None` if it was not asked for, or the loop has more than [`MAX_LISTED`] tasks and timers.
    pub(crate) dump: Option<Dump>,
    pub(crate) is_too_long: bool,
    pub(crate) taken: Instant,
}

impl Sample {
    /// Takes a sample of this thread's loop. `None` if only an answer is wanted.
    pub(crate) fn take(question: Question) -> Option<Sample> {
        if question == Question::Alive {
            return None;
        }
        let stats = stats();
        let is_too_long = stats.live_tasks + stats.live_timers > MAX_LISTED;
        let is_listed = question == Question::Lists && !is_too_long;
        let dump = is_listed.then(dump);
        let gauges = gauges::read_all();
        Some(Sample { stats, gauges, dump, is_too_long, taken: Instant::now() })
    }
}
