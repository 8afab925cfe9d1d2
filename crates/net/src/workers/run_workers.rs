//! Runs an event loop on each of several threads.

use std::io;
use std::panic::{self, AssertUnwindSafe};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;

use squall_executor::{EventLoop, Handle, RunError};

use crate::refuse;

/// Runs `f` on `n` threads, each with an event loop of its own, and returns when all have ended.
///
/// If `n` is 0, starts one thread for each core. `f` gets the number of its thread, 0 to n - 1. The
/// first thread that fails or panics stops the loops of the others. Their futures are dropped where
/// they wait.
///
/// Share listening sockets with [`try_clone`](std::net::TcpListener::try_clone) and
/// [`add_sockets`](crate::TcpServer::add_sockets). Or bind one for each thread with
/// [`reuse_port`](crate::BindOptions::reuse_port).
///
/// # Errors
/// The first error of `f`, or of making a thread or a loop.
///
/// # Panics
/// If a panic of `f` is the first failure, with the same payload.
///
/// # Examples
/// ```
/// use squall_net::{bind_sockets, run_workers};
///
/// let sockets = bind_sockets(0, Some("127.0.0.1"), Default::default())?;
/// run_workers(2, async |number| {
///     let socket = sockets[0].try_clone()?;
///     println!("worker {number} has {socket:?}");
///     Ok(())
/// })?;
/// # std::io::Result::Ok(())
/// ```
pub fn run_workers(n: usize, f: impl AsyncFn(usize) -> io::Result<()> + Sync) -> io::Result<()> {
    refuse("run_workers")?;
    let n = if n == 0 { thread::available_parallelism()?.get() } else { n };
    let team = Team::default();
    thread::scope(|scope| {
        for number in 0..n {
            let (f, team) = (&f, &team);
            let work = move || {
                let outcome = panic::catch_unwind(AssertUnwindSafe(|| team.work(f(number))));
                if !matches!(outcome, Ok(Ok(()))) {
                    team.fail(outcome);
                }
            };
            let name = format!("worker-{number}");
            if let Err(error) = thread::Builder::new().name(name).spawn_scoped(scope, work) {
                team.fail(Ok(Err(error)));
                break;
            }
        }
    });
    let failure = team.state().failure.take();
    match failure {
        None => Ok(()),
        Some(Ok(outcome)) => outcome,
        Some(Err(panic)) => panic::resume_unwind(panic),
    }
}

/// How a worker ended.
type Outcome = thread::Result<io::Result<()>>;

/// The state that the worker threads share.
#[derive(Default)]
struct Team {
    state: Mutex<TeamState>,
}

#[derive(Default)]
struct TeamState {
    /// The loops to stop when a worker fails.
    loops: Vec<Handle>,
    /// The first failure. Once it is set, no other worker starts.
    failure: Option<Outcome>,
}

impl Team {
    fn state(&self) -> MutexGuard<'_, TeamState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs `work` on a new loop of this thread.
    fn work(&self, work: impl Future<Output = io::Result<()>>) -> io::Result<()> {
        let event_loop = EventLoop::new()?;
        {
            let mut state = self.state();
            if state.failure.is_some() {
                return Ok(());
            }
            state.loops.push(event_loop.handle());
        }
        match event_loop.run_sync(work, None) {
            Ok(outcome) => outcome,
            Err(RunError::Stopped) => Ok(()), // by `fail`, or by `f` itself
            Err(error) => Err(error.into()),
        }
    }

    /// Records the failure if it is the first, and stops every loop.
    fn fail(&self, outcome: Outcome) {
        let loops = {
            let mut state = self.state();
            state.failure.get_or_insert(outcome);
            std::mem::take(&mut state.loops)
        };
        loops.iter().for_each(Handle::stop);
    }
}
