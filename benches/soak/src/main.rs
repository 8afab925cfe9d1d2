//! Soak: hours of mixed load and chaos against servers on squall. To begin:
//! `cargo run --release -p squall-soak -- --help`.
//!
//! A run starts three processes of this program: a server with one loop (`server/single.rs`), one
//! with forked workers (`server/prefork.rs`), and a load of well-behaved clients, which is not built on
//! squall (`load/`). It disturbs the servers (`chaos/`), and lets them rest once in each cycle. Then
//! nothing may be left (`run/run.rs`). `plot` draws what the run has written.

mod chaos;
mod content;
mod heap;
mod load;
mod options;
mod plot;
mod records;
mod run;
mod run_clock;
mod server;

use std::error::Error;
use std::process::ExitCode;

use options::{HELP, Role};
use rustix::process::{Signal, set_parent_process_death_signal};

fn main() -> ExitCode {
    env_logger::Builder::from_env(env_logger::Env::default().default_filter_or("warn")).init();
    let role = match Role::from_command_line() {
        Ok(role) => role,
        Err(error) => {
            eprintln!("soak: {error} (try --help)");
            return ExitCode::from(2);
        }
    };
    play(role).unwrap_or_else(|error| {
        log::error!("{error}");
        ExitCode::FAILURE
    })
}

fn play(role: Role) -> Result<ExitCode, Box<dyn Error>> {
    match role {
        Role::Help => println!("{HELP}"),
        Role::Run(plan) => return Ok(run::run(&plan)?),
        Role::Plot { directory, files, window } => plot::draw(&directory, &files, window)?,
        Role::ServeSingle { directory, clock, fault } => {
            end_with_the_run()?;
            server::serve_single(&directory, clock, fault)?;
        }
        Role::ServePrefork { directory, clock } => {
            end_with_the_run()?;
            server::serve_prefork(&directory, clock)?;
        }
        Role::Load { single, prefork, rate, seed, clock } => {
            end_with_the_run()?;
            load::run(single, prefork, rate, seed, clock)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// No process outlives the run that started it.
fn end_with_the_run() -> std::io::Result<()> {
    Ok(set_parent_process_death_signal(Some(Signal::TERM))?)
}
