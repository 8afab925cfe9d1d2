//! How an act ended.

use std::io;

/// How an act of chaos ended.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// It was carried out. The text says what it did.
    Done(String),
    /// This machine does not allow it.
    Skipped(String),
    /// The server has failed a client that was entitled to an answer.
    Violation(String),
}

impl Outcome {
    /// Makes a violation of the error of a client.
    pub(crate) fn of(result: io::Result<String>) -> Outcome {
        match result {
            Ok(note) => Outcome::Done(note),
            Err(error) => Outcome::Violation(error.to_string()),
        }
    }
}
