//! A run, from the first process to the judgement.
//!
//! ```text
//!   start the servers and the load ─▶ learn what they hold
//!        ┌──▶ load and chaos ─▶ pause ─▶ nothing may be left ──┐
//!        └───────────────────── until the time is over ◀───────┘
//!   end the load ─▶ end the servers ─▶ nothing may be left ─▶ judge
//! ```

use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use rustix::process::{Resource, Signal, getrlimit, setrlimit};
use squall_net::{block_on, signal};

use crate::chaos::Schedule;
use crate::chaos::cgroup::Cgroup;
use crate::chaos::stage::{Ending, Process, Stage};
use crate::content;
use crate::load::Addresses;
use crate::options::Plan;
use crate::records::failure::Target;
use crate::run::child_process::ChildProcess;
use crate::run::cycle::Cycle;
use crate::run::journal::Journal;
use crate::run::progress::Progress;
use crate::run::rest::Resting;
use crate::run::summary::Summary;
use crate::run_clock::RunClock;

const START_LIMIT: Duration = Duration::from_secs(20);
/// Longer than a server's grace and the deadlines of its connections.
const END_LIMIT: Duration = Duration::from_secs(30);
/// What the processes of a server may take. The servers need a tenth; a hog meets the cap.
const MEMORY_CAP: &str = "268435456";
/// The exit code after Ctrl-C, as of a shell.
const INTERRUPTED: u8 = 130;

/// Runs the plan. Returns the exit code.
pub(crate) fn run(plan: &Plan) -> io::Result<ExitCode> {
    prepare(plan)?;
    println!("seed {}, written to {}", plan.seed, plan.directory.display());
    let clock = RunClock::begin();
    let journal = Arc::new(Journal::create(&plan.directory)?);
    let mut processes = Processes::start(plan, clock, &journal)?;
    let stage = processes.stage(&journal)?;
    end_at_a_signal(Arc::clone(&stage.ending))?;
    let mut load = processes.start_load(plan, clock, &stage, &journal)?;
    let progress = Progress::new(plan.time);
    let resting = Resting::learn(&journal, &stage).map_err(io::Error::other)?;
    let cycle = Cycle { stage: &stage, journal: &journal, progress: &progress, clock };
    let mut random = fastrand::Rng::with_seed(plan.seed);
    let mut live_bytes_at_rest = Vec::new();
    let mut cycles = 0;
    while !stage.ending.is_set() && (cycles == 0 || has_time(plan, clock)) {
        let schedule = match cycles {
            0 => Schedule::rehearsal(plan.cycle, &mut random),
            _ => Schedule::new(plan.cycle, &mut random),
        };
        cycle.run(&mut load, &schedule, plan.cycle)?;
        if let Some(sample) = resting.check(&journal, &stage, clock.seconds()) {
            live_bytes_at_rest.push((sample.at, sample.live_bytes));
        }
        cycles += 1;
    }
    let seconds = clock.seconds();
    let was_interrupted = stage.ending.is_set();
    expect(&journal, load.wait(END_LIMIT));
    processes.end(&journal);
    progress.end();
    look_for_panics(&plan.directory.join("single.log"), &journal)?;
    let state = journal.state();
    let mut summary = Summary {
        seed: plan.seed,
        rate: plan.rate,
        seconds,
        cycles,
        answers: state.answers,
        slowest_answer: state.slowest_answer,
        excused: state.excused,
        rest: resting.single(),
        live_bytes_at_rest,
        growth: None,
        slope: None,
        ended: state.ended,
        violations: state.violations.clone(),
    };
    drop(state);
    summary.judge();
    summary.write(&plan.directory.join("summary.json"))?;
    summary.print();
    Ok(match (was_interrupted, summary.violations.is_empty()) {
        (true, _) => ExitCode::from(INTERRUPTED),
        (false, true) => ExitCode::SUCCESS,
        (false, false) => ExitCode::FAILURE,
    })
}

/// Whether another cycle, with its rest, ends in time.
fn has_time(plan: &Plan, clock: RunClock) -> bool {
    clock.seconds() + plan.cycle.as_secs_f64() <= plan.time.as_secs_f64()
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

/// The two servers.
struct Processes {
    single: ChildProcess,
    prefork: ChildProcess,
}

impl Processes {
    fn start(plan: &Plan, clock: RunClock, journal: &Arc<Journal>) -> io::Result<Processes> {
        let arguments = || -> Vec<OsString> {
            vec![plan.directory.join("files").into(), clock.origin_nanos().to_string().into()]
        };
        let read = |target| {
            let journal = Arc::clone(journal);
            move |line: &str| journal.take_server_line(target, line)
        };
        let log = File::create(plan.directory.join("single.log"))?;
        // A log that cannot be written must not disturb a server.
        let full = File::options().write(true).open("/dev/full")?;
        let single = ChildProcess::start("serve-single", arguments(), log, read(Target::Single))?;
        let prefork =
            ChildProcess::start("serve-prefork", arguments(), full, read(Target::Prefork))?;
        Ok(Processes { single, prefork })
    }

    /// Waits until the servers listen, and puts them under their caps.
    fn stage(&self, journal: &Journal) -> io::Result<Stage> {
        if !journal.wait(START_LIMIT, |state| state.single.is_some() && state.prefork.is_some()) {
            return Err(io::Error::other("a server does not listen"));
        }
        let single = journal.state().single;
        let prefork = journal.state().prefork;
        let process = |child: &ChildProcess, addresses: Option<Addresses>| {
            let pid = child.pid();
            let name = format!("squall-soak-{}", pid.as_raw_nonzero());
            let memory = Cgroup::holding("memory", &name, pid).and_then(|cgroup| {
                let capped = cgroup.write("memory.limit_in_bytes", MEMORY_CAP);
                capped.map(|()| cgroup).map_err(|error| format!("no memory cap: {error}"))
            });
            let pids = Cgroup::holding("pids", &name, pid);
            let addresses = addresses.expect("it listens");
            Process { pid, addresses, pids, memory }
        };
        Ok(Stage {
            single: process(&self.single, single),
            prefork: process(&self.prefork, prefork),
            ending: Default::default(),
        })
    }

    fn start_load(
        &self,
        plan: &Plan,
        clock: RunClock,
        stage: &Stage,
        journal: &Arc<Journal>,
    ) -> io::Result<ChildProcess> {
        let ports = [stage.single.addresses, stage.prefork.addresses]
            .into_iter()
            .flat_map(|addresses| [addresses.http.port(), addresses.lines.port()])
            .map(|port| port.to_string());
        let rest = [plan.rate.to_string(), plan.seed.to_string(), clock.origin_nanos().to_string()];
        let arguments = ports.chain(rest).map(OsString::from).collect();
        let log = File::create(plan.directory.join("load.log"))?;
        let journal = Arc::clone(journal);
        ChildProcess::start("load", arguments, log, move |line| journal.take_load_line(line))
    }

    /// Ends both servers in order.
    fn end(&mut self, journal: &Journal) {
        for child in [&mut self.single, &mut self.prefork] {
            let ended = child.signal(Signal::TERM).and_then(|()| child.wait(END_LIMIT));
            expect(journal, ended);
        }
    }
}

fn expect(journal: &Journal, outcome: io::Result<()>) {
    if let Err(error) = outcome {
        journal.violated(error.to_string());
    }
}

fn look_for_panics(log: &Path, journal: &Journal) -> io::Result<()> {
    let text = fs::read_to_string(log)?;
    for line in text.lines().filter(|line| line.contains("panicked at")) {
        journal.violated(format!("in the log: {line}"));
    }
    Ok(())
}
