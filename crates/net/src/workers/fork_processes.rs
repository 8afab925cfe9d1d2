//! Many processes that serve as one: the door.

use squall_executor::live_reactors;
use std::fs;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use crate::workers::fork_options::{ForkOptions, Role};
use crate::workers::supervisor::Supervisor;

/// This process was forked by [`fork_processes`].
static IS_WORKER: AtomicBool = AtomicBool::new(false);

/// Forks `n` processes, one for each core if `n` is `None` or 0, and looks after them. Bind sockets before, with
/// [`bind_sockets`](crate::bind_sockets); make the loop after. Returns in each worker at once, and in the parent when all have
/// ended. Tornado: `fork_processes`.
///
/// - A worker that ends with another code than 0, or by a signal, is replaced; one that ends with 0 is not. A fork that fails
///   is tried again, with the pauses of [`restart_delay`](ForkOptions::restart_delay), and counts as no restart.
/// - `SIGTERM` and `SIGINT` to the parent are handed on to the workers, of which none is replaced any more. A Ctrl-C goes to the
///   whole group, and is handed on to those that are not in it. When the terminal is closed, they get `SIGTERM`.
/// - `SIGHUP` to the parent replaces the workers one by one: a new one is started, when it has lived for a second the old one
///   gets `SIGTERM`, and when that has ended it is the next one's turn. With shared sockets no connection is lost, if the old
///   ones [drain](crate::Server::drain). A new one that ends within its second ends the restart, and the old one stays.
/// - `SIGUSR1` and `SIGUSR2` to the parent are handed on, for workers that listen to them; others they end.
/// - What the terminal sends stays ignored if it was before, as by `nohup` and a shell's `&`.
/// - When the parent dies, however, its workers get [a signal](ForkOptions::parent_death_signal).
///
/// The parent waits for its workers and for nobody else: as process 1 of a container it needs an init before it
/// (`docker run --init`), or the orphans of its workers' children stay zombies.
///
/// The parent sends no worker the same signal twice. Others may: a signal to the whole process group reaches each worker
/// directly and once more through the parent. So listen until the end, as below: while a
/// [`Signals`](crate::signal::Signals) lives, one more `SIGTERM` is no harm; without it, it ends the worker in the middle of
/// what it does.
///
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
///     server.drain(Duration::from_secs(10)).await; // `signals` lives on: see above
///     std::io::Result::Ok(())
/// })?;
/// # std::io::Result::Ok(())
/// ```
///
/// # Errors
/// - In a worker, with a second thread, or after a loop was made: forking would copy what cannot be copied. Nothing is forked.
/// - `fork(2)`'s, for the first ones, as it is; those that began are told to end.
/// - Too many restarts, or workers that failed while they were told to end.
///
/// Source: Tornado's process.py; nginx for the order of a rolling restart.
pub fn fork_processes(n: Option<usize>, options: ForkOptions) -> io::Result<Role> {
    refuse_to_copy()?;
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

/// Refuses where a fork would copy half of something.
fn refuse_to_copy() -> io::Result<()> {
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
