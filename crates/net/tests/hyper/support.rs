//! Connections between a client and a server of hyper, and bodies that count.

use std::cell::Cell;
use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_io::{AsyncRead, AsyncWrite};
use http_body_util::BodyExt;
use hyper::body::{Body, Bytes, Frame, Incoming};
use hyper::client::conn::http1::SendRequest;
use hyper::service::service_fn;
use hyper::{Request, Response};
use squall_net::hyper::Io;
use squall_net::{
    Clock, EventLoop, IoStream, JoinHandle, TcpListener, TcpStream, block_on, spawn, timeout,
};

pub(crate) const WATCHDOG: Duration = Duration::from_secs(20);

pub(crate) fn run<F: Future<Output = ()>>(test: F) {
    block_on(async { timeout(WATCHDOG, test).await.expect("the test hangs") });
}

/// Runs a test that moves the clock itself, or only lets every task come to rest.
pub(crate) fn run_on_manual_clock<F: Future<Output = ()>>(test: impl FnOnce(Clock) -> F) {
    let clock = Clock::manual();
    let event_loop = EventLoop::builder().clock(clock.clone()).build().unwrap();
    event_loop.block_on(test(clock));
}

pub(crate) async fn tcp_pair() -> (IoStream, IoStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    (IoStream::new(client), IoStream::new(listener.accept().await.unwrap().0))
}

/// Serves one connection of HTTP/1.
pub(crate) fn serve<S, B, E>(
    stream: IoStream<S>,
    service: impl AsyncFn(Request<Incoming>) -> Result<Response<B>, E> + 'static,
) -> JoinHandle<hyper::Result<()>>
where
    S: AsyncRead + AsyncWrite + Unpin + 'static,
    B: Body<Error: std::error::Error + Send + Sync> + 'static,
    E: std::error::Error + Send + Sync + 'static,
{
    let service = Rc::new(service);
    let service = service_fn(move |request| {
        let service = Rc::clone(&service);
        async move { service(request).await }
    });
    let http = hyper::server::conn::http1::Builder::new();
    spawn(http.serve_connection(Io::new(stream), service))
}

/// Connects a client of HTTP/1. Its connection runs in a task.
pub(crate) async fn connect<S, B>(stream: IoStream<S>) -> SendRequest<B>
where
    S: AsyncRead + AsyncWrite + Unpin + 'static,
    B: Body<Data: Send, Error: std::error::Error + Send + Sync> + 'static,
{
    let handshake = hyper::client::conn::http1::handshake(Io::new(stream));
    let (sender, connection) = handshake.await.unwrap();
    spawn(connection);
    sender
}

pub(crate) fn post<B>(body: B) -> Request<B> {
    Request::post("/").header("host", "localhost").body(body).unwrap()
}

pub(crate) async fn whole<B: Body<Error: std::fmt::Debug>>(body: B) -> Bytes {
    body.collect().await.unwrap().to_bytes()
}

/// A body of numbered pieces. It is not `Send`.
pub(crate) struct Pieces {
    /// The number of pieces that were polled.
    pub(crate) polled: Rc<Cell<usize>>,
    count: usize,
    size: usize,
}

impl Pieces {
    pub(crate) fn new(count: usize, size: usize) -> Pieces {
        Pieces { polled: Rc::default(), count, size }
    }

    /// All the bytes of such a body.
    pub(crate) fn bytes(count: usize, size: usize) -> Vec<u8> {
        (0..count).flat_map(|number| vec![digit(number); size]).collect()
    }
}

fn digit(number: usize) -> u8 {
    u8::try_from(number % 251).unwrap()
}

impl Body for Pieces {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let number = self.polled.get();
        if number == self.count {
            return Poll::Ready(None);
        }
        self.polled.set(number + 1);
        Poll::Ready(Some(Ok(Frame::data(vec![digit(number); self.size].into()))))
    }
}
