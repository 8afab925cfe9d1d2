//! The servers. Each offers every service on one thread, written as the users of its runtime would.

#[cfg(feature = "peers")]
mod actix;
#[cfg(feature = "peers")]
mod compio;
#[cfg(feature = "peers")]
mod hyper;
#[cfg(feature = "peers")]
mod may;
#[cfg(feature = "peers")]
mod monoio;
#[cfg(feature = "peers")]
mod ntex;
mod raw;
#[cfg(feature = "peers")]
mod smol;
mod squall;
#[cfg(feature = "peers")]
mod tokio;

use std::io;
use std::net::TcpListener;

use crate::service::Service;

/// Serves until the process ends, or returns an error.
type Serve = fn(TcpListener, Service) -> io::Result<()>;

pub(crate) struct Server {
    pub(crate) name: &'static str,
    pub(crate) serve: Serve,
    pub(crate) services: &'static [Service],
    /// Whether the driver is io_uring. A system call of io_uring does the work of several, and
    /// valgrind does not know them.
    pub(crate) is_uring: bool,
    /// The bytes of the buffer that the echo handler allocates for each connection.
    pub(crate) buffer: usize,
}

impl Server {
    /// Makes a server on epoll whose echo handler needs no buffer of its own.
    const fn new(name: &'static str, services: &'static [Service], serve: Serve) -> Server {
        Server { name, serve, services, is_uring: false, buffer: 0 }
    }

    pub(crate) fn offers(&self, service: Service) -> bool {
        self.services.contains(&service)
    }

    /// A server of a runtime other than squall.
    #[cfg(feature = "peers")]
    const fn peer(name: &'static str, serve: Serve) -> Server {
        Server::new(name, Service::COMMON, serve).with_buffer()
    }

    #[cfg(feature = "peers")]
    const fn with_buffer(self) -> Server {
        Server { buffer: crate::service::ECHO_BUFFER, ..self }
    }

    #[cfg(feature = "peers")]
    const fn on_uring(self) -> Server {
        Server { is_uring: true, ..self }
    }
}

/// All servers in this build. The first is the floor.
pub(crate) static SERVERS: &[Server] = &[
    Server::new("raw", raw::SERVICES, raw::serve),
    Server::new("squall", Service::ALL, squall::serve),
    #[cfg(feature = "peers")]
    Server::peer("tokio", tokio::serve),
    #[cfg(feature = "peers")]
    Server::peer("smol", smol::serve),
    #[cfg(feature = "peers")]
    Server::peer("monoio-epoll", monoio::serve_on_epoll),
    #[cfg(feature = "peers")]
    Server::peer("monoio-uring", monoio::serve_on_uring).on_uring(),
    #[cfg(feature = "peers")]
    Server::peer("compio", compio::serve).on_uring(),
    #[cfg(feature = "peers")]
    Server::new("hyper", Service::HTTP, hyper::serve),
    #[cfg(feature = "peers")]
    Server::new("may_minihttp", Service::HTTP, may::serve),
    #[cfg(feature = "peers")]
    Server::new("actix-web", Service::HTTP, actix::serve),
    #[cfg(feature = "peers")]
    Server::new("ntex", Service::HTTP, ntex::serve),
];

pub(crate) fn named(name: &str) -> Result<&'static Server, String> {
    SERVERS.iter().find(|server| server.name == name).ok_or_else(|| {
        let known: Vec<_> = SERVERS.iter().map(|server| server.name).collect();
        format!("no server is called {name:?}; there are {}", known.join(", "))
    })
}
