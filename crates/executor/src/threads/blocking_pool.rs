//! A loop's threads for work that blocks. `spawn_blocking` submits the jobs.
//!
//! If a job finds no idle thread, the pool starts one, up to a limit. A thread ends after it was
//! idle for a while. The pool never waits for a thread's end: a loop that closes drops the jobs
//! that have not begun, and lets the running ones finish on their threads.

use std::cell::Cell;
use std::collections::VecDeque;
use std::io;
use std::mem;
use std::rc::Rc;
use std::sync::PoisonError;
use std::time::Duration;

use squall_reactor::fault::{self, Call};

use crate::insight::panics::shield;
use crate::sync::{Arc, Condvar, Mutex, MutexGuard, thread};

/// A piece of work for a thread of the pool.
pub(crate) type Job = Box<dyn FnOnce() + Send>;

/// The default limit for the number of threads. They are meant for waiting, not for computing.
pub(crate) const DEFAULT_THREADS: usize = 128;
/// How long a thread stays idle before it ends.
const KEEP_ALIVE: Duration = Duration::from_secs(10);

pub(crate) struct Pool {
    shared: Arc<Shared>,
    max_threads: usize,
    keep_alive: Duration,
}

struct Shared {
    state: Mutex<State>,
    /// Wakes idle threads when a job is queued or the pool is closed.
    wakeup: Condvar,
}

#[derive(Default)]
struct State {
    /// The jobs that no thread has taken yet.
    jobs: VecDeque<Job>,
    /// The number of threads that have not left the pool.
    threads: usize,
    /// The number of threads that wait for `wakeup`, including those that were woken but have not
    /// taken a job yet.
    idle: usize,
    closed: bool,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs jobs until the thread was idle for `keep_alive` or the pool is closed. The main
    /// function of each thread.
    fn run_jobs(&self, keep_alive: Duration) {
        while let Some(job) = self.next_job(keep_alive) {
            shield("a blocking job", job);
        }
    }

    /// Waits for a job. Returns `None` if the calling thread must end; it is then no longer counted
    /// in `threads`.
    fn next_job(&self, keep_alive: Duration) -> Option<Job> {
        let mut state = self.lock();
        if state.jobs.is_empty() && !state.closed {
            state.idle += 1;
            let must_wait = |state: &mut State| state.jobs.is_empty() && !state.closed;
            let waited = self.wakeup.wait_timeout_while(state, keep_alive, must_wait);
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
    /// Makes a pool that has no threads yet.
    pub(crate) fn new(max_threads: usize) -> Pool {
        Pool::with_keep_alive(max_threads, KEEP_ALIVE)
    }

    fn with_keep_alive(max_threads: usize, keep_alive: Duration) -> Pool {
        let shared = Shared { state: Mutex::new(State::default()), wakeup: Condvar::new() };
        Pool { shared: Arc::new(shared), max_threads, keep_alive }
    }

    /// Queues a job. Starts a thread for it if no idle thread is left and the limit is not reached.
    /// A closed pool drops the job.
    ///
    /// # Errors
    /// The error of starting a thread, if the pool has no other thread that could run the job. The
    /// job is dropped.
    pub(crate) fn submit(&self, job: Job) -> io::Result<()> {
        let mut state = self.shared.lock();
        if state.closed {
            drop(state);
            shield("the destructor of a blocking job", || drop(job));
            return Ok(());
        }
        state.jobs.push_back(job);
        if state.jobs.len() <= state.idle || state.threads >= self.max_threads {
            self.shared.wakeup.notify_one();
            return Ok(());
        }
        state.threads += 1;
        drop(state);
        let Err(error) = self.start_thread() else { return Ok(()) };
        let mut state = self.shared.lock();
        state.threads -= 1;
        if state.threads > 0 {
            return Ok(()); // another thread will take the job
        }
        let Some(job) = state.jobs.pop_back() else {
            return Ok(()); // another thread ran the job, and then ended
        };
        drop(state);
        shield("the destructor of a blocking job", || drop(job));
        Err(error)
    }

    fn start_thread(&self) -> io::Result<()> {
        fault::check(Call::Thread)?;
        let shared = Arc::clone(&self.shared);
        let keep_alive = self.keep_alive;
        let main = move || shared.run_jobs(keep_alive);
        thread::Builder::new().name("squall-blocking".to_owned()).spawn(main)?;
        Ok(())
    }

    /// Drops the jobs that have not begun, and makes idle threads end. Jobs that are submitted
    /// later are dropped.
    pub(crate) fn close(&self) {
        let mut state = self.shared.lock();
        state.closed = true;
        let jobs = mem::take(&mut state.jobs);
        drop(state);
        self.shared.wakeup.notify_all();
        for job in jobs {
            shield("the destructor of a blocking job", || drop(job));
        }
    }
}

#[cfg(all(test, loom))]
impl Pool {
    /// Returns a function with which a model lets the keep-alive time of idle threads pass.
    pub(crate) fn clock(&self) -> impl Fn() + 'static {
        let shared = Arc::clone(&self.shared);
        move || shared.wakeup.time_out(&shared.lock())
    }

    /// The number of threads that have not left the pool.
    pub(crate) fn threads(&self) -> usize {
        self.shared.lock().threads
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.close();
    }
}

/// Runs a loop's blocking jobs.
pub(crate) struct Blocking {
    executor: Executor,
    /// The number of jobs whose output the loop waits for.
    running: Rc<Cell<usize>>,
}

/// Counts a job as running until it is dropped.
pub(crate) struct RunningJob(Rc<Cell<usize>>);

impl Drop for RunningJob {
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
    }
}

enum Executor {
    /// The loop's own pool.
    Pool(Pool),
    /// The user's executor; see [`Builder::blocking_executor`](crate::Builder::blocking_executor).
    Custom(Rc<dyn Fn(Job)>),
}

impl Blocking {
    pub(crate) fn new(max_threads: usize, custom: Option<Rc<dyn Fn(Job)>>) -> Blocking {
        let executor =
            custom.map_or_else(|| Executor::Pool(Pool::new(max_threads)), Executor::Custom);
        Blocking { executor, running: Rc::default() }
    }

    /// Counts a job until the result is dropped.
    pub(crate) fn begin_job(&self) -> RunningJob {
        self.running.set(self.running.get() + 1);
        RunningJob(Rc::clone(&self.running))
    }

    /// Whether the loop waits for a job's output.
    pub(crate) fn is_busy(&self) -> bool {
        self.running.get() > 0
    }

    /// Closes the pool, when the loop ends. Does nothing for the user's executor.
    pub(crate) fn close(&self) {
        if let Executor::Pool(pool) = &self.executor {
            pool.close();
        }
    }

    pub(crate) fn submit(&self, job: Job) -> io::Result<()> {
        match &self.executor {
            Executor::Pool(pool) => pool.submit(job),
            Executor::Custom(executor) => {
                executor(job);
                Ok(())
            }
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use std::sync::mpsc::{Receiver, channel};

    const TEST_TIMEOUT: Duration = Duration::from_secs(10);

    fn submit(pool: &Pool, f: impl FnOnce() + Send + 'static) {
        pool.submit(Box::new(f)).unwrap();
    }

    /// Submits a job that sends a message when it runs, and then waits until the sender of `gate`
    /// is dropped.
    fn submit_held_job(pool: &Pool, gate: Receiver<()>) -> Receiver<()> {
        let (begun, begun_receiver) = channel();
        submit(pool, move || {
            begun.send(()).unwrap();
            let _ = gate.recv();
        });
        begun_receiver
    }

    fn thread_count(pool: &Pool) -> usize {
        pool.shared.lock().threads
    }

    fn eventually(what: &str, holds: impl Fn() -> bool) {
        let begin = std::time::Instant::now();
        while !holds() {
            assert!(begin.elapsed() < TEST_TIMEOUT, "{what}");
            thread::yield_now();
        }
    }

    #[test]
    fn the_pool_grows_on_demand_to_its_limit_and_an_idle_thread_is_used_again() {
        let pool = Pool::new(2);
        let (first_gate, gate) = channel();
        submit_held_job(&pool, gate).recv_timeout(TEST_TIMEOUT).unwrap();
        let (second_gate, gate) = channel();
        submit_held_job(&pool, gate).recv_timeout(TEST_TIMEOUT).unwrap();
        let (third_gate, gate) = channel();
        let third = submit_held_job(&pool, gate);
        assert_eq!(thread_count(&pool), 2);
        assert!(third.try_recv().is_err(), "both threads are held");
        drop(first_gate);
        third.recv_timeout(TEST_TIMEOUT).unwrap();
        drop((second_gate, third_gate));
        eventually("both are idle", || pool.shared.lock().idle == 2);
        let (_gate, gate) = channel();
        submit_held_job(&pool, gate).recv_timeout(TEST_TIMEOUT).unwrap();
        assert_eq!(thread_count(&pool), 2);
    }

    #[test]
    fn idle_threads_retire() {
        let pool = Pool::with_keep_alive(4, Duration::from_millis(1));
        let (_gate, gate) = channel();
        let (done, end) = channel();
        submit_held_job(&pool, gate).recv_timeout(TEST_TIMEOUT).unwrap();
        submit(&pool, move || done.send(()).unwrap());
        end.recv_timeout(TEST_TIMEOUT).unwrap();
        eventually("only the one that is held is left", || thread_count(&pool) == 1);
    }

    #[test]
    fn a_panic_does_not_end_its_thread() {
        let pool = Pool::new(1);
        submit(&pool, || panic!("on purpose"));
        let (done, end) = channel();
        submit(&pool, move || done.send(thread::current().name().map(str::to_owned)).unwrap());
        assert_eq!(end.recv_timeout(TEST_TIMEOUT).unwrap().as_deref(), Some("squall-blocking"));
        assert_eq!(thread_count(&pool), 1);
    }

    #[test]
    fn a_pool_that_ends_drops_jobs_that_have_not_begun_and_joins_no_thread() {
        let pool = Pool::new(1);
        let (_gate, gate) = channel();
        submit_held_job(&pool, gate).recv_timeout(TEST_TIMEOUT).unwrap();
        let (waiting, dropped) = channel::<()>();
        submit(&pool, move || drop(waiting));
        let shared = Arc::clone(&pool.shared);
        drop(pool);
        assert!(dropped.recv_timeout(TEST_TIMEOUT).is_err());
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
        assert_eq!((thread_count(&pool), pool.shared.lock().jobs.len()), (0, 0));
        let (gate_end, gate) = channel();
        submit_held_job(&pool, gate).recv_timeout(TEST_TIMEOUT).unwrap();
        fault::inject(Call::Thread, 0, 1, 11);
        let (done, end) = channel();
        submit(&pool, move || done.send(()).unwrap());
        drop(gate_end);
        end.recv_timeout(TEST_TIMEOUT).unwrap();
    }
}
