//! What a program says about its run: one line of JSON on its standard output.

use serde::{Deserialize, Serialize};

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Report {
    /// The steps of the scenario that were completed.
    pub(crate) steps: usize,
    /// The errors that squall returned to the scenario.
    pub(crate) errors: usize,
    /// The lines that squall logged.
    pub(crate) logged: usize,
    /// What must not happen: wrong bytes, a wait that does not end, a timer that is early.
    pub(crate) faults: usize,
    /// All of these, as text.
    pub(crate) notes: String,
    pub(crate) left: Left,
    /// The turns of the scenario's loop.
    pub(crate) turns: u64,
    /// Reads and writes of sockets that could be shortened.
    pub(crate) receives: u64,
    pub(crate) sends: u64,
    /// Whether the scenario, run once more without a fault, did all its steps without an error.
    pub(crate) is_well_afterwards: bool,
}

impl Report {
    /// The report in a program's output. `None` if there is none.
    pub(crate) fn in_output(output: &str) -> Option<Report> {
        serde_json::from_str(output.lines().last()?).ok()
    }
}

/// What was left when the scenario had ended; all zero if it cleans up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Left {
    pub(crate) descriptors: isize,
    pub(crate) bytes: isize,
    pub(crate) threads: isize,
    pub(crate) tasks: usize,
    pub(crate) timers: usize,
    pub(crate) sources: usize,
}
