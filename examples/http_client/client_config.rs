//! The limits, deadlines and connection options of a client.

use std::time::Duration;

use http::HeaderValue;
use squall_net::ConnectOptions;

/// How an [`HttpClient`](crate::HttpClient) makes its requests. A request may override what it has
/// a method for.
///
/// ```
/// use squall_net::{ConnectOptions, OverrideResolver, SystemResolver};
/// use http_client::{ClientConfig, HttpClient};
///
/// let names = OverrideResolver::new(SystemResolver).host("db.internal", ["10.0.0.7".parse()?]);
/// let client = HttpClient::with_config(ClientConfig {
///     max_clients: 50,
///     connect: ConnectOptions::default().resolver(names),
///     ..ClientConfig::default()
/// });
/// # Ok::<(), std::net::AddrParseError>(())
/// ```
#[derive(Clone, Debug)]
pub struct ClientConfig {
    /// The most requests that run at a time; 10 by default, at least 1. Further requests wait in
    /// order.
    pub max_clients: usize,
    /// The most idle connections that are kept; 32 by default. The oldest is closed first.
    pub max_idle: usize,
    /// How long an idle connection is kept; 30 s by default.
    pub idle_timeout: Duration,
    /// The time that a request may wait for its turn; 20 s by default. Zero means no limit, here
    /// and below.
    pub queue_timeout: Duration,
    /// The time for the lookup of the name, the connection and the TLS handshake together; 20 s by
    /// default.
    pub connect_timeout: Duration,
    /// The time from the request's turn to the last byte of the answer, the connect included; 20 s
    /// by default. Each redirect begins anew.
    pub request_timeout: Duration,
    /// The most redirects that a request follows; 5 by default.
    pub max_redirects: usize,
    /// The most bytes of an answer's head, and of the trailers after its body; 64 KiB by default.
    pub max_head_bytes: usize,
    /// The most bytes of a body that is returned as a whole; 100 MiB by default.
    pub max_body_bytes: usize,
    /// The value of `User-Agent` for requests that have none.
    pub user_agent: HeaderValue,
    /// How connections are made: the resolver, the source address, the delay between attempts. Maps
    /// of names and ports are an [`OverrideResolver`](squall_net::OverrideResolver).
    pub connect: ConnectOptions,
    /// Whether IPv6 addresses are tried. If not, the default source address is `0.0.0.0`, whatever
    /// `connect` says.
    pub allow_ipv6: bool,
    /// Makes the TLS connections. By default, it trusts the certificates that the platform trusts.
    #[cfg(feature = "tls")]
    pub tls: Option<squall_net::tls::TlsConnector>,
}

impl Default for ClientConfig {
    fn default() -> ClientConfig {
        let default_timeout = Duration::from_secs(20);
        ClientConfig {
            max_clients: 10,
            max_idle: 32,
            idle_timeout: Duration::from_secs(30),
            queue_timeout: default_timeout,
            connect_timeout: default_timeout,
            request_timeout: default_timeout,
            max_redirects: 5,
            max_head_bytes: 64 << 10,
            max_body_bytes: 100 << 20,
            user_agent: HeaderValue::from_static(concat!(
                env!("CARGO_PKG_NAME"),
                "/",
                env!("CARGO_PKG_VERSION")
            )),
            connect: ConnectOptions::default(),
            allow_ipv6: true,
            #[cfg(feature = "tls")]
            tls: None,
        }
    }
}
