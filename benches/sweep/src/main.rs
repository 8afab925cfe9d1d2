//! Fails each of the first system calls of small programs in turn, and judges how each takes it.
//!
//! ```text
//!   scenarios ──▶ plan ──▶ points ──▶ tracer ──▶ outcome ──▶ table
//!                 a run without       a process with
//!                 a fault             one fault
//! ```
//!
//! Every outcome must be a success, an error to the caller or a line in the log, without a hang, a leak
//! or a panic. `program` is what runs in the process; open `sweep` first.

mod allocator;
mod fault;
mod journal;
mod options;
mod outcome;
mod plan;
mod point;
mod program;
mod report;
mod resources;
mod scenarios;
mod sweep;
mod system_call;
mod table;
mod tracer;

use std::error::Error;
use std::io::{self, Write};
use std::process::ExitCode;

use crate::options::{Choice, HELP, Options, Spread};
use crate::plan::Plan;
use crate::point::Point;
use crate::scenarios::{SCENARIOS, Scenario};

const NO_SCENARIO: &str = "there is no such scenario";

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let mut out = io::stdout();
    match Options::read()? {
        Options::Help => writeln!(out, "{HELP}")?,
        Options::Program { scenario, treatment } => {
            let scenario = Scenario::named(&scenario).ok_or(NO_SCENARIO)?;
            let report = program::run(scenario, treatment)?;
            writeln!(out, "{}", serde_json::to_string(&report)?)?;
        }
        Options::Sweep(choice) => return sweep(&choice),
    }
    Ok(ExitCode::SUCCESS)
}

fn sweep(choice: &Choice) -> Result<ExitCode, Box<dyn Error>> {
    if !squall_executor::fault::ACTIVE {
        return Err("a release build cannot shorten the reads of sockets".into());
    }
    let plans: Vec<_> = match &choice.scenario {
        None => SCENARIOS.iter().map(Plan::of).collect::<io::Result<_>>()?,
        Some(name) => vec![Plan::of(Scenario::named(name).ok_or(NO_SCENARIO)?)?],
    };
    let is_chosen = |point: &Point| match &choice.only {
        None => true,
        Some(only) => point.to_string().contains(only),
    };
    let mut out = io::stdout();
    if choice.is_list {
        let points = plans.iter().flat_map(|plan| &plan.points).filter(|point| is_chosen(point));
        points.into_iter().try_for_each(|point| writeln!(out, "{point}"))?;
        return Ok(ExitCode::SUCCESS);
    }
    for Plan { scenario, calls, points, .. } in &plans {
        writeln!(out, "{}: {calls} system calls, {} points", scenario.name, points.len())?;
    }
    let all: usize = plans.iter().map(|plan| plan.points.len()).sum();
    let (stride, begin) = match choice.spread {
        Spread::All => (1, 0),
        Spread::Some { points, seed } => {
            writeln!(out, "about {points} of {all} points, with the seed {seed}")?;
            let stride = (all / points.max(1)).max(1);
            (stride, seed % stride)
        }
    };
    let outcomes =
        sweep::run(&plans, |number, point| number % stride == begin && is_chosen(point))?;
    writeln!(out, "\n{}\n", outcomes.table)?;
    let (points, failures) = (outcomes.table.total().points, outcomes.failures);
    writeln!(out, "{points} points, {failures} without a defined outcome")?;
    Ok(if failures == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
