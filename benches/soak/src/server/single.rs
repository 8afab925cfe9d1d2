//! One process with one loop, which runs on a thread of its own: after this thread has ended, all
//! that the loop has allocated and opened must be gone.

use std::io::{self, Write};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use squall_net::signal::{SIGTERM, SIGUSR2, Signals};
use squall_net::{block_on, dump, spawn_blocking};

use crate::heap::live_bytes;
use crate::records::json_line::print;
use crate::records::server_report::{Ended, ServerReport};
use crate::run_clock::RunClock;
use crate::server::fault::Fault;
use crate::server::sampler::{self, open_descriptors, threads};
use crate::server::services::{Services, Sockets};

/// How long the threads of blocking jobs may take to end after their loop.
const SETTLING_TIME: Duration = Duration::from_secs(5);

/// Serves until `SIGTERM` arrives, then prints what is left.
pub(crate) fn serve(directory: &Path, clock: RunClock, fault: Fault) -> io::Result<()> {
    sampler::count_panics();
    // What is made once in a process, as the table of signals, does not count as left behind.
    on_a_thread(|| block_on(rehearse(directory, clock)))?;
    let before = State::alone()?;
    on_a_thread(|| {
        let sockets = Sockets::bind()?;
        print(&sockets.report()?);
        block_on(serve_until_told(sockets, directory, clock, fault))
    })?;
    print(&ServerReport::Ended(before.left_after_settling()?));
    Ok(())
}

fn on_a_thread(work: impl FnOnce() -> io::Result<()> + Send) -> io::Result<()> {
    thread::scope(|scope| {
        thread::Builder::new()
            .name("loop".into())
            .spawn_scoped(scope, work)?
            .join()
            .map_err(|_| io::Error::other("the loop's thread panicked"))?
    })
}

/// Uses all that the server uses, once.
async fn rehearse(directory: &Path, clock: RunClock) -> io::Result<()> {
    io::stdout().flush()?; // allocates its buffer
    let _signals = Signals::new([SIGTERM, SIGUSR2])?;
    let services = Services::start(Sockets::bind()?, directory, Fault::None)?;
    spawn_blocking(|| ()).await?;
    sampler::start(clock, None, services.clone()).stop();
    services.shut_down().await;
    Ok(())
}

async fn serve_until_told(
    sockets: Sockets,
    directory: &Path,
    clock: RunClock,
    fault: Fault,
) -> io::Result<()> {
    let mut signals = Signals::new([SIGTERM, SIGUSR2])?;
    let services = Services::start(sockets, directory, fault)?;
    let sampler = sampler::start(clock, None, services.clone());
    while signals.next().await == Some(SIGUSR2) {
        log::warn!("{}", dump());
    }
    services.shut_down().await;
    sampler.stop();
    Ok(())
}

/// What this process holds.
struct State {
    live_bytes: isize,
    descriptors: isize,
    threads: isize,
}

impl State {
    fn now() -> io::Result<State> {
        let (descriptors, threads) = (open_descriptors()?, threads()?);
        Ok(State {
            live_bytes: live_bytes(),
            descriptors: descriptors.cast_signed(),
            threads: threads.cast_signed(),
        })
    }

    /// Waits until this thread is the only one.
    fn alone() -> io::Result<State> {
        let begin = Instant::now();
        while threads()? > 1 {
            if begin.elapsed() > SETTLING_TIME {
                return Err(io::Error::other("a thread of a blocking job does not end"));
            }
            thread::sleep(Duration::from_millis(10));
        }
        State::now()
    }

    /// Compares what this process holds to `self`. Waits for the end of threads.
    fn left_after_settling(&self) -> io::Result<Ended> {
        let begin = Instant::now();
        loop {
            let now = State::now()?;
            let ended = Ended {
                live_bytes: now.live_bytes - self.live_bytes,
                descriptors: now.descriptors - self.descriptors,
                threads: now.threads - self.threads,
            };
            if ended.is_nothing() || begin.elapsed() > SETTLING_TIME {
                return Ok(ended);
            }
            thread::sleep(Duration::from_millis(10));
        }
    }
}
