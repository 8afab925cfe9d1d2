//! Stands for `tls.rs` in builds without the feature: every https URL is refused.

use std::io;

use squall_net::IoStream;

use crate::byte_stream::ByteStream;
use crate::client_config::ClientConfig;
use crate::fetch_error::FetchError;

/// The TLS of a client, which has none.
pub(crate) struct Tls;

/// A connector, which cannot be had.
pub(crate) enum Connector {}

impl Tls {
    pub(crate) fn new(_: &ClientConfig) -> Tls {
        Tls
    }

    pub(crate) async fn connector(&self) -> Result<Connector, FetchError> {
        Err(FetchError::InvalidRequest("https needs the feature `tls`"))
    }
}

impl Connector {
    pub(crate) async fn start(&self, _: IoStream, _: &str) -> io::Result<Box<dyn ByteStream>> {
        match *self {}
    }
}
