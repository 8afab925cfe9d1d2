//! hyper's HTTP/2 on squall's executor and timer.

use std::cell::Cell;
use std::convert::Infallible;
use std::future::pending;
use std::pin::pin;
use std::rc::Rc;
use std::time::Duration;

use futures_util::future::join_all;
use http_body_util::{Empty, Full};
use hyper::body::{Body, Bytes, Incoming};
use hyper::client::conn::http2::SendRequest;
use hyper::service::service_fn;
use hyper::{Request, Response, client, server};
use squall_net::executor::future::Future;
use squall_net::hyper::{Executor, Io, Timer};
use squall_net::{
    Clock, DuplexStream, EventLoop, IoStream, JoinHandle, duplex, now, sleep, spawn, stats,
    yield_now,
};
use tokio::sync::Barrier;

use crate::support::{run, whole};

/// Serves a connection with a service that need not be `Send`.
fn serve<B: Body<Data: Send, Error: std::error::Error + Send + Sync> + 'static>(
    stream: IoStream<DuplexStream>,
    service: impl AsyncFn(Request<Incoming>) -> Response<B> + 'static,
) -> JoinHandle<hyper::Result<()>> {
    let service = Rc::new(service);
    let service = service_fn(move |request| {
        let service = Rc::clone(&service);
        async move { Ok::<_, Infallible>(service(request).await) }
    });
    let http = server::conn::http2::Builder::new(Executor);
    spawn(http.serve_connection(Io::new(stream), service))
}

async fn connect<B>(stream: IoStream<DuplexStream>) -> SendRequest<B>
where
    B: Body<Data: Send, Error: std::error::Error + Send + Sync> + Unpin + 'static,
{
    let (sender, connection) =
        client::conn::http2::handshake(Executor, Io::new(stream)).await.unwrap();
    spawn(connection);
    sender
}

fn pair() -> (IoStream<DuplexStream>, IoStream<DuplexStream>) {
    let (here, there) = duplex(64 << 10);
    (IoStream::new(here), IoStream::new(there))
}

fn post<B>(body: B) -> Request<B> {
    Request::post("http://localhost/").body(body).unwrap()
}

#[test]
fn the_requests_of_one_connection_run_side_by_side() {
    run(async {
        const REQUESTS: usize = 50;
        let (client, server) = pair();
        let barrier = Barrier::new(REQUESTS);
        serve(server, async move |request| {
            barrier.wait().await; // until all have come
            Response::new(request.into_body())
        });
        let sender = connect(client).await;
        let send = async |n: usize| {
            let body = Bytes::from(n.to_string());
            let answer = sender.clone().send_request(post(Full::new(body.clone()))).await.unwrap();
            assert_eq!(whole(answer.into_body()).await, body);
        };
        join_all((0..REQUESTS).map(send)).await;
    });
}

#[test]
fn large_bodies_go_both_ways() {
    run(async {
        let (client, server) = pair();
        serve(server, async |request| Response::new(request.into_body()));
        let mut sender = connect(client).await;
        for size in [0, 1, 16 << 10, 5 << 20] {
            let body = Bytes::from(vec![b'x'; size]);
            let answer = sender.send_request(post(Full::new(body.clone()))).await.unwrap();
            assert!(whole(answer.into_body()).await == body, "of {size} bytes");
        }
    });
}

// I6
#[test]
fn a_request_that_is_not_read_does_not_hold_the_others_back() {
    run(async {
        let (client, server) = pair();
        serve(server, async |_| Response::new(Full::new(Bytes::from(vec![b'x'; 1 << 20]))));
        let mut sender = connect(client).await;
        let unread = sender.send_request(post(Empty::<Bytes>::new())).await.unwrap();
        let read = sender.send_request(post(Empty::<Bytes>::new())).await.unwrap();
        assert_eq!(whole(read.into_body()).await.len(), 1 << 20);
        assert_eq!(whole(unread.into_body()).await.len(), 1 << 20);
    });
}

/// Counts its drop.
struct Guard(Rc<Cell<usize>>);

impl Drop for Guard {
    fn drop(&mut self) {
        self.0.set(self.0.get() + 1);
    }
}

#[test]
fn requests_end_when_their_client_resets_them_or_leaves() {
    run(async {
        let tasks = stats().live_tasks;
        let (client, server) = pair();
        let (begun, dropped) = (Rc::new(Cell::new(0)), Rc::new(Cell::new(0)));
        let (beginning, guard) = (Rc::clone(&begun), Rc::clone(&dropped));
        let serving = serve(server, async move |_| {
            let _guard = Guard(Rc::clone(&guard));
            beginning.set(beginning.get() + 1);
            pending::<Response<Empty<Bytes>>>().await
        });
        let sender = connect(client).await;
        let send = || {
            let mut sender = sender.clone();
            spawn(async move { sender.send_request(post(Empty::<Bytes>::new())).await })
        };
        let (first, second) = (send(), send());
        let until = async |done: &dyn Fn() -> bool| {
            while !done() {
                yield_now().await;
            }
        };
        until(&|| begun.get() == 2).await;
        first.abort(); // the client drops the future of its answer, so it resets the request
        until(&|| dropped.get() == 1).await;
        second.abort();
        drop(sender); // the last one closes the connection
        serving.await.unwrap().unwrap();
        until(&|| stats().live_tasks == tasks).await;
        assert_eq!(dropped.get(), 2);
    });
}

#[test]
fn a_server_that_shuts_down_answers_what_it_has_begun_and_takes_nothing_new() {
    run(async {
        let (client, server) = pair();
        let (begun, go_on) = (Future::new(), Future::new());
        let (beginning, told) = (begun.clone(), go_on.clone());
        let serving = spawn(async move {
            let service = service_fn(move |_: Request<Incoming>| {
                beginning.set_result(()).expect("one request comes");
                let told = told.clone();
                async move {
                    told.ready().await.expect("it is set");
                    let body = Bytes::from(vec![b'x'; 1 << 20]);
                    Ok::<_, Infallible>(Response::new(Full::new(body)))
                }
            });
            let http = server::conn::http2::Builder::new(Executor);
            let mut serving = pin!(http.serve_connection(Io::new(server), service));
            tokio::select! {
                outcome = serving.as_mut() => outcome,
                _ = begun.ready() => {
                    serving.as_mut().graceful_shutdown();
                    go_on.set_result(()).expect("it is set once");
                    serving.await
                }
            }
        });
        let mut sender = connect(client).await;
        let answer = sender.send_request(post(Empty::<Bytes>::new())).await.unwrap();
        assert_eq!(whole(answer.into_body()).await.len(), 1 << 20);
        serving.await.unwrap().unwrap();
        assert!(sender.send_request(post(Empty::<Bytes>::new())).await.is_err());
    });
}

/// The clock moves to the next deadline when nothing else is left to do.
#[test]
fn a_peer_that_answers_no_ping_is_cut_off_at_the_deadline() {
    const INTERVAL: Duration = Duration::from_secs(10);
    const LIMIT: Duration = Duration::from_secs(3);
    let event_loop = EventLoop::builder().clock(Clock::auto_advancing()).build().unwrap();
    event_loop.block_on(async {
        let (client, silent) = pair();
        let mut http = client::conn::http2::Builder::new(Executor);
        http.timer(Timer).keep_alive_interval(INTERVAL).keep_alive_timeout(LIMIT);
        http.keep_alive_while_idle(true);
        let (_sender, connection) =
            http.handshake::<_, Empty<Bytes>>(Io::new(client)).await.unwrap();
        let begin = now();
        let mut silent = silent;
        silent.write(b"\0\0\0\x04\0\0\0\0\0").unwrap(); // SETTINGS, and nothing more
        let error = connection.await.unwrap_err();
        assert!(error.is_timeout(), "{error}");
        assert_eq!(now() - begin, INTERVAL + LIMIT);
        drop(silent);
    });
}

#[test]
fn a_peer_that_answers_pings_stays_and_one_timer_is_moved_for_all_of_them() {
    const INTERVAL: Duration = Duration::from_secs(10);
    let event_loop = EventLoop::builder().clock(Clock::auto_advancing()).build().unwrap();
    event_loop.block_on(async {
        let (client, server) = pair();
        serve(server, async |request| Response::new(request.into_body()));
        let mut http = client::conn::http2::Builder::new(Executor);
        http.timer(Timer).keep_alive_interval(INTERVAL).keep_alive_while_idle(true);
        let (mut sender, connection) = http.handshake(Io::new(client)).await.unwrap();
        spawn(connection);
        let fired = stats().timers_fired;
        sleep(INTERVAL * 100 + INTERVAL / 2).await;
        assert!(stats().timers_fired - fired >= 100);
        assert_eq!(stats().live_timers, 1);
        let answer = sender.send_request(post(Full::new(Bytes::from("hello")))).await.unwrap();
        assert_eq!(whole(answer.into_body()).await, "hello");
    });
}
