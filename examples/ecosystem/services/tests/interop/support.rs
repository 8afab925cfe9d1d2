//! Loops with a watchdog, and clients and servers of hyper.

use std::cell::Cell;
use std::future::Future;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use futures_util::future::{Either, select};
use http_body_util::BodyExt;
use hyper::body::{Body, Bytes};
use hyper::client::conn::{http1, http2};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use squall_net::hyper::{Executor, Io};
use squall_net::{IoStream, TcpServer, TcpStream, block_on, spawn, timeout};

pub(crate) const WATCHDOG: Duration = Duration::from_secs(60);

pub(crate) fn run<F: Future<Output = ()>>(test: F) {
    block_on(async { timeout(WATCHDOG, test).await.expect("the test hangs") });
}

pub(crate) async fn whole<B: Body<Error: std::fmt::Debug>>(body: B) -> Bytes {
    body.collect().await.unwrap().to_bytes()
}

pub(crate) async fn connect(address: SocketAddr) -> IoStream {
    IoStream::new(TcpStream::connect(address).await.unwrap())
}

/// A client of HTTP/1. Its connection runs in a task.
pub(crate) async fn http1_client<B>(address: SocketAddr) -> http1::SendRequest<B>
where
    B: Body<Data: Send, Error: std::error::Error + Send + Sync> + 'static,
{
    let io = Io::new(connect(address).await);
    let (sender, connection) = http1::handshake(io).await.unwrap();
    spawn(connection);
    sender
}

/// A client of HTTP/2 that knows that its server speaks it.
pub(crate) async fn http2_client<B>(address: SocketAddr) -> http2::SendRequest<B>
where
    B: Body<Data: Send, Error: std::error::Error + Send + Sync> + Unpin + 'static,
{
    let io = Io::new(connect(address).await);
    let (sender, connection) = http2::handshake(Executor, io).await.unwrap();
    spawn(connection);
    sender
}

/// A server of a router on a free port, for HTTP/1 and HTTP/2. Counts its connections.
pub(crate) struct RouterServer {
    pub(crate) server: TcpServer,
    pub(crate) address: SocketAddr,
    pub(crate) connections: Rc<Cell<usize>>,
}

impl RouterServer {
    pub(crate) fn start(router: ::axum::Router) -> RouterServer {
        let connections = Rc::new(Cell::new(0));
        let counted = Rc::clone(&connections);
        let server = TcpServer::with_draining(|draining| {
            async move |stream: IoStream, _| {
                counted.set(counted.get() + 1);
                let http = auto::Builder::new(Executor);
                let service = TowerToHyperService::new(router.clone());
                let mut serving = std::pin::pin!(http.serve_connection(Io::new(stream), service));
                let begun = std::pin::pin!(draining.begun());
                let outcome = match select(serving.as_mut(), begun).await {
                    Either::Left((outcome, _)) => outcome,
                    Either::Right(_) => {
                        serving.as_mut().graceful_shutdown();
                        serving.await
                    }
                };
                let _ = outcome; // an error only tells how the client has left
                Ok(())
            }
        });
        let address = server.listen("127.0.0.1:0").unwrap();
        RouterServer { server, address, connections }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }
}
