//! Measures what each public operation costs: allocations, atomics, system calls, clock reads and
//! instructions. `docs/cost-sheet.md` has the results; `--check` compares it with new ones.
//!
//! The program runs its operations in a process under callgrind and in one under strace. A run of a
//! few operations and one of many are measured, and the difference is divided by the difference of
//! their numbers. So the figures hardly vary, and what is done once is not in them.

mod atomics;
mod callgrind;
mod cost;
#[path = "../lab/directory.rs"]
mod directory;
mod limit;
mod meter;
mod operations;
mod runs;
mod sheet;
mod strace;

use std::collections::BTreeMap;
use std::env;
use std::error::Error;
use std::process::{Command, ExitCode};

use cost::Cost;
use lexopt::prelude::*;
use meter::Meter;
use operations::GROUPS;

const HELP: &str = "\
Measures the cost of squall's operations, and prints it.

Usage: cost_sheet [OPTIONS] [WORD...]
  WORD           Only operations that have this in their names
  --check        Compare docs/cost-sheet.md with what is measured
  --write        Write what is measured into docs/cost-sheet.md
  -h, --help     Print this help

valgrind, strace and objdump must be installed, and the processor must be an x86-64.";

#[derive(PartialEq)]
enum Goal {
    Print,
    Check,
    Write,
}

fn main() -> ExitCode {
    match run() {
        Ok(code) => code,
        Err(error) => {
            eprintln!("cost_sheet: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<ExitCode, Box<dyn Error>> {
    let (mut goal, mut words, mut is_child) = (Goal::Print, Vec::new(), false);
    let mut arguments = lexopt::Parser::from_env();
    while let Some(argument) = arguments.next()? {
        match argument {
            Long("check") => goal = Goal::Check,
            Long("write") => goal = Goal::Write,
            Short('h') | Long("help") => {
                println!("{HELP}");
                return Ok(ExitCode::SUCCESS);
            }
            Value(word) if word == "run" => is_child = true,
            Value(word) => words.push(word.string()?),
            other => return Err(other.unexpected().into()),
        }
    }
    if is_child {
        run_operations(&words);
        return Ok(ExitCode::SUCCESS);
    }
    if goal != Goal::Print && !words.is_empty() {
        return Err("a part of the sheet can only be printed".into());
    }
    let costs = measure(&words)?;
    match goal {
        Goal::Print => println!("{}", sheet::tables(&costs)),
        Goal::Write => sheet::write(&costs, &compiler()?)?,
        Goal::Check => return check(&costs),
    }
    Ok(ExitCode::SUCCESS)
}

/// Does the operations that have one of the words in their names, in the process under a tool.
fn run_operations(words: &[String]) {
    for operation in GROUPS.iter().flat_map(|group| group.operations) {
        if words.is_empty() || words.iter().any(|word| operation.name.contains(word.as_str())) {
            (operation.run)(Meter::new(operation.name));
        }
    }
}

fn measure(words: &[String]) -> Result<BTreeMap<String, Cost>, Box<dyn Error>> {
    let program = env::current_exe()?;
    let mut costs = Cost::of_operations(&callgrind::measure(&program, words)?);
    for (name, cost) in Cost::of_operations(&strace::measure(&program, words)?) {
        costs.entry(name).or_default().add(&cost, 1.0);
    }
    Ok(costs)
}

fn check(costs: &BTreeMap<String, Cost>) -> Result<ExitCode, Box<dyn Error>> {
    let differences = sheet::differences(costs)?;
    if differences.is_empty() {
        println!("all {} costs are as docs/cost-sheet.md says", costs.len());
        return Ok(ExitCode::SUCCESS);
    }
    differences.iter().for_each(|difference| println!("{difference}"));
    println!("If the costs are meant to be so: cost_sheet --write");
    Ok(ExitCode::FAILURE)
}

/// The version of the compiler on this machine.
fn compiler() -> Result<String, Box<dyn Error>> {
    let output = Command::new("rustc").arg("--version").output()?;
    let version = String::from_utf8(output.stdout)?;
    let words: Vec<_> = version.split_whitespace().take(2).collect();
    Ok(words.join(" "))
}
