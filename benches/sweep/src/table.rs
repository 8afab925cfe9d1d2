//! The outcomes of a sweep, counted for each scenario and system call.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::AddAssign;

use crate::outcome::{Failure, Outcome};
use crate::point::Point;
use crate::scenarios::SCENARIOS;

/// A row for each scenario and system call.
#[derive(Default)]
pub(crate) struct Table {
    rows: BTreeMap<(&'static str, &'static str), Row>,
}

/// How often each outcome was seen.
#[derive(Clone, Copy, Default)]
pub(crate) struct Row {
    pub(crate) points: usize,
    success: usize,
    error: usize,
    logged: usize,
    hangs: usize,
    leaks: usize,
    panics: usize,
    others: usize,
    /// Not among the points.
    not_reached: usize,
}

impl Row {
    fn of(outcome: &Outcome) -> Row {
        let mut row = Row { points: 1, ..Row::default() };
        let count = match outcome {
            Outcome::Success => &mut row.success,
            Outcome::Error => &mut row.error,
            Outcome::Logged => &mut row.logged,
            Outcome::NotReached => return Row { not_reached: 1, ..Row::default() },
            Outcome::Failure(Failure::Hang(_)) => &mut row.hangs,
            Outcome::Failure(Failure::Leak(_)) => &mut row.leaks,
            Outcome::Failure(Failure::Panic(_) | Failure::Death(_)) => &mut row.panics,
            Outcome::Failure(Failure::Wrong(_)) => &mut row.others,
        };
        *count = 1;
        row
    }
}

impl AddAssign for Row {
    fn add_assign(&mut self, other: Row) {
        self.points += other.points;
        self.success += other.success;
        self.error += other.error;
        self.logged += other.logged;
        self.hangs += other.hangs;
        self.leaks += other.leaks;
        self.panics += other.panics;
        self.others += other.others;
        self.not_reached += other.not_reached;
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Row { points, success, error, logged, hangs, leaks, panics, others, not_reached } =
            self;
        write!(
            f,
            "{points} | {success} | {error} | {logged} | {hangs} | {leaks} | {panics} | {others} | {not_reached}"
        )
    }
}

impl Table {
    pub(crate) fn add(&mut self, point: &Point, outcome: &Outcome) {
        *self.rows.entry((point.scenario.name, point.call)).or_default() += Row::of(outcome);
    }

    /// The sums of the rows that have the same key.
    fn sums<K: Ord>(&self, key: impl Fn(&(&'static str, &'static str)) -> K) -> BTreeMap<K, Row> {
        let mut sums = BTreeMap::new();
        for (names, row) in &self.rows {
            *sums.entry(key(names)).or_default() += *row;
        }
        sums
    }

    pub(crate) fn total(&self) -> Row {
        let mut total = Row::default();
        self.rows.values().for_each(|row| total += *row);
        total
    }
}

/// As Markdown: all rows, then the sums for each system call, and for each scenario.
impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        head(f, &["scenario", "system call"])?;
        for scenario in &SCENARIOS {
            for ((name, call), row) in &self.rows {
                if *name == scenario.name {
                    writeln!(f, "| {name} | {call} | {row} |")?;
                }
            }
        }
        writeln!(f)?;
        head(f, &["system call"])?;
        for (call, row) in self.sums(|(_, call)| *call) {
            writeln!(f, "| {call} | {row} |")?;
        }
        writeln!(f)?;
        head(f, &["scenario"])?;
        let sums = self.sums(|(name, _)| *name);
        for scenario in &SCENARIOS {
            if let Some(row) = sums.get(scenario.name) {
                writeln!(f, "| {} | {row} |", scenario.name)?;
            }
        }
        write!(f, "| **all** | {} |", self.total())
    }
}

fn head(f: &mut fmt::Formatter<'_>, keys: &[&str]) -> fmt::Result {
    let counts = "points | success | error to the caller | logged close";
    let failures = "hang | leak | panic | wrong";
    writeln!(f, "| {} | {counts} | {failures} | not reached |", keys.join(" | "))?;
    writeln!(f, "|{}{}", "---|".repeat(keys.len()), "--:|".repeat(9))
}
