//! Where and when something on the loop was made.

use std::panic::Location;

#[derive(Clone, Copy)]
pub(crate) struct Origin {
    /// The line of the user's program.
    pub(crate) location: &'static Location<'static>,
    /// The time of the turn, in nanoseconds since the loop was made.
    pub(crate) time: u64,
}
