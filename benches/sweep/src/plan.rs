//! The points of a scenario, from a run of it without a fault.

use std::collections::BTreeMap;
use std::io;

use nix::errno::Errno;

use crate::fault::{Direction, Fault};
use crate::options::program;
use crate::point::Point;
use crate::report::Report;
use crate::scenarios::Scenario;
use crate::system_call::SystemCall;
use crate::tracer::{self, Ending};

/// The first calls of a scenario are swept.
const CALLS_OF_A_SCENARIO: usize = 400;
/// The rhythm of a fault that comes again: from the second call of a name on, each seventh.
const RHYTHM: (u32, u32) = (2, 7);

/// The points of a scenario, and the run without a fault to which theirs are compared.
pub(crate) struct Plan {
    pub(crate) scenario: &'static Scenario,
    /// The number of swept calls in a run without a fault.
    pub(crate) calls: usize,
    pub(crate) points: Vec<Point>,
    pub(crate) flawless: Report,
}

impl Plan {
    /// Runs the scenario once, and makes points of its first calls.
    ///
    /// # Errors
    /// If that run fails.
    pub(crate) fn of(scenario: &'static Scenario) -> io::Result<Plan> {
        let trace = tracer::run(&mut program(scenario, None, true)?, None)?;
        let failed =
            |what: &str| io::Error::other(format!("{}: {what}\n{}", scenario.name, trace.errors));
        if trace.ending != Ending::Exited(0) {
            return Err(failed("fails without a fault"));
        }
        let flawless = Report::in_output(&trace.output).ok_or_else(|| failed("wrote no report"))?;
        if flawless.errors + flawless.logged + flawless.faults > 0 {
            return Err(failed(&format!("fails without a fault: {}", flawless.notes)));
        }
        let calls = &trace.calls[..trace.calls.len().min(CALLS_OF_A_SCENARIO)];
        let mut points = single(scenario, calls);
        points.extend(repeated(scenario, calls));
        points.extend(shortened(scenario, Direction::Receive, "recv", flawless.receives));
        points.extend(shortened(scenario, Direction::Send, "send", flawless.sends));
        Ok(Plan { scenario, calls: trace.calls.len(), points, flawless })
    }
}

/// Each call with each of its errors, delayed before and after, and shortened if it may be short.
fn single(scenario: &'static Scenario, calls: &[&'static SystemCall]) -> Vec<Point> {
    let mut counts = BTreeMap::new();
    let mut points = Vec::new();
    for call in calls {
        let nth = counts.entry(call.name).and_modify(|count| *count += 1).or_insert(1_u32);
        let mut faults: Vec<_> = call.errors.iter().map(|errno| Fault::Error(*errno)).collect();
        faults.extend([Fault::DelayBefore, Fault::DelayAfter]);
        faults.extend(call.may_be_short.then_some(Fault::Shorten));
        let point = |fault| Point { scenario, call: call.name, nth: *nth, step: None, fault };
        points.extend(faults.into_iter().map(point));
    }
    points
}

/// Each name of a call with each of its errors, again and again.
fn repeated(scenario: &'static Scenario, calls: &[&'static SystemCall]) -> Vec<Point> {
    let names: BTreeMap<_, _> = calls.iter().map(|call| (call.name, *call)).collect();
    let (nth, step) = (RHYTHM.0, Some(RHYTHM.1));
    let errors =
        names.into_values().flat_map(|call| call.errors.iter().map(move |errno| (call, errno)));
    let point = |(call, errno): (&SystemCall, &Errno)| Point {
        scenario,
        call: call.name,
        nth,
        step,
        fault: Fault::Error(*errno),
    };
    errors.map(point).collect()
}

/// Each read or write of a socket alone, and all of them.
fn shortened(
    scenario: &'static Scenario,
    direction: Direction,
    call: &'static str,
    count: u64,
) -> Vec<Point> {
    let most = u32::try_from(CALLS_OF_A_SCENARIO).unwrap_or(u32::MAX);
    let count = u32::try_from(count).unwrap_or(most).min(most);
    let fault = Fault::ShortenSocket(direction);
    let alone = (1..=count).map(|nth| Point { scenario, call, nth, step: None, fault });
    let all = Point { scenario, call, nth: 1, step: Some(1), fault };
    alone.chain((count > 0).then_some(all)).collect()
}
