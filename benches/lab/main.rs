//! The cost of a server from end to end, on squall and on other runtimes. To begin:
//! `cargo run --release -p squall-benches --features peers --bin lab -- --help`.
//!
//! The server is a process of its own on one core. The load, which is not built on squall, runs on
//! the other core. Every server is one file in `servers/`, and every client one in `clients/`,
//! written as their users would. `measurements.rs` lists what is measured.

mod accepted;
mod bulk;
mod clients;
mod costs;
mod counts;
mod cpu;
mod directory;
mod exchange;
mod fairness;
mod full;
mod heap;
mod http;
mod idle;
mod kernel_memory;
mod load;
mod measurements;
mod plan;
mod process;
mod round;
mod servers;
mod service;
mod table;
mod timing;

use std::error::Error;
use std::process::ExitCode;
use std::time::Duration;

use lexopt::prelude::*;

use clients::Target;
use measurements::MEASUREMENTS;
use plan::Plan;
use process::ServerArgs;

const HELP: &str = "\
Options:
  -s, --servers LIST  Which servers, separated by commas [default: all that were built]
  -r, --rounds N      How often each server has its turn where time is measured [default: 5]
  -t, --time SECONDS  How long a round of echo, connect and http takes [default: 2]
  -a, --accept        Let `changes` accept the new counts
  -k, --keep DIR      Keep callgrind's files in this directory, for callgrind_annotate
  -h, --help          Print this help

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
    let mut wanted = Vec::new();
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
            Short('a') | Long("accept") => plan.accepts = true,
            Short('k') | Long("keep") => plan.kept_files = Some(arguments.value()?.into()),
            Short('h') | Long("help") => {
                print_help();
                return Ok(());
            }
            Value(name) if name == "serve" => return serve(arguments),
            Value(name) if name == "fetch" => return fetch(arguments),
            Value(name) if name == "all" => {
                wanted.extend(MEASUREMENTS.iter().filter(|measurement| !measurement.is_part));
            }
            Value(name) => wanted.push(measurements::named(&name.string()?)?),
            other => return Err(other.unexpected().into()),
        }
    }
    if wanted.is_empty() || plan.rounds == 0 || plan.time.is_zero() {
        return Err("nothing to measure; --help lists the measurements".into());
    }
    prepare()?;
    plan.skip_missing();
    wanted.iter().try_for_each(|measurement| (measurement.run)(&plan))?;
    Ok(())
}

fn print_help() {
    println!("Measures what servers and clients cost, on squall and on other runtimes.\n");
    println!("Usage: lab [OPTIONS] MEASUREMENT...\n\nMeasurements:");
    for measurement in MEASUREMENTS {
        println!("  {:<13} {}", measurement.name, measurement.help);
    }
    println!("  {:<13} all of these\n\n{HELP}", "all");
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

/// Runs the server process: `lab serve SERVER SERVICE [--count-heap] [--descriptors N]`.
fn serve(mut arguments: lexopt::Parser) -> Result<(), Box<dyn Error>> {
    let server = servers::named(&arguments.value()?.string()?)?;
    let mut args = ServerArgs::new(server.name, arguments.value()?.parse()?);
    while let Some(argument) = arguments.next()? {
        match argument {
            Long("count-heap") => args.counts_heap = true,
            Long("descriptors") => args.descriptors = Some(arguments.value()?.parse()?),
            other => return Err(other.unexpected().into()),
        }
    }
    Ok(process::serve(server, args)?)
}

/// Runs the client process: `lab fetch CLIENT PORT BODY_BYTES AT_ONCE SECONDS`.
fn fetch(mut arguments: lexopt::Parser) -> Result<(), Box<dyn Error>> {
    let client = clients::named(&arguments.value()?.string()?)?;
    let target = Target {
        port: arguments.value()?.parse()?,
        body_len: arguments.value()?.parse()?,
        at_once: arguments.value()?.parse()?,
    };
    let time = Duration::try_from_secs_f64(arguments.value()?.parse()?)?;
    Ok(http::fetches::fetch(client, target, time)?)
}
