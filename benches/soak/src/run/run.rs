//! A run, from the first process to the judgement.
//!
//! ```text
//!   start the servers and the load ─▶ learn what they hold
//!        ┌──▶ load and chaos ─▶ pause ─▶ nothing may be left ──┐
//!        └───────────────────── until the time is over ◀───────┘
//!   end the load ─▶ end the servers ─▶ nothing may be left ─▶ judge
//! ```

use std::fs;
use std::io;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use rustix::process::{Resource, getrlimit, setrlimit};
use squall_net::{block_on, signal};

use crate::chaos::Schedule;
use crate::chaos::stage::Ending;
use crate::content;
use crate::options::Plan;
use crate::run::cycle::Cycle;
use crate::run::journal::Journal;
use crate::run::progress::Progress;
use crate::run::rest::Resting;
use crate::run::servers::Servers;
use crate::run::summary::Summary;
use crate::run_clock::RunClock;

/// The load ends when its last requests are answered, or have found that the server hangs.
const END_LIMIT: Duration = Duration::from_secs(30);
/// The exit code after Ctrl-C, as of a shell.
const INTERRUPTED: u8 = 130;

/// Runs the plan. Returns the exit code.
pub(crate) fn run(plan: &Plan) -> io::Result<ExitCode> {
    prepare(plan)?;
    println!("seed {}, written to {}", plan.seed, plan.directory.display());
    let clock = RunClock::begin();
    let journal = Arc::new(Journal::create(&plan.directory)?);
    let mut servers = Servers::start(plan, clock, &journal)?;
    let stage = servers.stage(&journal)?;
    end_at_a_signal(Arc::clone(&stage.ending))?;
    let mut load = servers.start_load(plan, clock, &stage, &journal)?;
    let progress = Progress::new(plan.time);
    let resting = Resting::learn(&journal, &stage).map_err(io::Error::other)?;
    let cycle = Cycle { stage: &stage, journal: &journal, progress: &progress, clock };
    let mut random = fastrand::Rng::with_seed(plan.seed);
    let mut summary = Summary::new(plan, resting.single());
    while summary.cycles == 0 || may_go_on(plan, &cycle) {
        let schedule = match summary.cycles {
            0 => Schedule::rehearsal(plan.cycle, &mut random),
            _ => Schedule::new(plan.cycle, &mut random),
        };
        cycle.run(&mut load, &schedule, plan.cycle)?;
        if let Some(sample) = resting.check(&journal, &stage, clock.seconds()) {
            summary.live_bytes_at_rest.push((sample.at, sample.live_bytes));
        }
        summary.cycles += 1;
    }
    summary.seconds = clock.seconds();
    journal.expect(load.wait(END_LIMIT));
    servers.end(&journal);
    progress.end();
    look_for_panics(&plan.directory.join("single.log"), &journal)?;
    summary.judge(&journal.state());
    summary.write(&plan.directory.join("summary.json"))?;
    summary.print();
    Ok(match (stage.ending.is_set(), summary.violations.is_empty()) {
        (true, _) => ExitCode::from(INTERRUPTED),
        (false, true) => ExitCode::SUCCESS,
        (false, false) => ExitCode::FAILURE,
    })
}

/// Whether another cycle, with its rest, ends in time. A run that has failed does not go on.
fn may_go_on(plan: &Plan, cycle: &Cycle<'_>) -> bool {
    let is_sound = cycle.journal.state().violations.is_empty() && !cycle.stage.ending.is_set();
    is_sound && cycle.clock.seconds() + plan.cycle.as_secs_f64() <= plan.time.as_secs_f64()
}

/// Makes the directory and the static file, and raises the descriptor limit.
fn prepare(plan: &Plan) -> io::Result<()> {
    fs::create_dir_all(plan.directory.join("files"))?;
    fs::write(plan.directory.join("files").join(content::FILE_NAME), content::file())?;
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    Ok(setrlimit(Resource::Nofile, limit)?)
}

/// Lets Ctrl-C and `SIGTERM` end the run in order. A second one ends it at once.
fn end_at_a_signal(ending: Arc<Ending>) -> io::Result<()> {
    let wait = move || match block_on(signal::termination()) {
        Ok(_) => ending.set(),
        Err(error) => log::warn!("signals end the run at once: {error}"),
    };
    thread::Builder::new().name("signals".into()).spawn(wait)?;
    Ok(())
}

fn look_for_panics(log: &Path, journal: &Journal) -> io::Result<()> {
    let text = fs::read_to_string(log)?;
    for line in text.lines().filter(|line| line.contains("panicked at")) {
        journal.violated(format!("in the log: {line}"));
    }
    Ok(())
}
