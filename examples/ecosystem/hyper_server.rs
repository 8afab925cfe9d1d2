//! hyper on squall: a transport and a task for each connection, a timer for hyper's deadlines, and an
//! orderly end.
//!
//! ```text
//! cargo run --release --example hyper_server --features hyper
//! curl -i http://127.0.0.1:7781/
//! ```

use std::convert::Infallible;
use std::env;
use std::io;
use std::pin::pin;
use std::time::Duration;

use futures_lite::future::or;
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use squall_net::hyper::{Io, Timer};
use squall_net::{IoStream, TcpServer, block_on, signal};

/// The time for a request's head, and for the wait before it. Without it, a client that sends nothing
/// keeps its connection for ever.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);

async fn hello(_: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    Ok(Response::new(Full::from("Hello, World!")))
}

fn main() -> io::Result<()> {
    env_logger::init();
    let address = env::args().nth(1).unwrap_or_else(|| "127.0.0.1:7781".to_owned());
    if address == "--help" {
        println!("usage: hyper_server [host:port]   (127.0.0.1:7781)");
        return Ok(());
    }
    block_on(async {
        let server = TcpServer::with_draining(|draining| {
            async move |stream: IoStream, peer| {
                let service = service_fn(hello);
                let mut http = http1::Builder::new();
                http.timer(Timer).header_read_timeout(HEAD_TIMEOUT);
                let mut serving = pin!(http.serve_connection(Io::new(stream), service));
                let ended = or(async { Some(serving.as_mut().await) }, async {
                    draining.begun().await;
                    None
                });
                let outcome = match ended.await {
                    Some(outcome) => outcome,
                    None => {
                        serving.as_mut().graceful_shutdown(); // finishes the running request
                        serving.await
                    }
                };
                // `hello` cannot fail, so the client has caused every error.
                if let Err(error) = outcome {
                    log::debug!("connection of {peer} ended: {error}");
                }
                Ok(())
            }
        });
        println!("hyper on http://{}", server.listen(&address)?);
        let told_to_end = async { signal::termination().await.map(drop) };
        let ended = or(told_to_end, server.closed()).await;
        server.drain(Duration::from_secs(5)).await;
        ended
    })
}
