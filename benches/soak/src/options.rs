//! The command line.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use lexopt::prelude::*;

use crate::load::Addresses;
use crate::plot::Window;
use crate::run_clock::RunClock;
use crate::server::fault::Fault;

pub(crate) const HELP: &str = "\
Runs servers on squall under mixed load and chaos, and fails if anything is left or any answer is wrong.

Usage: soak run [OPTIONS]     loads and disturbs the servers, and judges them
       soak plot DIR [FILES] [--from TIME] [--to TIME]
                             draws what a run has written: FILES-memory.svg, FILES-holdings.svg and
                             FILES-latency.svg [default: DIR/soak]

Options of run:
  -t, --time TIME   How long, as 90s, 5m or 1h [default: 5m]
  -c, --cycle TIME  How long acts are carried out, before the servers rest and are counted [default: 30s]
  -r, --rate N      Requests a second of the well-behaved clients [default: 300]
  -s, --seed N      Repeats the schedule and the requests of the run that printed N [default: random]
  -f, --fault NAME  Breaks the server with one loop, so that the run must fail: wrong, hang, panic, task,
                    descriptor or bytes [default: none]
  -o, --out DIR     Where to write samples.jsonl, load.jsonl, acts.jsonl, summary.json and the log
                    [default: a new directory in the temporary one]
  -h, --help        Print this help

Everything talks to 127.0.0.1. As root, and with control groups of version 1, the caps of memory and
threads and `ss -K` take part too; otherwise they are skipped. The exit code is 1 if an expectation was
not met, and 130 after Ctrl-C.";

/// The shortest run and the shortest cycle.
const MIN_TIME: Duration = Duration::from_secs(4);

/// What this process does.
pub(crate) enum Role {
    Run(Plan),
    Plot {
        directory: PathBuf,
        files: PathBuf,
        window: Window,
    },
    Help,
    /// The processes of a run: started by it.
    ServeSingle {
        directory: PathBuf,
        clock: RunClock,
        fault: Fault,
    },
    ServePrefork {
        directory: PathBuf,
        clock: RunClock,
    },
    Load {
        single: Addresses,
        prefork: Addresses,
        rate: f64,
        seed: u64,
        clock: RunClock,
    },
}

/// What a run does.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) time: Duration,
    pub(crate) cycle: Duration,
    pub(crate) rate: f64,
    pub(crate) seed: u64,
    pub(crate) fault: Fault,
    pub(crate) directory: PathBuf,
}

impl Role {
    /// Parses the command line of this process.
    pub(crate) fn from_command_line() -> Result<Role, lexopt::Error> {
        let mut parser = lexopt::Parser::from_env();
        match parser.next()? {
            None | Some(Short('h') | Long("help")) => Ok(Role::Help),
            Some(Value(name)) => match name.to_str() {
                Some("run") => run(parser),
                Some("plot") => plot(parser),
                Some("serve-single") => Ok(Role::ServeSingle {
                    directory: path(&mut parser)?,
                    clock: clock(&mut parser)?,
                    fault: parser.value()?.parse()?,
                }),
                Some("serve-prefork") => Ok(Role::ServePrefork {
                    directory: path(&mut parser)?,
                    clock: clock(&mut parser)?,
                }),
                Some("load") => Ok(Role::Load {
                    single: addresses(&mut parser)?,
                    prefork: addresses(&mut parser)?,
                    rate: parser.value()?.parse()?,
                    seed: parser.value()?.parse()?,
                    clock: clock(&mut parser)?,
                }),
                _ => Err(Value(name).unexpected()),
            },
            Some(argument) => Err(argument.unexpected()),
        }
    }
}

fn run(mut parser: lexopt::Parser) -> Result<Role, lexopt::Error> {
    let default = std::env::temp_dir().join(format!("squall-soak-{}", std::process::id()));
    let mut plan = Plan {
        time: Duration::from_secs(300),
        cycle: Duration::from_secs(30),
        rate: 300.0,
        seed: fastrand::u64(..),
        fault: Fault::None,
        directory: default,
    };
    while let Some(argument) = parser.next()? {
        match argument {
            Short('t') | Long("time") => plan.time = parser.value()?.parse_with(long_time)?,
            Short('c') | Long("cycle") => plan.cycle = parser.value()?.parse_with(long_time)?,
            Short('r') | Long("rate") => plan.rate = parser.value()?.parse_with(rate)?,
            Short('s') | Long("seed") => plan.seed = parser.value()?.parse()?,
            Short('f') | Long("fault") => plan.fault = parser.value()?.parse()?,
            Short('o') | Long("out") => plan.directory = parser.value()?.into(),
            Short('h') | Long("help") => return Ok(Role::Help),
            _ => return Err(argument.unexpected()),
        }
    }
    plan.cycle = plan.cycle.min(plan.time / 2);
    Ok(Role::Run(plan))
}

fn plot(mut parser: lexopt::Parser) -> Result<Role, lexopt::Error> {
    let directory = path(&mut parser)?;
    let (mut files, mut window) = (directory.join("soak"), Window::WHOLE);
    while let Some(argument) = parser.next()? {
        match argument {
            Value(path) => files = path.into(),
            Long("from") => window.from = parser.value()?.parse_with(time)?.as_secs_f64(),
            Long("to") => window.to = parser.value()?.parse_with(time)?.as_secs_f64(),
            _ => return Err(argument.unexpected()),
        }
    }
    Ok(Role::Plot { directory, files, window })
}

/// Parses a time with its unit.
fn time(text: &str) -> Result<Duration, &'static str> {
    let units = [('s', 1.0), ('m', 60.0), ('h', 3600.0)];
    let parsed = units.iter().find_map(|(unit, seconds)| {
        let number: f64 = text.strip_suffix(*unit)?.parse().ok()?;
        Duration::try_from_secs_f64(number * seconds).ok()
    });
    match parsed {
        Some(time) => Ok(time),
        None => Err("a time is written as 90s, 5m or 1h"),
    }
}

/// Parses the time of a run or cycle.
fn long_time(text: &str) -> Result<Duration, &'static str> {
    match time(text)? {
        time if time >= MIN_TIME => Ok(time),
        _ => Err("at least 4s are needed"),
    }
}

fn rate(text: &str) -> Result<f64, &'static str> {
    match text.parse() {
        Ok(rate) if (1.0..=100_000.0).contains(&rate) => Ok(rate),
        _ => Err("a rate of 1 to 100000 is needed"),
    }
}

fn path(parser: &mut lexopt::Parser) -> Result<PathBuf, lexopt::Error> {
    Ok(parser.value()?.into())
}

fn clock(parser: &mut lexopt::Parser) -> Result<RunClock, lexopt::Error> {
    Ok(RunClock::since(parser.value()?.parse()?))
}

fn addresses(parser: &mut lexopt::Parser) -> Result<Addresses, lexopt::Error> {
    let mut address = || Ok::<_, lexopt::Error>((Ipv4Addr::LOCALHOST, parser.value()?.parse()?));
    let (http, lines): ((Ipv4Addr, u16), (Ipv4Addr, u16)) = (address()?, address()?);
    Ok(Addresses { http: SocketAddr::from(http), lines: SocketAddr::from(lines) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_units() {
        assert_eq!(time("90s"), Ok(Duration::from_secs(90)));
        assert_eq!(time("5m"), Ok(Duration::from_secs(300)));
        assert_eq!(time("0.5h"), Ok(Duration::from_secs(1800)));
        for bad in ["", "5", "m", "-5m", "5 m x", "1e300h"] {
            assert!(time(bad).is_err(), "{bad}");
        }
    }
}
