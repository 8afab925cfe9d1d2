//! The servers to measure, and for how long.

use std::path::PathBuf;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use crate::servers::{SERVERS, Server};
use crate::service::Service;

pub(crate) struct Plan {
    pub(crate) servers: Vec<&'static Server>,
    pub(crate) rounds: usize,
    pub(crate) time: Duration,
    /// Whether measurements over several sizes leave out the largest.
    pub(crate) is_short: bool,
    /// Whether squall's new instruction counts are accepted.
    pub(crate) accepts: bool,
    /// Where callgrind's files stay, for `callgrind_annotate`. `None`: they are removed.
    pub(crate) kept_files: Option<PathBuf>,
}

impl Default for Plan {
    fn default() -> Plan {
        let servers = SERVERS.iter().collect();
        let time = Duration::from_secs(2);
        Plan { servers, rounds: 5, time, is_short: false, accepts: false, kept_files: None }
    }
}

impl Plan {
    /// Cuts everything down, so that a run shows that the measurements work, and nothing else.
    pub(crate) fn shorten(&mut self) {
        self.rounds = 1;
        self.time = Duration::from_millis(100);
        self.is_short = true;
    }

    /// Leaves out the servers that this machine does not have.
    pub(crate) fn skip_missing(&mut self) {
        self.servers.retain(|server| {
            let is_here = server.is_here();
            if !is_here {
                println!("skipped: {} is not installed", server.name);
            }
            is_here
        });
    }

    /// Returns the order in which `count` servers are measured, as indices. In each round, all
    /// servers have a turn, so that a slow phase of the machine affects all. Each round begins with
    /// another server.
    pub(crate) fn turns(&self, count: usize) -> impl Iterator<Item = usize> + use<> {
        (0..self.rounds).flat_map(move |round| (0..count).map(move |n| (round + n) % count))
    }

    /// The servers that offer a service.
    pub(crate) fn offering(&self, service: Service) -> Vec<&'static Server> {
        self.servers.iter().copied().filter(|server| server.offers(service)).collect()
    }

    /// Shows the progress of a measurement on standard error.
    pub(crate) fn progress(&self, title: &str, steps: usize) -> ProgressBar {
        let style = "{prefix} [{bar:30}] {pos}/{len} {msg}, {elapsed}";
        let style = ProgressStyle::with_template(style).expect("a valid template");
        let bar = ProgressBar::new(steps as u64).with_style(style.progress_chars("=> "));
        bar.with_prefix(title.to_owned())
    }
}
