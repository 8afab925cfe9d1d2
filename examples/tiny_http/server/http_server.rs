//! The server: a `TcpServer` whose handler speaks HTTP.

use std::fmt;
use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::rc::Rc;
use std::time::Duration;

use squall_net::{DrainReport, IoStream, StreamConfig, TcpServer, sleep};

use crate::application::request_handler::RequestHandler;
use crate::server::config::Config;
use crate::server::connection::serve;
use crate::server::shutdown::Shutdown;

/// An HTTP/1.1 server on the loop of this thread. Clones are the same server.
#[derive(Clone)]
pub struct HttpServer {
    tcp: TcpServer,
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
        let shutdown = Rc::new(Shutdown::default());
        let shutdown_of_handler = Rc::clone(&shutdown);
        let serve = async move |stream: IoStream, _peer| {
            serve(stream, &config, shutdown_of_handler.watcher(), &handler).await
        };
        // The buffer must hold a whole head. Bodies are consumed piece by piece.
        let buffer = StreamConfig::default().max_buffer_size(config.max_head_bytes.max(64 << 10));
        HttpServer { tcp: TcpServer::new(serve).stream_config(buffer), shutdown }
    }

    /// Listens on `address` and returns it, with the port that the kernel chose.
    ///
    /// # Errors
    /// As [`TcpServer::listen`].
    pub fn listen(&self, address: impl ToSocketAddrs) -> io::Result<SocketAddr> {
        self.tcp.listen(address)
    }

    /// Accepts connections from sockets that already listen.
    ///
    /// # Errors
    /// As [`TcpServer::add_sockets`].
    pub fn add_sockets(&self, sockets: Vec<std::net::TcpListener>) -> io::Result<()> {
        self.tcp.add_sockets(sockets)
    }

    /// Stops accepting, ends idle connections and finishes the running requests, also those that
    /// have reached their sockets by now. After `deadline`, cuts the connections that are left.
    pub async fn shut_down(&self, deadline: Duration) -> DrainReport {
        self.tcp.stop();
        // In the first turn the loop hears of what has arrived, and in the second it reads it.
        for _ in 0..2 {
            sleep(Duration::ZERO).await;
        }
        self.shutdown.begin();
        self.tcp.drain(deadline).await
    }

    /// Waits until the server no longer accepts connections.
    ///
    /// # Errors
    /// As [`TcpServer::closed`].
    pub async fn closed(&self) -> io::Result<()> {
        self.tcp.closed().await
    }

    /// The number of open connections.
    pub fn connections(&self) -> usize {
        self.tcp.connections()
    }
}

impl fmt::Debug for HttpServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("HttpServer").field(&self.tcp).finish()
    }
}
