//! squall's `tiny_http`.

use std::hint;
use std::io;
use std::net::TcpListener;
use std::thread;
use std::time::{Duration, Instant};

use bytes::Bytes;
use squall_net::block_on;
use tiny_http::{
    Application, Config, HandlerResult, HttpServer, MaxDelay, Request, RequestHandler, Response,
    StaticFiles,
};

use crate::service::{HELLO, Service, WORK};

/// How long earlier requests may keep the loop busy before one is refused.
const MAX_DELAY: Duration = Duration::from_millis(5);

pub(super) fn serve(listener: TcpListener, service: Service) -> io::Result<()> {
    match service {
        Service::HttpEcho => run(listener, async |request: &mut Request<'_>| {
            Ok(Response::text(request.body().await?))
        }),
        Service::HttpFile => {
            run(listener, Application::new().get("/{*path}", StaticFiles::new(".")?))
        }
        Service::HttpWork => run(listener, work),
        Service::HttpWorkOrRefuse => run(listener, MaxDelay::new(MAX_DELAY, work)),
        Service::TwoWorkers => {
            let shared = listener.try_clone()?;
            let second = thread::spawn(|| serve_hello(shared));
            serve_hello(listener)?;
            second.join().map_err(|_| io::Error::other("a worker has panicked"))?
        }
        _ => serve_hello(listener),
    }
}

fn serve_hello(listener: TcpListener) -> io::Result<()> {
    run(listener, async |_: &mut Request<'_>| {
        Ok(Response::text(Bytes::from_static(HELLO.as_bytes())))
    })
}

/// Keeps the core busy, and answers.
async fn work(_: &mut Request<'_>) -> HandlerResult {
    let until = Instant::now() + WORK;
    while Instant::now() < until {
        hint::spin_loop();
    }
    Ok(Response::text(HELLO))
}

/// Serves on a loop of this thread.
fn run(listener: TcpListener, handler: impl RequestHandler + 'static) -> io::Result<()> {
    block_on(async {
        let server = HttpServer::new(Config::default(), handler);
        server.add_sockets(vec![listener])?;
        std::future::pending().await
    })
}
