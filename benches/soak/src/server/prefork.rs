//! Two forked workers under a supervisor, which replaces those that are killed.

use std::io;
use std::path::Path;
use std::time::Duration;

use squall_net::signal::{SIGTERM, SIGUSR2, Signals};
use squall_net::{ForkOptions, Role, block_on, dump, fork_processes};

use crate::records::json_line::print;
use crate::run_clock::RunClock;
use crate::server::fault::Fault;
use crate::server::sampler;
use crate::server::services::{GRACE, Services, Sockets};

const WORKERS: usize = 2;

/// Serves until `SIGTERM` arrives.
pub(crate) fn serve(directory: &Path, clock: RunClock) -> io::Result<()> {
    sampler::count_panics();
    let sockets = Sockets::bind()?;
    print(&sockets.report()?);
    // A run kills workers on purpose, as often as it has time.
    let options =
        ForkOptions::default().max_restarts(usize::MAX).grace(Some(GRACE + Duration::from_secs(5)));
    match fork_processes(Some(WORKERS), options)? {
        Role::Worker(number) => block_on(serve_until_told(number, sockets, directory, clock)),
        Role::Supervisor => Ok(()),
    }
}

async fn serve_until_told(
    number: usize,
    sockets: Sockets,
    directory: &Path,
    clock: RunClock,
) -> io::Result<()> {
    let mut signals = Signals::new([SIGTERM, SIGUSR2])?;
    let services = Services::start(sockets, directory, Fault::None)?;
    let sampler = sampler::start(clock, Some(number), services.clone());
    while signals.next().await == Some(SIGUSR2) {
        log::warn!("worker {number}\n{}", dump());
    }
    sampler.stop();
    services.shut_down().await;
    Ok(())
}
