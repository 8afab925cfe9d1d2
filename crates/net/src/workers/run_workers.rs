//! A loop on each of several threads.

use std::io;
use std::panic::{self, AssertUnwindSafe};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;

use squall_executor::{EventLoop, Handle, RunError};

/// Runs `f` on `n` threads, one for each core if `n` is 0, each with a loop of its own and its number, and returns when all
/// have ended. The first that fails, or panics, stops the others' loops: their futures are dropped where they wait.
///
/// TurnBudget listening sockets by [`try_clone`](std::net::TcpListener::try_clone) and
/// [`add_sockets`](crate::TcpServer::add_sockets), or bind one for each with
/// [`reuse_port`](crate::BindOptions::reuse_port).
///
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
///
/// # Errors
/// The first one of `f`, or of making a thread or a loop.
///
/// # Panics
/// If `f` panics, with its panic.
pub fn run_workers(n: usize, f: impl AsyncFn(usize) -> io::Result<()> + Sync) -> io::Result<()> {
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

/// How a worker came out of its work.
type Outcome = thread::Result<io::Result<()>>;

#[derive(Default)]
struct Team {
    state: Mutex<TeamState>,
}

#[derive(Default)]
struct TeamState {
    loops: Vec<Handle>,
    /// The first one; whoever comes later does not begin.
    failure: Option<Outcome>,
}

impl Team {
    fn state(&self) -> MutexGuard<'_, TeamState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

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
            Err(RunError::Stopped) => Ok(()), // by another's failure, or by its own hand
            Err(error) => Err(error.into()),
        }
    }

    fn fail(&self, outcome: Outcome) {
        let loops = {
            let mut state = self.state();
            state.failure.get_or_insert(outcome);
            std::mem::take(&mut state.loops)
        };
        loops.iter().for_each(Handle::stop);
    }
}
