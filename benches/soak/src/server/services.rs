//! Both servers of a loop: HTTP and lines.

use std::io;
use std::net::TcpListener;
use std::path::Path;
use std::time::Duration;

use futures_lite::future::zip;
use squall_net::{BindOptions, TcpServer, bind_sockets};
use tiny_http::{Config, HttpServer};

use crate::records::server_report::ServerReport;
use crate::server::application::application;
use crate::server::fault::Fault;
use crate::server::line_echo::line_echo;

/// How long running requests may take after the signal to end.
pub(crate) const GRACE: Duration = Duration::from_secs(5);

/// Servers on the loop of this thread. Clones are the same servers.
#[derive(Clone)]
pub(crate) struct Services {
    http: HttpServer,
    lines: TcpServer,
}

impl Services {
    /// Starts to serve. `directory` has the static file.
    pub(crate) fn start(sockets: Sockets, directory: &Path, fault: Fault) -> io::Result<Services> {
        // Short deadlines, so that every cycle of a run sees them pass.
        let config = Config {
            head_timeout: Duration::from_secs(2),
            body_timeout: Duration::from_secs(2),
            write_timeout: Duration::from_secs(2),
            linger_timeout: Duration::from_secs(1),
            ..Config::default()
        };
        let http = HttpServer::new(config, application(directory, fault)?);
        http.add_sockets(sockets.http)?;
        let lines = line_echo();
        lines.add_sockets(sockets.lines)?;
        Ok(Services { http, lines })
    }

    pub(crate) fn connections(&self) -> usize {
        self.http.connections() + self.lines.connections()
    }

    /// Stops accepting, finishes the running requests and ends.
    pub(crate) async fn shut_down(&self) {
        zip(self.http.shut_down(GRACE), self.lines.drain(GRACE)).await;
    }
}

/// The listening sockets of a process.
pub(crate) struct Sockets {
    pub(crate) http: Vec<TcpListener>,
    pub(crate) lines: Vec<TcpListener>,
}

impl Sockets {
    pub(crate) fn bind() -> io::Result<Sockets> {
        let bind = || bind_sockets(0, Some("127.0.0.1"), BindOptions::default());
        Ok(Sockets { http: bind()?, lines: bind()? })
    }

    /// The line that tells the run the ports.
    pub(crate) fn report(&self) -> io::Result<ServerReport> {
        let port = |sockets: &[TcpListener]| Ok::<_, io::Error>(sockets[0].local_addr()?.port());
        Ok(ServerReport::Listening { http: port(&self.http)?, lines: port(&self.lines)? })
    }
}
