//! The server: a server of connections whose handler speaks HTTP.

use std::fmt;
use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

use squall_net::{
    DrainReport, IoStream, Listener, Server, StreamConfig, TcpListener, UnixListener, sleep,
};

use crate::server::config::Config;
use crate::server::connection::{Shared, serve};
use crate::server::request_handler::RequestHandler;
use crate::server::shutdown::Shutdown;
use crate::server::transport::Transport;

/// An HTTP/1.1 server on the loop of this thread, over TCP or Unix sockets. Clones are the same
/// server.
pub struct HttpServer<L: Listener = TcpListener> {
    server: Server<L>,
    shutdown: Rc<Shutdown>,
}

impl HttpServer {
    /// Makes a server that does not listen yet. `handler` answers its requests: an
    /// [`Application`](crate::Application), a closure, or any other [`RequestHandler`].
    ///
    /// If a client leaves while its handler, or the stream that the handler returned, waits, the
    /// server drops the future or stream. Work that must be completed all the same belongs in a task
    /// of its own. A client that only ends its sending half still gets its response. Two waits end
    /// later: a stream for HTTP/1.0 is dropped at its next piece, and a handler that leaves more than
    /// 64 KiB of the client's bytes unread is not dropped before it answers.
    ///
    /// The server itself answers `OPTIONS *`, with 200 and an empty body.
    pub fn new(config: Config, handler: impl RequestHandler + 'static) -> HttpServer {
        server(config, handler)
    }

    /// Listens on `address` and returns it, with the port that the kernel chose.
    ///
    /// # Errors
    /// As [`TcpServer::listen`](squall_net::TcpServer).
    pub fn listen(&self, address: impl ToSocketAddrs) -> io::Result<SocketAddr> {
        self.server.listen(address)
    }

    /// Accepts connections from sockets that already listen.
    ///
    /// # Errors
    /// As [`TcpServer::add_sockets`](squall_net::TcpServer).
    pub fn add_sockets(&self, sockets: Vec<std::net::TcpListener>) -> io::Result<()> {
        self.server.add_sockets(sockets)
    }
}

impl HttpServer<UnixListener> {
    /// As [`new`](HttpServer::new), for Unix sockets, for example behind nginx on the same machine.
    ///
    /// A Unix socket has no reset. So a streamed body for HTTP/1.0 that is not complete looks whole
    /// to the client: let nginx speak HTTP/1.1 (`proxy_http_version 1.1`).
    pub fn unix(
        config: Config,
        handler: impl RequestHandler + 'static,
    ) -> HttpServer<UnixListener> {
        server(config, handler)
    }

    /// Listens on a path.
    ///
    /// # Errors
    /// As [`UnixServer::listen`](squall_net::UnixServer).
    pub fn listen(&self, path: impl AsRef<Path>) -> io::Result<()> {
        self.server.listen(path)
    }
}

impl<L: Listener> HttpServer<L> {
    /// Stops accepting, ends idle connections and finishes the running requests, also those that
    /// have reached their sockets by now. After `deadline`, cuts the connections that are left.
    pub async fn shut_down(&self, deadline: Duration) -> DrainReport {
        self.server.stop();
        // In the first turn the loop hears of what has arrived, and in the second it reads it.
        for _ in 0..2 {
            sleep(Duration::ZERO).await;
        }
        self.shutdown.begin();
        self.server.drain(deadline).await
    }

    /// Waits until the server no longer accepts connections.
    ///
    /// # Errors
    /// As [`Server::closed`](squall_net::Server::closed).
    pub async fn closed(&self) -> io::Result<()> {
        self.server.closed().await
    }

    /// The number of open connections.
    pub fn connections(&self) -> usize {
        self.server.connections()
    }
}

fn server<L>(config: Config, handler: impl RequestHandler + 'static) -> HttpServer<L>
where
    L: Listener<Stream: Transport>,
{
    // The buffer must hold a whole head. Bodies are consumed piece by piece.
    let buffer = StreamConfig::default().max_buffer_size(config.max_head_bytes.max(64 << 10));
    let shutdown = Rc::new(Shutdown::default());
    let shared = Rc::new(Shared::new(config, handler));
    let shutdown_of_handler = Rc::clone(&shutdown);
    let serve = move |stream: IoStream<L::Stream>, _peer| {
        serve(stream, Rc::clone(&shared), shutdown_of_handler.watcher())
    };
    HttpServer { server: Server::new(serve).stream_config(buffer), shutdown }
}

impl<L: Listener> Clone for HttpServer<L> {
    fn clone(&self) -> HttpServer<L> {
        HttpServer { server: self.server.clone(), shutdown: Rc::clone(&self.shutdown) }
    }
}

impl<L: Listener> fmt::Debug for HttpServer<L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("HttpServer").field(&self.server).finish()
    }
}
