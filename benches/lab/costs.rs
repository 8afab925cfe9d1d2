//! What a request costs, by several rounds.

use crate::round::Round;
use crate::table::{Cell, Table};

/// How the figures of a [`Costs::table`] were measured.
const METHOD: &str = "CPU time of the measured process by the kernel's scheduler, which counts nanoseconds; its parts in user space \
                      and in the kernel are estimated from its ticks. The process has one core, and what it talks to has the other.";

/// A figure for each round: microseconds a request, and requests a second.
#[derive(Debug, Default)]
pub(crate) struct Costs {
    user: Vec<f64>,
    kernel: Vec<f64>,
    both: Vec<f64>,
    rate: Vec<f64>,
}

impl Costs {
    pub(crate) fn add(&mut self, round: &Round) {
        let each = |seconds: f64| seconds * 1e6 / round.answered as f64;
        let (all, user) = (round.used.all.as_secs_f64(), round.used.user().as_secs_f64());
        self.user.push(each(user));
        self.kernel.push(each(all - user));
        self.both.push(each(all));
        self.rate.push(round.rate());
    }

    /// The CPU time of a request in microseconds.
    pub(crate) fn cpu_time(&self) -> Cell {
        Cell::of(&self.both)
    }

    /// The requests a second, in units of `unit`.
    pub(crate) fn rate(&self, unit: f64) -> Cell {
        let rates: Vec<_> = self.rate.iter().map(|rate| rate / unit).collect();
        Cell::of(&rates)
    }

    /// Makes a table with a row for each of these, which have names.
    pub(crate) fn table(
        name: &str,
        title: &str,
        rows_are: &str,
        rows: impl IntoIterator<Item = (impl AsRef<str>, Costs)>,
    ) -> Table {
        let mut table = Table::new(name, title, rows_are)
            .method(METHOD)
            .column("CPU", "µs a request", 2)
            .column("of these user", "µs", 1)
            .column("kernel", "µs", 1)
            .column("1,000 requests a second", "", 1);
        for (name, costs) in rows {
            let (user, kernel) = (Cell::of(&costs.user), Cell::of(&costs.kernel));
            table.row(name.as_ref(), vec![costs.cpu_time(), user, kernel, costs.rate(1e3)]);
        }
        table
    }
}
