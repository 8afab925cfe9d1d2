//! As true as the kernel: each script runs on the kernel's sockets in two network namespaces, and on
//! two simulated hosts, and gets the same results, the same errors and the same order.
//!
//! [`truth/scripts`](truth::scripts) has the scripts. `DIFFERENCES` has what is not the same, and
//! why. Without the permission to make network namespaces, only the simulation runs.

mod truth;
mod watched;

use libtest_mimic::{Arguments, Failed, Trial};
use truth::{kernel, scripts, simulated};
use watched::Watched;

/// How many seeds a script is simulated with.
const SEEDS: u64 = 10;

/// A line of a log where the simulation differs.
struct Difference {
    script: &'static str,
    by_kernel: &'static str,
    simulated: &'static str,
    #[allow(dead_code, reason = "for the reader")]
    reason: &'static str,
}

const DIFFERENCES: &[Difference] = &[Difference {
    script: "the_port_of_the_end_that_closed_first_rests",
    by_kernel: "here listen b2 any as b: AddrInUse, error 98",
    simulated: "here listen b2 any as b: done",
    reason: "there is no TIME_WAIT: a simulated port is free when its socket is dropped",
}];

fn main() {
    let mut arguments = std::env::args().skip(1);
    if arguments.next().as_deref() == Some("as") {
        return kernel::program(&arguments.next().expect("the name of a program"));
    }
    let obstacle = kernel::why_not();
    if let Some(obstacle) = obstacle {
        eprintln!("skipped: {obstacle}");
    }
    let trial = |script: &&'static str| {
        let script = *script;
        Trial::test(script, move || compare(script, obstacle.is_none()))
    };
    libtest_mimic::run(&Arguments::from_args(), scripts::NAMES.iter().map(trial).collect()).exit();
}

/// Runs a script with some seeds, and on the kernel if this machine allows it.
fn compare(script: &'static str, has_kernel: bool) -> Result<(), Failed> {
    let simulate = move |seed| {
        let run = std::thread::spawn(move || simulated::run(script, seed));
        run.join().map_err(|_| Failed::from(format!("seed {seed} panics, see above")))
    };
    let simulated = simulate(0)?;
    for seed in 1..SEEDS {
        check(seed, &simulate(seed)?, &simulated, &[])?;
    }
    if has_kernel {
        let mut lab = Watched::start(&format!("lab {script}"));
        let by_kernel = lab.in_order();
        let differences: Vec<_> =
            DIFFERENCES.iter().filter(|difference| difference.script == script).collect();
        check(0, &simulated, &by_kernel, &differences)?;
        if !lab.end().success() {
            return Err("the lab fails, see above".into());
        }
    }
    Ok(())
}

/// Fails if the logs differ, but for those differences.
fn check(
    seed: u64,
    simulated: &[String],
    expected: &[String],
    differences: &[&Difference],
) -> Result<(), Failed> {
    let (mut text, mut are_equal, mut known) = (String::new(), true, 0);
    for n in 0..simulated.len().max(expected.len()) {
        let line = |log: &[String]| log.get(n).map_or("nothing", String::as_str).to_owned();
        let (simulated, expected) = (line(simulated), line(expected));
        let is_known = |difference: &&&Difference| {
            (difference.by_kernel, difference.simulated) == (&*expected, &*simulated)
        };
        if simulated == expected {
            text += &format!("    {expected}\n");
        } else if differences.iter().any(|difference| is_known(&difference)) {
            known += 1;
        } else {
            are_equal = false;
            text += &format!("  ! {expected}\n    seed {seed}: {simulated}\n");
        }
    }
    if known < differences.len() {
        text += "a known difference is none any more\n";
        are_equal = false;
    }
    if are_equal { Ok(()) } else { Err(format!("the simulation differs:\n{text}").into()) }
}
