//! The form that a visitor sends. Open `posting.rs` first.

pub(crate) mod draft;
pub(crate) mod parts;
pub(crate) mod posting;
