//! Pictures, which are files beside the database. Open `picture_directory.rs` first.

pub(crate) mod partial_file;
pub(crate) mod picture_directory;
pub(crate) mod picture_kind;
pub(crate) mod removal;
