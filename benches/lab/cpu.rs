//! The cores of the server and the load, and the CPU time that a process has used.

use std::fs;
use std::io;
use std::time::Duration;

use rustix::thread::{CpuSet, sched_setaffinity};

/// The core of the server. The load has another.
pub(crate) const SERVER: usize = 0;
pub(crate) const LOAD: usize = 1;

/// Pins this thread, and all threads that it will start, to one core.
pub(crate) fn pin(core: usize) -> io::Result<()> {
    let mut set = CpuSet::new();
    set.set(core);
    Ok(sched_setaffinity(None, &set)?)
}

/// The CPU time that a process has used.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Used {
    pub(crate) all: Duration,
    /// Ticks in user space. The kernel counts ticks by sampling.
    user_ticks: u64,
    kernel_ticks: u64,
}

impl Used {
    pub(crate) fn by(pid: u32) -> io::Result<Used> {
        let mut all = Duration::ZERO;
        for thread in fs::read_dir(format!("/proc/{pid}/task"))? {
            let text = fs::read_to_string(thread?.path().join("schedstat"))?;
            let nanoseconds = text.split(' ').next().and_then(|text| text.parse().ok());
            all += Duration::from_nanos(nanoseconds.ok_or_else(|| strange(&text))?);
        }
        let text = fs::read_to_string(format!("/proc/{pid}/stat"))?;
        let behind_name = text.rsplit(')').next().unwrap_or_default();
        let ticks =
            |nth| behind_name.split_whitespace().nth(nth).and_then(|tick| tick.parse().ok());
        match (ticks(11), ticks(12)) {
            (Some(user_ticks), Some(kernel_ticks)) => Ok(Used { all, user_ticks, kernel_ticks }),
            _ => Err(strange(&text)),
        }
    }

    pub(crate) fn since(self, former: Used) -> Used {
        Used {
            all: self.all.saturating_sub(former.all),
            user_ticks: self.user_ticks - former.user_ticks,
            kernel_ticks: self.kernel_ticks - former.kernel_ticks,
        }
    }

    /// Returns the part of `all` that was spent in user space.
    pub(crate) fn user(self) -> Duration {
        let ticks = (self.user_ticks + self.kernel_ticks).max(1);
        self.all.mul_f64(self.user_ticks as f64 / ticks as f64)
    }
}

fn strange(text: &str) -> io::Error {
    io::Error::other(format!("unexpected text in /proc: {text:?}"))
}
