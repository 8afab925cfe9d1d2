//! Measures simulated hosts, and prints a Markdown table.
//!
//! ```text
//! cargo run --release -p squall-simulation-bench --features sim,turmoil
//! cargo run --release -p squall-simulation-bench --features sim -- http     one part alone
//! ```

mod echo;
mod http;
mod idle;
mod marked;
mod seeds;
#[cfg(feature = "turmoil")]
mod turmoil_echo;

use std::error::Error;
use std::time::{Duration, Instant};

use lexopt::prelude::*;
use squall_net::sim::Simulation;

const HELP: &str = "\
Measures simulated hosts.

Usage: simulation_bench [--rounds N] [PART]...

  --rounds N   The fastest of so many is shown [default: 3]
  PART         echo, idle, http, seeds, hashes or marked. By default the first four.
               hashes: the hash of each run's trace, to compare two builds
               marked: one run between two lines on standard error, to count its system calls";

/// A line of the table.
struct Row {
    what: String,
    wall: Duration,
    figure: String,
    goal: &'static str,
}

/// The shortest time of several rounds.
fn fastest(rounds: u32, mut run: impl FnMut()) -> Duration {
    let time = |_| {
        let started = Instant::now();
        run();
        started.elapsed()
    };
    (0..rounds.max(1)).map(time).min().unwrap_or_default()
}

fn per_second(count: u64, time: Duration) -> f64 {
    f64::from(u32::try_from(count).unwrap_or(u32::MAX)) / time.as_secs_f64()
}

fn print_hashes() {
    println!("echo, one at a time: {:016x}", echo::run(echo::SINGLE).trace().hash());
    println!("echo, 16 at once: {:016x}", echo::run(echo::PIPELINED).trace().hash());
    println!("idle: {:016x}", idle::run().trace().hash());
    println!("http: {:016x}", http::run().trace().hash());
    for seed in 0..20 {
        let simulation = Simulation::new(seed);
        seeds::test(&simulation);
        println!("seed {seed}: {:016x}", simulation.trace().hash());
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut parts = Vec::new();
    let mut rounds = 3;
    let mut arguments = lexopt::Parser::from_env();
    while let Some(argument) = arguments.next()? {
        match argument {
            Long("rounds") => rounds = arguments.value()?.parse()?,
            Short('h') | Long("help") => {
                println!("{HELP}");
                return Ok(());
            }
            Value(part) => parts.push(part.string()?),
            _ => return Err(argument.unexpected().into()),
        }
    }
    if parts.is_empty() {
        parts = ["echo", "idle", "http", "seeds"].map(str::to_owned).into();
    }
    let mut rows = Vec::new();
    for part in &parts {
        match part.as_str() {
            "echo" => echo::measure(rounds, &mut rows),
            "idle" => idle::measure(rounds, &mut rows),
            "http" => http::measure(rounds, &mut rows),
            "seeds" => seeds::measure(rounds, &mut rows)?,
            "marked" => marked::run(),
            "hashes" => print_hashes(),
            other => return Err(format!("there is no part {other}\n\n{HELP}").into()),
        }
    }
    if !rows.is_empty() {
        println!("| what | wall time, s | figure | goal |\n|---|---|---|---|");
        for Row { what, wall, figure, goal } in rows {
            println!("| {what} | {:.3} | {figure} | {goal} |", wall.as_secs_f64());
        }
    }
    Ok(())
}
