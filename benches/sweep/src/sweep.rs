//! Runs points on all cores, shows the progress, and counts the outcomes.

use std::io::{self, Write};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

use indicatif::{ProgressBar, ProgressStyle};

use crate::outcome::{self, Outcome};
use crate::plan::Plan;
use crate::point::Point;
use crate::report::Report;
use crate::table::Table;

/// What has gone wrong, and all outcomes.
#[derive(Default)]
pub(crate) struct Outcomes {
    pub(crate) table: Table,
    pub(crate) failures: usize,
}

/// Runs the points of the plans that `is_chosen`, each in a process of its own.
///
/// # Errors
/// If a program cannot be run or traced.
pub(crate) fn run(
    plans: &[Plan],
    is_chosen: impl Fn(usize, &Point) -> bool,
) -> io::Result<Outcomes> {
    let points =
        plans.iter().flat_map(|plan| plan.points.iter().map(move |point| (point, &plan.flawless)));
    let points: Vec<_> = points
        .enumerate()
        .filter(|(n, (point, _))| is_chosen(*n, point))
        .map(|(_, it)| it)
        .collect();
    let progress = progress(points.len());
    let outcomes = Mutex::new(Outcomes::default());
    let next = AtomicUsize::new(0);
    thread::scope(|scope| {
        let work = || work(&points, &next, &outcomes, &progress);
        let workers: Vec<_> = (0..cores()).map(|_| scope.spawn(work)).collect();
        workers.into_iter().try_for_each(|worker| worker.join().expect("no panic"))
    })?;
    progress.finish_and_clear();
    Ok(outcomes.into_inner().unwrap_or_else(PoisonError::into_inner))
}

fn cores() -> usize {
    thread::available_parallelism().map_or(1, usize::from)
}

/// Takes points until none is left.
fn work(
    points: &[(&Point, &Report)],
    next: &AtomicUsize,
    outcomes: &Mutex<Outcomes>,
    progress: &ProgressBar,
) -> io::Result<()> {
    // Relaxed: the number is all that the threads share by it.
    while let Some((point, flawless)) = points.get(next.fetch_add(1, Ordering::Relaxed)) {
        let outcome = outcome::of(point, flawless)
            .map_err(|error| io::Error::new(error.kind(), format!("{point}: {error}")))?;
        let mut outcomes = outcomes.lock().unwrap_or_else(PoisonError::into_inner);
        outcomes.table.add(point, &outcome);
        if let Outcome::Failure(failure) = &outcome {
            outcomes.failures += 1;
            progress.suspend(|| writeln!(io::stdout(), "{point}: {failure:?}"))?;
        }
        progress.set_message(point.scenario.name);
        progress.inc(1);
    }
    Ok(())
}

/// Shows the progress on standard error, if that is a terminal.
fn progress(points: usize) -> ProgressBar {
    let style = "[{bar:40}] {pos}/{len} points, {msg}, {elapsed}, {eta} left";
    let style = ProgressStyle::with_template(style).expect("a valid template");
    ProgressBar::new(points as u64).with_style(style.progress_chars("=> "))
}
