//! Signals.

use std::time::{Duration, Instant};

use rustix::process::{Signal, kill_process};

use crate::chaos::outcome::Outcome;
use crate::chaos::stage::Stage;
use crate::load::Answer;
use crate::load::connection::Connection;
use crate::load::request::Request;

/// How long a server stands still.
const STOPPED: Duration = Duration::from_secs(1);
/// Requests that a server finds at once when it goes on, and the bytes of each answer. All are in work
/// at the same time, so that the loop's caches grow to their full size in the first cycle.
const BURST: usize = 300;
const BURST_ANSWER: usize = 200_000;
/// Longer than a worker takes to be replaced, so that its end excuses no later failure.
const REPLACEMENT: Duration = Duration::from_millis(1500);
/// Longer than it takes to replace all workers: each successor has to live for a second, and each worker
/// may drain for five.
const RESTART_LIMIT: Duration = Duration::from_secs(14);
/// If there are no more workers than usual for this time, the restart is over.
const RESTART_STEP: Duration = Duration::from_millis(1500);
const TICK: Duration = Duration::from_millis(100);

/// Stops the single server for a second. Requests that come meanwhile are answered.
pub(crate) fn stop(stage: &Stage) -> Outcome {
    let burst = Request::stream(1, BURST_ANSWER);
    let opened = (0..BURST).map(|_| Connection::open(stage.single.addresses.http)).collect();
    let opened: std::io::Result<Vec<_>> = opened;
    let mut clients = match opened {
        Ok(clients) => clients,
        Err(error) => return Outcome::Violation(format!("connect: {error}")),
    };
    if let Err(error) = kill_process(stage.single.pid, Signal::STOP) {
        return Outcome::Violation(format!("SIGSTOP: {error}"));
    }
    let sent = clients.iter_mut().try_for_each(|client| client.send(&burst.bytes));
    stage.ending.wait(STOPPED);
    if let Err(error) = kill_process(stage.single.pid, Signal::CONT) {
        return Outcome::Violation(format!("SIGCONT: {error}"));
    }
    let answered = sent.and_then(|()| {
        clients.iter_mut().try_for_each(|client| match Answer::read(client)? {
            answer if answer.body == burst.expected => Ok(()),
            answer => Err(std::io::Error::other(format!("status {} in a burst", answer.status))),
        })
    });
    Outcome::of(answered.map(|()| format!("stopped for {STOPPED:?}, then {BURST} answers")))
}

/// Kills a worker.
pub(crate) fn kill_worker(stage: &Stage, random: &mut fastrand::Rng) -> Outcome {
    let alone = stage.kill_alone();
    let workers = stage.workers();
    if workers.is_empty() {
        return Outcome::Violation("there is no worker".into());
    }
    let worker = workers[random.usize(..workers.len())];
    if kill_process(worker, Signal::KILL).is_err() {
        return Outcome::Done("the worker had ended already".into());
    }
    drop(alone);
    stage.ending.wait(REPLACEMENT);
    Outcome::Done(format!("killed worker {}", worker.as_raw_nonzero()))
}

/// Replaces the workers one by one, and waits for the end of that. It ends early if a new worker is killed
/// in its first second. The workers of before may all have been killed while it goes on.
pub(crate) fn rolling_restart(stage: &Stage) -> Outcome {
    let before = stage.workers();
    if let Err(error) = kill_process(stage.prefork.pid, Signal::HUP) {
        return Outcome::Violation(format!("the supervisor is gone: {error}"));
    }
    let begin = Instant::now();
    // While a worker is replaced, there is one more.
    let mut usual_since = Instant::now();
    loop {
        let after = stage.workers();
        if after.len() != before.len() {
            usual_since = Instant::now();
        }
        let is_over = usual_since.elapsed() > RESTART_STEP || begin.elapsed() > RESTART_LIMIT;
        if is_over || stage.ending.wait(TICK) {
            let left = before.iter().filter(|worker| after.contains(worker)).count();
            return Outcome::Done(format!("{} workers replaced, {left} not", before.len() - left));
        }
    }
}
