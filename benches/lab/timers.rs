//! Timers without servers: how late a sleep ends, and what armed timers cost. Each runtime measures
//! itself in a process of its own, on the core of the servers.

mod armed;
mod lateness;
mod runtimes;

use std::error::Error;
use std::io;
use std::time::Duration;

use crate::child;
use crate::cpu;
use crate::figure::percentile;
use crate::plan::Plan;
use crate::table::{Cell, Table};
use runtimes::{RUNTIMES, Runtime};

/// How long the sleeps are, and how their columns begin.
const SLEEPS: [(Duration, &str); 4] = [
    (Duration::from_micros(50), "50 µs"),
    (Duration::from_micros(500), "500 µs"),
    (Duration::from_millis(5), "5 ms"),
    (Duration::from_millis(50), "50 ms"),
];
/// In tenths of a percent.
const PERCENTILES: [usize; 2] = [500, 990];
/// How many timers are armed, and the titles of their columns.
const ARMED: [(u32, &str); 4] =
    [(1_000, "1,000"), (10_000, "10,000"), (100_000, "100,000"), (1_000_000, "1,000,000")];
/// A short plan arms no more than this.
const SHORT: u32 = 10_000;

/// What a runtime can measure of itself.
const LATENESS: &str = "lateness";
const ARMED_COSTS: &str = "armed";

/// How late sleeps end.
pub(crate) fn lateness(plan: &Plan) -> io::Result<Vec<Table>> {
    let title = "How late a sleep ends, one sleep after the other";
    let runtimes: Vec<_> = RUNTIMES.iter().filter(|runtime| runtime.is_wanted(plan)).collect();
    let mut figures = vec![vec![Vec::new(); SLEEPS.len() * PERCENTILES.len()]; runtimes.len()];
    let steps = plan.progress(title, plan.rounds * runtimes.len());
    for place in plan.turns(runtimes.len()) {
        steps.set_message(runtimes[place].name);
        for (n, (sleep, _)) in SLEEPS.iter().enumerate() {
            let arguments = [sleep.as_nanos().to_string(), (plan.time / 2).as_nanos().to_string()];
            let late: [f64; 2] = measured_by(runtimes[place], LATENESS, &arguments)?;
            for (percentile, late) in late.into_iter().enumerate() {
                figures[place][n * PERCENTILES.len() + percentile].push(late / 1e3);
            }
        }
        steps.inc(1);
    }
    steps.finish_and_clear();
    let mut table = Table::new("timer-error", title, "runtime").method(lateness::METHOD);
    for (_, sleep) in SLEEPS {
        table = table.column(&format!("{sleep}: p50"), "µs", 0).column("p99", "µs", 0);
    }
    for (runtime, figures) in runtimes.iter().zip(figures) {
        table.row(runtime.name, figures.iter().map(|rounds| Cell::of(rounds)).collect());
    }
    Ok(vec![table])
}

/// What a timer costs while others are armed, and what it costs to fire them.
pub(crate) fn armed(plan: &Plan) -> io::Result<Vec<Table>> {
    let counts: Vec<_> =
        ARMED.into_iter().filter(|(count, _)| !plan.is_short || *count <= SHORT).collect();
    let is_wanted = |runtime: &&Runtime| runtime.armed.is_some() && runtime.is_wanted(plan);
    let runtimes: Vec<_> = RUNTIMES.iter().filter(is_wanted).collect();
    let mut figures = vec![vec![[Vec::new(), Vec::new()]; counts.len()]; runtimes.len()];
    let steps = plan.progress("armed timers", plan.rounds * runtimes.len());
    for place in plan.turns(runtimes.len()) {
        steps.set_message(runtimes[place].name);
        for ((count, _), rounds) in counts.iter().zip(&mut figures[place]) {
            let costs: [f64; 2] = measured_by(runtimes[place], ARMED_COSTS, &[count.to_string()])?;
            rounds.iter_mut().zip(costs).for_each(|(rounds, cost)| rounds.push(cost));
        }
        steps.inc(1);
    }
    steps.finish_and_clear();
    let tables = [
        ("timers-cancel", "Arm a timer and cancel it, while others are armed", armed::CANCEL),
        ("timers-fire", "Fire all armed timers, for each", armed::FIRE),
    ];
    let tables = tables.into_iter().enumerate().map(|(which, (name, title, method))| {
        let mut table = Table::new(name, title, "runtime").method(method);
        for (_, count) in &counts {
            table = table.column(count, "ns", 0);
        }
        for (runtime, rounds) in runtimes.iter().zip(&figures) {
            table.row(runtime.name, rounds.iter().map(|rounds| Cell::of(&rounds[which])).collect());
        }
        table
    });
    Ok(tables.collect())
}

/// The numbers that a runtime has measured of itself.
fn measured_by<const N: usize>(
    runtime: &Runtime,
    what: &str,
    arguments: &[String],
) -> io::Result<[f64; N]> {
    let command = ["runtime", runtime.name, what].map(str::to_owned);
    child::numbers(&[&command[..], arguments].concat())
}

/// Runs in the process of a runtime: `lab runtime RUNTIME lateness SLEEP TIME`, in nanoseconds, or
/// `lab runtime RUNTIME armed COUNT`. Prints nanoseconds.
pub(crate) fn run(mut arguments: lexopt::Parser) -> Result<(), Box<dyn Error>> {
    use lexopt::ValueExt;
    let runtime = runtimes::named(&arguments.value()?.string()?)?;
    let what = arguments.value()?.string()?;
    cpu::pin(&[cpu::SERVER])?;
    match (what.as_str(), runtime.armed) {
        (LATENESS, _) => {
            let sleep = Duration::from_nanos(arguments.value()?.parse()?);
            let time = Duration::from_nanos(arguments.value()?.parse()?);
            let late = (runtime.lateness)(sleep, time);
            PERCENTILES.iter().for_each(|part| println!("{}", percentile(&late, *part).as_nanos()));
        }
        (ARMED_COSTS, Some(armed)) => {
            let costs = armed(arguments.value()?.parse()?);
            println!("{} {}", costs.cancel, costs.fire);
        }
        _ => return Err(format!("{} does not measure {what:?}", runtime.name).into()),
    }
    Ok(())
}
