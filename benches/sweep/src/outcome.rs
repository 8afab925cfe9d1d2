//! Judges how a program took a fault.

use std::io;

use nix::errno::Errno;
use nix::sys::signal::Signal;

use crate::fault::{Direction, Fault};
use crate::options::program;
use crate::point::Point;
use crate::report::{Left, Report};
use crate::tracer::{self, Ending, Trace};

/// How many turns more than without a fault a loop may make.
const MORE_TURNS: u64 = 3000;

/// How a program took a fault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Every step was done, and nothing was lost.
    Success,
    /// A call of squall returned an error to the program.
    Error,
    /// A line in the log says what was closed or tried again.
    Logged,
    /// The program did not make the call this time.
    NotReached,
    Failure(Failure),
}

/// What no fault may cause.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    Hang(String),
    Leak(String),
    Panic(String),
    /// The process was killed, or ended with an error of its own.
    Death(String),
    /// Wrong bytes, a lost step without an error, a loop that spins, a process that cannot go on.
    Wrong(String),
}

/// Runs the program of a point, and judges it.
///
/// # Errors
/// If the program cannot be run or traced.
pub(crate) fn of(point: &Point, flawless: &Report) -> io::Result<Outcome> {
    // The program shortens by itself, and needs no tracer for that.
    let is_traced = !matches!(point.fault, Fault::ShortenSocket(_));
    let mut command = program(point.scenario, Some(point), is_traced)?;
    let trace = tracer::run(&mut command, Some(point))?;
    Ok(judge(point, flawless, &trace))
}

fn judge(point: &Point, flawless: &Report, trace: &Trace) -> Outcome {
    let failure = |what: fn(String) -> Failure, text: &dyn std::fmt::Display| {
        Outcome::Failure(what(format!("{text} {}", trace.errors)))
    };
    if trace.errors.contains("panicked") {
        return failure(Failure::Panic, &"");
    }
    if trace.errors.contains("a worker hangs") {
        return failure(Failure::Hang, &"");
    }
    match trace.ending {
        Ending::Exited(0) => {}
        Ending::Killed(Signal::SIGALRM) => return failure(Failure::Hang, &"killed at its limit"),
        ending => return failure(Failure::Death, &format!("{ending:?}")),
    }
    let Some(report) = Report::in_output(&trace.output) else {
        return failure(Failure::Death, &"no report");
    };
    if let Some(failure) = failure_of(point, flawless, &report) {
        return Outcome::Failure(failure);
    }
    let is_reached = match point.fault {
        Fault::ShortenSocket(Direction::Receive) => report.receives >= point.nth.into(),
        Fault::ShortenSocket(Direction::Send) => report.sends >= point.nth.into(),
        _ => trace.hits > 0,
    };
    if !is_reached {
        Outcome::NotReached
    } else if report.errors > 0 {
        Outcome::Error
    } else if report.logged > 0 {
        Outcome::Logged
    } else {
        Outcome::Success
    }
}

fn failure_of(point: &Point, flawless: &Report, report: &Report) -> Option<Failure> {
    let Report { notes, left, .. } = report;
    if notes.contains("it hangs") {
        return Some(Failure::Hang(notes.clone()));
    }
    if report.faults > 0 {
        return Some(Failure::Wrong(notes.clone()));
    }
    let is_interrupted = |line: &str| line.starts_with("error") && line.contains("(os error 4)");
    if point.fault == Fault::Error(Errno::EINTR) && notes.lines().any(is_interrupted) {
        return Some(Failure::Wrong(format!("an interruption is no error: {notes}")));
    }
    let is_error = matches!(point.fault, Fault::Error(_));
    if !is_error && report.errors + report.logged > 0 {
        return Some(Failure::Wrong(format!("nothing has failed: {notes}")));
    }
    if *left != Left::default() {
        return Some(Failure::Leak(format!("{left:?} {notes}")));
    }
    if !report.is_well_afterwards {
        return Some(Failure::Wrong(format!("not well afterwards: {notes}")));
    }
    // A program whose every read is of one byte needs as many turns as there are bytes.
    let is_short = matches!(point.fault, Fault::ShortenSocket(_)) && point.step.is_some();
    if report.turns > 10 * flawless.turns + MORE_TURNS && !is_short {
        return Some(Failure::Wrong(format!("it spins: {} turns, {notes}", report.turns)));
    }
    let lost = flawless.steps.saturating_sub(report.steps);
    if lost > 0 && report.errors + report.logged == 0 {
        return Some(Failure::Wrong(format!("{lost} steps were lost without an error")));
    }
    let could_begin = report.steps > 0;
    let is_listener_shut_down =
        point.call == "accept4" && point.fault == Fault::Error(Errno::EINVAL);
    match point.scenario.steps_at_stake {
        Some(most)
            if lost > most && could_begin && point.step.is_none() && !is_listener_shut_down =>
        {
            Some(Failure::Wrong(format!("{lost} steps were lost: {notes}")))
        }
        _ => None,
    }
}
