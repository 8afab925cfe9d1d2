//! The command line.

use std::env;
use std::error::Error;
use std::io;
use std::process::Command;

use lexopt::prelude::*;

use crate::fault::{Direction, Fault};
use crate::point::Point;
use crate::program::{Shortened, Treatment};
use crate::scenarios::Scenario;

pub(crate) const HELP: &str = "\
usage: sweep [--all | --points N] [--seed S] [--scenario NAME] [--only TEXT] [--list]

Fails each of the first 400 system calls of small programs in turn, and prints a table of the outcomes.

  --all            every point
  --points N       about N points, spread over all (1000)
  --seed S         where the spread begins (1)
  --scenario NAME  only this scenario
  --only TEXT      only points whose description contains TEXT, for example \"recvfrom 17, EINTR\"
  --list           print the points, and run none";

/// What to do.
pub(crate) enum Options {
    Help,
    /// Run points of the sweep.
    Sweep(Choice),
    /// Be the program that is swept.
    Program {
        scenario: String,
        treatment: Treatment,
    },
}

/// Which points to run.
pub(crate) struct Choice {
    pub(crate) spread: Spread,
    pub(crate) scenario: Option<String>,
    /// A part of the points' descriptions.
    pub(crate) only: Option<String>,
    /// Whether to print the points, and to run none.
    pub(crate) is_list: bool,
}

/// How many points to run.
#[derive(Clone, Copy)]
pub(crate) enum Spread {
    All,
    /// About so many, spread over all.
    Some {
        points: usize,
        seed: usize,
    },
}

impl Options {
    /// # Errors
    /// If the command line is not as [`HELP`] says.
    pub(crate) fn read() -> Result<Options, Box<dyn Error>> {
        let mut arguments = lexopt::Parser::from_env();
        let (mut is_all, mut points, mut seed) = (false, 1000, 1);
        let (mut scenario, mut only, mut is_list) = (None, None, false);
        let mut program = None;
        let mut treatment = Treatment { is_traced: false, shortened: None };
        while let Some(argument) = arguments.next()? {
            match argument {
                Long("all") => is_all = true,
                Long("points") => points = arguments.value()?.parse()?,
                Long("seed") => seed = arguments.value()?.parse()?,
                Long("only") => only = Some(arguments.value()?.string()?),
                Long("list") => is_list = true,
                Long("scenario") => scenario = Some(arguments.value()?.string()?),
                Long("program") => program = Some(arguments.value()?.string()?),
                Long("traced") => treatment.is_traced = true,
                Long("receive") => {
                    treatment.shortened = shortened(Direction::Receive, &mut arguments)?;
                }
                Long("send") => treatment.shortened = shortened(Direction::Send, &mut arguments)?,
                Long("help") => return Ok(Options::Help),
                _ => return Err(argument.unexpected().into()),
            }
        }
        if let Some(scenario) = program {
            return Ok(Options::Program { scenario, treatment });
        }
        let is_all = is_all || only.is_some();
        let spread = if is_all { Spread::All } else { Spread::Some { points, seed } };
        Ok(Options::Sweep(Choice { spread, scenario, only, is_list }))
    }
}

/// The number of a call to shorten; with a `+` behind it, of the first of all that are shortened.
fn shortened(
    direction: Direction,
    arguments: &mut lexopt::Parser,
) -> Result<Option<Shortened>, Box<dyn Error>> {
    let text = arguments.value()?.string()?;
    let nth = text.trim_end_matches('+').parse()?;
    Ok(Some(Shortened { direction, nth, is_lasting: text.ends_with('+') }))
}

/// The command that runs a scenario, with the options that [`Options::read`] reads there.
///
/// # Errors
/// If this program's own path is not known.
pub(crate) fn program(
    scenario: &Scenario,
    point: Option<&Point>,
    is_traced: bool,
) -> io::Result<Command> {
    let mut command = Command::new(env::current_exe()?);
    command.args(["--program", scenario.name]);
    if is_traced {
        command.arg("--traced");
    }
    if let Some(Point { fault: Fault::ShortenSocket(direction), nth, step, .. }) = point {
        let direction = match direction {
            Direction::Receive => "--receive",
            Direction::Send => "--send",
        };
        let lasting = if step.is_some() { "+" } else { "" };
        command.args([direction, &format!("{nth}{lasting}")]);
    }
    Ok(command)
}
