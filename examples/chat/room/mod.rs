//! The rooms: who is in them, and what was said. Open `room.rs` first.

pub(crate) mod people;
pub(crate) mod recent;
pub(crate) mod room;
pub(crate) mod rooms;
pub(crate) mod submission;
