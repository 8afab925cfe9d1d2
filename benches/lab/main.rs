//! The cost of a server from end to end, on squall and on other runtimes. To begin:
//! `cargo run --release -p squall-benches --features peers --bin lab -- --help`.
//!
//! The server is a process of its own on one core. The load, which is not built on squall, runs on
//! the other core. Every server is one file in `servers/`, and every client one in `clients/`,
//! written as their users would. `measurements.rs` lists what is measured. `subcommands.rs` lists
//! the processes that a measurement starts, and what is made of a report.

mod accepted;
mod bulk;
mod child;
mod clients;
mod connections;
mod costs;
mod counts;
mod cpu;
mod directory;
mod exchange;
mod fairness;
mod figure;
mod full;
mod heap;
mod http;
mod idle;
mod kernel_memory;
mod load;
mod machine;
mod measurements;
mod page;
mod plan;
mod plot;
mod process;
mod report;
mod round;
mod servers;
mod service;
mod subcommands;
mod table;
mod timers;
mod timing;

use std::error::Error;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use lexopt::prelude::*;

use measurements::{GROUPS, MEASUREMENTS};
use plan::Plan;
use report::Report;

const HELP: &str = "\
Options:
  -s, --servers LIST  Which servers, separated by commas [default: all that were built]
  -r, --rounds N      How often each server has its turn where time is measured [default: 5]
  -t, --time SECONDS  How long a round takes where time is measured [default: 2]
      --short         One round of 0.1 s, only the smaller sizes: shows that the measurements work
  -o, --out DIR       Write report.json and report.md to this directory too
  -a, --accept        Let `changes` accept the new counts
  -k, --keep DIR      Keep callgrind's files in this directory, for callgrind_annotate
  -h, --help          Print this help

Of a report:
  lab plot REPORT.json DIR  Draw its pictures into this directory
  lab page REPORT.json PAGE Put its tables into the marked places of a Markdown page

Servers are raw and squall; with the feature `peers` tokio, smol, monoio-epoll, monoio-uring and compio too, and for HTTP
hyper, may_minihttp, actix-web and ntex. Where they are installed: nginx, nginx-no-sendfile and tornado.
Clients are squall; with the feature `peers` hyper-util and reqwest too.
Everything talks to the loopback address of this machine and ends by itself.";

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("lab: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), Box<dyn Error>> {
    let mut plan = Plan::default();
    let (mut names, mut out): (Vec<String>, Option<PathBuf>) = (Vec::new(), None);
    let mut arguments = lexopt::Parser::from_env();
    while let Some(argument) = arguments.next()? {
        match argument {
            Short('s') | Long("servers") => {
                let names = arguments.value()?.string()?;
                plan.servers = names.split(',').map(servers::named).collect::<Result<_, _>>()?;
            }
            Short('r') | Long("rounds") => plan.rounds = arguments.value()?.parse()?,
            Short('t') | Long("time") => {
                plan.time = Duration::try_from_secs_f64(arguments.value()?.parse()?)?;
            }
            Long("short") => plan.shorten(),
            Short('o') | Long("out") => out = Some(arguments.value()?.into()),
            Short('a') | Long("accept") => plan.accepts = true,
            Short('k') | Long("keep") => plan.kept_files = Some(arguments.value()?.into()),
            Short('h') | Long("help") => {
                print_help();
                return Ok(());
            }
            Value(name) => match subcommands::named(&name.string()?) {
                Ok(subcommand) => return subcommand(arguments),
                Err(name) => names.push(name),
            },
            other => return Err(other.unexpected().into()),
        }
    }
    measure(&mut plan, &names, out)
}

fn measure(plan: &mut Plan, names: &[String], out: Option<PathBuf>) -> Result<(), Box<dyn Error>> {
    let mut wanted = Vec::new();
    for name in names {
        wanted.extend(measurements::named(name, plan)?);
    }
    if wanted.is_empty() || plan.rounds == 0 || plan.time.is_zero() {
        return Err("nothing to measure; --help lists the measurements".into());
    }
    let mut report = Report::new(plan);
    prepare()?;
    plan.skip_missing();
    for measurement in wanted {
        for table in (measurement.run)(plan)? {
            println!("\n{}\n\n{}", table.title, table.markdown().trim_end());
            report.tables.push(table);
        }
    }
    out.map_or(Ok(()), |directory| report.save(&directory))
}

fn print_help() {
    println!("Measures what servers and clients cost, on squall and on other runtimes.\n");
    println!("Usage: lab [OPTIONS] MEASUREMENT...\n\nMeasurements:");
    let each = MEASUREMENTS.iter().map(|measurement| (measurement.name, measurement.help));
    for (name, help) in each.chain(GROUPS) {
        println!("  {name:<13} {help}");
    }
    println!("\n{HELP}");
}

/// Pins the load to its core, and raises the descriptor limit to the maximum, which the servers
/// inherit.
fn prepare() -> Result<(), Box<dyn Error>> {
    use rustix::process::{Resource, getrlimit, setrlimit};
    cpu::pin(&[cpu::LOAD]).map_err(|error| format!("two cores are needed: {error}"))?;
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    Ok(setrlimit(Resource::Nofile, limit)?)
}
