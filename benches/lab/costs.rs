//! What a request costs, by several rounds.

use crate::round::Round;
use crate::table::{Table, spread};

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

    /// Formats the CPU time of a request.
    pub(crate) fn cpu_time(&self) -> String {
        spread(&self.both, 2)
    }

    /// Formats the requests a second, in units of `unit`.
    pub(crate) fn rate(&self, unit: f64) -> String {
        let rates: Vec<_> = self.rate.iter().map(|rate| rate / unit).collect();
        spread(&rates, if unit > 1.0 { 1 } else { 0 })
    }

    /// Prints a row for each of these, which have names.
    pub(crate) fn print<'a>(
        title: &str,
        first_column: &str,
        rows: impl IntoIterator<Item = (&'a str, Costs)>,
    ) {
        let head = [
            first_column,
            "user, µs a request",
            "kernel, µs",
            "both, µs",
            "1,000 requests a second",
        ];
        let mut table = Table::new(&head);
        for (name, costs) in rows {
            table.row(vec![
                name.to_owned(),
                spread(&costs.user, 1),
                spread(&costs.kernel, 1),
                costs.cpu_time(),
                costs.rate(1e3),
            ]);
        }
        table.print(title);
    }
}
