//! The most that an operation may cost, by the design.

use std::fmt;

use crate::cost::{Cost, number};

#[derive(Clone, Copy, Debug)]
pub(crate) enum Limit {
    Instructions(f64),
    Allocations(f64),
    Atomics(f64),
    Calls(f64),
    ClockReads(f64),
}

impl Limit {
    pub(crate) fn is_met(self, cost: &Cost) -> bool {
        let (most, counted) = match self {
            Limit::Instructions(most) => (most, cost.instructions),
            Limit::Allocations(most) => (most, cost.allocations),
            Limit::Atomics(most) => (most, cost.atomics),
            Limit::Calls(most) => (most, cost.all_calls()),
            Limit::ClockReads(most) => (most, cost.clock_reads),
        };
        number(counted).parse::<f64>().is_ok_and(|counted| counted <= most)
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (most, one) = match *self {
            Limit::Instructions(most) => (most, "instruction"),
            Limit::Allocations(most) => (most, "allocation"),
            Limit::Atomics(most) => (most, "atomic"),
            Limit::Calls(most) => (most, "call"),
            Limit::ClockReads(most) => (most, "clock read"),
        };
        let plural = if most == 1.0 { "" } else { "s" };
        write!(f, "{} {one}{plural}", number(most))
    }
}
