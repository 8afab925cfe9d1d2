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

use std::cell::{Cell, RefCell};
use std::fmt;
use std::future::poll_fn;
use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::path::Path;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use squall_executor::{JoinHandle, sleep, spawn, timeout, yield_now};

use crate::server::accept_error::AcceptError;
use crate::server::connections::{ConnectionGuard, Connections};
use crate::server::draining::Draining;
use crate::socket::listener::Listener;
use crate::socket::tcp_listener::TcpListener;
use crate::socket::unix_listener::UnixListener;
use crate::stream::io_stream::IoStream;
use crate::stream::stream_config::StreamConfig;
use crate::stream::stream_error::StreamError;
use crate::stream::stream_state::StreamState;
use crate::sys;

/// How many times an accept loop calls accept before it yields to the loop's other tasks.
const ACCEPTS_PER_TURN: usize = 64;
/// How many connections may fail in a row before accepting pauses. A packet filter may refuse all.
const FAILURES_IN_A_ROW: u32 = 64;
/// How long accepting pauses when descriptors or memory have run out.
const PAUSE: Duration = Duration::from_millis(100);
/// One of so many pauses is logged: about one line a second.
const PAUSES_PER_LINE: u64 = 10;

/// Accepts connections and runs a handler for each, in a task of its own. See [`TcpServer`] and
/// [`UnixServer`].
///
/// If a handler fails or panics, only its own connection ends, and the failure is logged. An error
/// of a single connection does not stop the server. If descriptors or memory run out, accepting
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

struct ServerState<L: Listener> {
    handler: Rc<dyn Handler<L>>,
    config: RefCell<Option<Rc<StreamConfig>>>,
    /// The tasks that accept, one for each listening socket.
    accepting: RefCell<Vec<JoinHandle<()>>>,
    connections: Rc<Connections>,
    accepted: Cell<u64>,
    pauses: Cell<u64>,
    draining: Draining,
}

/// A user's handler with its type erased. It spawns the task itself, so that the handler's future
/// needs no box.
trait Handler<L: Listener> {
    /// Spawns the task of a connection.
    ///
    /// Takes the stream's state, which is smaller than an `IoStream`, because the task stores the
    /// argument until the handler runs.
    fn start(
        self: Rc<Self>,
        stream: Rc<StreamState<L::Stream>>,
        peer: L::Peer,
        guard: ConnectionGuard,
    ) -> JoinHandle<()>;
}

impl<L, H> Handler<L> for H
where
    L: Listener,
    H: AsyncFn(IoStream<L::Stream>, L::Peer) -> io::Result<()> + 'static,
{
    fn start(
        self: Rc<Self>,
        stream: Rc<StreamState<L::Stream>>,
        peer: L::Peer,
        guard: ConnectionGuard,
    ) -> JoinHandle<()> {
        spawn(async move {
            let _ = &guard; // captures the guard, which is dropped with the task's future
            if let Err(error) = self(IoStream::from_state(stream), peer.clone()).await {
                log_failure(&peer, &error);
            }
        })
    }
}

/// Logs the error of a handler. Errors that a peer can cause are logged at debug level, so that
/// they cannot fill the log.
fn log_failure(peer: &impl fmt::Debug, error: &io::Error) {
    use io::ErrorKind::{
        BrokenPipe, ConnectionAborted, ConnectionReset, NotConnected, TimedOut, UnexpectedEof,
    };
    let is_caused_by_peer = match error.kind() {
        BrokenPipe | ConnectionAborted | ConnectionReset | NotConnected | TimedOut
        | UnexpectedEof => true,
        _ => error.get_ref().is_some_and(|source| source.is::<StreamError>()),
    };
    if is_caused_by_peer {
        log::debug!("connection of {peer:?} ended: {error}");
    } else {
        log::error!("handler of {peer:?} failed: {error}");
    }
}

impl<L: Listener> Server<L> {
    /// Makes a server that does not listen yet. Call it on the thread of the loop that will serve.
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
        Server {
            state: Rc::new(ServerState {
                handler: Rc::new(make(draining.clone())),
                config: RefCell::default(),
                accepting: RefCell::default(),
                connections: Connections::new(),
                accepted: Cell::new(0),
                pauses: Cell::new(0),
                draining,
            }),
        }
    }

    /// Sets the limits of the streams that are accepted from now on.
    pub fn stream_config(self, config: StreamConfig) -> Server<L> {
        *self.state.config.borrow_mut() = config.shared();
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

    /// Stops accepting. The loop closes the listening sockets in the next batch. Open connections
    /// go on. A second call does nothing.
    pub fn stop(&self) {
        for accepting in self.state.accepting.take() {
            accepting.abort();
        }
    }

    /// Stops accepting and waits until the open connections have ended, at most for `deadline`.
    /// Aborts those that are left.
    ///
    /// First tells the handlers that hold a [`Draining`], see
    /// [`with_draining`](Self::with_draining). A drain is final: if the server listens again, its
    /// new handlers see at once that it drains. If a handler awaits the drain of its own server, it
    /// waits for itself and is aborted at the deadline. Spawn a task for the drain instead.
    ///
    /// # Cancel safety
    /// Cancel safe: if the future is dropped, the server has stopped, and its connections go on.
    pub async fn drain(&self, deadline: Duration) -> DrainReport {
        let connections = &self.state.connections;
        let (open, aborted_before) = (connections.len(), connections.aborted());
        self.stop();
        self.state.draining.begin();
        yield_now().await; // after this the listening sockets are closed
        if timeout(deadline, connections.wait_until_idle()).await.is_err() {
            connections.abort_all();
            connections.wait_until_idle().await;
        }
        let aborted = connections.aborted() - aborted_before;
        DrainReport { finished: open.saturating_sub(aborted), aborted }
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
    fn accept_from(&self, listener: L) {
        let state = Rc::clone(&self.state);
        let accepting = spawn(async move { state.accept_loop(listener).await });
        self.state.accepting.borrow_mut().push(accepting);
    }

    #[track_caller]
    fn accept_from_all<T>(
        &self,
        sockets: Vec<T>,
        adopt: impl Fn(T) -> io::Result<L>,
    ) -> io::Result<()> {
        let listeners: Vec<_> = sockets.into_iter().map(adopt).collect::<io::Result<_>>()?;
        listeners.into_iter().for_each(|listener| self.accept_from(listener));
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
        self.accept_from(listener);
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
        self.accept_from(UnixListener::bind(path)?);
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

impl<L: Listener> ServerState<L> {
    async fn accept_loop(self: Rc<Self>, listener: L) {
        let mut failures = 0;
        loop {
            for _ in 0..ACCEPTS_PER_TURN {
                match self.accept(&listener).await {
                    Ok((stream, peer)) => {
                        failures = 0;
                        self.start(stream, peer);
                    }
                    Err(error) => match AcceptError::of(&error) {
                        AcceptError::Connection if failures < FAILURES_IN_A_ROW => {
                            failures += 1;
                            log::debug!("a connection failed before it was accepted: {error}");
                        }
                        AcceptError::Connection | AcceptError::Resources => {
                            self.pause(&listener, &error).await;
                        }
                        AcceptError::Listener => {
                            return log::error!("cannot accept any more: {error}");
                        }
                    },
                }
            }
            yield_now().await;
        }
    }

    /// Waits until the limit allows a connection, and accepts the next one. At the limit, the
    /// listener leaves epoll.
    async fn accept(&self, listener: &L) -> io::Result<(L::Stream, L::Peer)> {
        loop {
            while self.connections.is_full() {
                listener.rest();
                self.connections.wait_until_connection_ends().await;
            }
            // While this listener waits, another listener of the server may reach the limit.
            let accepted = poll_fn(|cx| {
                if self.connections.is_full() {
                    Poll::Ready(None)
                } else {
                    listener.poll_accept(cx).map(Some)
                }
            });
            if let Some(accepted) = accepted.await {
                return accepted;
            }
        }
    }

    fn start(&self, stream: L::Stream, peer: L::Peer) {
        self.accepted.set(self.accepted.get() + 1);
        let stream = StreamState::new(stream, self.config.borrow().clone());
        self.connections.add(|guard| Rc::clone(&self.handler).start(stream, peer, guard));
    }

    /// Stops accepting for [`PAUSE`]. The connection stays in the kernel's queue. The descriptor
    /// that it needs may be free afterwards.
    async fn pause(&self, listener: &L, error: &io::Error) {
        if self.pauses.get().is_multiple_of(PAUSES_PER_LINE) {
            log::warn!("accepting pauses for {PAUSE:?} at a time: {error}");
        }
        self.pauses.set(self.pauses.get() + 1);
        listener.rest();
        sleep(PAUSE).await;
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
