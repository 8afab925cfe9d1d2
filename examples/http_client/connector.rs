//! Makes the connection for a request.

use std::net::Ipv4Addr;

use squall_net::{IoStream, StreamConfig, TcpStream};

use crate::byte_stream::ByteStream;
use crate::client_config::ClientConfig;
use crate::fetch_error::FetchError;
use crate::pool::PoolKey;
use crate::tls::Tls;
use crate::url::Scheme;

/// The smallest read buffer in bytes: a whole read of the kernel's.
const MIN_BUFFER: usize = 64 << 10;

/// Looks up the host, connects, and makes the TLS handshake if the scheme asks for it.
pub(crate) async fn connect(
    to: &PoolKey,
    config: &ClientConfig,
    tls: &Tls,
) -> Result<Box<dyn ByteStream>, FetchError> {
    let connector = match to.origin.scheme {
        Scheme::Http => None,
        Scheme::Https => Some(tls.connector().await?),
    };
    let options = match to.source {
        Some(source) => config.connect.clone().source(source),
        // Only addresses of the source's family are tried.
        None if !config.allow_ipv6 => config.connect.clone().source(Ipv4Addr::UNSPECIFIED),
        None => config.connect.clone(),
    };
    let host = to.origin.host.as_str();
    let socket = TcpStream::connect_with((host, to.origin.port), options);
    // The buffer must hold a whole head. Bodies are consumed piece by piece.
    let buffer = StreamConfig::default().max_buffer_size(config.max_head_bytes.max(MIN_BUFFER));
    let stream = IoStream::with_config(socket.await.map_err(FetchError::Connect)?, buffer);
    match connector {
        None => Ok(Box::new(stream)),
        Some(connector) => {
            // A certificate has an IPv6 address without brackets.
            let name = host.trim_start_matches('[').trim_end_matches(']');
            connector.start(stream, name).await.map_err(FetchError::Connect)
        }
    }
}
