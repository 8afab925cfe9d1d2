//! One client. Open `session.rs` first.

pub(crate) mod session;
mod token_bucket;
