//! The parent of pre-fork: starts, replaces and ends the workers.
//!
//! It has no event loop and no signal handler. It blocks its signals, and sleeps until one is
//! pending or something is due.
//!
//! ```text
//!     ┌────────────── after a delay ◀──────────────────────┐
//!     ▼                                                    │
//!   start ──▶ running ── ended ──┬── code 0: not replaced  │
//!                │               └── anything else ────────┘
//!                └── told to end (SIGTERM, SIGINT, a rolling restart) ── ended: not replaced
//! ```
//!
//! A rolling restart replaces one worker number after the other. The former worker is told to end
//! only when its successor has settled. So if a new release cannot start, the restart stops, and
//! every running worker stays.
//!
//! ```text
//!   start the successor ── runs for a second ──▶ tell the former to end ── ended ──▶ next number
//!                       └─ ended before: the former worker stays, and the restart stops
//! ```

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::io;
use std::os::unix::process::{ExitStatusExt, parent_id};
use std::process::ExitStatus;
use std::time::{Duration, Instant};

use crate::sys::{self, BlockedSignals, TakenSignal};
use crate::workers::fork_options::{ForkOptions, Role};

/// A worker that has run for this time has settled: a later failure does not come from its start.
const SETTLE_TIME: Duration = Duration::from_secs(1);
/// The signals that the parent handles or forwards.
const SIGNALS: [i32; 5] = [libc::SIGTERM, libc::SIGINT, libc::SIGHUP, libc::SIGUSR1, libc::SIGUSR2];
/// The signals that end a worker. A worker that was told to end may be ended by any of them,
/// because it may get signals from the parent, the group and the terminal at the same time.
const ENDING_SIGNALS: [i32; 3] = [libc::SIGTERM, libc::SIGINT, libc::SIGHUP];
/// The longest time that the parent sleeps.
const LONGEST_SLEEP: Duration = Duration::from_secs(3600);

pub(crate) struct Supervisor {
    options: ForkOptions,
    signals: BlockedSignals,
    /// At most two have the same number: during a rolling restart, a worker and its successor.
    workers: Vec<Worker>,
    /// Worker numbers to start again, with the time of each start.
    pending_starts: Vec<(Instant, usize)>,
    /// The last restart delay of each number that has failed.
    delays: HashMap<usize, Duration>,
    /// How many failed workers were replaced.
    restarts: usize,
    /// Numbers that the current rolling restart has still to replace.
    roll_queue: VecDeque<usize>,
    /// The process that the rolling restart has started last; `None` once it has settled.
    successor: Option<i32>,
    /// Whether another rolling restart begins after the current one.
    is_roll_requested: bool,
    /// Whether all workers were told to end. None is replaced any more.
    is_ending: bool,
    /// The error that `run` returns when all workers have ended.
    failure: Option<io::Error>,
}

struct Worker {
    number: usize,
    pid: i32,
    started: Instant,
    /// When the worker was first told to end.
    told_to_end_at: Option<Instant>,
    /// The ending signals that the parent or the terminal has sent it, each once.
    ending_signals: Vec<i32>,
    /// Whether an ending signal was pending in the parent when this worker was forked. If the
    /// signal went to the whole group, it may have come before the fork, so that this worker missed
    /// it.
    may_have_missed_signal: bool,
    /// Whether the parent has killed it because its grace was over.
    is_killed: bool,
}

impl Worker {
    /// Sends an ending signal, but never the same one twice. A worker that drains may no longer
    /// handle the signal; a second one would end the worker in the middle of a response.
    fn tell_to_end(&mut self, signal: i32) {
        if self.record_signal(signal) {
            // Fails if the worker has ended. Its process id is not used again before `reap`.
            let _ = sys::kill(self.pid, signal);
        }
    }

    /// Records that the worker was sent `signal`. Returns false if it was sent that signal before.
    fn record_signal(&mut self, signal: i32) -> bool {
        self.told_to_end_at.get_or_insert_with(Instant::now);
        let is_new = !self.ending_signals.contains(&signal);
        if is_new {
            self.ending_signals.push(signal);
        }
        is_new
    }
}

impl Supervisor {
    pub(crate) fn new(options: ForkOptions) -> Supervisor {
        Supervisor {
            options,
            signals: BlockedSignals::new(&SIGNALS),
            workers: Vec::new(),
            pending_starts: Vec::new(),
            delays: HashMap::new(),
            restarts: 0,
            roll_queue: VecDeque::new(),
            successor: None,
            is_roll_requested: false,
            is_ending: false,
            failure: None,
        }
    }

    /// Runs the parent until all workers have ended. Returns early in each worker.
    pub(crate) fn run(mut self, n: usize) -> io::Result<Role> {
        for number in 0..n {
            match self.start(number) {
                Ok(None) => {}
                Ok(Some(role)) => return Ok(role),
                Err(error) => {
                    log::error!("cannot start worker {number}: {error}");
                    self.failure = Some(error);
                    self.end_all(libc::SIGTERM, false);
                    break;
                }
            }
        }
        loop {
            self.reap();
            if let Some(role) = self.start_due().or_else(|| self.continue_roll()) {
                return Ok(role);
            }
            if self.workers.is_empty() && self.pending_starts.is_empty() {
                break;
            }
            self.kill_overdue();
            if let Some(taken) = self.signals.take(self.time_until_due()) {
                self.handle_signal(taken);
            }
        }
        // Signals that are still pending need no action: all workers have ended. The drop of
        // `self.signals` would deliver them, and they would end this process.
        if self.is_ending {
            self.signals.discard_pending();
        }
        match self.failure.take() {
            Some(failure) => Err(failure),
            None => Ok(Role::Supervisor),
        }
    }

    /// Forks one worker. Returns `Some` in the child.
    fn start(&mut self, number: usize) -> io::Result<Option<Role>> {
        let parent = std::process::id();
        match sys::fork()? {
            Some(pid) => {
                let started = Instant::now();
                self.workers.push(Worker {
                    number,
                    pid,
                    started,
                    told_to_end_at: None,
                    ending_signals: Vec::new(),
                    may_have_missed_signal: self.signals.has_pending(&ENDING_SIGNALS),
                    is_killed: false,
                });
                Ok(None)
            }
            None => {
                let signal = self.options.parent_death_signal;
                let _ = sys::set_parent_death_signal(signal); // fails only for an invalid number
                if parent_id() != parent {
                    // The parent died before the call above, so the kernel will not send the
                    // signal.
                    let _ = sys::kill(std::process::id().cast_signed(), signal);
                }
                Ok(Some(Role::Worker(number)))
            }
        }
    }

    /// Reaps every worker that has ended.
    fn reap(&mut self) {
        let mut index = 0;
        while let Some(worker) = self.workers.get(index) {
            match sys::try_wait(worker.pid) {
                Ok(None) => index += 1,
                Ok(Some(status)) => {
                    let worker = self.workers.remove(index);
                    self.handle_end(&worker, status);
                }
                Err(error) => {
                    log::error!("cannot wait for worker {}: {error}", worker.number);
                    self.workers.remove(index);
                }
            }
        }
    }

    fn handle_end(&mut self, worker: &Worker, status: ExitStatus) {
        let (number, pid) = (worker.number, worker.pid);
        let by_ending_signal =
            status.signal().is_some_and(|signal| ENDING_SIGNALS.contains(&signal));
        let is_expected = worker.told_to_end_at.is_some() && (by_ending_signal || worker.is_killed);
        if self.successor == Some(pid) && worker.told_to_end_at.is_none() {
            log::error!("the rolling restart stops: the new worker {number} has ended too soon");
            self.stop_roll();
        }
        if status.success() || is_expected {
            return log::info!("worker {number} (process {pid}) has ended: {status}");
        }
        log::warn!("worker {number} (process {pid}) has failed: {status}");
        if self.is_ending {
            let failure = format!("worker {number} has failed after it was told to end: {status}");
            self.failure.get_or_insert(io::Error::other(failure));
        } else if worker.told_to_end_at.is_none() && !self.has_active_worker(number) {
            self.replace(number, worker.started.elapsed());
        }
    }

    /// Schedules the replacement of a failed worker, or gives up if there were too many.
    fn replace(&mut self, number: usize, lived: Duration) {
        self.restarts += 1;
        let most = self.options.max_restarts;
        if self.restarts > most {
            let failure = format!("more than {most} restarts of workers, giving up");
            log::error!("{failure}");
            self.failure = Some(io::Error::other(failure));
            return self.end_all(libc::SIGTERM, false);
        }
        self.schedule_start(number, lived);
    }

    /// Schedules the start of a number after its delay.
    fn schedule_start(&mut self, number: usize, lived: Duration) {
        let delay = match self.delays.get(&number) {
            _ if lived >= SETTLE_TIME => Duration::ZERO,
            Some(last) if !last.is_zero() => (*last * 2).min(self.options.longest_delay),
            _ => self.options.first_delay,
        };
        self.delays.insert(number, delay);
        self.pending_starts.push((Instant::now() + delay, number));
    }

    /// Whether a worker with this number runs and was not told to end.
    fn has_active_worker(&self, number: usize) -> bool {
        self.workers.iter().any(|worker| worker.number == number && worker.told_to_end_at.is_none())
    }

    /// Starts the workers that are due. Returns `Some` in a child.
    fn start_due(&mut self) -> Option<Role> {
        let now = Instant::now();
        while let Some(index) = self.pending_starts.iter().position(|(when, _)| *when <= now) {
            let (_, number) = self.pending_starts.remove(index);
            match self.start(number) {
                Ok(None) => {}
                Ok(role) => return role,
                Err(error) => {
                    // No worker has failed, so this does not count as a restart.
                    log::error!("cannot start worker {number}, trying again: {error}");
                    self.schedule_start(number, Duration::ZERO);
                }
            }
        }
        None
    }

    /// Continues the rolling restart, unless a successor has not settled or a worker was told to
    /// end and still runs. Returns `Some` in a child.
    fn continue_roll(&mut self) -> Option<Role> {
        self.end_former_worker();
        if self.successor.is_some()
            || self.workers.iter().any(|worker| worker.told_to_end_at.is_some())
        {
            return None;
        }
        if self.roll_queue.is_empty() && std::mem::take(&mut self.is_roll_requested) {
            self.roll_queue = self.active_numbers().into();
        }
        let numbers = self.active_numbers();
        let number = loop {
            let number = self.roll_queue.pop_front()?;
            if numbers.contains(&number) {
                break number; // the others have ended with success since the restart began
            }
        };
        match self.start(number) {
            Ok(None) => {
                // Only after the fork has succeeded. If it fails, the number stays due.
                self.pending_starts.retain(|(_, due)| *due != number);
                self.successor = self.workers.last().map(|worker| worker.pid);
                None
            }
            Ok(role) => role,
            Err(error) => {
                log::error!("the rolling restart stops: cannot start worker {number}: {error}");
                self.stop_roll();
                None
            }
        }
    }

    /// Tells the former worker to end if its successor has settled.
    fn end_former_worker(&mut self) {
        let is_successor = |worker: &&Worker| Some(worker.pid) == self.successor;
        let Some(successor) = self.workers.iter().find(is_successor) else { return };
        if successor.started.elapsed() < SETTLE_TIME {
            return;
        }
        let (number, pid) = (successor.number, successor.pid);
        self.successor = None;
        for worker in &mut self.workers {
            if worker.number == number && worker.pid != pid {
                worker.tell_to_end(libc::SIGTERM);
            }
        }
    }

    fn stop_roll(&mut self) {
        self.roll_queue.clear();
        self.successor = None;
    }

    /// Returns the numbers of the workers that run or will be started. A number whose worker has
    /// ended with success is not among them.
    fn active_numbers(&self) -> Vec<usize> {
        let running = self.workers.iter().map(|worker| worker.number);
        let due = self.pending_starts.iter().map(|(_, number)| *number);
        running.chain(due).collect::<BTreeSet<_>>().into_iter().collect()
    }

    fn handle_signal(&mut self, taken: TakenSignal) {
        match taken.signal {
            libc::SIGTERM | libc::SIGINT => {
                log::info!("signal {}: the workers are told to end", taken.signal);
                self.end_all(taken.signal, taken.is_from_terminal);
            }
            libc::SIGHUP if taken.is_from_terminal => {
                log::info!("the terminal was closed: the workers are told to end");
                self.end_all(libc::SIGTERM, false);
            }
            libc::SIGHUP if self.is_ending => {}
            libc::SIGHUP => {
                log::info!("the workers are replaced one by one");
                self.is_roll_requested = true;
            }
            libc::SIGUSR1 | libc::SIGUSR2 => {
                for worker in &self.workers {
                    let _ = sys::kill(worker.pid, taken.signal); // as in `Worker::tell_to_end`
                }
            }
            _ => {} // SIGCHLD: `run` calls `reap` next
        }
    }

    /// Tells every worker to end, and starts none any more. A worker that got the signal from the
    /// terminal, which signals the whole process group, is not signalled again.
    fn end_all(&mut self, signal: i32, is_from_terminal: bool) {
        self.is_ending = true;
        self.pending_starts.clear();
        self.stop_roll();
        self.is_roll_requested = false;
        for worker in &mut self.workers {
            let got_it_from_terminal = is_from_terminal
                && !worker.may_have_missed_signal
                && sys::is_in_our_group(worker.pid);
            if got_it_from_terminal {
                worker.record_signal(signal);
            } else {
                worker.tell_to_end(signal);
            }
        }
    }

    /// Kills the workers that have not ended within their grace.
    fn kill_overdue(&mut self) {
        let Some(grace) = self.options.grace else { return };
        for worker in &mut self.workers {
            if !worker.is_killed
                && worker.told_to_end_at.is_some_and(|time| time.elapsed() >= grace)
            {
                log::warn!(
                    "worker {} (process {}) did not end in {grace:?} and is killed",
                    worker.number,
                    worker.pid
                );
                worker.is_killed = true;
                let _ = sys::kill(worker.pid, libc::SIGKILL); // as in `Worker::tell_to_end`
            }
        }
    }

    /// Returns the time until a worker must be killed or started or has settled; at most
    /// [`LONGEST_SLEEP`].
    fn time_until_due(&self) -> Duration {
        let grace = self.options.grace.unwrap_or(LONGEST_SLEEP);
        let alive = self.workers.iter().filter(|worker| !worker.is_killed);
        let kills = alive.filter_map(|worker| worker.told_to_end_at?.checked_add(grace));
        let starts = self.pending_starts.iter().map(|(when, _)| *when);
        let unsettled = self.workers.iter().filter(|worker| Some(worker.pid) == self.successor);
        let settled = unsettled.map(|worker| worker.started + SETTLE_TIME);
        let next = kills.chain(starts).chain(settled).min();
        next.map_or(LONGEST_SLEEP, |next| {
            next.saturating_duration_since(Instant::now()).min(LONGEST_SLEEP)
        })
    }
}
