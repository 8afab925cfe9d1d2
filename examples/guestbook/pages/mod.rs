//! The pages. `html.rs` escapes what they show.

pub(crate) mod board_page;
pub(crate) mod error_page;
pub(crate) mod html;
