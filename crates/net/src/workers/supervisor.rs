//! Many processes that serve as one: the parent.
//!
//! It has no loop and no signal handler: signals are held back, and it sleeps until one comes or something is due.
//!
//! ```text
//!          ┌────────────── failed, in its turn ◀──────┐
//!          ▼                                          │
//!   start ─▶ living ── ended ──┬── code 0: gone       │
//!              │               └── anything else ─────┘
//!              └── told to end (SIGTERM, SIGINT, a rolling restart) ── ended: gone
//! ```
//!
//! A rolling restart goes from number to number. The former worker is told only once its successor has settled: a release that
//! cannot start costs its restart, and no worker that serves.
//!
//! ```text
//!   start the successor ── lives for a second ──▶ tell the former ── ended ──▶ the next number
//!                       └─ ended before: the former stays, and the restart ends
//! ```

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::io;
use std::os::unix::process::{ExitStatusExt, parent_id};
use std::process::ExitStatus;
use std::time::{Duration, Instant};

use crate::sys::{self, HeldSignals, Taken};
use crate::workers::fork_options::{ForkOptions, Role};

/// A worker that has lived for so long did not fail because of how it began.
const HAS_SETTLED: Duration = Duration::from_secs(1);
/// What the parent acts on, or hands on.
const SIGNALS: [i32; 5] = [libc::SIGTERM, libc::SIGINT, libc::SIGHUP, libc::SIGUSR1, libc::SIGUSR2];
/// What ends a worker. One that is to end may be ended by any of them: the parent's, its group's and the terminal's meet.
const ENDING_SIGNALS: [i32; 3] = [libc::SIGTERM, libc::SIGINT, libc::SIGHUP];
/// How long the parent sleeps when nothing is due.
const LONG: Duration = Duration::from_secs(3600);

pub(crate) struct Supervisor {
    options: ForkOptions,
    signals: HeldSignals,
    /// Two of one number at most, while one takes over from the other.
    workers: Vec<Worker>,
    /// Numbers to be started anew, and when.
    due: Vec<(Instant, usize)>,
    /// The last delay of each number that failed soon.
    delays: HashMap<usize, Duration>,
    restarts: usize,
    /// Numbers that a rolling restart has still before it.
    roll: VecDeque<usize>,
    /// The process that a rolling restart has started last, until it has settled.
    successor: Option<i32>,
    /// One is to begin, after the one that is under way.
    is_to_roll: bool,
    /// All were told to end: nobody is replaced any more.
    is_ending: bool,
    /// What `run` will return when all have ended.
    failure: Option<io::Error>,
}

struct Worker {
    index: usize,
    pid: i32,
    since: Instant,
    /// When it was first told to end.
    told: Option<Instant>,
    /// The signals that have told it, each once.
    signals: Vec<i32>,
    /// When it was forked a signal waited for the parent: if that was for the whole group, it may have come too early for it.
    may_lack_one: bool,
    /// Its grace was over.
    is_killed: bool,
}

impl Worker {
    /// Tells it to end. Never twice by one signal: a worker that drains may not listen any more, and the second would end it
    /// in the middle of an answer.
    fn tell(&mut self, signal: i32) {
        if self.is_news(signal) {
            let _ = sys::kill(self.pid, signal); // it may have ended; its number stays taken until it is buried
        }
    }

    /// Notes that it is told by a signal; `false` if it was before.
    fn is_news(&mut self, signal: i32) -> bool {
        self.told.get_or_insert_with(Instant::now);
        let is_news = !self.signals.contains(&signal);
        if is_news {
            self.signals.push(signal);
        }
        is_news
    }
}

impl Supervisor {
    pub(crate) fn new(options: ForkOptions) -> Supervisor {
        Supervisor {
            options,
            signals: HeldSignals::new(&SIGNALS),
            workers: Vec::new(),
            due: Vec::new(),
            delays: HashMap::new(),
            restarts: 0,
            roll: VecDeque::new(),
            successor: None,
            is_to_roll: false,
            is_ending: false,
            failure: None,
        }
    }

    /// The life of the parent. Returns early in each worker.
    pub(crate) fn run(mut self, n: usize) -> io::Result<Role> {
        for index in 0..n {
            match self.start(index) {
                Ok(None) => {}
                Ok(Some(role)) => return Ok(role),
                Err(error) => {
                    log::error!("cannot start worker {index}: {error}");
                    self.failure = Some(error);
                    self.end_all(libc::SIGTERM, false);
                    break;
                }
            }
        }
        loop {
            self.bury();
            if let Some(role) = self.start_due().or_else(|| self.roll_on()) {
                return Ok(role);
            }
            if self.workers.is_empty() && self.due.is_empty() {
                break;
            }
            self.kill_late();
            if let Some(taken) = self.signals.take(self.until_due()) {
                self.obey(taken);
            }
        }
        // What came beside the signal that was obeyed is obeyed too; let through now, it would end this process.
        if self.is_ending {
            self.signals.forget();
        }
        match self.failure.take() {
            Some(failure) => Err(failure),
            None => Ok(Role::Supervisor),
        }
    }

    /// Forks one worker; `Some` in the child.
    fn start(&mut self, index: usize) -> io::Result<Option<Role>> {
        let parent = std::process::id();
        match sys::fork()? {
            Some(pid) => {
                let since = Instant::now();
                self.workers.push(Worker {
                    index,
                    pid,
                    since,
                    told: None,
                    signals: Vec::new(),
                    may_lack_one: self.signals.has_waiting(&ENDING_SIGNALS),
                    is_killed: false,
                });
                Ok(None)
            }
            None => {
                let signal = self.options.parent_death_signal;
                let _ = sys::set_parent_death_signal(signal); // fails for a wrong number only
                if parent_id() != parent {
                    // It died before the line above: nobody would tell us any more.
                    let _ = sys::kill(std::process::id().cast_signed(), signal);
                }
                Ok(Some(Role::Worker(index)))
            }
        }
    }

    /// Takes note of every worker that has ended.
    fn bury(&mut self) {
        let mut place = 0;
        while let Some(worker) = self.workers.get(place) {
            match sys::try_wait(worker.pid) {
                Ok(None) => place += 1,
                Ok(Some(status)) => {
                    let worker = self.workers.remove(place);
                    self.ended(&worker, status);
                }
                Err(error) => {
                    log::error!("worker {} was lost: {error}", worker.index);
                    self.workers.remove(place);
                }
            }
        }
    }

    fn ended(&mut self, worker: &Worker, status: ExitStatus) {
        let (index, pid) = (worker.index, worker.pid);
        let is_ended = status.signal().is_some_and(|signal| ENDING_SIGNALS.contains(&signal));
        let as_told = worker.told.is_some() && (is_ended || worker.is_killed);
        if self.successor == Some(pid) && worker.told.is_none() {
            log::error!("the rolling restart ends, the new worker {index} has not settled");
            self.stop_rolling();
        }
        if status.success() || as_told {
            return log::info!("worker {index} (process {pid}) has ended: {status}");
        }
        log::warn!("worker {index} (process {pid}) has failed: {status}");
        if self.is_ending {
            let failure = format!("worker {index} has failed while it was to end: {status}");
            self.failure.get_or_insert(io::Error::other(failure));
        } else if worker.told.is_none() && !self.is_served(index) {
            self.replace(index, worker.since.elapsed());
        }
    }

    /// Has a failed worker started anew, unless there were too many.
    fn replace(&mut self, index: usize, lived: Duration) {
        self.restarts += 1;
        let most = self.options.max_restarts;
        if self.restarts > most {
            let failure = format!("more than {most} restarts of workers, giving up");
            log::error!("{failure}");
            self.failure = Some(io::Error::other(failure));
            return self.end_all(libc::SIGTERM, false);
        }
        self.start_later(index, lived);
    }

    /// Has a number started after its delay.
    fn start_later(&mut self, index: usize, lived: Duration) {
        let delay = match self.delays.get(&index) {
            _ if lived >= HAS_SETTLED => Duration::ZERO,
            Some(last) if !last.is_zero() => (*last * 2).min(self.options.longest_delay),
            _ => self.options.first_delay,
        };
        self.delays.insert(index, delay);
        self.due.push((Instant::now() + delay, index));
    }

    /// Tells whether a worker has this number and is to go on with it.
    fn is_served(&self, index: usize) -> bool {
        self.workers.iter().any(|worker| worker.index == index && worker.told.is_none())
    }

    /// Starts what is due; `Some` in a child.
    fn start_due(&mut self) -> Option<Role> {
        let now = Instant::now();
        while let Some(place) = self.due.iter().position(|(when, _)| *when <= now) {
            let (_, index) = self.due.remove(place);
            match self.start(index) {
                Ok(None) => {}
                Ok(role) => return role,
                Err(error) => {
                    // No worker has failed, the machine has: this is no restart that is counted.
                    log::error!("cannot start worker {index}, trying again: {error}");
                    self.start_later(index, Duration::ZERO);
                }
            }
        }
        None
    }

    /// Goes on with a rolling restart when nobody is on the way in or out; `Some` in a child.
    fn roll_on(&mut self) -> Option<Role> {
        self.let_take_over();
        if self.successor.is_some() || self.workers.iter().any(|worker| worker.told.is_some()) {
            return None;
        }
        if self.roll.is_empty() && std::mem::take(&mut self.is_to_roll) {
            self.roll = self.numbers().into();
        }
        let numbers = self.numbers();
        let index = loop {
            let index = self.roll.pop_front()?;
            if numbers.contains(&index) {
                break index; // others have ended with success since the restart began
            }
        };
        match self.start(index) {
            Ok(None) => {
                self.due.retain(|(_, due)| *due != index); // only now: a fork that failed leaves it due
                self.successor = self.workers.last().map(|worker| worker.pid);
                None
            }
            Ok(role) => role,
            Err(error) => {
                log::error!("the rolling restart ends, worker {index} cannot be started: {error}");
                self.stop_rolling();
                None
            }
        }
    }

    /// Tells the former worker to end once its successor has settled.
    fn let_take_over(&mut self) {
        let is_successor = |worker: &&Worker| Some(worker.pid) == self.successor;
        let Some(successor) = self.workers.iter().find(is_successor) else { return };
        if successor.since.elapsed() < HAS_SETTLED {
            return;
        }
        let (index, pid) = (successor.index, successor.pid);
        self.successor = None;
        for worker in &mut self.workers {
            if worker.index == index && worker.pid != pid {
                worker.tell(libc::SIGTERM);
            }
        }
    }

    fn stop_rolling(&mut self) {
        self.roll.clear();
        self.successor = None;
    }

    /// The numbers that are to be served: those that live or are due, and not those that have ended with success.
    fn numbers(&self) -> Vec<usize> {
        let living = self.workers.iter().map(|worker| worker.index);
        let due = self.due.iter().map(|(_, index)| *index);
        living.chain(due).collect::<BTreeSet<_>>().into_iter().collect()
    }

    fn obey(&mut self, taken: Taken) {
        match taken.signal {
            libc::SIGTERM | libc::SIGINT => {
                log::info!("signal {}: the workers are to end", taken.signal);
                self.end_all(taken.signal, taken.is_from_terminal);
            }
            libc::SIGHUP if taken.is_from_terminal => {
                log::info!("the terminal was closed: the workers are to end");
                self.end_all(libc::SIGTERM, false);
            }
            libc::SIGHUP if self.is_ending => {}
            libc::SIGHUP => {
                log::info!("the workers are replaced one by one");
                self.is_to_roll = true;
            }
            libc::SIGUSR1 | libc::SIGUSR2 => {
                for worker in &self.workers {
                    let _ = sys::kill(worker.pid, taken.signal); // as in `Worker::tell`
                }
            }
            _ => {} // SIGCHLD: the next round buries
        }
    }

    /// Tells every worker to end, and replaces nobody any more. Whom the terminal has told, with its whole group, is not told
    /// again.
    fn end_all(&mut self, signal: i32, is_from_terminal: bool) {
        self.is_ending = true;
        self.due.clear();
        self.stop_rolling();
        self.is_to_roll = false;
        for worker in &mut self.workers {
            let has_got_it =
                is_from_terminal && !worker.may_lack_one && sys::is_of_our_group(worker.pid);
            if has_got_it {
                worker.is_news(signal);
            } else {
                worker.tell(signal);
            }
        }
    }

    /// Kills who was told to end and has used up its grace.
    fn kill_late(&mut self) {
        let Some(grace) = self.options.grace else { return };
        for worker in &mut self.workers {
            if !worker.is_killed && worker.told.is_some_and(|told| told.elapsed() >= grace) {
                log::warn!(
                    "worker {} (process {}) did not end in {grace:?} and is killed",
                    worker.index,
                    worker.pid
                );
                worker.is_killed = true;
                let _ = sys::kill(worker.pid, libc::SIGKILL); // as in `Worker::tell`
            }
        }
    }

    /// How long nothing is due.
    fn until_due(&self) -> Duration {
        let grace = self.options.grace.unwrap_or(LONG);
        let living = self.workers.iter().filter(|worker| !worker.is_killed);
        let kills = living.filter_map(|worker| worker.told?.checked_add(grace));
        let starts = self.due.iter().map(|(when, _)| *when);
        let unsettled = self.workers.iter().filter(|worker| Some(worker.pid) == self.successor);
        let settled = unsettled.map(|worker| worker.since + HAS_SETTLED);
        let next = kills.chain(starts).chain(settled).min();
        next.map_or(LONG, |next| next.saturating_duration_since(Instant::now()).min(LONG))
    }
}
