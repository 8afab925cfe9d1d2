//! What a run has seen: written down as it comes, and kept as far as the judgement needs it.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs::File;
use std::io::{self, Write};
use std::path::Path;
use std::sync::{Condvar, Mutex, MutexGuard};
use std::time::Duration;

use crate::load::Addresses;
use crate::records::act_record::ActRecord;
use crate::records::failure::{Failure, Target};
use crate::records::json_line::line_of;
use crate::records::load_report::{LoadReport, Second};
use crate::records::server_report::{Ended, Sample, ServerReport};

/// The violations that are kept. More say nothing new.
const MAX_VIOLATIONS: usize = 100;

/// Shared by the threads of a run.
pub(crate) struct Journal {
    state: Mutex<State>,
    changed: Condvar,
}

/// What was seen until now.
pub(crate) struct State {
    files: Files,
    pub(crate) single: Option<Addresses>,
    pub(crate) prefork: Option<Addresses>,
    /// The last sample of each process.
    pub(crate) samples: HashMap<u32, Sample>,
    pub(crate) ended: Option<Ended>,
    /// Whether the load has paused since it was resumed.
    pub(crate) is_paused: bool,
    /// The failures and acts of this cycle, until they are judged.
    pub(crate) failures: Vec<Failure>,
    pub(crate) acts: Vec<ActRecord>,
    /// How often each act was carried out or skipped.
    pub(crate) act_counts: BTreeMap<&'static str, usize>,
    /// The last second of each server.
    pub(crate) seconds: HashMap<Target, Second>,
    pub(crate) answers: usize,
    pub(crate) slowest_answer: f64,
    pub(crate) excused: usize,
    /// A line for each act that this machine does not allow.
    pub(crate) skipped: BTreeSet<String>,
    pub(crate) violations: Vec<String>,
}

struct Files {
    samples: File,
    load: File,
    acts: File,
}

impl Journal {
    /// Creates the files in a directory.
    pub(crate) fn create(directory: &Path) -> io::Result<Journal> {
        let create = |name: &str| File::create(directory.join(name));
        let files = Files {
            samples: create("samples.jsonl")?,
            load: create("load.jsonl")?,
            acts: create("acts.jsonl")?,
        };
        let state = State {
            files,
            single: None,
            prefork: None,
            samples: HashMap::new(),
            ended: None,
            is_paused: true,
            failures: Vec::new(),
            acts: Vec::new(),
            act_counts: BTreeMap::new(),
            seconds: HashMap::new(),
            answers: 0,
            slowest_answer: 0.0,
            excused: 0,
            skipped: BTreeSet::new(),
            violations: Vec::new(),
        };
        Ok(Journal { state: Mutex::new(state), changed: Condvar::new() })
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no holder panics")
    }

    /// Waits until `is_met`. Returns false after `limit`.
    pub(crate) fn wait(&self, limit: Duration, mut is_met: impl FnMut(&State) -> bool) -> bool {
        let waited = self.changed.wait_timeout_while(self.state(), limit, |state| !is_met(state));
        !waited.expect("no holder panics").1.timed_out()
    }

    /// Takes a line that a server has printed.
    pub(crate) fn take_server_line(&self, target: Target, line: &str) {
        match serde_json::from_str(line) {
            Ok(report) => self.take_server_report(target, report),
            Err(error) => self.violated(format!("a server printed {line:?}: {error}")),
        }
    }

    fn take_server_report(&self, target: Target, report: ServerReport) {
        let mut state = self.state();
        match report {
            ServerReport::Listening { http, lines } => {
                let local = |port| ([127, 0, 0, 1], port).into();
                let addresses = Addresses { http: local(http), lines: local(lines) };
                match target {
                    Target::Single => state.single = Some(addresses),
                    Target::Prefork => state.prefork = Some(addresses),
                }
            }
            ServerReport::Sample(sample) => {
                write(&mut state.files.samples, &line_of(&sample));
                if sample.panics > 0 {
                    state.add_violation(format!("{} panics in {}", sample.panics, sample.pid));
                }
                state.samples.insert(sample.pid, sample);
            }
            ServerReport::Ended(ended) => state.ended = Some(ended),
        }
        self.changed.notify_all();
    }

    /// Takes a line that the load has printed.
    pub(crate) fn take_load_line(&self, line: &str) {
        let report = match serde_json::from_str(line) {
            Ok(report) => report,
            Err(error) => return self.violated(format!("the load printed {line:?}: {error}")),
        };
        let mut state = self.state();
        write(&mut state.files.load, line);
        write(&mut state.files.load, "\n");
        match report {
            LoadReport::Second(second) => {
                state.answers += second.answers;
                state.slowest_answer = state.slowest_answer.max(second.max);
                state.seconds.insert(second.target, second);
            }
            LoadReport::Failure(failure) => state.failures.push(failure),
            LoadReport::Paused => state.is_paused = true,
        }
        self.changed.notify_all();
    }

    pub(crate) fn take_act(&self, act: ActRecord) {
        let mut state = self.state();
        write(&mut state.files.acts, &line_of(&act));
        *state.act_counts.entry(act.act.name()).or_default() += 1;
        state.acts.push(act);
    }

    /// This machine does not allow an act.
    pub(crate) fn skipped(&self, what: String) {
        self.state().skipped.insert(what);
    }

    /// An expectation was not met.
    pub(crate) fn violated(&self, what: String) {
        self.state().add_violation(what);
    }

    /// An error of `outcome` is a violation.
    pub(crate) fn expect(&self, outcome: io::Result<()>) {
        if let Err(error) = outcome {
            self.violated(error.to_string());
        }
    }

    /// Judges the failures of a cycle by the acts of that cycle.
    pub(crate) fn judge_failures(&self) {
        let mut state = self.state();
        let acts = std::mem::take(&mut state.acts);
        for failure in std::mem::take(&mut state.failures) {
            let during = |act: &&ActRecord| act.begin <= failure.at && failure.begun <= act.end;
            if acts.iter().filter(during).any(|act| act.act.excuses(&failure)) {
                state.excused += 1;
            } else {
                state.add_violation(format!("{failure:?}"));
            }
        }
    }
}

impl State {
    fn add_violation(&mut self, what: String) {
        if self.violations.len() < MAX_VIOLATIONS && !self.violations.contains(&what) {
            log::error!("{what}");
            self.violations.push(what);
        }
    }
}

fn write(file: &mut File, text: &str) {
    if let Err(error) = file.write_all(text.as_bytes()) {
        log::warn!("a record is lost: {error}");
    }
}
