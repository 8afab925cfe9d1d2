//! The cost of a server from end to end, on squall and on other runtimes. To begin:
//! `cargo run --release -p squall-benches --features peers --bin lab -- --help`.
//!
//! The server is a process of its own on one core. The load, which is not built on squall, runs on
//! the other core. Every server is one file in `servers/`, written as the users of its runtime
//! would.

mod accepted;
mod bulk;
mod counts;
mod cpu;
mod exchange;
mod full;
mod heap;
mod idle;
mod load;
mod plan;
mod process;
mod servers;
mod service;
mod table;
mod timing;

use std::error::Error;
use std::process::ExitCode;
use std::time::Duration;

use lexopt::prelude::*;

use exchange::Exchange;
use plan::Plan;
use process::ServerArgs;

const HELP: &str = "\
Measures what a server costs, on squall and on other runtimes.

Usage: lab [OPTIONS] MEASUREMENT...

Measurements:
  echo          CPU time of a request: 64 connections send 64 bytes and wait for them
  connect       CPU time of a connection: connect, 64 bytes each way, close
  http          CPU time of an HTTP request on a connection that stays open, then of 16 at once
  instructions  user-space instructions of these, by callgrind (needs valgrind)
  changes       squall's instructions beside the accepted ones in benches/accepted_instructions.txt
  calls         system calls of these, by strace (needs strace)
  idle          heap, memory and CPU time of 19,000 connections on which nothing happens
  bulk          1 GiB to and from the server, on one stream and on 64
  full          squall while its descriptors have run out, and after (needs strace)
  all           all of these

Options:
  -s, --servers LIST  Which servers, separated by commas [default: all that were built]
  -r, --rounds N      How often each server has its turn in echo, connect, http and bulk [default: 5]
  -t, --time SECONDS  How long a round of echo, connect and http takes [default: 2]
  -a, --accept        Let `changes` accept the new counts
  -k, --keep DIR      Keep callgrind's files in this directory, for callgrind_annotate
  -h, --help          Print this help

Servers are raw and squall; with the feature `peers` tokio, smol, monoio-epoll, monoio-uring and compio too, and for HTTP
hyper, may_minihttp, actix-web and ntex.
Everything talks to the loopback address of this machine and ends by itself.";

/// All measurements, in the order in which `all` runs them.
const MEASUREMENTS: [&str; 9] =
    ["echo", "connect", "http", "instructions", "changes", "calls", "idle", "bulk", "full"];

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
                println!("{HELP}");
                return Ok(());
            }
            Value(name) if name == "serve" => return serve(arguments),
            Value(name) if name == "all" => wanted.extend(MEASUREMENTS),
            Value(name) => {
                let known = MEASUREMENTS.iter().find(|known| name == **known);
                let known = known.ok_or_else(|| format!("no measurement is called {name:?}"))?;
                wanted.push(known);
            }
            other => return Err(other.unexpected().into()),
        }
    }
    if wanted.is_empty() || plan.rounds == 0 || plan.time.is_zero() {
        return Err("nothing to measure; --help lists the measurements".into());
    }
    prepare()?;
    for measurement in wanted {
        match measurement {
            "echo" => timing::measure(
                &plan,
                Exchange::Echo,
                "64 connections send 64 bytes and wait for them",
            )?,
            "connect" => timing::measure(
                &plan,
                Exchange::Connection,
                "A connection a request: connect, 64 bytes each way, close",
            )?,
            "http" => {
                timing::measure(
                    &plan,
                    Exchange::Http,
                    "64 connections send an HTTP request and wait for the answer",
                )?;
                timing::measure(
                    &plan,
                    Exchange::Pipelined,
                    "64 connections send 16 HTTP requests at once and wait for the answers",
                )?;
            }
            "instructions" => counts::instructions(&plan)?,
            "changes" => accepted::compare(&plan)?,
            "calls" => counts::calls(&plan)?,
            "idle" => idle::measure(&plan)?,
            "bulk" => bulk::measure(&plan)?,
            _ => full::measure(&plan)?,
        }
    }
    Ok(())
}

/// Pins the load to its core, and raises the descriptor limit to the maximum, which the servers
/// inherit.
fn prepare() -> Result<(), Box<dyn Error>> {
    use rustix::process::{Resource, getrlimit, setrlimit};
    cpu::pin(cpu::LOAD).map_err(|error| format!("two cores are needed: {error}"))?;
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
