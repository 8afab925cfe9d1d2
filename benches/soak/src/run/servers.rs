//! The servers of a run, and the load on them.

use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use rustix::process::Signal;

use crate::chaos::cgroup::Cgroup;
use crate::chaos::stage::{Process, Stage};
use crate::load::Addresses;
use crate::options::Plan;
use crate::records::failure::Target;
use crate::run::child_process::ChildProcess;
use crate::run::journal::Journal;
use crate::run_clock::RunClock;

const START_LIMIT: Duration = Duration::from_secs(20);
/// Longer than a server's grace and the deadlines of its connections.
const END_LIMIT: Duration = Duration::from_secs(30);
/// The bytes that the processes of a server may take. The servers need a tenth; a hog meets the cap.
const MEMORY_CAP: &str = "268435456";

/// The two servers.
pub(crate) struct Servers {
    single: ChildProcess,
    prefork: ChildProcess,
}

impl Servers {
    /// Starts both servers. What they print goes to the journal.
    pub(crate) fn start(
        plan: &Plan,
        clock: RunClock,
        journal: &Arc<Journal>,
    ) -> io::Result<Servers> {
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
        let mut faulty = arguments();
        faulty.push(plan.fault.name().into());
        let single = ChildProcess::start("serve-single", faulty, log, read(Target::Single))?;
        let prefork =
            ChildProcess::start("serve-prefork", arguments(), full, read(Target::Prefork))?;
        Ok(Servers { single, prefork })
    }

    /// Waits until the servers listen, and puts them under their caps.
    pub(crate) fn stage(&self, journal: &Journal) -> io::Result<Stage> {
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
            killing: Default::default(),
            ending: Default::default(),
        })
    }

    /// Starts the load, which pauses.
    pub(crate) fn start_load(
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
    pub(crate) fn end(&mut self, journal: &Journal) {
        for child in [&mut self.single, &mut self.prefork] {
            let ended = child.signal(Signal::TERM).and_then(|()| child.wait(END_LIMIT));
            journal.expect(ended);
        }
    }
}
