//! Where and when something that lives on the loop was made.

use std::panic::Location;

#[derive(Clone, Copy)]
pub(crate) struct Birth {
    /// The line of the user's program.
    pub(crate) location: &'static Location<'static>,
    /// The turn's time, in nanoseconds since the loop was made.
    pub(crate) time: u64,
}
