//! Runs a test with many seeds, and finds the lowest that fails.

use std::env;
use std::num::NonZero;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use crate::sim::net_config::NetConfig;
use crate::sim::process::panic_text;
use crate::sim::simulation::Simulation;

/// After so much real time, a run that has not ended is named.
const LONG: Duration = Duration::from_secs(10);
const NOT_DETERMINISTIC: &str = "
a second run with this seed was another one. Something in it does not follow from the seed: the order
of a HashMap, Instant::now, a thread, a socket of std or tokio. The feature sim-std covers the first two";
/// How many of the last events of a failing run are shown.
const EVENTS_SHOWN: usize = 40;

/// Runs a test with each of the seeds, as many at once as there are cores. Each run has a thread of
/// its own.
///
/// With `SQUALL_SEED=17` in the environment, runs that seed alone. With `SQUALL_SEEDS=5000`, runs so
/// many, from the first on; with `SQUALL_SEEDS=100..200`, those.
///
/// ```
/// use std::time::Duration;
/// use squall_net::sim::check;
/// use squall_net::sleep;
///
/// check(0..20, |simulation| {
///     simulation.host("sleeper", async || Ok(sleep(Duration::from_secs(3600)).await));
///     simulation.run(Duration::from_secs(7200)).unwrap();
/// });
/// ```
///
/// # Panics
/// If the test panics with a seed. The message has the lowest seed that fails, what the test says,
/// and the last events of the trace. Also if there is no seed, or if a variable of the environment
/// has another form.
#[track_caller]
pub fn check(seeds: Range<u64>, test: impl Fn(&Simulation) + Sync) {
    check_with(seeds, NetConfig::default(), test);
}

/// As [`check`], on a network that is not the default one.
///
/// # Panics
/// As [`check`].
#[track_caller]
pub fn check_with(seeds: Range<u64>, config: NetConfig, test: impl Fn(&Simulation) + Sync) {
    let seeds = match chosen(&seeds, |name| env::var(name).ok()) {
        Ok(seeds) => seeds,
        Err(text) => panic!("{text}"),
    };
    assert!(!seeds.is_empty(), "{seeds:?} holds no seed");
    let (next, failed) = (AtomicU64::new(seeds.start), Mutex::new(None::<(u64, String)>));
    let lowest = || failed.lock().unwrap_or_else(PoisonError::into_inner);
    let work = || loop {
        let seed = next.fetch_add(1, Ordering::Relaxed);
        let is_needed = lowest().as_ref().is_none_or(|(lowest, _)| seed < *lowest);
        if !seeds.contains(&seed) || !is_needed {
            return;
        }
        if let Err(text) = run_on_a_thread(seed, &config, &test) {
            let mut lowest = lowest();
            if lowest.as_ref().is_none_or(|(lowest, _)| seed < *lowest) {
                *lowest = Some((seed, text));
            }
        }
    };
    let cores = thread::available_parallelism().map_or(1, NonZero::get);
    thread::scope(|scope| (0..cores).for_each(|_| drop(scope.spawn(work))));
    let first = lowest().take();
    if let Some((seed, text)) = first {
        let again = run_on_a_thread(seed, &config, &test);
        let doubt = if again.as_ref() == Err(&text) { "" } else { NOT_DETERMINISTIC };
        panic!("seed {seed} of {seeds:?} fails: {text}{doubt}\nSQUALL_SEED={seed} runs it alone");
    }
}

/// The seeds that the environment asks for; otherwise those that the test names.
fn chosen(
    seeds: &Range<u64>,
    variable: impl Fn(&str) -> Option<String>,
) -> Result<Range<u64>, String> {
    if let Some(text) = variable("SQUALL_SEED") {
        let seed: u64 =
            text.trim().parse().map_err(|_| format!("SQUALL_SEED={text} is not a number"))?;
        return Ok(seed..seed.saturating_add(1));
    }
    let Some(text) = variable("SQUALL_SEEDS") else { return Ok(seeds.clone()) };
    let is_wrong = |_| format!("SQUALL_SEEDS={text} is neither a number nor of the form 100..200");
    match text.split_once("..") {
        Some((start, end)) => {
            Ok(start.trim().parse().map_err(is_wrong)?..end.trim().parse().map_err(is_wrong)?)
        }
        None => {
            let count: u64 = text.trim().parse().map_err(is_wrong)?;
            Ok(seeds.start..seeds.start.saturating_add(count))
        }
    }
}

/// Runs the test with one seed. Returns what the test says and the end of the trace if it panics.
fn run_on_a_thread(
    seed: u64,
    config: &NetConfig,
    test: &(impl Fn(&Simulation) + Sync),
) -> Result<(), String> {
    let (running, ended) = mpsc::channel::<()>();
    let run = move || {
        let _running = running; // dropped at the end
        let simulation = Simulation::with(seed, config.clone());
        catch_unwind(AssertUnwindSafe(|| test(&simulation))).map_err(|payload| {
            let trace = simulation.trace();
            let shown = trace.tail(EVENTS_SHOWN);
            let text = panic_text(&*payload);
            format!("{text}\nthe last {} of {} events:\n{shown}", shown.len(), trace.len())
        })
    };
    thread::scope(|scope| {
        let named = thread::Builder::new().name(format!("seed {seed}"));
        let thread = match named.spawn_scoped(scope, run) {
            Ok(thread) => thread,
            Err(error) => return Err(format!("no thread can be started: {error}")),
        };
        if ended.recv_timeout(LONG) == Err(RecvTimeoutError::Timeout) {
            eprintln!("seed {seed} has run for {LONG:?}; SQUALL_SEED={seed} runs it alone");
        }
        thread.join().unwrap_or_else(|payload| Err(panic_text(&*payload)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_environment_chooses_one_seed_a_number_or_a_range() {
        let chosen = |name: &'static str, text: &'static str| {
            chosen(&(5..9), |asked| (asked == name).then(|| text.to_owned()))
        };
        assert_eq!(chosen("", ""), Ok(5..9));
        assert_eq!(chosen("SQUALL_SEED", "17"), Ok(17..18));
        assert_eq!(chosen("SQUALL_SEEDS", "100"), Ok(5..105));
        assert_eq!(chosen("SQUALL_SEEDS", "3..7"), Ok(3..7));
        assert!(chosen("SQUALL_SEED", "many").unwrap_err().contains("SQUALL_SEED=many"));
        assert!(chosen("SQUALL_SEEDS", "3..x").unwrap_err().contains("100..200"));
    }
}
