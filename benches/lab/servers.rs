//! The servers: each offers every service on one thread, written as its users would.

#[cfg(feature = "peers")]
mod compio;
#[cfg(feature = "peers")]
mod monoio;
mod raw;
#[cfg(feature = "peers")]
mod smol;
mod squall;
#[cfg(feature = "peers")]
mod tokio;

use std::io;
use std::net::TcpListener;

use crate::service::Service;

/// Serves until the process ends, or fails.
type Serve = fn(TcpListener, Service) -> io::Result<()>;

pub(crate) struct Server {
    pub(crate) name: &'static str,
    pub(crate) serve: Serve,
    /// Its driver is io_uring: its system calls do the work of several, and valgrind does not know them.
    pub(crate) is_uring: bool,
}

impl Server {
    const fn epoll(name: &'static str, serve: Serve) -> Server {
        Server { name, serve, is_uring: false }
    }

    #[cfg(feature = "peers")]
    const fn uring(name: &'static str, serve: Serve) -> Server {
        Server { name, serve, is_uring: true }
    }
}

/// All that were built, the floor first.
pub(crate) static SERVERS: &[Server] = &[
    Server::epoll("raw", raw::serve),
    Server::epoll("squall", squall::serve),
    #[cfg(feature = "peers")]
    Server::epoll("tokio", tokio::serve),
    #[cfg(feature = "peers")]
    Server::epoll("smol", smol::serve),
    #[cfg(feature = "peers")]
    Server::epoll("monoio-epoll", monoio::serve_on_epoll),
    #[cfg(feature = "peers")]
    Server::uring("monoio-uring", monoio::serve_on_uring),
    #[cfg(feature = "peers")]
    Server::uring("compio", compio::serve),
];

pub(crate) fn named(name: &str) -> Result<&'static Server, String> {
    SERVERS.iter().find(|server| server.name == name).ok_or_else(|| {
        let known: Vec<_> = SERVERS.iter().map(|server| server.name).collect();
        format!("no server is called {name:?}; there are {}", known.join(", "))
    })
}
