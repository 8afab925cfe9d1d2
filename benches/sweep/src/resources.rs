//! What a process holds.

use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use crate::allocator;

/// How long threads of a loop's pool may take to end after their loop.
const PATIENCE: Duration = Duration::from_secs(5);

/// What this process holds.
#[derive(Clone, Copy)]
pub(crate) struct Resources {
    pub(crate) descriptors: isize,
    pub(crate) bytes: isize,
    pub(crate) threads: isize,
}

impl Resources {
    /// Counts when all threads but the first have ended, or after [`PATIENCE`].
    pub(crate) fn settled() -> Resources {
        let begin = Instant::now();
        while entries("/proc/self/task") > 1 && begin.elapsed() < PATIENCE {
            thread::yield_now();
        }
        let bytes = allocator::live(); // before the lists below are made
        Resources {
            descriptors: entries("/proc/self/fd"),
            bytes,
            threads: entries("/proc/self/task"),
        }
    }
}

fn entries(directory: &str) -> isize {
    fs::read_dir(directory).map_or(-1, |entries| entries.count().cast_signed())
}
