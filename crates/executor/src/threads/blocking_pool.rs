//! Threads for work that blocks.
//!
//! A thread is started when a job finds nobody idle, up to a limit, and leaves when it was idle for a while. Nobody ever waits for
//! a thread's end: a loop that closes drops the jobs that have not begun, and lets the others run out by themselves.

use std::collections::VecDeque;
use std::io;
use std::mem;
use std::rc::Rc;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use squall_reactor::fault::{self, Call};

use crate::insight::panics::shield;

/// Work for a thread.
pub(crate) type Job = Box<dyn FnOnce() + Send>;

/// How many threads a pool has at most, unless the builder says otherwise. They are for waiting, not for computing.
pub(crate) const DEFAULT_THREADS: usize = 128;
/// How long a thread stays idle before it leaves.
const KEEP_ALIVE: Duration = Duration::from_secs(10);

pub(crate) struct Pool {
    shared: Arc<Shared>,
    most_threads: usize,
    keep_alive: Duration,
}

struct Shared {
    state: Mutex<State>,
    /// Tells idle threads of a job, and of the end.
    news: Condvar,
}

#[derive(Default)]
struct State {
    jobs: VecDeque<Job>,
    threads: usize,
    /// Threads that wait for news. Those that were told of a job but did not take it yet are among them.
    idle: usize,
    closed: bool,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A thread's life: jobs, until there are none for a while.
    fn work(&self, keep_alive: Duration) {
        while let Some(job) = self.next_job(keep_alive) {
            shield("a blocking job", job);
        }
    }

    /// Waits for a job; `None`: the thread has left the pool.
    fn next_job(&self, keep_alive: Duration) -> Option<Job> {
        let mut state = self.lock();
        if state.jobs.is_empty() && !state.closed {
            state.idle += 1;
            let nothing = |state: &mut State| state.jobs.is_empty() && !state.closed;
            let waited = self.news.wait_timeout_while(state, keep_alive, nothing);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
            state.idle -= 1;
        }
        let job = state.jobs.pop_front();
        if job.is_none() {
            state.threads -= 1;
        }
        job
    }
}

impl Pool {
    /// A pool without a thread.
    pub(crate) fn new(most_threads: usize) -> Pool {
        Pool::with_keep_alive(most_threads, KEEP_ALIVE)
    }

    fn with_keep_alive(most_threads: usize, keep_alive: Duration) -> Pool {
        let shared = Shared { state: Mutex::new(State::default()), news: Condvar::new() };
        Pool { shared: Arc::new(shared), most_threads, keep_alive }
    }

    /// Queues a job, and starts a thread for it if nobody idle is left for it.
    ///
    /// # Errors
    /// That of starting a thread, if there is none at all that could run the job: it is dropped.
    pub(crate) fn submit(&self, job: Job) -> io::Result<()> {
        let mut state = self.shared.lock();
        if state.closed {
            drop(state);
            shield("the destructor of a blocking job", || drop(job));
            return Ok(());
        }
        state.jobs.push_back(job);
        if state.jobs.len() <= state.idle || state.threads >= self.most_threads {
            self.shared.news.notify_one();
            return Ok(());
        }
        state.threads += 1;
        drop(state);
        let Err(error) = self.start_thread() else { return Ok(()) };
        let mut state = self.shared.lock();
        state.threads -= 1;
        if state.threads > 0 {
            return Ok(()); // one of them will come to it
        }
        let job = state.jobs.pop_back();
        drop(state);
        drop(job);
        Err(error)
    }

    fn start_thread(&self) -> io::Result<()> {
        fault::check(Call::Thread)?;
        let shared = Arc::clone(&self.shared);
        let keep_alive = self.keep_alive;
        let work = move || shared.work(keep_alive);
        thread::Builder::new().name("squall-blocking".to_owned()).spawn(work)?;
        Ok(())
    }

    /// Drops the jobs that have not begun, and lets idle threads leave. Later jobs are dropped.
    pub(crate) fn close(&self) {
        let mut state = self.shared.lock();
        state.closed = true;
        let jobs = mem::take(&mut state.jobs);
        drop(state);
        self.shared.news.notify_all();
        for job in jobs {
            shield("the destructor of a blocking job", || drop(job));
        }
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.close();
    }
}

/// Where a loop's blocking work goes.
pub(crate) enum Blocking {
    Own(Pool),
    /// The user's; see [`Builder::blocking_executor`](crate::Builder::blocking_executor).
    Given(Rc<dyn Fn(Job)>),
}

impl Blocking {
    pub(crate) fn new(most_threads: usize, given: Option<Rc<dyn Fn(Job)>>) -> Blocking {
        given.map_or_else(|| Blocking::Own(Pool::new(most_threads)), Blocking::Given)
    }

    /// The loop ends.
    pub(crate) fn close(&self) {
        if let Blocking::Own(pool) = self {
            pool.close();
        }
    }

    pub(crate) fn submit(&self, job: Job) -> io::Result<()> {
        match self {
            Blocking::Own(pool) => pool.submit(job),
            Blocking::Given(executor) => {
                executor(job);
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::{Receiver, channel};

    const PATIENCE: Duration = Duration::from_secs(10);

    fn job(pool: &Pool, f: impl FnOnce() + Send + 'static) {
        pool.submit(Box::new(f)).unwrap();
    }

    /// Submits a job that tells that it runs and then waits for the sender's end.
    fn held_job(pool: &Pool, gate: Receiver<()>) -> Receiver<()> {
        let (begun, has_begun) = channel();
        job(pool, move || {
            begun.send(()).unwrap();
            let _ = gate.recv();
        });
        has_begun
    }

    fn threads(pool: &Pool) -> usize {
        pool.shared.lock().threads
    }

    fn eventually(what: &str, holds: impl Fn() -> bool) {
        let begin = std::time::Instant::now();
        while !holds() {
            assert!(begin.elapsed() < PATIENCE, "{what}");
            thread::yield_now();
        }
    }

    #[test]
    fn the_pool_grows_on_demand_to_its_limit_and_an_idle_thread_is_used_again() {
        let pool = Pool::new(2);
        let (first_gate, gate) = channel();
        held_job(&pool, gate).recv_timeout(PATIENCE).unwrap();
        let (second_gate, gate) = channel();
        held_job(&pool, gate).recv_timeout(PATIENCE).unwrap();
        let (third_gate, gate) = channel();
        let third = held_job(&pool, gate);
        assert_eq!(threads(&pool), 2);
        assert!(third.try_recv().is_err(), "both threads are held");
        drop(first_gate);
        third.recv_timeout(PATIENCE).unwrap();
        drop((second_gate, third_gate));
        eventually("both are idle", || pool.shared.lock().idle == 2);
        let (_gate, gate) = channel();
        held_job(&pool, gate).recv_timeout(PATIENCE).unwrap();
        assert_eq!(threads(&pool), 2);
    }

    #[test]
    fn idle_threads_retire() {
        let pool = Pool::with_keep_alive(4, Duration::from_millis(1));
        let (_gate, gate) = channel();
        let (done, end) = channel();
        held_job(&pool, gate).recv_timeout(PATIENCE).unwrap();
        job(&pool, move || done.send(()).unwrap());
        end.recv_timeout(PATIENCE).unwrap();
        eventually("only the one that is held is left", || threads(&pool) == 1);
    }

    #[test]
    fn a_panic_does_not_end_its_thread() {
        let pool = Pool::new(1);
        job(&pool, || panic!("on purpose"));
        let (done, end) = channel();
        job(&pool, move || done.send(thread::current().name().map(str::to_owned)).unwrap());
        assert_eq!(end.recv_timeout(PATIENCE).unwrap().as_deref(), Some("squall-blocking"));
        assert_eq!(threads(&pool), 1);
    }

    #[test]
    fn a_pool_that_ends_drops_what_has_not_begun_and_waits_for_nobody() {
        let pool = Pool::new(1);
        let (_gate, gate) = channel();
        held_job(&pool, gate).recv_timeout(PATIENCE).unwrap();
        let (waiting, dropped) = channel::<()>();
        job(&pool, move || drop(waiting));
        let shared = Arc::clone(&pool.shared);
        drop(pool);
        assert!(dropped.recv_timeout(PATIENCE).is_err());
        assert_eq!(shared.lock().threads, 1, "the one whose job runs");
    }

    // X10
    #[test]
    fn a_job_without_any_thread_is_an_error_and_one_with_another_thread_waits() {
        if !fault::ACTIVE {
            return eprintln!("skipped: this build has no fault seam");
        }
        let pool = Pool::new(4);
        fault::inject(Call::Thread, 0, 1, 11 /* EAGAIN */);
        let error = pool.submit(Box::new(|| unreachable!())).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
        assert_eq!((threads(&pool), pool.shared.lock().jobs.len()), (0, 0));
        let (gate_end, gate) = channel();
        held_job(&pool, gate).recv_timeout(PATIENCE).unwrap();
        fault::inject(Call::Thread, 0, 1, 11);
        let (done, end) = channel();
        job(&pool, move || done.send(()).unwrap());
        drop(gate_end);
        end.recv_timeout(PATIENCE).unwrap();
    }
}
