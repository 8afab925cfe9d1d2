//! The entry point of pre-fork: checks that this process can fork, then runs the supervisor.

use squall_executor::live_reactors;
use std::fs;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use crate::refuse;
use crate::workers::fork_options::{ForkOptions, Role};
use crate::workers::supervisor::Supervisor;

/// Whether this process was forked by [`fork_processes`].
static IS_WORKER: AtomicBool = AtomicBool::new(false);

/// Forks `n` worker processes and supervises them.
///
/// If `n` is `None` or 0, forks one worker for each core. Returns in each worker at once, and in
/// the parent when all workers have ended. Bind sockets before the call, with
/// [`bind_sockets`](crate::bind_sockets), and make the loop after it. Tornado: `fork_processes`.
///
/// - If a worker ends by a signal or with a code other than 0, the parent replaces it. A worker
///   that ends with 0 is not replaced. If the fork of a replacement fails, the parent tries again
///   after the [`restart_delay`](ForkOptions::restart_delay). This does not count as a restart.
/// - The parent forwards `SIGTERM` and `SIGINT` to the workers, and replaces none of them any more.
///   The terminal sends Ctrl-C to the whole process group, so the parent forwards that only to
///   workers outside the group. When the terminal is closed, the workers get `SIGTERM`.
/// - `SIGHUP` to the parent begins a rolling restart, which replaces the workers one by one. The
///   parent starts a new worker. When that has lived for a second, the old worker gets `SIGTERM`.
///   When the old worker has ended, the next number follows. If the new worker ends within its
///   first second, the restart stops and the old worker stays. With shared sockets, no connection
///   is lost if the old workers [drain](crate::Server::drain).
/// - The parent forwards `SIGUSR1` and `SIGUSR2` to the workers. They end a worker that does not
///   listen for them.
/// - A signal that was ignored before the call, as by `nohup` or a shell's `&`, stays ignored if
///   the terminal sends it.
/// - When the parent dies, for whatever reason, its workers get
///   [a signal](ForkOptions::parent_death_signal).
///
/// The parent reaps its workers and no other process. So as process 1 of a container it needs an
/// init above it (`docker run --init`). Otherwise orphaned children of its workers stay zombies.
///
/// The parent never sends a worker the same ending signal twice. But a signal to the whole process
/// group reaches a worker twice: directly, and through the parent. So keep a
/// [`Signals`](crate::signal::Signals) alive until the worker has finished, as in the example.
/// Without it, a second `SIGTERM` ends the worker in the middle of its work.
///
/// # Errors
/// - This process is a worker, or has a second thread or an event loop, which a fork cannot copy as
///   a whole. Nothing is forked then.
/// - One of the first `n` forks failed: the error of `fork(2)`, unchanged. The workers that were
///   started get `SIGTERM`.
/// - Workers failed too often, or a worker failed after it was told to end.
///
/// # Examples
/// ```no_run
/// use std::time::Duration;
/// use squall_net::{IoStream, Role, TcpServer, bind_sockets, block_on, fork_processes, signal};
///
/// let sockets = bind_sockets(8080, None, Default::default())?;
/// let Role::Worker(_) = fork_processes(None, Default::default())? else { return Ok(()) };
/// block_on(async {
///     let server = TcpServer::new(async |mut stream: IoStream, _peer| {
///         stream.write("hello\n")?;
///         Ok(stream.shutdown().await?)
///     });
///     server.add_sockets(sockets)?;
///     let mut signals = signal::Signals::new([signal::SIGTERM])?;
///     signals.next().await;
///     server.drain(Duration::from_secs(10)).await; // `signals` is still alive: see above
///     std::io::Result::Ok(())
/// })?;
/// # std::io::Result::Ok(())
/// ```
///
/// Source: Tornado's process.py; nginx for the order of a rolling restart.
pub fn fork_processes(n: Option<usize>, options: ForkOptions) -> io::Result<Role> {
    refuse("fork_processes")?;
    check_can_fork()?;
    let n = match n {
        None | Some(0) => thread::available_parallelism()?.get(),
        Some(n) => n,
    };
    let role = Supervisor::new(options).run(n);
    if let Ok(Role::Worker(_)) = role {
        IS_WORKER.store(true, Ordering::Relaxed);
    }
    role
}

/// Fails in a worker, and if there is a loop or a second thread, which a fork cannot copy as a
/// whole.
fn check_can_fork() -> io::Result<()> {
    let refuse = |text| Err(io::Error::other(text));
    if IS_WORKER.load(Ordering::Relaxed) {
        return refuse("fork_processes in a worker of fork_processes".to_owned());
    }
    let loops = live_reactors();
    if loops > 0 {
        return refuse(format!(
            "fork_processes with {loops} event loops in the process: make them in the workers"
        ));
    }
    let threads = fs::read_dir("/proc/self/task")?.count();
    if threads > 1 {
        return refuse(format!(
            "fork_processes with {threads} threads in the process: start them in the workers"
        ));
    }
    Ok(())
}
