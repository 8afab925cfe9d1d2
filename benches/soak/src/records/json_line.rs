//! Lines of JSON.

use std::io::{self, Write};

use serde::Serialize;

/// A record as a line of JSON.
pub(crate) fn line_of(record: &impl Serialize) -> String {
    let mut line = serde_json::to_string(record).expect("records have no maps");
    line.push('\n');
    line
}

/// Prints a record as one line. It is shorter than what a pipe takes at once, so that the lines of
/// several processes stay whole.
pub(crate) fn print(record: &impl Serialize) {
    let _ = io::stdout().write_all(line_of(record).as_bytes()); // the run may have ended
}
