//! Draws what a run has written. Open `draw.rs` first.

mod act_strip;
mod curve;
mod draw;
mod history;
mod panel;

pub(crate) use draw::draw;
pub(crate) use history::Window;
