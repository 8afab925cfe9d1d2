//! The servers to measure, and for how long.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use crate::servers::{SERVERS, Server};

pub(crate) struct Plan {
    pub(crate) servers: Vec<&'static Server>,
    pub(crate) rounds: usize,
    pub(crate) time: Duration,
}

impl Default for Plan {
    fn default() -> Plan {
        Plan { servers: SERVERS.iter().collect(), rounds: 5, time: Duration::from_secs(2) }
    }
}

impl Plan {
    /// Returns the order of the measurements, as indices into `servers`. In each round, all servers
    /// have a turn, so that a slow phase of the machine affects all. Each round begins with another
    /// server.
    pub(crate) fn turns(&self) -> impl Iterator<Item = usize> + use<> {
        let count = self.servers.len();
        (0..self.rounds).flat_map(move |round| (0..count).map(move |n| (round + n) % count))
    }

    /// Shows the progress of a measurement on standard error.
    pub(crate) fn progress(&self, title: &str, steps: usize) -> ProgressBar {
        let style = "{prefix} [{bar:30}] {pos}/{len} {msg}, {elapsed}";
        let style = ProgressStyle::with_template(style).expect("a valid template");
        let bar = ProgressBar::new(steps as u64).with_style(style.progress_chars("=> "));
        bar.with_prefix(title.to_owned())
    }
}
