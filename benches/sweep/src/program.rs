//! The program that is swept: runs a scenario three times, and reports on the second run.
//!
//! ```text
//!   first run     allocates what a process allocates once
//!   second run    between two SIGSTOPs, which the tracer takes as its begin and its end
//!   third run     must do all its steps without an error
//! ```
//!
//! What the process holds is counted before and after the second run. Each run has a thread of its
//! own, so that its thread-locals end with it, except in a scenario that forks.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use nix::sys::ptrace;
use nix::sys::signal::{Signal, raise};
use nix::unistd::alarm;
use squall_executor::fault::{self, Call};
use squall_net::Stats;

use crate::fault::Direction;
use crate::journal;
use crate::report::{Left, Report};
use crate::resources::Resources;
use crate::scenarios::Scenario;

/// A program that still runs after so many seconds is killed, which counts as a hang.
const SECONDS: u32 = 30;

/// What all reads or all writes ask for, if all are short. With one byte, megabytes would take minutes.
const LASTING_BYTES: usize = 100;

/// How the second run is made.
#[derive(Clone, Copy)]
pub(crate) struct Treatment {
    /// Whether a tracer waits for the begin and the end.
    pub(crate) is_traced: bool,
    pub(crate) shortened: Option<Shortened>,
}

/// Reads or writes of sockets that ask for few bytes.
#[derive(Clone, Copy)]
pub(crate) struct Shortened {
    pub(crate) direction: Direction,
    /// The number of the first, counted from 1.
    pub(crate) nth: u32,
    /// Whether all after it are shortened too.
    pub(crate) is_lasting: bool,
}

/// True from the begin to the end, also in the processes that are forked meanwhile.
static IS_SWEPT: AtomicBool = AtomicBool::new(false);

/// Runs the scenario and returns the report.
///
/// # Errors
/// If the run without a fault, before the one that is swept, was not flawless, or the tracer cannot
/// trace.
pub(crate) fn run(scenario: &Scenario, treatment: Treatment) -> io::Result<Report> {
    journal::install();
    alarm::set(SECONDS);
    if scenario.in_a_thread(scenario.run).is_none() || !journal::is_flawless() {
        return Err(io::Error::other(format!("fails without a fault: {}", journal::notes())));
    }
    let steps = journal::counts().steps;
    journal::clear();
    let before = Resources::settled();
    let swept = scenario.in_a_thread(|| {
        begin(treatment)?;
        let stats = (scenario.run)();
        end(treatment);
        let shortenable = [Call::Recv, Call::Send].map(fault::calls_with_length);
        io::Result::Ok((stats, shortenable))
    });
    let after = Resources::settled();
    let (stats, [receives, sends]) = swept.unwrap_or_else(|| Ok(Default::default()))?;
    let counts = journal::counts();
    let notes = journal::notes();
    journal::clear();
    let is_well_afterwards = scenario.in_a_thread(scenario.run).is_some()
        && journal::is_flawless()
        && journal::counts().steps == steps;
    Ok(Report {
        steps: counts.steps,
        errors: counts.errors,
        logged: counts.logged,
        faults: counts.faults,
        notes: notes + &journal::notes(),
        left: left(before, after, &stats),
        turns: stats.turns,
        receives,
        sends,
        is_well_afterwards,
    })
}

fn left(before: Resources, after: Resources, stats: &Stats) -> Left {
    Left {
        descriptors: after.descriptors - before.descriptors,
        bytes: after.bytes - before.bytes,
        threads: after.threads - before.threads,
        tasks: stats.live_tasks,
        timers: stats.live_timers,
        sources: stats.live_sources,
    }
}

fn begin(treatment: Treatment) -> io::Result<()> {
    if let Some(Shortened { direction, nth, is_lasting }) = treatment.shortened {
        let call = match direction {
            Direction::Receive => Call::Recv,
            Direction::Send => Call::Send,
        };
        let (calls, most) = if is_lasting { (u32::MAX, LASTING_BYTES) } else { (1, 1) };
        fault::shorten(call, nth - 1, calls, most);
    }
    if treatment.is_traced {
        ptrace::traceme()?;
        IS_SWEPT.store(true, Ordering::Relaxed);
        raise(Signal::SIGSTOP)?;
    }
    Ok(())
}

fn end(treatment: Treatment) {
    end_of_sweep();
    if treatment.shortened.is_some() {
        fault::clear(); // a scenario that forks has its third run on this thread
    }
}

/// Ends the sweep of this process: its system calls no longer count from here on.
pub(crate) fn end_of_sweep() {
    if IS_SWEPT.swap(false, Ordering::Relaxed) {
        let _ = raise(Signal::SIGSTOP); // fails only for a number that is no signal
    }
}

impl Scenario {
    /// Runs `f` in a thread of its own, or here if the scenario forks. `None` if it panics.
    fn in_a_thread<T: Send>(&self, f: impl FnOnce() -> T + Send) -> Option<T> {
        if self.forks {
            return Some(f());
        }
        thread::scope(|scope| scope.spawn(f).join().ok())
    }
}
