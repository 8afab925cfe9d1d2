//! One client. Open `session.rs` first.

pub(crate) mod session;
#[cfg(test)]
mod tests;
mod token_bucket;
