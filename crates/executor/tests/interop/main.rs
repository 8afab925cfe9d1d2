//! Well-kept crates that know nothing of this loop do on it what Tornado's users know: combinators, locks and queues.

mod futures;
mod locks;
mod queues;
mod stage;
