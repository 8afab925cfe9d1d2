//! The judgement of a run.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::Path;

use serde::Serialize;

use crate::options::Plan;
use crate::records::server_report::{Ended, Rest};
use crate::run::journal::State;
use crate::run::trend::slope;

/// How much the live bytes at rest may grow, in bytes a minute, in a run that is long enough.
const MAX_SLOPE: f64 = 1024.0;
/// The shortest time that has a slope, in minutes: that of the second half of the run.
const MIN_SLOPE_TIME: f64 = 10.0;
/// How much the live bytes at rest may grow in all. A loop keeps the blocks of finished tasks and the
/// lists of finished writes for others, so the level depends on how many there were at once.
const MAX_GROWTH: f64 = 65536.0;

/// What a run has found, as it is written to `summary.json`.
#[derive(Debug, Serialize)]
pub(crate) struct Summary {
    pub(crate) seed: u64,
    pub(crate) rate: f64,
    pub(crate) seconds: f64,
    pub(crate) cycles: usize,
    pub(crate) answers: usize,
    /// In seconds, from when the request was due.
    pub(crate) slowest_answer: f64,
    /// Failed requests that an act of chaos excuses.
    pub(crate) excused: usize,
    pub(crate) acts: BTreeMap<&'static str, usize>,
    /// Acts that this machine does not allow.
    pub(crate) skipped: BTreeSet<String>,
    pub(crate) rest: Rest,
    /// The live bytes of the single server at each rest: the seconds and the bytes.
    pub(crate) live_bytes_at_rest: Vec<(f64, isize)>,
    /// By how much they have grown in the second half of the run. `None` if it was too short.
    pub(crate) growth: Option<f64>,
    /// Their slope in bytes a minute, in the second half of the run. `None` if it was too short.
    pub(crate) slope: Option<f64>,
    /// What the single server left behind. `None` if it has not ended in order.
    pub(crate) ended: Option<Ended>,
    pub(crate) violations: Vec<String>,
}

impl Summary {
    /// Nothing was found yet.
    pub(crate) fn new(plan: &Plan, rest: Rest) -> Summary {
        Summary {
            seed: plan.seed,
            rate: plan.rate,
            seconds: 0.0,
            cycles: 0,
            answers: 0,
            slowest_answer: 0.0,
            excused: 0,
            acts: BTreeMap::new(),
            skipped: BTreeSet::new(),
            rest,
            live_bytes_at_rest: Vec::new(),
            growth: None,
            slope: None,
            ended: None,
            violations: Vec::new(),
        }
    }

    /// Takes over what was seen, and judges the growth and the end.
    pub(crate) fn judge(&mut self, seen: &State) {
        self.answers = seen.answers;
        self.slowest_answer = seen.slowest_answer;
        self.excused = seen.excused;
        self.ended = seen.ended;
        self.acts.clone_from(&seen.act_counts);
        self.skipped.clone_from(&seen.skipped);
        self.violations.clone_from(&seen.violations);
        self.judge_growth();
        match self.ended {
            Some(ended) if ended.is_nothing() => {}
            ended => self.violations.push(format!("the single server left behind {ended:?}")),
        }
    }

    /// In the first half of the run, the caches and tables of the loop grow to the size that the worst
    /// moment needs. What grows in the second half is a leak.
    fn judge_growth(&mut self) {
        let rests = self.live_bytes_at_rest.iter().skip(self.live_bytes_at_rest.len() / 2);
        let points: Vec<(f64, f64)> =
            rests.map(|(seconds, bytes)| (seconds / 60.0, *bytes as f64)).collect();
        let [first, .., last] = points[..] else { return };
        let (time, growth) = (last.0 - first.0, last.1 - first.1);
        self.growth = Some(growth);
        self.slope = slope(&points).filter(|_| time >= MIN_SLOPE_TIME);
        if growth > MAX_GROWTH {
            self.violations.push(format!("the live bytes at rest have grown by {growth:.0}"));
        }
        if let Some(slope) = self.slope.filter(|slope| *slope >= MAX_SLOPE) {
            self.violations.push(format!("the live bytes at rest grow by {slope:.0} a minute"));
        }
    }

    pub(crate) fn write(&self, path: &Path) -> io::Result<()> {
        fs::write(path, serde_json::to_string_pretty(self)?)
    }

    /// Prints the summary for people.
    pub(crate) fn print(&self) {
        let Rest { descriptors, tasks, timers, sources, connections } = self.rest;
        println!(
            "{} answers in {:.0} s and {} cycles, the slowest after {:.2} s; {} failures were excused by acts",
            self.answers, self.seconds, self.cycles, self.slowest_answer, self.excused,
        );
        println!(
            "at every rest: {descriptors} descriptors, {tasks} tasks, {timers} timers, {sources} sources, \
             {connections} connections"
        );
        let acts: Vec<_> =
            self.acts.iter().map(|(name, count)| format!("{count} {name}")).collect();
        println!("acts: {}", acts.join(", "));
        self.skipped.iter().for_each(|skipped| println!("{skipped}"));
        match (self.growth, self.slope) {
            (Some(growth), Some(slope)) => {
                println!(
                    "live bytes at rest: {growth:+.0} in the second half, {slope:+.0} a minute"
                );
            }
            (Some(growth), None) => println!("live bytes at rest: {growth:+.0} in the second half"),
            (None, _) => println!("live bytes at rest: the run was too short for a comparison"),
        }
        if let Some(ended) = self.ended {
            println!(
                "left after the end: {} bytes, {} descriptors, {} threads",
                ended.live_bytes, ended.descriptors, ended.threads
            );
        }
        match self.violations.len() {
            0 => println!("every expectation was met"),
            count => println!("{count} expectations were not met:"),
        }
        self.violations.iter().for_each(|violation| println!("  {violation}"));
    }
}
