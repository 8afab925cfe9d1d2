//! How connections end: half-closed, dropped, reset, drained, upgraded.

use std::cell::Cell;
use std::convert::Infallible;
use std::future::pending;
use std::rc::Rc;
use std::time::Duration;

use http_body_util::{BodyExt, Empty, Full};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use squall_net::executor::future::Future;
use squall_net::hyper::Io;
use squall_net::{IoStream, TcpServer, TcpStream, duplex, spawn, stats};

use crate::support::{Pieces, connect, post, run, run_on_manual_clock, serve, tcp_pair, whole};

const GET: &str = "GET / HTTP/1.1\r\nhost: localhost\r\n\r\n";

/// Counts its drop.
struct Guard(Rc<Cell<usize>>);

impl Drop for Guard {
    fn drop(&mut self) {
        self.0.set(self.0.get() + 1);
    }
}

// I3
#[test]
fn a_client_that_ends_its_writing_gets_the_whole_answer() {
    run_on_manual_clock(async |clock| {
        let (client, server) = duplex(4096);
        let go_on = Future::new();
        let told = go_on.clone();
        let service = service_fn(move |_: Request<Incoming>| {
            let told = told.clone();
            async move {
                told.ready().await.expect("it is set");
                Ok::<_, Infallible>(Response::new(Pieces::new(100, 1000)))
            }
        });
        let mut http = hyper::server::conn::http1::Builder::new();
        http.half_close(true);
        let serving = spawn(http.serve_connection(Io::new(IoStream::new(server)), service));
        let mut client = IoStream::new(client);
        client.write(GET.replace("1.1", "1.0")).unwrap();
        client.shutdown().await.unwrap();
        clock.advance_and_settle(Duration::ZERO).await; // hyper has read the end
        go_on.set_result(()).unwrap();
        client.read_until(b"\r\n\r\n").await.unwrap();
        assert!(client.read_until_close().await.unwrap() == Pieces::bytes(100, 1000));
        serving.await.unwrap().unwrap();
    });
}

#[test]
fn a_client_that_leaves_cancels_its_request() {
    run(async {
        let (client, server) = tcp_pair().await;
        let dropped = Rc::new(Cell::new(0));
        let (guard, begun) = (Rc::clone(&dropped), Future::new());
        let beginning = begun.clone();
        let serving = serve(server, async move |_| {
            let _guard = Guard(Rc::clone(&guard));
            beginning.set_result(()).unwrap();
            pending::<Result<Response<Empty<Bytes>>, Infallible>>().await
        });
        let mut client = client;
        client.write_all(GET.as_bytes()).await.unwrap();
        begun.ready().await.unwrap();
        drop(client);
        assert!(serving.await.unwrap().unwrap_err().is_incomplete_message());
        assert_eq!(dropped.get(), 1);
    });
}

#[test]
fn a_connection_that_is_dropped_closes_its_stream() {
    run(async {
        let (mut client, server) = tcp_pair().await;
        let begun = Future::new();
        let beginning = begun.clone();
        let serving = serve(server, async move |_| {
            beginning.set_result(()).unwrap();
            pending::<Result<Response<Empty<Bytes>>, Infallible>>().await
        });
        client.write_all(GET.as_bytes()).await.unwrap();
        begun.ready().await.unwrap();
        serving.abort();
        assert_eq!(client.fill().await.unwrap_or(0), 0); // the end or a reset, and no bytes
    });
}

#[test]
fn a_body_that_is_cut_off_is_an_error_of_its_reader() {
    run(async {
        let (client, server) = tcp_pair().await;
        let serving = serve(server, async |_| {
            Ok::<_, Infallible>(Response::new(Pieces::new(1_000_000, 1000)))
        });
        let mut sender = connect(client).await;
        let response = sender.send_request(post(Empty::<Bytes>::new())).await.unwrap();
        let mut body = response.into_body();
        assert!(body.frame().await.unwrap().is_ok());
        serving.abort();
        while let Some(frame) = body.frame().await {
            if frame.is_err() {
                return;
            }
        }
        panic!("a part of the body passed for the whole");
    });
}

#[test]
fn a_drain_lets_an_answer_end() {
    run(async {
        let go_on = Future::new();
        let (told, begun) = (go_on.clone(), Future::new());
        let beginning = begun.clone();
        let server = TcpServer::with_draining(|draining| {
            async move |stream: IoStream, _| {
                let service = service_fn(async |_: Request<Incoming>| {
                    beginning.set_result(()).unwrap();
                    told.ready().await.expect("it is set");
                    Ok::<_, Infallible>(Response::new(Pieces::new(100, 10_000)))
                });
                let http = hyper::server::conn::http1::Builder::new();
                let mut serving = std::pin::pin!(http.serve_connection(Io::new(stream), service));
                if draining.unless_begun(serving.as_mut()).await.is_none() {
                    serving.as_mut().graceful_shutdown();
                    serving.await.expect("the client takes its answer");
                }
                Ok(())
            }
        });
        let address = server.listen("127.0.0.1:0").unwrap();
        let stream = IoStream::new(TcpStream::connect(address).await.unwrap());
        let mut sender = connect(stream).await;
        let response = spawn(sender.send_request(post(Empty::<Bytes>::new())));
        begun.ready().await.unwrap();
        let draining = spawn(async move { server.drain(Duration::from_secs(10)).await });
        squall_net::yield_now().await;
        go_on.set_result(()).unwrap();
        let body = response.await.unwrap().unwrap().into_body();
        assert!(whole(body).await == Pieces::bytes(100, 10_000));
        let report = draining.await.unwrap();
        assert_eq!((report.finished, report.aborted), (1, 0));
    });
}

/// Upgrades to an echo of one line, and sends bytes of the new protocol together with each head.
#[test]
fn an_upgraded_connection_goes_on_as_a_stream_of_either_side() {
    run(async {
        let (client, server) = tcp_pair().await;
        let serving = spawn(async move {
            let service = service_fn(async |_: Request<Incoming>| {
                let response = Response::builder()
                    .status(StatusCode::SWITCHING_PROTOCOLS)
                    .header("connection", "upgrade")
                    .header("upgrade", "line");
                Ok::<_, Infallible>(response.body(Empty::<Bytes>::new()).unwrap())
            });
            let http = hyper::server::conn::http1::Builder::new();
            let connection = http.serve_connection(Io::new(server), service);
            let parts = connection.without_shutdown().await.unwrap();
            let mut stream = parts.io.into_inner();
            stream.unread(&parts.read_buf);
            let line = stream.read_until(b"\n").await.unwrap();
            stream.write(line).unwrap();
            stream.shutdown().await.unwrap();
        });

        let io = Io::new(client);
        let (mut sender, connection) = hyper::client::conn::http1::handshake(io).await.unwrap();
        let connection = spawn(connection.without_shutdown());
        let mut request = post(Empty::<Bytes>::new());
        request.headers_mut().insert("connection", "upgrade".parse().unwrap());
        request.headers_mut().insert("upgrade", "line".parse().unwrap());
        let response = sender.send_request(request).await.unwrap();
        assert_eq!(response.status(), StatusCode::SWITCHING_PROTOCOLS);
        let parts = connection.await.unwrap().unwrap();
        let mut stream = parts.io.into_inner();
        stream.unread(&parts.read_buf);
        stream.write("hello\n").unwrap();
        assert_eq!(stream.read_until_close().await.unwrap(), "hello\n");
        serving.await.unwrap();
    });
}

#[test]
fn bytes_of_the_new_protocol_that_came_with_a_head_are_not_lost() {
    run(async {
        let (client, server) = tcp_pair().await;
        let serving = spawn(async move {
            let service = service_fn(async |_: Request<Incoming>| {
                let response = Response::builder().status(StatusCode::SWITCHING_PROTOCOLS);
                let response = response.header("upgrade", "line");
                Ok::<_, Infallible>(response.body(Full::<Bytes>::default()).unwrap())
            });
            let http = hyper::server::conn::http1::Builder::new();
            let connection = http.serve_connection(Io::new(server), service);
            let parts = connection.without_shutdown().await.unwrap();
            assert_eq!(parts.read_buf, "early\n");
            let mut stream = parts.io.into_inner();
            stream.unread(&parts.read_buf);
            stream.read_until_close().await.unwrap()
        });
        let mut client = client;
        let head = GET.replace("\r\n\r\n", "\r\nconnection: upgrade\r\nupgrade: line\r\n\r\n");
        client.write(head + "early\n").unwrap();
        client.read_until(b"\r\n\r\n").await.unwrap();
        client.write("late\n").unwrap();
        client.shutdown().await.unwrap();
        assert_eq!(serving.await.unwrap(), "early\nlate\n");
    });
}

#[test]
fn a_connection_leaves_no_task_and_no_source() {
    run(async {
        let before = (stats().live_tasks, stats().live_sources);
        let (client, server) = tcp_pair().await;
        let serving = serve(server, async |_| {
            Ok::<_, Infallible>(Response::new(Full::new(Bytes::from("hello"))))
        });
        let mut sender = connect(client).await;
        let response = sender.send_request(post(Empty::<Bytes>::new())).await.unwrap();
        assert_eq!(whole(response.into_body()).await, "hello");
        drop(sender);
        serving.await.unwrap().unwrap();
        squall_net::yield_now().await;
        assert_eq!((stats().live_tasks, stats().live_sources), before);
    });
}
