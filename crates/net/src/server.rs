//! A server: an accept loop that survives, and a task for each connection.
//!
//! ```text
//!   listening socket ── accept_all ──▶ start ──▶ a task: handler(stream, peer)
//!        ▲                  │                          │
//!        └── rests while descriptors or places ────────┴─ leaves its place
//! ```

use std::cell::{Cell, RefCell};
use std::fmt;
use std::future::poll_fn;
use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

use slab::Slab;
use squall_executor::future::Future;
use squall_executor::{JoinHandle, sleep, spawn, timeout, yield_now};

use crate::draining::Draining;
use crate::io_stream::IoStream;
use crate::listener::Listener;
use crate::stream_config::StreamConfig;
use crate::sys;
use crate::tcp_listener::TcpListener;
use crate::trouble::Trouble;
use crate::unix_listener::UnixListener;

/// Connections that are accepted before the others on the loop get their turn.
const ACCEPTS_PER_TURN: usize = 64;
/// How long accepting pauses when descriptors or memory have run out.
const PAUSE: Duration = Duration::from_millis(100);

/// Accepts connections and runs a handler for each, as a task of its own; see [`TcpServer`] and [`UnixServer`].
///
/// A handler that fails or panics ends its own connection and is logged. Accepting goes on through everything that can
/// happen to a single connection; when descriptors run out it pauses for a tenth of a second at a time. Clones are the same
/// server. Dropping the last one changes nothing: it serves until [`stop`](Self::stop).
pub struct Server<L: Listener> {
    shared: Rc<Shared<L>>,
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

struct Shared<L: Listener> {
    handler: Rc<dyn Handle<L>>,
    config: Cell<StreamConfig>,
    most_connections: Cell<usize>,
    accepting: RefCell<Vec<JoinHandle<()>>>,
    /// The tasks of the living connections; a task leaves when its future is dropped.
    connections: RefCell<Slab<Option<JoinHandle<()>>>>,
    accepted: Cell<u64>,
    pauses: Cell<u64>,
    draining: Draining,
    /// Set when the last connection ends, while somebody drains.
    idle: RefCell<Option<Future<()>>>,
    /// Set when a connection ends, while as many live as may.
    room: RefCell<Option<Future<()>>>,
}

/// A user's handler with its type erased: it starts tasks, so that a connection needs no box.
pub(crate) trait Handle<L: Listener> {
    fn start(
        self: Rc<Self>,
        stream: IoStream<L::Stream>,
        peer: L::Peer,
        place: Place,
    ) -> JoinHandle<()>;
}

impl<L, H> Handle<L> for H
where
    L: Listener,
    H: AsyncFn(IoStream<L::Stream>, L::Peer) -> io::Result<()> + 'static,
{
    fn start(
        self: Rc<Self>,
        stream: IoStream<L::Stream>,
        peer: L::Peer,
        place: Place,
    ) -> JoinHandle<()> {
        spawn(async move {
            let name = peer.clone();
            let _place = place;
            if let Err(error) = self(stream, peer).await {
                log_failure(&name, &error);
            }
        })
    }
}

/// A peer that left is no news; anything else is the handler's.
pub(crate) fn log_failure(peer: &impl fmt::Debug, error: &io::Error) {
    use io::ErrorKind::{
        BrokenPipe, ConnectionAborted, ConnectionReset, NotConnected, TimedOut, UnexpectedEof,
    };
    match error.kind() {
        BrokenPipe | ConnectionAborted | ConnectionReset | NotConnected | TimedOut
        | UnexpectedEof => {
            log::debug!("connection of {peer:?} ended: {error}");
        }
        _ => log::error!("handler of {peer:?} failed: {error}"),
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
    /// use futures_lite::future::or;
    /// use squall_net::{IoStream, TcpServer, TcpStream, block_on};
    ///
    /// block_on(async {
    ///     let server = TcpServer::with_draining(|draining| {
    ///         async move |mut stream: IoStream, _peer| {
    ///             loop {
    ///                 let idle = async { draining.begun().await; None };
    ///                 let line = or(async { Some(stream.read_until(b"\n").await) }, idle).await;
    ///                 let Some(line) = line else { return Ok(()) };
    ///                 stream.write(line?)?;
    ///                 stream.flush().await?;
    ///             }
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
        Server::with_handle(Rc::new(make(draining.clone())), draining)
    }

    pub(crate) fn with_handle(handler: Rc<dyn Handle<L>>, draining: Draining) -> Server<L> {
        Server {
            shared: Rc::new(Shared {
                handler,
                config: Cell::new(StreamConfig::default()),
                most_connections: Cell::new(usize::MAX),
                accepting: RefCell::default(),
                connections: RefCell::default(),
                accepted: Cell::new(0),
                pauses: Cell::new(0),
                draining,
                idle: RefCell::default(),
                room: RefCell::default(),
            }),
        }
    }

    /// The limits of the streams that are accepted from now on.
    pub fn stream_config(self, config: StreamConfig) -> Server<L> {
        self.shared.config.set(config);
        self
    }

    /// The most connections that may live at once (at least 1); no limit by default. While as many live, accepting rests, and
    /// the next ones wait in the kernel's queue.
    pub fn max_connections(self, most: usize) -> Server<L> {
        self.shared.most_connections.set(most.max(1));
        self
    }

    /// Stops accepting; the listening sockets are closed in the next batch. Living connections go on. Twice is fine.
    pub fn stop(&self) {
        for accepting in self.shared.accepting.take() {
            accepting.abort();
        }
    }

    /// Stops accepting, tells the handlers that [want to know](Self::with_draining), waits until the living connections have
    /// ended, at most for `deadline`, and ends those that are left.
    ///
    /// # Cancel safety
    /// Cancel safe: the server has stopped, its connections go on.
    pub async fn drain(&self, deadline: Duration) -> DrainReport {
        let living = self.connections();
        self.stop();
        self.shared.draining.begin();
        yield_now().await; // the listening sockets are closed now
        let in_time = timeout(deadline, self.wait_until_idle()).await.is_ok();
        let aborted = if in_time { 0 } else { self.connections() };
        if !in_time {
            self.shared.abort_all();
            self.wait_until_idle().await;
        }
        DrainReport { finished: living.saturating_sub(aborted), aborted }
    }

    /// How many connections live now.
    pub fn connections(&self) -> usize {
        self.shared.connections.borrow().len()
    }

    /// How many connections were accepted.
    pub fn accepted(&self) -> u64 {
        self.shared.accepted.get()
    }

    /// How often accepting paused because descriptors or memory had run out.
    pub fn pauses(&self) -> u64 {
        self.shared.pauses.get()
    }

    async fn wait_until_idle(&self) {
        if self.connections() > 0 {
            let idle = self.shared.idle.borrow_mut().get_or_insert_default().clone();
            let _ = idle.await; // nobody cancels it
        }
    }

    #[track_caller]
    fn accept_from(&self, listener: L) {
        let shared = Rc::clone(&self.shared);
        let accepting = spawn(async move { shared.accept_all(listener).await });
        self.shared.accepting.borrow_mut().push(accepting);
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

impl<L: Listener> Shared<L> {
    async fn accept_all(self: Rc<Self>, listener: L) {
        loop {
            for _ in 0..ACCEPTS_PER_TURN {
                self.wait_for_room(&listener).await;
                match poll_fn(|cx| listener.poll_accept(cx)).await {
                    Ok((stream, peer)) => self.start(stream, peer),
                    Err(error) => match Trouble::of(&error) {
                        Trouble::Connection => log::debug!("a connection failed early: {error}"),
                        Trouble::Resources => self.pause(&listener, &error).await,
                        Trouble::Listener => {
                            return log::error!("cannot accept any more: {error}");
                        }
                    },
                }
            }
            yield_now().await;
        }
    }

    fn start(self: &Rc<Self>, stream: L::Stream, peer: L::Peer) {
        self.accepted.set(self.accepted.get() + 1);
        let stream = IoStream::with_config(stream, self.config.get());
        let key = self.connections.borrow_mut().insert(None);
        let place = Place { server: Rc::clone(self) as Rc<dyn Places>, key };
        let task = Rc::clone(&self.handler).start(stream, peer, place);
        self.connections.borrow_mut()[key] = Some(task); // it runs in the next batch, not yet
    }

    /// Returns once there is room for one more connection. Until then the listener rests: nobody asks the kernel.
    async fn wait_for_room(&self, listener: &L) {
        while self.connections.borrow().len() >= self.most_connections.get() {
            listener.rest();
            let room = self.room.borrow_mut().get_or_insert_default().clone();
            let _ = room.await; // nobody cancels it
        }
    }

    /// The connection stays in the kernel's queue, and the descriptor it needs may be free when we ask again.
    async fn pause(&self, listener: &L, error: &io::Error) {
        self.pauses.set(self.pauses.get() + 1);
        log::warn!("accepting pauses for {PAUSE:?}: {error}");
        listener.rest();
        sleep(PAUSE).await;
    }

    fn abort_all(&self) {
        for (_, task) in &*self.connections.borrow() {
            task.iter().for_each(JoinHandle::abort);
        }
    }
}

/// A connection's place in the server, which it leaves when its task's future is dropped.
pub(crate) struct Place {
    server: Rc<dyn Places>,
    key: usize,
}

/// A server as its connections see it.
trait Places {
    fn leave(&self, key: usize);
}

impl<L: Listener> Places for Shared<L> {
    fn leave(&self, key: usize) {
        let (task, is_last) = {
            let mut connections = self.connections.borrow_mut();
            (connections.remove(key), connections.is_empty())
        };
        drop(task); // detaches: a panic of the handler goes to the loop's hook
        let idle = if is_last { self.idle.take() } else { None };
        for waiting in [idle, self.room.take()].into_iter().flatten() {
            let _ = waiting.set_result(());
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.server.leave(self.key);
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
        Server { shared: Rc::clone(&self.shared) }
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
