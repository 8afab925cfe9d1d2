//! The load's process: reads commands from the run, prints reports to it.

use std::io::{self, BufRead};
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use crate::content;
use crate::load::lane::{Addresses, Lane};
use crate::records::failure::Target;
use crate::records::json_line::print;
use crate::records::load_report::LoadReport;
use crate::run_clock::RunClock;

/// Runs the clients of both servers. `rate` is the number of requests a second in all. The run writes
/// `resume` and `pause`, each on a line; the end of standard input ends the load.
pub(crate) fn run(
    single: Addresses,
    prefork: Addresses,
    rate: f64,
    seed: u64,
    clock: RunClock,
) -> io::Result<()> {
    let file = Arc::new(content::file());
    let lanes = [
        Lane::new(Target::Single, single, rate * 2.0 / 3.0, clock, Arc::clone(&file)),
        Lane::new(Target::Prefork, prefork, rate / 3.0, clock, file),
    ];
    let (sender, ended) = channel();
    thread::scope(|scope| {
        let outcome = lanes
            .iter()
            .zip([0, 1000])
            .try_for_each(|(lane, offset)| lane.spawn(scope, seed.wrapping_add(offset)));
        scope.spawn(|| obey(&lanes, sender));
        if outcome.is_err() {
            lanes.iter().for_each(Lane::end);
            return outcome;
        }
        let mut next = Instant::now() + Duration::from_secs(1);
        loop {
            let outcome = ended.recv_timeout(next.saturating_duration_since(Instant::now()));
            lanes.iter().for_each(Lane::print_second);
            if let Ok(()) | Err(RecvTimeoutError::Disconnected) = outcome {
                return Ok(());
            }
            next += Duration::from_secs(1);
        }
    })
}

/// Obeys the run until it closes standard input.
fn obey(lanes: &[Lane], ended: Sender<()>) {
    for line in io::stdin().lock().lines() {
        match line.as_deref() {
            Ok("resume") => lanes.iter().for_each(Lane::resume),
            Ok("pause") => {
                lanes.iter().for_each(Lane::pause);
                print(&LoadReport::Paused);
            }
            _ => break,
        }
    }
    lanes.iter().for_each(Lane::end);
    let _ = ended.send(()); // the other end lives as long as this thread
}
