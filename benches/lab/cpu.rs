//! Which core runs what, and how much of it a process has used.

use std::fs;
use std::io;
use std::time::Duration;

use rustix::thread::{CpuSet, sched_setaffinity};

/// The core of the server; the load has the other.
pub(crate) const SERVER: usize = 0;
pub(crate) const LOAD: usize = 1;

/// Keeps this thread, and those that it will start, on one core.
pub(crate) fn pin(core: usize) -> io::Result<()> {
    let mut set = CpuSet::new();
    set.set(core);
    Ok(sched_setaffinity(None, &set)?)
}

/// What a process has used of its core.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Used {
    pub(crate) all: Duration,
    /// In ticks, of which the kernel counts user's and its own by sampling.
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

    /// The share of `all` that was spent outside of the kernel.
    pub(crate) fn user(self) -> Duration {
        let ticks = (self.user_ticks + self.kernel_ticks).max(1);
        self.all.mul_f64(self.user_ticks as f64 / ticks as f64)
    }
}

fn strange(text: &str) -> io::Error {
    io::Error::other(format!("not a line of /proc as we know it: {text:?}"))
}
