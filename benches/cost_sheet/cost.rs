//! What an operation costs.

use std::collections::BTreeMap;

use crate::meter::{LONG, Label, Part, SHORT};

/// What the tools have counted in a run, or the part of one operation in it.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Cost {
    pub(crate) instructions: f64,
    pub(crate) allocations: f64,
    pub(crate) frees: f64,
    /// Read-modify-writes.
    pub(crate) atomics: f64,
    pub(crate) clock_reads: f64,
    /// System calls by name.
    pub(crate) calls: BTreeMap<String, f64>,
}

impl Cost {
    /// Computes the cost of each operation, by its name, from what was counted in the runs.
    pub(crate) fn of_operations(runs: &[(Label, Cost)]) -> BTreeMap<String, Cost> {
        let mut costs = BTreeMap::<String, Cost>::new();
        for (label, counted) in runs {
            // (long - short) - (frame's long - frame's short)
            let is_added = label.is_long == (label.part == Part::Whole);
            let share = if is_added { 1.0 } else { -1.0 } / (LONG - SHORT) as f64;
            costs.entry(label.name.clone()).or_default().add(counted, share);
        }
        costs
    }

    /// Adds `other`, multiplied by `share`.
    pub(crate) fn add(&mut self, other: &Cost, share: f64) {
        self.instructions += other.instructions * share;
        self.allocations += other.allocations * share;
        self.frees += other.frees * share;
        self.atomics += other.atomics * share;
        self.clock_reads += other.clock_reads * share;
        for (name, count) in &other.calls {
            *self.calls.entry(name.clone()).or_default() += count * share;
        }
    }

    pub(crate) fn all_calls(&self) -> f64 {
        self.calls.values().sum()
    }
}

/// Formats a number of things: at most two digits after the point, and none for a whole number.
pub(crate) fn number(count: f64) -> String {
    let text = format!("{:.2}", count + 0.0);
    let text = text.trim_end_matches('0').trim_end_matches('.');
    if text == "-0" { "0".to_owned() } else { text.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(part: Part, is_long: bool, instructions: f64) -> (Label, Cost) {
        let label = Label { part, is_long, name: "x".to_owned() };
        (label, Cost { instructions, ..Cost::default() })
    }

    #[test]
    fn the_frame_and_what_is_done_once_are_subtracted() {
        let operations = (LONG - SHORT) as f64;
        let runs = [
            run(Part::Whole, false, 1000.0),
            run(Part::Whole, true, 1000.0 + 9.0 * operations),
            run(Part::Frame, false, 500.0),
            run(Part::Frame, true, 500.0 + 2.0 * operations),
        ];
        assert_eq!(number(Cost::of_operations(&runs)["x"].instructions), "7");
    }

    #[test]
    fn numbers_are_short() {
        assert_eq!(
            [0.0, -0.001, 1.0, 0.016, 2.5, 20.0].map(number),
            ["0", "0", "1", "0.02", "2.5", "20"]
        );
    }
}
