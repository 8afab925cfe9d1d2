//! A server: an accept loop for each listening socket, and a task for each connection.
//!
//! The accept loop survives every error of a single connection. It pauses when descriptors run out,
//! and while the limit of open connections is reached.
//!
//! ```text
//!   listening socket ──▶ accept_loop ──▶ start ──▶ a task: handler(stream, peer)
//!                             ▲                               │
//!                             └── resumes below the limit ◀───┘ ends
//! ```

use std::fmt;
use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

use squall_executor::{timeout, yield_now};

use crate::server::accept_loop::ServerState;
use crate::server::draining::Draining;
use crate::socket::listener::Listener;
use crate::socket::tcp_listener::TcpListener;
use crate::socket::unix_listener::UnixListener;
use crate::stream::io_stream::IoStream;
use crate::stream::stream_config::StreamConfig;
use crate::sys;

/// Accepts connections and runs a handler for each, in a task of its own. See [`TcpServer`] and
/// [`UnixServer`].
///
/// If a handler fails or panics, only its own connection is reset, and the failure is logged. What a
/// handler that returns `Ok` has written is sent before the connection ends. An error of a single
/// connection does not stop the server. If descriptors or memory run out, accepting
/// pauses for a tenth of a second at a time. Clones are handles to the same server. Dropping the
/// last clone changes nothing: the server runs until [`stop`](Self::stop).
pub struct Server<L: Listener> {
    state: Rc<ServerState<L>>,
}

/// A [`Server`] over TCP. Tornado: `TCPServer`.
///
/// ```
/// use squall_net::{IoStream, TcpServer, TcpStream, block_on};
///
/// block_on(async {
///     let server = TcpServer::new(async |mut stream: IoStream, _peer| {
///         loop {
///             let line = stream.read_until(b"\n").await?;
///             stream.write(line)?;
///             stream.flush().await?; // a slow reader holds up this task only
///         }
///     });
///     let address = server.listen("127.0.0.1:0")?;
///     let mut client = IoStream::new(TcpStream::connect(address).await?);
///     client.write("hello\n")?;
///     assert_eq!(client.read_until(b"\n").await?, "hello\n");
///     server.stop();
///     std::io::Result::Ok(())
/// })?;
/// # std::io::Result::Ok(())
/// ```
#[doc(alias = "TCPServer")]
pub type TcpServer = Server<TcpListener>;

/// A [`Server`] over Unix sockets.
pub type UnixServer = Server<UnixListener>;

impl<L: Listener> Server<L> {
    /// Makes a server that does not listen yet. Call it on the thread of the loop that will serve.
    ///
    /// If the handler returns an error, its connection is reset, unless the error only says that the
    /// peer has ended the stream in order.
    pub fn new(
        handler: impl AsyncFn(IoStream<L::Stream>, L::Peer) -> io::Result<()> + 'static,
    ) -> Server<L> {
        Server::with_draining(|_| handler)
    }

    /// As [`new`](Self::new), for a handler that needs to know when [`drain`](Self::drain) begins.
    ///
    /// Such a handler can end an idle connection at once. Otherwise the connection would stay open
    /// until it is aborted at the deadline.
    ///
    /// ```
    /// use std::time::Duration;
    /// use squall_net::{IoStream, TcpServer, TcpStream, block_on};
    ///
    /// block_on(async {
    ///     let server = TcpServer::with_draining(|draining| {
    ///         async move |mut stream: IoStream, _peer| {
    ///             while let Some(line) = draining.unless_begun(stream.read_until(b"\n")).await {
    ///                 stream.write(line?)?;
    ///                 stream.flush().await?;
    ///             }
    ///             Ok(())
    ///         }
    ///     });
    ///     let address = server.listen("127.0.0.1:0")?;
    ///     let mut client = IoStream::new(TcpStream::connect(address).await?);
    ///     client.write("hello\n")?;
    ///     client.read_until(b"\n").await?;
    ///     let report = server.drain(Duration::from_secs(10)).await;
    ///     assert_eq!((report.finished, report.aborted), (1, 0));
    ///     std::io::Result::Ok(())
    /// })?;
    /// # std::io::Result::Ok(())
    /// ```
    pub fn with_draining<H>(make: impl FnOnce(Draining) -> H) -> Server<L>
    where
        H: AsyncFn(IoStream<L::Stream>, L::Peer) -> io::Result<()> + 'static,
    {
        let draining = Draining::default();
        let handler = Rc::new(make(draining.clone()));
        Server { state: Rc::new(ServerState::new(handler, draining)) }
    }

    /// Sets the limits of the streams that are accepted from now on.
    pub fn stream_config(self, config: StreamConfig) -> Server<L> {
        let flush_deadline = self.state.config().flush_deadline;
        self.state.set_config(StreamConfig { flush_deadline, ..config });
        self
    }

    /// Limits how many connections may be open at once, over all sockets of the server; at least 1.
    ///
    /// There is no limit by default. At the limit, accepting pauses, and new connections wait in
    /// the kernel's queue.
    pub fn max_connections(self, most: usize) -> Server<L> {
        self.state.connections.set_limit(most.max(1));
        self
    }

    /// Limits the time for sending what a handler has written, after it has returned `Ok`. The
    /// default is 30 s.
    ///
    /// What is not sent then is lost. The connection is reset, so that the peer does not take a part
    /// for the whole, and the number of bytes is logged at the level `warn`, unless the peer itself has
    /// reset the connection.
    pub fn flush_deadline(self, deadline: Duration) -> Server<L> {
        let flush_deadline = deadline;
        self.state.set_config(StreamConfig { flush_deadline, ..self.state.config() });
        self
    }

    /// Calls `hook` with the peer's address and the error of each handler that fails, instead of
    /// logging the error. Failed accepts and TLS handshakes are still logged.
    pub fn on_error(self, hook: impl Fn(&L::Peer, &io::Error) + 'static) -> Server<L> {
        *self.state.connections.on_error.borrow_mut() = Some(Rc::new(hook));
        self
    }

    /// Stops accepting: in the next batch, the server accepts the connections that the kernel has
    /// completed already, and closes the listening sockets. Open connections go on. A second call
    /// does nothing.
    ///
    /// If [`max_connections`](Self::max_connections) is reached, the sockets stay open until the
    /// queued connections could be accepted.
    pub fn stop(&self) {
        self.state.stop();
    }

    /// Stops accepting, as [`stop`](Self::stop) does, and waits until the open connections have
    /// ended, at most for `deadline`. Aborts those that are left: a connection on which something
    /// was sent is reset, so that its peer does not take a part for the whole.
    ///
    /// Tells the handlers that hold a [`Draining`], see [`with_draining`](Self::with_draining). A
    /// drain is final: if the server listens again, its new handlers see at once that it drains. If
    /// a handler awaits the drain of its own server, it waits for itself and is aborted at the
    /// deadline. Spawn a task for the drain instead.
    ///
    /// # Cancel safety
    /// Cancel safe: if the future is dropped, the server has stopped, and its connections go on.
    pub async fn drain(&self, deadline: Duration) -> DrainReport {
        let (state, connections) = (&self.state, &self.state.connections);
        let (open, accepted_before) = (connections.len(), self.accepted());
        let aborted_before = connections.aborted();
        let all_ended = async {
            state.stop();
            yield_now().await; // the accept loops accept what is queued
            yield_now().await; // the new handlers run: they find what their peers have sent
            state.draining.begin();
            while state.is_accepting() {
                state.wait_until_a_loop_ends().await;
            }
            connections.wait_until_idle().await;
        };
        if timeout(deadline, all_ended).await.is_err() {
            state.draining.begin();
            state.abort_accepting();
            connections.abort_all();
            connections.wait_until_idle().await;
        }
        let aborted = connections.aborted() - aborted_before;
        let accepted = usize::try_from(self.accepted() - accepted_before).unwrap_or(usize::MAX);
        DrainReport { finished: (open + accepted).saturating_sub(aborted), aborted }
    }

    /// Waits until the server no longer accepts connections.
    ///
    /// Returns `Ok` after [`stop`](Self::stop) or [`drain`](Self::drain), and at once if the server
    /// does not listen.
    ///
    /// # Errors
    /// The error of a listening socket that has failed for good, for example because another process
    /// has called `shutdown(2)` on it, with the socket's address. The other sockets go on. Each error
    /// is returned once.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub async fn closed(&self) -> io::Result<()> {
        loop {
            if let Some(error) = self.state.take_failure() {
                return Err(error);
            }
            if !self.state.is_accepting() {
                return Ok(());
            }
            self.state.wait_until_a_loop_ends().await;
        }
    }

    /// Returns how many connections are open: their handlers have not ended.
    pub fn connections(&self) -> usize {
        self.state.connections.len()
    }

    /// Returns how many connections were accepted.
    pub fn accepted(&self) -> u64 {
        self.state.accepted.get()
    }

    /// Returns how often accepting paused, because descriptors or memory had run out or because
    /// many connections in a row had failed.
    pub fn pauses(&self) -> u64 {
        self.state.pauses.get()
    }

    #[track_caller]
    fn accept_from_all<T>(
        &self,
        sockets: Vec<T>,
        adopt: impl Fn(T) -> io::Result<L>,
    ) -> io::Result<()> {
        let listeners: Vec<_> = sockets.into_iter().map(adopt).collect::<io::Result<_>>()?;
        listeners.into_iter().for_each(|listener| self.state.accept_from(listener));
        Ok(())
    }
}

impl Server<TcpListener> {
    /// Listens on an address, and returns it with the port that the kernel chose. May be called
    /// more than once.
    ///
    /// # Errors
    /// As [`TcpListener::bind`].
    ///
    /// # Panics
    /// If there is no loop on this thread.
    #[track_caller]
    pub fn listen(&self, address: impl ToSocketAddrs) -> io::Result<SocketAddr> {
        let listener = TcpListener::bind(address)?;
        let address = listener.local_addr()?;
        self.state.accept_from(listener);
        Ok(address)
    }

    /// Accepts from sockets that listen already. Other loops, in this process or in others, may
    /// accept from them too (`EPOLLEXCLUSIVE`).
    ///
    /// # Errors
    /// Errors of `fcntl(2)` and `setsockopt(2)`. None of the sockets is used then.
    ///
    /// # Panics
    /// If there is no loop on this thread.
    #[track_caller]
    pub fn add_sockets(&self, sockets: Vec<std::net::TcpListener>) -> io::Result<()> {
        self.accept_from_all(sockets, |socket| {
            sys::set_nodelay(&socket)?;
            TcpListener::from_shared(socket)
        })
    }
}

impl Server<UnixListener> {
    /// Listens on a path that must not exist yet. May be called more than once.
    ///
    /// [`bind_unix_socket`](crate::bind_unix_socket) replaces a stale socket instead.
    ///
    /// # Errors
    /// As [`UnixListener::bind`].
    ///
    /// # Panics
    /// If there is no loop on this thread.
    #[track_caller]
    pub fn listen(&self, path: impl AsRef<Path>) -> io::Result<()> {
        self.state.accept_from(UnixListener::bind(path)?);
        Ok(())
    }

    /// As [`TcpServer::add_sockets`].
    ///
    /// # Errors
    /// Errors of `fcntl(2)`. None of the sockets is used then.
    ///
    /// # Panics
    /// If there is no loop on this thread.
    #[track_caller]
    pub fn add_sockets(&self, sockets: Vec<std::os::unix::net::UnixListener>) -> io::Result<()> {
        self.accept_from_all(sockets, UnixListener::from_shared)
    }
}

/// How the connections of a [drained](TcpServer::drain) server ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct DrainReport {
    /// Connections that ended by themselves.
    pub finished: usize,
    /// Connections that were aborted at the deadline.
    pub aborted: usize,
}

impl<L: Listener> Clone for Server<L> {
    fn clone(&self) -> Server<L> {
        Server { state: Rc::clone(&self.state) }
    }
}

impl<L: Listener> fmt::Debug for Server<L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server")
            .field("connections", &self.connections())
            .field("accepted", &self.accepted())
            .field("pauses", &self.pauses())
            .finish_non_exhaustive()
    }
}
