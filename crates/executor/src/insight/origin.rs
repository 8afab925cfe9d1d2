//! Where and when a task, timer or handler was made.

use std::panic::Location;

#[derive(Clone, Copy)]
pub(crate) struct Origin {
    /// The line of the user's program that made it.
    pub(crate) location: &'static Location<'static>,
    /// The time of that turn, in nanoseconds since the loop was made.
    pub(crate) time: u64,
}
