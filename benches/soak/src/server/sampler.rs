//! Prints what a loop holds, once a second, from a timer of this loop.

use std::fs;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use std::{panic, process};

use squall_net::{PeriodicCallback, stats};

use crate::heap::live_bytes;
use crate::records::json_line::print;
use crate::records::server_report::{Sample, ServerReport};
use crate::run_clock::RunClock;
use crate::server::services::Services;

const PERIOD: Duration = Duration::from_secs(1);

static PANICS: AtomicU64 = AtomicU64::new(0);

/// Counts every panic of this process, beside what the hook before does.
pub(crate) fn count_panics() {
    let former = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        PANICS.fetch_add(1, Ordering::Relaxed);
        former(info);
    }));
}

/// Prints a sample every second, until the returned callback is stopped.
pub(crate) fn start(
    clock: RunClock,
    worker: Option<usize>,
    services: Services,
) -> PeriodicCallback {
    let print_sample = move || match sample(clock, worker, &services) {
        Ok(sample) => print(&ServerReport::Sample(sample)),
        // Without a free descriptor, /proc cannot be read.
        Err(error) => log::info!("no sample: {error}"),
    };
    let sampler = PeriodicCallback::new(PERIOD, print_sample);
    sampler.start();
    sampler
}

fn sample(clock: RunClock, worker: Option<usize>, services: &Services) -> io::Result<Sample> {
    let stats = stats();
    Ok(Sample {
        at: clock.seconds(),
        pid: process::id(),
        worker,
        live_bytes: live_bytes(),
        resident_bytes: resident_bytes()?,
        descriptors: open_descriptors()?,
        tasks: stats.live_tasks,
        timers: stats.live_timers,
        sources: stats.live_sources,
        connections: services.connections(),
        panics: PANICS.load(Ordering::Relaxed),
        turns: stats.turns,
        longest_turn: stats.longest_turn.as_secs_f64(),
    })
}

/// The open descriptors of this process, without the one that lists them.
pub(crate) fn open_descriptors() -> io::Result<usize> {
    Ok(fs::read_dir("/proc/self/fd")?.count() - 1)
}

/// The threads of this process.
pub(crate) fn threads() -> io::Result<usize> {
    Ok(fs::read_dir("/proc/self/task")?.count())
}

fn resident_bytes() -> io::Result<u64> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kilobytes = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse::<u64>().ok());
    kilobytes.map(|kilobytes| kilobytes << 10).ok_or_else(|| io::Error::other("there is no VmRSS"))
}
