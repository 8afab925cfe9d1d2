//! TLS for https URLs.

use std::cell::OnceCell;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use squall_net::tls::{TlsConnector, rustls};
use squall_net::{IoStream, spawn_blocking};

use crate::byte_stream::ByteStream;
use crate::client_config::ClientConfig;
use crate::fetch_error::FetchError;

/// The TLS of a client.
pub(crate) struct Tls {
    /// Empty until the first https URL, unless the configuration has a connector.
    connector: OnceCell<TlsConnector>,
}

/// A connector of a client.
pub(crate) struct Connector(TlsConnector);

impl Tls {
    pub(crate) fn new(config: &ClientConfig) -> Tls {
        let connector = OnceCell::new();
        if let Some(configured) = &config.tls {
            connector.get_or_init(|| configured.clone());
        }
        Tls { connector }
    }

    /// Returns the connector. The first call reads the certificates that the platform trusts.
    pub(crate) async fn connector(&self) -> Result<Connector, FetchError> {
        if let Some(connector) = self.connector.get() {
            return Ok(Connector(connector.clone()));
        }
        let made = spawn_blocking(platform_connector).await;
        let made = made.map_err(io::Error::from).and_then(|made| made);
        let made = made.map_err(FetchError::Connect)?;
        Ok(Connector(self.connector.get_or_init(|| made).clone()))
    }
}

impl Connector {
    /// Makes the handshake with a server of this name. The caller limits its time.
    pub(crate) async fn start(
        &self,
        stream: IoStream,
        name: &str,
    ) -> io::Result<Box<dyn ByteStream>> {
        let connector = self.0.clone().handshake_deadline(Duration::MAX);
        Ok(Box::new(stream.start_tls(&connector, name).await?))
    }
}

/// Makes a connector that trusts the platform's certificates. Blocks: it reads files.
fn platform_connector() -> io::Result<TlsConnector> {
    let loaded = rustls_native_certs::load_native_certs();
    for error in &loaded.errors {
        log::warn!("a certificate that the platform trusts cannot be read: {error}");
    }
    let mut roots = rustls::RootCertStore::empty();
    if roots.add_parsable_certificates(loaded.certs).0 == 0 {
        let text = "the platform has no certificates that can be trusted";
        return Err(io::Error::new(io::ErrorKind::NotFound, text));
    }
    let mut config =
        rustls::ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsConnector::new(Arc::new(config)))
}
