//! Information about a loop: counters, dumps, and reports of slow callbacks and panics. Open
//! `stats.rs` first.
//!
//! Every task, timer and handler keeps its `origin`, so that `dump` and `observer` can name the line
//! that made it. `slow_callback` is an observer. `panics` catches panics of user code, so that the
//! loop goes on. The files here define the data, and the parts of the loop fill it in. They import no
//! other module folder, except that `observer` uses the clock in `time/`.

pub(crate) mod dump;
pub(crate) mod observer;
pub(crate) mod origin;
pub(crate) mod panics;
pub(crate) mod slow_callback;
pub(crate) mod stats;
