//! The cores of the server and the load, and the CPU time that a process has used.

use std::fs;
use std::io;
use std::time::Duration;

use rustix::thread::{CpuSet, sched_setaffinity};

/// The core of the server. The load has another.
pub(crate) const SERVER: usize = 0;
pub(crate) const LOAD: usize = 1;

/// Pins this thread, and all threads and processes that it will start, to these cores.
pub(crate) fn pin(cores: &[usize]) -> io::Result<()> {
    let mut set = CpuSet::new();
    cores.iter().for_each(|core| set.set(*core));
    Ok(sched_setaffinity(None, &set)?)
}

/// The CPU time that processes have used.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Used {
    pub(crate) all: Duration,
    /// Ticks in user space. The kernel counts ticks by sampling.
    pub(crate) user_ticks: u64,
    pub(crate) kernel_ticks: u64,
}

impl Used {
    /// Returns what a process and its children have used.
    pub(crate) fn by(pid: u32) -> io::Result<Used> {
        let mut used = Used::default();
        for thread in fs::read_dir(format!("/proc/{pid}/task"))? {
            let directory = thread?.path();
            let text = fs::read_to_string(directory.join("schedstat"))?;
            let nanoseconds = text.split(' ').next().and_then(|text| text.parse().ok());
            used.all += Duration::from_nanos(nanoseconds.ok_or_else(|| strange(&text))?);
            let children = fs::read_to_string(directory.join("children"))?;
            for child in children.split_whitespace() {
                used.add(Used::by(child.parse().map_err(|_| strange(&children))?)?);
            }
        }
        let text = fs::read_to_string(format!("/proc/{pid}/stat"))?;
        let behind_name = text.rsplit(')').next().unwrap_or_default();
        let ticks =
            |nth| behind_name.split_whitespace().nth(nth).and_then(|tick| tick.parse().ok());
        let (Some(user_ticks), Some(kernel_ticks)) = (ticks(11), ticks(12)) else {
            return Err(strange(&text));
        };
        used.add(Used { all: Duration::ZERO, user_ticks, kernel_ticks });
        Ok(used)
    }

    fn add(&mut self, other: Used) {
        self.all += other.all;
        self.user_ticks += other.user_ticks;
        self.kernel_ticks += other.kernel_ticks;
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
