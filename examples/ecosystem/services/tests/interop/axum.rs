//! axum's router over hyper on squall.

use std::convert::Infallible;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, Request, State};
use axum::http::StatusCode;
use axum::middleware::{Next, from_fn};
use axum::response::Response;
use axum::routing::{get, post};
use futures_util::future::join_all;
use futures_util::stream;
use hyper::body::Bytes;
use squall_net::{sleep, spawn};
use tokio::sync::oneshot;

use crate::support::{RouterServer, http1_client, http2_client, run, whole};

/// axum's state must be `Send` and `Sync`, although everything runs on one thread.
type Hits = Arc<AtomicUsize>;

async fn greet(State(hits): State<Hits>, Path(name): Path<String>) -> String {
    hits.fetch_add(1, Ordering::Relaxed);
    format!("hello {name}")
}

/// Runs a future on this thread's loop. The returned future is `Send`, as axum asks for, even if
/// `future` is not.
fn local<T: Send + 'static>(
    future: impl Future<Output = T> + 'static,
) -> impl Future<Output = T> + Send {
    let (sender, receiver) = oneshot::channel();
    spawn(async move { sender.send(future.await) }); // the client may have left
    async { receiver.await.expect("the task ends only with a result") }
}

async fn nap() -> &'static str {
    local(sleep(Duration::from_millis(1))).await; // squall's sleep is not `Send`
    "awake"
}

async fn pieces() -> Body {
    let pieces = (0..100).map(|number| Ok::<_, Infallible>(Bytes::from(vec![number; 10_000])));
    Body::from_stream(stream::iter(pieces))
}

async fn fail() -> &'static str {
    panic!("a handler panics, as the test wants")
}

async fn mark(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    response.headers_mut().insert("x-mark", "seen".parse().unwrap());
    response
}

fn start(hits: Hits) -> RouterServer {
    let router = Router::new()
        .route("/hello/{name}", get(greet))
        .route("/nap", get(nap))
        .route("/pieces", get(pieces))
        .route("/echo", post(async |body: Bytes| body))
        .route("/fail", get(fail))
        .layer(from_fn(mark))
        .with_state(hits);
    RouterServer::start(router)
}

fn get_request(server: &RouterServer, path: &str) -> hyper::Request<Body> {
    let request = hyper::Request::get(server.url(path)).header("host", "localhost");
    request.body(Body::empty()).unwrap()
}

#[test]
fn one_port_serves_a_router_over_http_1_and_http_2() {
    run(async {
        let hits = Hits::default();
        let server = start(Arc::clone(&hits));
        let mut http1 = http1_client(server.address).await;
        let mut http2 = http2_client(server.address).await;
        for path in ["/hello/squall", "/nap", "/pieces", "/nowhere"] {
            let one = http1.send_request(get_request(&server, path)).await.unwrap();
            let two = http2.send_request(get_request(&server, path)).await.unwrap();
            assert_eq!(
                (one.version(), two.version()),
                (hyper::Version::HTTP_11, hyper::Version::HTTP_2)
            );
            assert_eq!(one.status() == StatusCode::NOT_FOUND, path == "/nowhere");
            assert_eq!(one.status(), two.status());
            assert_eq!(one.headers()["x-mark"], "seen");
            assert_eq!(two.headers()["x-mark"], "seen");
            let (one, two) = (whole(one.into_body()).await, whole(two.into_body()).await);
            assert!(one == two, "of {path}");
            match path {
                "/hello/squall" => assert_eq!(one, "hello squall"),
                "/nap" => assert_eq!(one, "awake"),
                "/pieces" => assert_eq!(one.len(), 1_000_000),
                _ => {}
            }
        }
        assert_eq!(hits.load(Ordering::Relaxed), 2);
        assert_eq!(server.connections.get(), 2);
    });
}

#[test]
fn an_extractor_takes_a_body_of_a_megabyte() {
    run(async {
        let server = start(Hits::default());
        let body = Bytes::from(vec![7; 1 << 20]);
        let request = || {
            let request = hyper::Request::post(server.url("/echo")).header("host", "localhost");
            request.body(Body::from(body.clone())).unwrap()
        };
        let answer = http1_client(server.address).await.send_request(request()).await.unwrap();
        assert!(whole(answer.into_body()).await == body);
        let answer = http2_client(server.address).await.send_request(request()).await.unwrap();
        assert!(whole(answer.into_body()).await == body);
    });
}

#[test]
fn a_panic_of_a_handler_ends_only_its_request_of_an_http_2_connection() {
    run(async {
        let server = start(Hits::default());
        let client = http2_client(server.address).await;
        let send = async |path: &str| client.clone().send_request(get_request(&server, path)).await;
        let answers = join_all(["/nap", "/fail", "/hello/squall"].map(send)).await;
        assert_eq!(answers.iter().map(Result::is_ok).collect::<Vec<_>>(), [true, false, true]);
        assert!(send("/nap").await.is_ok());
        assert_eq!(server.connections.get(), 1);
    });
}

#[test]
fn a_drain_lets_requests_end_and_closes_idle_connections() {
    run(async {
        let server = start(Hits::default());
        let mut idle = http1_client(server.address).await;
        let answer = idle.send_request(get_request(&server, "/hello/squall")).await.unwrap();
        whole(answer.into_body()).await;
        let mut busy = http2_client(server.address).await;
        let answer = busy.send_request(get_request(&server, "/pieces")).await.unwrap();
        let body = spawn(whole(answer.into_body()));
        let report = server.server.drain(Duration::from_secs(20)).await;
        assert_eq!((report.finished, report.aborted), (2, 0));
        assert_eq!(body.await.unwrap().len(), 1_000_000);
        assert!(busy.send_request(get_request(&server, "/nap")).await.is_err());
    });
}
