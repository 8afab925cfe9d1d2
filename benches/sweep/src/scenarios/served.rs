//! Runs clients against a server, and ends the server.

use std::net::SocketAddr;
use std::time::Duration;

use squall_net::TcpServer;

use crate::journal;

/// A drain that takes longer hangs: all clients have ended before it.
const DRAIN: Duration = Duration::from_secs(3);

/// Listens, runs `clients`, and drains the server.
pub(super) async fn served(server: &TcpServer, clients: impl AsyncFnOnce(SocketAddr)) {
    match server.listen("127.0.0.1:0") {
        Ok(address) => clients(address).await,
        Err(error) => return journal::error("listen", &error),
    }
    let report = server.drain(DRAIN).await;
    if report.aborted > 0 {
        journal::fault(format_args!("{} connections did not end", report.aborted));
    }
    if let Err(error) = server.closed().await {
        journal::error("the server", &error);
    }
}
