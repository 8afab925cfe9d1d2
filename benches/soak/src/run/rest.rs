//! The servers at rest: without clients, they must hold what they held in the beginning.

use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::chaos::stage::Stage;
use crate::records::server_report::{Rest, Sample};
use crate::run::journal::Journal;

/// How long the servers may take to come to rest. Longer than every deadline that they set.
const SETTLING_TIME: Duration = Duration::from_secs(20);
/// The most turns in a second of rest. The sampler takes one or two; a loop that spins, thousands.
const MAX_TURNS: u64 = 50;

/// What the servers held in the beginning.
pub(crate) struct Resting {
    single: Rest,
    worker: Rest,
    supervisor_descriptors: usize,
}

impl Resting {
    /// Waits for the first samples.
    pub(crate) fn learn(journal: &Journal, stage: &Stage) -> Result<Resting, String> {
        let deadline = Instant::now() + SETTLING_TIME;
        loop {
            let workers = stage.workers();
            let sample = |pid| sample_since(journal, pid, 0.0).map(|sample| sample.rest());
            let rests: Option<Vec<_>> = workers.iter().map(|pid| sample(*pid)).collect();
            if let (Some(single), Some([worker, ..])) = (sample(stage.single.pid), rests.as_deref())
            {
                let supervisor_descriptors = descriptors(stage.prefork.pid);
                return Ok(Resting { single, worker: *worker, supervisor_descriptors });
            }
            if Instant::now() > deadline {
                return Err("a server prints no samples".into());
            }
            thread::sleep(Duration::from_millis(50));
        }
    }

    pub(crate) fn single(&self) -> Rest {
        self.single
    }

    /// Waits until all processes hold again what they held in the beginning, and spin no longer.
    /// Returns the sample of the single server. On failure, the servers log what they hold.
    pub(crate) fn check(&self, journal: &Journal, stage: &Stage, since: f64) -> Option<Sample> {
        let Some(first) = self.settled(journal, stage, since) else {
            self.report(journal, stage, since);
            return None;
        };
        let Some(second) = self.settled(journal, stage, first.at) else {
            self.report(journal, stage, since);
            return None;
        };
        let turns = second.turns - first.turns;
        if turns > MAX_TURNS {
            journal.violated(format!("{turns} turns in a second of rest at {:.0}", second.at));
        }
        Some(second)
    }

    fn settled(&self, journal: &Journal, stage: &Stage, since: f64) -> Option<Sample> {
        let deadline = Instant::now() + SETTLING_TIME;
        while Instant::now() < deadline {
            let workers = stage.workers();
            let rests = |pid: Pid, rest: Rest| {
                sample_since(journal, pid, since).filter(|sample| sample.rest() == rest)
            };
            let are_settled = workers.iter().all(|pid| rests(*pid, self.worker).is_some())
                && !workers.is_empty()
                && descriptors(stage.prefork.pid) == self.supervisor_descriptors;
            if let (true, Some(sample)) = (are_settled, rests(stage.single.pid, self.single)) {
                return Some(sample);
            }
            thread::sleep(Duration::from_millis(50));
        }
        None
    }

    fn report(&self, journal: &Journal, stage: &Stage, since: f64) {
        let check = |pid: Pid, wanted: Rest| {
            let rest = sample_since(journal, pid, since).map(|sample| sample.rest());
            if rest != Some(wanted) {
                let _ = kill_process(pid, Signal::USR2); // logs a dump, unless it has just ended
                journal.violated(format!(
                    "after {since:.0} s, process {} rests with {rest:?}, not {wanted:?}",
                    pid.as_raw_nonzero()
                ));
            }
        };
        check(stage.single.pid, self.single);
        stage.workers().into_iter().for_each(|pid| check(pid, self.worker));
        let (now, wanted) = (descriptors(stage.prefork.pid), self.supervisor_descriptors);
        if now != wanted {
            journal.violated(format!("the supervisor rests with {now} descriptors, not {wanted}"));
        }
    }
}

fn sample_since(journal: &Journal, pid: Pid, since: f64) -> Option<Sample> {
    let pid = pid.as_raw_nonzero().get().unsigned_abs();
    journal.state().samples.get(&pid).filter(|sample| sample.at > since).cloned()
}

fn descriptors(pid: Pid) -> usize {
    let directory = format!("/proc/{}/fd", pid.as_raw_nonzero());
    std::fs::read_dir(directory).map_or(0, Iterator::count)
}
