//! A server: an accept loop that goes on whatever happens to single connections, and a task for each connection.
//!
//! ```text
//!   listening socket ── accept_loop ──▶ start ──▶ a task: handler(stream, peer)
//!        ▲                  │                          │
//!        └── paused while descriptors or room are missing ◀─┘ ends
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

/// Connections that are accepted before the others on the loop get their turn.
const ACCEPTS_PER_TURN: usize = 64;
/// Connections that may fail one after the other before accepting pauses: some filter may refuse every one.
const FAILURES_IN_A_ROW: u32 = 64;
/// How long accepting pauses when descriptors or memory have run out.
const PAUSE: Duration = Duration::from_millis(100);
/// Pauses that share a line of the log: one line a second.
const PAUSES_PER_LINE: u64 = 10;

/// Accepts connections and runs a handler for each, as a task of its own; see [`TcpServer`] and [`UnixServer`].
///
/// A handler that fails or panics ends its own connection and is logged. Accepting goes on through everything that can
/// happen to a single connection; when descriptors run out it pauses for a tenth of a second at a time. Clones are the same
/// server. Dropping the last one changes nothing: it serves until [`stop`](Self::stop).
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
///             stream.flush().await?; // a client that does not read waits alone
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

/// A user's handler with its type erased. It spawns the task itself, so that a connection needs no box.
trait Handler<L: Listener> {
    /// The stream is passed as its state, which is smaller: until the handler takes it, it is stored in the task.
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
            let _ = &guard; // captured, and dropped with the task's future
            if let Err(error) = self(IoStream::over(stream), peer.clone()).await {
                log_failure(&peer, &error);
            }
        })
    }
}

/// Logs the error of a handler. Errors that a peer can cause are logged at debug level, so that they cannot fill the log.
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
    /// A server that listens nowhere yet. Run inside the loop that is to serve.
    pub fn new(
        handler: impl AsyncFn(IoStream<L::Stream>, L::Peer) -> io::Result<()> + 'static,
    ) -> Server<L> {
        Server::with_draining(|_| handler)
    }

    /// As [`new`](Self::new), for a handler that wants to know when [`drain`](Self::drain) begins: an idle connection can end
    /// then at once, instead of being cut at the deadline.
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

    /// The limits of the streams that are accepted from now on.
    pub fn stream_config(self, config: StreamConfig) -> Server<L> {
        *self.state.config.borrow_mut() = config.shared();
        self
    }

    /// The most connections that may live at once (at least 1), of all its sockets together; no limit by default. While as many
    /// live, accepting rests, and the next ones wait in the kernel's queue.
    pub fn max_connections(self, most: usize) -> Server<L> {
        self.state.connections.set_limit(most.max(1));
        self
    }

    /// Stops accepting; the listening sockets are closed in the next batch. Living connections go on. Twice is fine.
    pub fn stop(&self) {
        for accepting in self.state.accepting.take() {
            accepting.abort();
        }
    }

    /// Stops accepting, tells the handlers that [want to know](Self::with_draining), waits until the living connections have
    /// ended, at most for `deadline`, and ends those that are left.
    ///
    /// This is a server's end: one that listens again tells its new handlers at once that it drains. A handler that drains its own
    /// server waits for itself, and is cut at the deadline: spawn a task for it.
    ///
    /// # Cancel safety
    /// Cancel safe: the server has stopped, its connections go on.
    pub async fn drain(&self, deadline: Duration) -> DrainReport {
        let connections = &self.state.connections;
        let (living, aborted) = (connections.len(), connections.aborted());
        self.stop();
        self.state.draining.begin();
        yield_now().await; // the listening sockets are closed now
        if timeout(deadline, connections.wait_until_idle()).await.is_err() {
            connections.abort_all();
            connections.wait_until_idle().await;
        }
        let aborted = connections.aborted() - aborted;
        DrainReport { finished: living.saturating_sub(aborted), aborted }
    }

    /// How many connections live now.
    pub fn connections(&self) -> usize {
        self.state.connections.len()
    }

    /// How many connections were accepted.
    pub fn accepted(&self) -> u64 {
        self.state.accepted.get()
    }

    /// How often accepting paused because descriptors or memory had run out.
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
    /// Listens, and returns the address with the port that the kernel chose. May be repeated.
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

    /// Accepts from sockets that listen already, and that other loops, in this process or in others, may accept from too
    /// (`EPOLLEXCLUSIVE`).
    ///
    /// # Errors
    /// Those of `fcntl(2)` and `setsockopt(2)`; none of the sockets is used then.
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
    /// Listens on a path that must not exist yet; [`bind_unix_socket`](crate::bind_unix_socket) is more patient. May be
    /// repeated.
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
    /// Those of `fcntl(2)`; none of the sockets is used then.
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
                            log::debug!("a connection failed early: {error}");
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

    /// Waits for the next connection, and for room for it. Without room the listener leaves epoll.
    async fn accept(&self, listener: &L) -> io::Result<(L::Stream, L::Peer)> {
        loop {
            while self.connections.is_full() {
                listener.rest();
                self.connections.wait_for_room().await;
            }
            // Another listener of this server may take the last room while this one waits.
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

    /// Leaves the connection in the kernel's queue for a while. The descriptor that it needs may be free then.
    async fn pause(&self, listener: &L, error: &io::Error) {
        if self.pauses.get().is_multiple_of(PAUSES_PER_LINE) {
            log::warn!("accepting pauses for {PAUSE:?} at a time: {error}");
        }
        self.pauses.set(self.pauses.get() + 1);
        listener.rest();
        sleep(PAUSE).await;
    }
}

/// What became of the connections of a server that was [drained](TcpServer::drain).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct DrainReport {
    /// Connections that ended by themselves.
    pub finished: usize,
    /// Connections that were cut when time was up.
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
