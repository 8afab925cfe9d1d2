//! TLS under [`IoStream`] and [`Server`], by rustls.
//!
//! The protocol is rustls's and the transport that of futures-rustls; here they meet streams and servers. A peer that ends
//! without saying so in TLS is an error (`UnexpectedEof`), never a clean end: bytes may have been cut off.
//!
//! ```no_run
//! use std::sync::Arc;
//! use squall_net::tls::{TlsConnector, rustls};
//! use squall_net::{IoStream, TcpStream, block_on};
//!
//! # fn roots() -> rustls::RootCertStore { rustls::RootCertStore::empty() }
//! let config = rustls::ClientConfig::builder().with_root_certificates(roots()).with_no_client_auth();
//! let connector = TlsConnector::new(Arc::new(config));
//! block_on(async {
//!     let stream = IoStream::new(TcpStream::connect("example.org:443").await?);
//!     let mut stream = stream.start_tls(&connector, "example.org").await?;
//!     stream.write("GET / HTTP/1.0\r\nHost: example.org\r\n\r\n")?;
//!     println!("{:?}", stream.read_until(b"\r\n").await?);
//!     std::io::Result::Ok(())
//! })?;
//! # std::io::Result::Ok(())
//! ```

use std::fmt;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use futures_io::{AsyncRead, AsyncWrite};
pub use futures_rustls::{TlsStream, rustls};
use rustls::pki_types::ServerName;
use squall_executor::timeout;

use crate::server::draining::Draining;
use crate::server::server::Server;
use crate::socket::listener::Listener;
use crate::stream::io_stream::IoStream;
use crate::stream::stream_config::StreamConfig;
use crate::stream::stream_state::StreamState;

/// How long a handshake may take by default.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// What a server needs to speak TLS: its certificates and rules. Clones are cheap.
#[derive(Clone)]
pub struct TlsAcceptor {
    tls: futures_rustls::TlsAcceptor,
    deadline: Duration,
}

/// What a client needs to speak TLS: whom it trusts. Clones are cheap.
#[derive(Clone)]
pub struct TlsConnector {
    tls: futures_rustls::TlsConnector,
    deadline: Duration,
}

impl TlsAcceptor {
    /// A handshake may take 10 s.
    pub fn new(config: Arc<rustls::ServerConfig>) -> TlsAcceptor {
        TlsAcceptor { tls: config.into(), deadline: HANDSHAKE }
    }

    /// The most time for a handshake.
    pub fn handshake_deadline(mut self, time: Duration) -> TlsAcceptor {
        self.deadline = time;
        self
    }

    async fn accept<S>(&self, transport: S) -> io::Result<TlsStream<S>>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        in_time(self.deadline, async { Ok(self.tls.accept(transport).await?.into()) }).await
    }
}

impl TlsConnector {
    /// A handshake may take 10 s.
    pub fn new(config: Arc<rustls::ClientConfig>) -> TlsConnector {
        TlsConnector { tls: config.into(), deadline: HANDSHAKE }
    }

    /// The most time for a handshake.
    pub fn handshake_deadline(mut self, time: Duration) -> TlsConnector {
        self.deadline = time;
        self
    }

    async fn connect<S>(&self, name: &str, transport: S) -> io::Result<TlsStream<S>>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let name = ServerName::try_from(name.to_owned()).map_err(|error| {
            let text = format!("{name:?} is no name that a certificate could have: {error}");
            io::Error::new(io::ErrorKind::InvalidInput, text)
        })?;
        in_time(self.deadline, async { Ok(self.tls.connect(name, transport).await?.into()) }).await
    }
}

async fn in_time<T>(
    deadline: Duration,
    handshake: impl Future<Output = io::Result<T>>,
) -> io::Result<T> {
    timeout(deadline, handshake).await.unwrap_or_else(|_| {
        let text = format!("the TLS handshake took longer than {deadline:?}");
        Err(io::Error::new(io::ErrorKind::TimedOut, text))
    })
}

impl<S: AsyncRead + AsyncWrite + Unpin + 'static> IoStream<S> {
    /// Goes on in TLS, as the client. Tornado: `IOStream.start_tls`.
    ///
    /// # Errors
    /// `InvalidInput` if the stream is not idle, that is if [`into_inner`](Self::into_inner) refuses, or for a name that no
    /// certificate could have; `InvalidData` for a handshake that fails; `TimedOut` for one that takes too long. The stream is
    /// closed then.
    ///
    /// # Cancel safety
    /// Dropped, it closes the stream.
    pub async fn start_tls(
        self,
        connector: &TlsConnector,
        name: &str,
    ) -> io::Result<IoStream<TlsStream<S>>> {
        let config = self.state().shared_config();
        let transport = self.into_inner().map_err(not_idle)?;
        Ok(tls_stream(connector.connect(name, transport).await?, config))
    }

    /// Goes on in TLS, as the server. Tornado: `IOStream.start_tls(server_side=True)`.
    ///
    /// # Errors
    /// As [`start_tls`](Self::start_tls).
    ///
    /// # Cancel safety
    /// Dropped, it closes the stream.
    pub async fn accept_tls(self, acceptor: &TlsAcceptor) -> io::Result<IoStream<TlsStream<S>>> {
        let config = self.state().shared_config();
        let transport = self.into_inner().map_err(not_idle)?;
        Ok(tls_stream(acceptor.accept(transport).await?, config))
    }
}

/// A stream that says when it is closed that this is the end: without that a peer takes what it got for cut off.
fn tls_stream<S>(
    transport: TlsStream<S>,
    config: Option<Rc<StreamConfig>>,
) -> IoStream<TlsStream<S>>
where
    S: AsyncRead + AsyncWrite + Unpin + 'static,
{
    let stream = IoStream::with_shared_config(transport, config);
    stream.state().on_close.set(Some(StreamState::try_send_and_announce));
    stream
}

fn not_idle<S>(_: IoStream<S>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, "the stream is not idle: bytes are in its buffers")
}

impl<S> IoStream<TlsStream<S>>
where
    S: Unpin,
{
    /// The protocol that both ends have agreed on (ALPN), if they have.
    pub fn alpn_protocol(&self) -> Option<Vec<u8>> {
        self.with_transport(|tls| tls.get_ref().1.alpn_protocol().map(<[u8]>::to_vec)).flatten()
    }
}

/// Servers that speak TLS, over whatever they accept from.
impl<L: Listener> Server<L> {
    /// A server whose connections speak TLS. Handshakes run in the connections' tasks, each with its deadline: one that is slow
    /// or silent holds up nobody, and one that fails is logged at the level `debug`, since anybody can cause it.
    ///
    /// A handler says that its answer is whole by [`shutdown`](IoStream::shutdown) or [`close`](IoStream::close). If it only lets go of
    /// the stream, as one that fails does, its client is told of an unexpected end.
    pub fn tls(
        acceptor: TlsAcceptor,
        handler: impl AsyncFn(IoStream<TlsStream<L::Stream>>, L::Peer) -> io::Result<()> + 'static,
    ) -> Server<L> {
        Server::tls_with_draining(acceptor, |_| handler)
    }

    /// As [`tls`](Self::tls), for a handler that wants to know when [`drain`](Self::drain) begins, as in
    /// [`with_draining`](Self::with_draining). Handshakes end then.
    pub fn tls_with_draining<H>(
        acceptor: TlsAcceptor,
        make: impl FnOnce(Draining) -> H,
    ) -> Server<L>
    where
        H: AsyncFn(IoStream<TlsStream<L::Stream>>, L::Peer) -> io::Result<()> + 'static,
    {
        Server::with_draining(|draining| {
            let handler = make(draining.clone());
            async move |stream: IoStream<L::Stream>, peer: L::Peer| {
                let handshake = draining.unless_begun(stream.accept_tls(&acceptor));
                match handshake.await {
                    Some(Ok(stream)) => handler(stream, peer).await,
                    Some(Err(error)) => {
                        log::debug!("no TLS with {peer:?}: {error}");
                        Ok(())
                    }
                    None => Ok(()),
                }
            }
        })
    }
}

impl fmt::Debug for TlsAcceptor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsAcceptor").field("deadline", &self.deadline).finish_non_exhaustive()
    }
}

impl fmt::Debug for TlsConnector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsConnector").field("deadline", &self.deadline).finish_non_exhaustive()
    }
}
