//! A server: an accept loop that survives, and a task for each connection.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::rc::Rc;
use std::time::Duration;

use slab::Slab;
use squall_executor::future::Future;
use squall_executor::{JoinHandle, sleep, spawn, timeout, yield_now};

use crate::io_stream::IoStream;
use crate::stream_config::StreamConfig;
use crate::sys;
use crate::tcp_listener::TcpListener;
use crate::tcp_stream::TcpStream;

/// Connections that are accepted before the others on the loop get their turn.
const ACCEPTS_PER_TURN: usize = 64;
/// How long accepting pauses when descriptors or memory have run out.
const PAUSE: Duration = Duration::from_millis(100);

/// Accepts connections and runs a handler for each, as a task of its own. Tornado: `TCPServer`.
///
/// A handler that fails or panics ends its own connection and is logged. Accepting goes on through everything that can
/// happen to a single connection; when descriptors run out it pauses for a tenth of a second at a time. Clones are the same
/// server. Dropping the last one changes nothing: it serves until [`stop`](Self::stop).
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
#[derive(Clone)]
pub struct TcpServer {
    shared: Rc<Shared>,
}

struct Shared {
    handler: Rc<dyn Handle>,
    config: Cell<StreamConfig>,
    listeners: RefCell<Vec<JoinHandle<()>>>,
    /// The tasks of the living connections; a task leaves when its future is dropped.
    connections: RefCell<Slab<Option<JoinHandle<()>>>>,
    accepted: Cell<u64>,
    pauses: Cell<u64>,
    /// Set when the last connection ends, while somebody drains.
    idle: RefCell<Option<Future<()>>>,
}

/// A user's handler with its type erased: it starts tasks, so that a connection needs no box.
trait Handle {
    fn start(self: Rc<Self>, stream: IoStream, peer: SocketAddr, place: Place) -> JoinHandle<()>;
}

impl<H: AsyncFn(IoStream, SocketAddr) -> io::Result<()> + 'static> Handle for H {
    fn start(self: Rc<Self>, stream: IoStream, peer: SocketAddr, place: Place) -> JoinHandle<()> {
        spawn(async move {
            let _place = place;
            if let Err(error) = self(stream, peer).await {
                log_failure(peer, &error);
            }
        })
    }
}

/// A peer that left is no news; anything else is the handler's.
fn log_failure(peer: SocketAddr, error: &io::Error) {
    use io::ErrorKind::{
        BrokenPipe, ConnectionAborted, ConnectionReset, NotConnected, TimedOut, UnexpectedEof,
    };
    match error.kind() {
        BrokenPipe | ConnectionAborted | ConnectionReset | NotConnected | TimedOut
        | UnexpectedEof => {
            log::debug!("connection of {peer} ended: {error}");
        }
        _ => log::error!("handler of {peer} failed: {error}"),
    }
}

impl TcpServer {
    /// A server that listens nowhere yet. Run inside the loop that is to serve.
    pub fn new(
        handler: impl AsyncFn(IoStream, SocketAddr) -> io::Result<()> + 'static,
    ) -> TcpServer {
        TcpServer {
            shared: Rc::new(Shared {
                handler: Rc::new(handler),
                config: Cell::new(StreamConfig::default()),
                listeners: RefCell::default(),
                connections: RefCell::default(),
                accepted: Cell::new(0),
                pauses: Cell::new(0),
                idle: RefCell::default(),
            }),
        }
    }

    /// The limits of the streams that are accepted from now on.
    pub fn stream_config(self, config: StreamConfig) -> TcpServer {
        self.shared.config.set(config);
        self
    }

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

    /// Accepts from sockets that listen already.
    ///
    /// # Errors
    /// Those of `fcntl(2)` and `setsockopt(2)`; none of the sockets is used then.
    ///
    /// # Panics
    /// If there is no loop on this thread.
    #[track_caller]
    pub fn add_sockets(&self, sockets: Vec<std::net::TcpListener>) -> io::Result<()> {
        let adopt = |socket| {
            sys::set_nodelay(&socket)?;
            TcpListener::from_std(socket)
        };
        let listeners: Vec<_> = sockets.into_iter().map(adopt).collect::<io::Result<_>>()?;
        listeners.into_iter().for_each(|listener| self.accept_from(listener));
        Ok(())
    }

    /// Stops accepting; the listening sockets are closed in the next batch. Living connections go on. Twice is fine.
    pub fn stop(&self) {
        for listener in self.shared.listeners.take() {
            listener.abort();
        }
    }

    /// Stops accepting, waits until the living connections have ended, at most for `deadline`, and ends those that are
    /// left.
    ///
    /// # Cancel safety
    /// Cancel safe: the server has stopped, its connections go on.
    pub async fn drain(&self, deadline: Duration) -> DrainReport {
        let living = self.connections();
        self.stop();
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
    fn accept_from(&self, listener: TcpListener) {
        let shared = Rc::clone(&self.shared);
        let accepting = spawn(async move { shared.accept_all(listener).await });
        self.shared.listeners.borrow_mut().push(accepting);
    }
}

impl Shared {
    async fn accept_all(self: Rc<Self>, listener: TcpListener) {
        loop {
            for _ in 0..ACCEPTS_PER_TURN {
                match listener.accept().await {
                    Ok((stream, peer)) => self.start(stream, peer),
                    Err(error) => match Trouble::of(&error) {
                        Trouble::Connection => log::debug!("a connection failed early: {error}"),
                        Trouble::Resources => self.pause(&error).await,
                        Trouble::Listener => {
                            return log::error!("cannot accept any more: {error}");
                        }
                    },
                }
            }
            yield_now().await;
        }
    }

    fn start(self: &Rc<Self>, stream: TcpStream, peer: SocketAddr) {
        self.accepted.set(self.accepted.get() + 1);
        let stream = IoStream::with_config(stream, self.config.get());
        let key = self.connections.borrow_mut().insert(None);
        let place = Place { shared: Rc::clone(self), key };
        let task = Rc::clone(&self.handler).start(stream, peer, place);
        self.connections.borrow_mut()[key] = Some(task); // it runs in the next batch, not yet
    }

    fn abort_all(&self) {
        for (_, task) in &*self.connections.borrow() {
            task.iter().for_each(JoinHandle::abort);
        }
    }

    /// The connection stays in the kernel's queue, and the descriptor it needs may be free when we ask again.
    async fn pause(&self, error: &io::Error) {
        self.pauses.set(self.pauses.get() + 1);
        log::warn!("accepting pauses for {PAUSE:?}: {error}");
        sleep(PAUSE).await;
    }
}

/// What an error of `accept(2)` is about.
enum Trouble {
    /// The connection that was to be accepted, or the network: the next one may work.
    Connection,
    /// Descriptors or memory: asking again at once would spin.
    Resources,
    /// The listening socket itself.
    Listener,
}

impl Trouble {
    fn of(error: &io::Error) -> Trouble {
        match error.raw_os_error() {
            Some(libc::EBADF | libc::EINVAL | libc::ENOTSOCK | libc::EFAULT) => Trouble::Listener,
            // ENOSPC: epoll has no watch left for the listener. An error without a number is not of accept(2).
            Some(libc::EMFILE | libc::ENFILE | libc::ENOBUFS | libc::ENOMEM | libc::ENOSPC)
            | None => Trouble::Resources,
            Some(_) => Trouble::Connection,
        }
    }
}

/// A connection's place in the server, which it leaves when its task's future is dropped.
struct Place {
    shared: Rc<Shared>,
    key: usize,
}

impl Drop for Place {
    fn drop(&mut self) {
        let (task, idle) = {
            let mut connections = self.shared.connections.borrow_mut();
            let task = connections.remove(self.key);
            let idle = if connections.is_empty() { self.shared.idle.take() } else { None };
            (task, idle)
        };
        drop(task); // detaches: a panic of the handler goes to the loop's hook
        if let Some(idle) = idle {
            let _ = idle.set_result(());
        }
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

impl fmt::Debug for TcpServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TcpServer")
            .field("connections", &self.connections())
            .field("accepted", &self.accepted())
            .field("pauses", &self.pauses())
            .finish_non_exhaustive()
    }
}
