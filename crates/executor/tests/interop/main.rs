//! Combinators, locks and queues from other crates, in place of Tornado's. They do not depend on
//! squall, and run on its loop.

mod futures;
mod locks;
mod queues;
mod support;
