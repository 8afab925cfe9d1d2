//! The web side. Open `guestbook.rs` first.

pub(crate) mod asset;
pub(crate) mod client_address;
pub(crate) mod form_token;
pub(crate) mod guestbook;
pub(crate) mod post_limit;
pub(crate) mod safe_headers;
pub(crate) mod visitor;
