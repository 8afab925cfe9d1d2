//! Stands for `tls.rs` in builds without the feature: every https URL is refused.

use std::io;

use squall_net::IoStream;

use super::byte_stream::ByteStream;
use super::client_config::ClientConfig;
use super::fetch_error::FetchError;

/// The TLS of a client, which has none.
pub(super) struct Tls;

/// A connector, which cannot be had.
pub(super) enum Connector {}

impl Tls {
    pub(super) fn new(_: &ClientConfig) -> Tls {
        Tls
    }

    pub(super) async fn connector(&self) -> Result<Connector, FetchError> {
        Err(FetchError::InvalidRequest("https needs the feature `tls`"))
    }
}

impl Connector {
    pub(super) async fn start(&self, _: IoStream, _: &str) -> io::Result<Box<dyn ByteStream>> {
        match *self {}
    }
}
