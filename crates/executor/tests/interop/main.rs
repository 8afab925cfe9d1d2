//! Combinators, locks, channels and queues from other crates, in place of Tornado's and tokio's.
//! They do not depend on squall, and run on its loop.

mod channels;
mod futures;
mod locks;
mod macros;
mod queues;
mod support;
mod tokio_locks;
