//! A point of the sweep: one fault at one system call of one scenario.

use std::fmt;

use crate::fault::Fault;
use crate::scenarios::Scenario;

#[derive(Clone, Copy, Debug)]
pub(crate) struct Point {
    pub(crate) scenario: &'static Scenario,
    /// The name in the [table of calls](crate::system_call::CALLS); `recv` or `send` for
    /// [`Fault::ShortenSocket`].
    pub(crate) call: &'static str,
    /// Which call of this name, counted from 1 over all threads and processes of the scenario.
    pub(crate) nth: u32,
    /// If given, every so many calls after it have the fault too.
    pub(crate) step: Option<u32>,
    pub(crate) fault: Fault,
}

impl Point {
    /// Whether the fault hits the `n`-th call of its name.
    pub(crate) fn hits(&self, n: u32) -> bool {
        match self.step {
            None => n == self.nth,
            Some(step) => n >= self.nth && (n - self.nth).is_multiple_of(step),
        }
    }
}

impl fmt::Display for Point {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Point { scenario, call, nth, step, fault } = self;
        write!(f, "{}: {call} {nth}", scenario.name)?;
        if let Some(step) = step {
            write!(f, "+{step}")?;
        }
        write!(f, ", {fault}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenarios::SCENARIOS;

    #[test]
    fn a_fault_hits_one_call_or_comes_again() {
        let hits = |nth, step| {
            let fault = Fault::DelayBefore;
            let point = Point { scenario: &SCENARIOS[0], call: "read", nth, step, fault };
            (1..=16).filter(|n| point.hits(*n)).collect::<Vec<_>>()
        };
        assert_eq!(hits(3, None), [3]);
        assert_eq!(hits(2, Some(7)), [2, 9, 16]);
        assert_eq!(hits(15, Some(1)), [15, 16]);
    }
}
