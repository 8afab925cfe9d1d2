//! TLS for [`IoStream`] and [`Server`].
//!
//! rustls implements the protocol, and futures-rustls the transport. This module connects them to
//! streams and servers. If a peer ends the connection without a TLS `close_notify`, a read fails
//! with `UnexpectedEof` and never reports a clean end: bytes may have been cut off.
//!
//! A server is [`Server::tls`] with a [`TlsAcceptor`]; a stream becomes a client's by
//! [`IoStream::start_tls`]. Here the server has a certificate of its own making, which the client
//! trusts:
//!
//! ```
//! use std::sync::Arc;
//! use squall_net::tls::{TlsAcceptor, TlsConnector, rustls};
//! use squall_net::{IoStream, TcpServer, TcpStream, block_on};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let made = rcgen::generate_simple_self_signed(["localhost".to_owned()])?;
//! let certificate = made.cert.der().clone();
//! let key = rustls::pki_types::PrivatePkcs8KeyDer::from(made.signing_key.serialize_der());
//! let mut roots = rustls::RootCertStore::empty();
//! roots.add(certificate.clone())?;
//! let server = rustls::ServerConfig::builder()
//!     .with_no_client_auth()
//!     .with_single_cert(vec![certificate], key.into())?;
//! let client =
//!     rustls::ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
//!
//! block_on(async {
//!     let acceptor = TlsAcceptor::new(Arc::new(server));
//!     let server = TcpServer::tls(acceptor, async |mut stream, _peer| {
//!         let line = stream.read_until(b"\n").await?;
//!         stream.write(line)?;
//!         Ok(stream.shutdown().await?)
//!     });
//!     let address = server.listen("127.0.0.1:0")?;
//!
//!     let connector = TlsConnector::new(Arc::new(client));
//!     let stream = IoStream::new(TcpStream::connect(address).await?);
//!     let mut stream = stream.start_tls(&connector, "localhost").await?;
//!     stream.write("hello\n")?;
//!     assert_eq!(stream.read_until_close().await?, "hello\n");
//!     std::io::Result::Ok(())
//! })?;
//! # Ok(())
//! # }
//! ```
//!
//! Handshakes have a deadline of 10 s. What runs over a stream with TLS is written as over one
//! without:
//! `IoStream<TlsStream<TcpStream>>` has the same methods.

use std::fmt;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_io::{AsyncRead, AsyncWrite};
pub use futures_rustls::{TlsStream, rustls};
use rustls::ConnectionCommon;
use rustls::pki_types::ServerName;
use squall_executor::timeout;

use crate::server::draining::Draining;
use crate::server::server::Server;
use crate::socket::listener::Listener;
use crate::stream::io_stream::IoStream;
use crate::stream::served_stream::{Handling, ServedStream, is_end_of_peer};
use crate::stream::stream_config::StreamConfig;

/// How long a handshake may take by default.
const HANDSHAKE_DEADLINE: Duration = Duration::from_secs(10);

/// Accepts TLS connections with the certificates and rules of a server. Clones are cheap.
#[derive(Clone)]
pub struct TlsAcceptor {
    tls: futures_rustls::TlsAcceptor,
    deadline: Duration,
}

/// Makes TLS connections with the trusted certificates and rules of a client. Clones are cheap.
#[derive(Clone)]
pub struct TlsConnector {
    tls: futures_rustls::TlsConnector,
    deadline: Duration,
}

impl TlsAcceptor {
    /// Makes an acceptor whose handshakes may take 10 s each.
    pub fn new(config: Arc<rustls::ServerConfig>) -> TlsAcceptor {
        TlsAcceptor { tls: config.into(), deadline: HANDSHAKE_DEADLINE }
    }

    /// Sets the longest time that a handshake may take.
    pub fn handshake_deadline(mut self, time: Duration) -> TlsAcceptor {
        self.deadline = time;
        self
    }

    /// Makes a handshake that begins with the received bytes `first`.
    async fn accept<S>(&self, transport: S, first: &[u8]) -> io::Result<TlsStream<S>>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let mut fed = Ok(());
        let handshake = self.tls.accept_with(transport, |session| fed = feed(session, first));
        Ok(finish(handshake, fed, self.deadline).await?.into())
    }
}

impl TlsConnector {
    /// Makes a connector whose handshakes may take 10 s each.
    pub fn new(config: Arc<rustls::ClientConfig>) -> TlsConnector {
        TlsConnector { tls: config.into(), deadline: HANDSHAKE_DEADLINE }
    }

    /// Sets the longest time that a handshake may take.
    pub fn handshake_deadline(mut self, time: Duration) -> TlsConnector {
        self.deadline = time;
        self
    }

    /// Makes a handshake that begins with the received bytes `first`.
    async fn connect<S>(&self, name: &str, transport: S, first: &[u8]) -> io::Result<TlsStream<S>>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let name = ServerName::try_from(name.to_owned()).map_err(|error| {
            let text = format!("{name:?} is not a valid name for a certificate: {error}");
            io::Error::new(io::ErrorKind::InvalidInput, text)
        })?;
        let mut fed = Ok(());
        let handshake =
            self.tls.connect_with(name, transport, |session| fed = feed(session, first));
        Ok(finish(handshake, fed, self.deadline).await?.into())
    }
}

/// Passes received bytes to a session before its handshake reads from the transport.
///
/// Each piece is processed at once: the handshake does so only after a read of its own, and the
/// next bytes may come only when the peer has an answer.
fn feed<D>(session: &mut ConnectionCommon<D>, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        if session.read_tls(&mut bytes)? == 0 {
            break; // the session takes no more bytes, so its handshake will fail
        }
        session
            .process_new_packets()
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
    }
    Ok(())
}

/// Ends a handshake whose session was [fed](feed) with the outcome `fed`. Returns `TimedOut` if the
/// handshake takes longer than `deadline`.
async fn finish<T>(
    mut handshake: impl Future<Output = io::Result<T>> + Unpin,
    fed: io::Result<()>,
    deadline: Duration,
) -> io::Result<T> {
    if let Err(error) = fed {
        // The session has queued an alert for the peer, and the first poll tries to send it. Later
        // polls could wait for the peer until the deadline.
        let send_alert = |cx: &mut Context<'_>| Poll::Ready(Pin::new(&mut handshake).poll(cx));
        let _ = poll_fn(send_alert).await; // `error` is the cause of any second error
        return Err(error);
    }
    timeout(deadline, handshake).await.unwrap_or_else(|_| {
        let text = format!("the TLS handshake took longer than {deadline:?}");
        Err(io::Error::new(io::ErrorKind::TimedOut, text))
    })
}

impl<S: AsyncRead + AsyncWrite + Unpin + 'static> IoStream<S> {
    /// Makes the TLS handshake as the client, and returns the encrypted stream. Bytes that are in
    /// the stream's [`buffer`](Self::buffer) are the first bytes of the handshake. Tornado:
    /// `IOStream.start_tls`.
    ///
    /// # Errors
    /// Each error closes the stream.
    /// - `InvalidInput`: the stream has unsent bytes, is closed, or its end is watched because
    ///   [`closed`](Self::closed) was called; or `name` is not a valid name for a certificate.
    /// - `InvalidData`: the handshake failed.
    /// - `TimedOut`: the handshake took longer than the connector's
    ///   [deadline](TlsConnector::handshake_deadline).
    /// - Errors of the transport.
    ///
    /// # Cancel safety
    /// Dropping the future closes the stream.
    pub async fn start_tls(
        self,
        connector: &TlsConnector,
        name: &str,
    ) -> io::Result<IoStream<TlsStream<S>>> {
        let config = self.state().shared_config();
        let (transport, first) = self.into_parts().map_err(not_idle)?;
        Ok(tls_stream(connector.connect(name, transport, &first).await?, config))
    }

    /// Makes the TLS handshake as the server, and returns the encrypted stream. Tornado:
    /// `IOStream.start_tls(server_side=True)`.
    ///
    /// Bytes that are in the stream's [`buffer`](Self::buffer) are the first bytes of the
    /// handshake. So a line may come before the handshake, as in the PROXY protocol, even if one
    /// segment carries both.
    ///
    /// # Errors
    /// As [`start_tls`](Self::start_tls).
    ///
    /// # Cancel safety
    /// Dropping the future closes the stream.
    pub async fn accept_tls(self, acceptor: &TlsAcceptor) -> io::Result<IoStream<TlsStream<S>>> {
        let config = self.state().shared_config();
        let (transport, first) = self.into_parts().map_err(not_idle)?;
        Ok(tls_stream(acceptor.accept(transport, &first).await?, config))
    }
}

fn not_idle<S>(_: IoStream<S>) -> io::Error {
    let text = "TLS cannot start: the stream has unsent bytes, is closed, or its end is watched";
    io::Error::new(io::ErrorKind::InvalidInput, text)
}

/// Returns a stream that sends a TLS `close_notify` when its owner closes it, but not when its owner
/// drops it. Without that alert, the peer must assume that bytes were cut off.
fn tls_stream<S>(
    transport: TlsStream<S>,
    config: Option<Rc<StreamConfig>>,
) -> IoStream<TlsStream<S>>
where
    S: AsyncRead + AsyncWrite + Unpin + 'static,
{
    let stream = IoStream::with_shared_config(transport, config);
    stream.state().announce_requested_close();
    stream
}

impl<S> IoStream<TlsStream<S>>
where
    S: Unpin,
{
    /// Returns the protocol that both ends agreed on (ALPN). Returns `None` if they agreed on none
    /// or the stream is closed.
    pub fn alpn_protocol(&self) -> Option<Vec<u8>> {
        self.with_transport(|tls| tls.get_ref().1.alpn_protocol().map(<[u8]>::to_vec)).flatten()
    }
}

/// Servers that speak TLS over the connections of any listener.
impl<L: Listener> Server<L> {
    /// Makes a server whose connections speak TLS.
    ///
    /// Each handshake runs in the task of its connection, with its own deadline. So a slow or
    /// silent peer delays no other connection. A failed handshake is logged at the level `debug`,
    /// since any peer can cause it.
    ///
    /// A handler must end a complete answer with [`shutdown`](IoStream::shutdown) or
    /// [`close`](IoStream::close). If the handler only drops the stream, for example because it
    /// fails, the client sees an unexpected end.
    pub fn tls(
        acceptor: TlsAcceptor,
        handler: impl AsyncFn(IoStream<TlsStream<L::Stream>>, L::Peer) -> io::Result<()> + 'static,
    ) -> Server<L> {
        Server::tls_with_draining(acceptor, |_| handler)
    }

    /// As [`tls`](Self::tls), for a handler that must know when [`drain`](Self::drain) begins, as
    /// in [`with_draining`](Self::with_draining). When draining begins, unfinished handshakes end.
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
                    Some(Ok(stream)) => {
                        let served = Some(ServedStream::new(Rc::clone(stream.state())));
                        let handler = handler(stream, peer);
                        let (result, served) = Handling { handler, stream: served }.await;
                        let is_ok = result.as_ref().err().is_none_or(is_end_of_peer);
                        if let Some(finish) = served.and_then(|served| served.end(is_ok)) {
                            finish.await;
                        }
                        result
                    }
                    Some(Err(error)) => {
                        log::debug!("the TLS handshake with {peer:?} failed: {error}");
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
