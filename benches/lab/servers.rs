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
mod nginx;
#[cfg(feature = "peers")]
mod ntex;
mod raw;
mod raw_http;
#[cfg(feature = "peers")]
mod smol;
mod squall;
mod squall_http;
#[cfg(feature = "peers")]
mod tokio;
mod tornado;

use std::io;
use std::net::TcpListener;

use crate::service::Service;

/// Serves until the process ends, or returns an error.
type Serve = fn(TcpListener, Service) -> io::Result<()>;

pub(crate) struct Server {
    pub(crate) name: &'static str,
    serve: Serve,
    services: &'static [Service],
    /// Whether the driver is io_uring. A system call of io_uring does the work of several, and
    /// valgrind does not know them.
    pub(crate) is_uring: bool,
    /// The bytes of the buffer that the echo handler allocates for each connection.
    pub(crate) buffer: usize,
    /// Whether the machine has the server, which is a program of its own. `None`: the lab has it.
    is_installed: Option<fn() -> bool>,
}

impl Server {
    /// Makes a server on epoll whose echo handler needs no buffer of its own.
    const fn new(name: &'static str, services: &'static [Service], serve: Serve) -> Server {
        Server { name, serve, services, is_uring: false, buffer: 0, is_installed: None }
    }

    /// A server of a runtime other than squall.
    #[cfg(feature = "peers")]
    const fn peer(name: &'static str, serve: Serve) -> Server {
        let services = &[Service::Echo, Service::Once, Service::Sink, Service::Source];
        Server { buffer: crate::service::ECHO_BUFFER, ..Server::new(name, services, serve) }
    }

    #[cfg(feature = "peers")]
    const fn on_uring(self) -> Server {
        Server { is_uring: true, ..self }
    }

    /// A server that replaces the process with a program of the machine.
    const fn external(self, is_installed: fn() -> bool) -> Server {
        Server { is_installed: Some(is_installed), ..self }
    }

    pub(crate) fn offers(&self, service: Service) -> bool {
        self.services.contains(&service)
    }

    pub(crate) fn is_external(&self) -> bool {
        self.is_installed.is_some()
    }

    /// Whether this machine has the server.
    pub(crate) fn is_here(&self) -> bool {
        self.is_installed.is_none_or(|is_installed| is_installed())
    }

    /// Serves until the process ends.
    pub(crate) fn serve(&self, listener: TcpListener, service: Service) -> io::Result<()> {
        if !self.offers(service) {
            return Err(service.not_offered());
        }
        (self.serve)(listener, service)
    }

    /// Adds the name of the server to an error.
    pub(crate) fn failed(&self, error: io::Error) -> io::Error {
        io::Error::new(error.kind(), format!("{}: {error}", self.name))
    }
}

/// All servers in this build. The first is the floor.
pub(crate) static SERVERS: &[Server] = &[
    Server::new(
        "raw",
        &[
            Service::Echo,
            Service::Once,
            Service::Sink,
            Service::Source,
            Service::Http,
            Service::HttpClose,
            Service::HttpEcho,
            Service::HttpLarge,
            Service::OneWorker,
            Service::TwoWorkers,
        ],
        raw::serve,
    ),
    Server::new(
        "squall",
        &[
            Service::Echo,
            Service::EchoSome,
            Service::EchoLine,
            Service::Once,
            Service::Sink,
            Service::Source,
            Service::Http,
            Service::HttpClose,
            Service::HttpEcho,
            Service::HttpFile,
            Service::HttpWork,
            Service::HttpWorkOrRefuse,
            Service::OneWorker,
            Service::TwoWorkers,
        ],
        squall::serve,
    ),
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
    Server::new("hyper", HTTP, hyper::serve),
    #[cfg(feature = "peers")]
    Server::new("may_minihttp", &[Service::Http, Service::HttpEcho], may::serve),
    #[cfg(feature = "peers")]
    Server::new(
        "actix-web",
        &[Service::Http, Service::HttpClose, Service::HttpEcho, Service::HttpFile],
        actix::serve,
    ),
    #[cfg(feature = "peers")]
    Server::new("ntex", HTTP, ntex::serve),
    Server::new("nginx", &[Service::Http, Service::HttpClose, Service::HttpFile], nginx::serve)
        .external(nginx::is_installed),
    Server::new("nginx-no-sendfile", &[Service::HttpFile], nginx::serve_without_sendfile)
        .external(nginx::is_installed),
    Server::new(
        TORNADO,
        &[Service::Http, Service::HttpClose, Service::HttpEcho, Service::HttpFile],
        tornado::serve,
    )
    .external(tornado::is_installed),
];

/// What the HTTP libraries without a file server offer.
#[cfg(feature = "peers")]
const HTTP: &[Service] = &[Service::Http, Service::HttpClose, Service::HttpEcho];

/// The server that is slower than all others by an order of magnitude.
pub(crate) const TORNADO: &str = "tornado";

pub(crate) fn named(name: &str) -> Result<&'static Server, String> {
    SERVERS.iter().find(|server| server.name == name).ok_or_else(|| {
        let known: Vec<_> = SERVERS.iter().map(|server| server.name).collect();
        format!("no server is called {name:?}; there are {}", known.join(", "))
    })
}
