//! Bodies of every size, in both directions.

use std::cell::Cell;
use std::convert::Infallible;
use std::future::ready;
use std::rc::Rc;
use std::time::Duration;

use http_body_util::{BodyExt, Empty, Full};
use hyper::body::{Bytes, Incoming};
use hyper::{HeaderMap, Request, Response};
use squall_net::executor::future::Future;
use squall_net::{IoStream, duplex, spawn};

use crate::support::{Pieces, connect, post, run, run_on_manual_clock, serve, tcp_pair, whole};

const PIECE: usize = 16 << 10;
/// The most bytes that hyper and the transports of these tests hold.
const HELD: usize = 1 << 20;

#[test]
fn bodies_of_every_size_go_both_ways_on_one_connection() {
    run(async {
        let (client, server) = tcp_pair().await;
        let serving = serve(server, async |request| {
            Ok::<_, Infallible>(Response::new(Full::new(whole(request.into_body()).await)))
        });
        let mut sender = connect(client).await;
        for size in [0, 1, 8 << 10, 64 << 10, (64 << 10) + 1, 9 << 20] {
            let body = Bytes::from(vec![b'x'; size]);
            let response = sender.send_request(post(Full::new(body.clone()))).await.unwrap();
            assert_eq!(response.status(), 200);
            assert!(whole(response.into_body()).await == body, "of {size} bytes");
        }
        drop(sender);
        serving.await.unwrap().unwrap();
    });
}

#[test]
fn a_streamed_body_is_echoed_while_it_comes() {
    run(async {
        let (client, server) = tcp_pair().await;
        serve(server, async |request: Request<Incoming>| {
            Ok::<_, Infallible>(Response::new(request.into_body()))
        });
        let mut sender = connect(client).await;
        let response = sender.send_request(post(Pieces::new(1000, PIECE))).await.unwrap();
        assert!(whole(response.into_body()).await == Pieces::bytes(1000, PIECE));
    });
}

// I6
#[test]
fn a_client_that_does_not_read_holds_the_body_of_an_answer_back() {
    run_on_manual_clock(async |clock| {
        let (client, server) = duplex(4096);
        let body = Pieces::new(1000, PIECE);
        let polled = Rc::clone(&body.polled);
        let body = Cell::new(Some(body));
        serve(IoStream::new(server), async move |_| {
            Ok::<_, Infallible>(Response::new(body.take().expect("one request")))
        });
        let mut sender = connect(IoStream::new(client)).await;
        let response = sender.send_request(post(Empty::<Bytes>::new())).await.unwrap();
        clock.advance_and_settle(Duration::ZERO).await;
        let ahead = polled.get() * PIECE;
        assert!(ahead < HELD, "{ahead} bytes are on their way to a client that does not read");
        assert!(whole(response.into_body()).await == Pieces::bytes(1000, PIECE));
    });
}

// I6
#[test]
fn a_service_that_does_not_read_holds_the_body_of_a_request_back() {
    run_on_manual_clock(async |clock| {
        let (client, server) = duplex(4096);
        let go_on = Future::new();
        let told = go_on.clone();
        serve(IoStream::new(server), async move |request| {
            told.ready().await.expect("it is set");
            Ok::<_, Infallible>(Response::new(Full::new(whole(request.into_body()).await)))
        });
        let body = Pieces::new(1000, PIECE);
        let polled = Rc::clone(&body.polled);
        let mut sender = connect(IoStream::new(client)).await;
        let response = spawn(sender.send_request(post(body)));
        clock.advance_and_settle(Duration::ZERO).await;
        let ahead = polled.get() * PIECE;
        assert!(ahead < HELD, "{ahead} bytes are on their way to a service that does not read");
        go_on.set_result(()).unwrap();
        let response = response.await.unwrap().unwrap();
        assert!(whole(response.into_body()).await == Pieces::bytes(1000, PIECE));
    });
}

#[test]
fn a_trailer_follows_a_body() {
    run(async {
        let (client, server) = tcp_pair().await;
        serve(server, async |_| {
            let mut trailers = HeaderMap::new();
            trailers.insert("checksum", "7".parse().unwrap());
            let body = Pieces::new(3, 5).with_trailers(ready(Some(Ok(trailers))));
            let response = Response::builder().header("trailer", "checksum").body(body);
            Ok::<_, Infallible>(response.unwrap())
        });
        let mut sender = connect(client).await;
        let mut request = post(Empty::<Bytes>::new());
        request.headers_mut().insert("te", "trailers".parse().unwrap());
        let response = sender.send_request(request).await.unwrap();
        let body = response.into_body().collect().await.unwrap();
        assert_eq!(body.trailers().unwrap()["checksum"], "7");
        assert_eq!(body.to_bytes(), Pieces::bytes(3, 5));
    });
}
