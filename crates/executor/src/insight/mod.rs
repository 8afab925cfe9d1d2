//! What a loop tells about itself: counters, dumps, reports of slow callbacks and of panics. Open `stats.rs` first.
//!
//! `origin` is where something was made, kept with every task, timer and handler so that `dump` and `slow_callback` can name its line.
//! `panics` keeps a panic in the code that caused it. These files describe; the parts of the loop fill them in. Nothing here imports
//! another room, except that a slow callback is measured with the clock of `time/`.

pub(crate) mod dump;
pub(crate) mod origin;
pub(crate) mod panics;
pub(crate) mod slow_callback;
pub(crate) mod stats;
