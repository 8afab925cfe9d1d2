//! Applications: which handler answers which request. Open `application.rs` first.
//!
//! ```text
//!   application ──▶ pattern            which route the path belongs to, and its arguments
//!        └────────▶ request_handler    a type or closure that answers
//!                        ├───────────▶ static_files ──▶ cached_file   one that serves a directory
//!                        └───────────▶ max_delay      one that refuses requests under overload
//! ```

mod any_handler;
pub(crate) mod application;
mod byte_range;
mod cached_file;
mod file_type;
pub(crate) mod max_delay;
mod method_table;
mod pattern;
pub(crate) mod static_files;
