//! What the server answers over HTTP. Open `application.rs` first.

pub(crate) mod application;
mod asset;
mod handshake;
