//! Limits that the kernel sets.

use std::fs;
use std::io;
use std::thread;
use std::time::Duration;

use rustix::process::{Resource, Rlimit, prlimit};

use crate::chaos::outcome::Outcome;
use crate::chaos::stage::Stage;
use crate::load::Answer;
use crate::load::connection::Connection;
use crate::load::request::Request;

/// The longest time without descriptors or threads.
const MAX_TIME: Duration = Duration::from_secs(2);
/// Jobs at once without a free thread.
const JOBS: usize = 20;

/// Lowers the descriptor limit of the single server to what is open. New connections wait, and are
/// answered when the limit is raised again.
pub(crate) fn emfile(stage: &Stage, span: Duration) -> Outcome {
    let pid = stage.single.pid;
    let open = match fs::read_dir(format!("/proc/{}/fd", pid.as_raw_nonzero())) {
        Ok(descriptors) => descriptors.count() as u64,
        Err(error) => return Outcome::Violation(format!("the single server is gone: {error}")),
    };
    let maximum = rustix::process::getrlimit(Resource::Nofile).maximum;
    let lowered = Rlimit { current: Some(open), maximum };
    let former = match prlimit(Some(pid), Resource::Nofile, lowered) {
        Ok(former) => former,
        Err(error) => return Outcome::Skipped(format!("prlimit: {error}")),
    };
    let waiting: io::Result<Vec<Connection>> = (0..20)
        .map(|_| {
            let mut client = Connection::open(stage.single.addresses.http)?;
            client.send(&Request::hello().bytes)?;
            Ok(client)
        })
        .collect();
    stage.ending.wait(span.min(MAX_TIME));
    if let Err(error) = prlimit(Some(pid), Resource::Nofile, former) {
        return Outcome::Violation(format!("the descriptor limit stays low: {error}"));
    }
    let answered = waiting.and_then(|mut clients| {
        clients.iter_mut().try_for_each(|client| match Answer::read(client)?.status {
            200 => Ok(()),
            status => Err(io::Error::other(format!("status {status} after EMFILE"))),
        })
    });
    Outcome::of(answered.map(|()| format!("no descriptor beyond {open}")))
}

/// Lets the single server start no thread. Jobs wait for the threads that there are, or are refused in
/// order.
pub(crate) fn pids_cap(stage: &Stage, span: Duration) -> Outcome {
    let cgroup = match &stage.single.pids {
        Ok(cgroup) => cgroup,
        Err(why) => return Outcome::Skipped(why.clone()),
    };
    if let Err(error) = cgroup.write("pids.max", "1") {
        return Outcome::Skipped(error.to_string());
    }
    let statuses: Vec<io::Result<u16>> = thread::scope(|scope| {
        let ask = |milliseconds| {
            let mut client = Connection::open(stage.single.addresses.http)?;
            client.send(
                format!("GET /nap/{milliseconds} HTTP/1.1\r\nHost: soak\r\n\r\n").as_bytes(),
            )?;
            Ok(Answer::read(&mut client)?.status)
        };
        let asking: Vec<_> = (1..=JOBS).map(|n| scope.spawn(move || ask(n * 10))).collect();
        let panicked = |_| Err(io::Error::other("a client panicked"));
        let statuses = asking.into_iter().map(|client| client.join().unwrap_or_else(panicked));
        statuses.collect()
    });
    stage.ending.wait(span.min(MAX_TIME));
    if let Err(error) = cgroup.write("pids.max", "max") {
        return Outcome::Violation(format!("the pids limit stays low: {error}"));
    }
    let mut refused = 0;
    for status in statuses {
        match status {
            Ok(200) => {}
            Ok(503) => refused += 1,
            other => return Outcome::Violation(format!("a job without a thread got {other:?}")),
        }
    }
    Outcome::Done(format!("{JOBS} jobs without a new thread, {refused} of them refused"))
}

/// Lets a worker grow until the kernel kills it.
pub(crate) fn memory_hog(stage: &Stage) -> Outcome {
    if let Err(why) = &stage.prefork.memory {
        return Outcome::Skipped(why.clone());
    }
    let _alone = stage.kill_alone();
    let ask = || {
        let mut client = Connection::open(stage.prefork.addresses.http)?;
        client.send(b"GET /hog HTTP/1.1\r\nHost: soak\r\n\r\n")?;
        Answer::read(&mut client)
    };
    match ask() {
        Ok(answer) => Outcome::Violation(format!("the hog lives on: status {}", answer.status)),
        Err(error) => Outcome::Done(format!("the kernel killed a worker: {error}")),
    }
}
