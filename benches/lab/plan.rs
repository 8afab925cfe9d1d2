//! What is to be measured, and how long.

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
    /// Whose turn it is, as places among the servers: round by round, so that all share what the machine does meanwhile, and
    /// each round begins with another one.
    pub(crate) fn turns(&self) -> impl Iterator<Item = usize> + use<> {
        let count = self.servers.len();
        (0..self.rounds).flat_map(move |round| (0..count).map(move |n| (round + n) % count))
    }

    /// Shows on standard error how far a measurement is.
    pub(crate) fn progress(&self, title: &str, steps: usize) -> ProgressBar {
        let style = "{prefix} [{bar:30}] {pos}/{len} {msg}, {elapsed}";
        let style = ProgressStyle::with_template(style).expect("a template");
        let bar = ProgressBar::new(steps as u64).with_style(style.progress_chars("=> "));
        bar.with_prefix(title.to_owned())
    }
}
