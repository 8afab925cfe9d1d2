//! Applications: which handler answers which request. Open `application.rs` first.
//!
//! ```text
//!   application ──▶ pattern            which route the path belongs to, and its arguments
//!        └────────▶ request_handler    a type or closure that answers
//!                        └───────────▶ static_files ──▶ cached_file   one that serves a directory
//! ```

pub(crate) mod application;
pub(crate) mod arguments;
mod byte_range;
mod cached_file;
mod content_type;
pub(crate) mod method_table;
pub(crate) mod pattern;
pub(crate) mod request_handler;
pub(crate) mod static_files;
