//! Crates built on futures-io work on squall: hyper, async-tungstenite, futures-rustls and
//! futures-util.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use async_tungstenite::tungstenite::Message;
use futures_rustls::pki_types::PrivatePkcs8KeyDer;
use futures_rustls::rustls::{ClientConfig, RootCertStore, ServerConfig};
use futures_util::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, StreamExt, TryStreamExt};
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response};
use smol_hyper::rt::FuturesIo;
use squall_ecosystem::HyperTimer;
use squall_net::executor::now;
use squall_net::{
    Clock, EventLoop, TcpListener, TcpStream, block_on, duplex, spawn, stats, timeout,
};

const WATCHDOG: Duration = Duration::from_secs(20);

fn run<F: Future<Output = ()>>(test: F) {
    block_on(async { timeout(WATCHDOG, test).await.expect("the test hangs") });
}

async fn pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    (client, listener.accept().await.unwrap().0)
}

#[test]
fn hyper_works_as_server_and_as_client() {
    run(async {
        let (client, server) = pair().await;
        let echo = |request: Request<Incoming>| async {
            let body = request.into_body().collect().await.unwrap().to_bytes();
            Ok::<_, Infallible>(Response::new(Full::new(body)))
        };
        let serving = spawn(
            hyper::server::conn::http1::Builder::new()
                .serve_connection(FuturesIo::new(server), service_fn(echo)),
        );
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(FuturesIo::new(client)).await.unwrap();
        let connection = spawn(connection);
        for size in [0, 5, 1 << 20] {
            let body = Full::new(Bytes::from(vec![b'x'; size]));
            let request = Request::post("/").header("host", "x").body(body).unwrap();
            let response = sender.send_request(request).await.unwrap();
            assert_eq!(response.status(), 200);
            assert_eq!(response.into_body().collect().await.unwrap().to_bytes().len(), size);
        }
        drop(sender);
        connection.await.unwrap().unwrap();
        serving.await.unwrap().unwrap();
    });
}

// The clock moves to the next deadline when nothing else is left to do.
#[test]
fn hyper_cuts_off_clients_that_send_no_whole_request() {
    let event_loop = EventLoop::builder().clock(Clock::auto_advancing()).build().unwrap();
    event_loop.block_on(async {
        for sent in ["", "GET / HTTP/1.1\r\nHo", "GET / HTTP/1.1\r\nHost: x\r\n\r\n"] {
            let (mut client, server) = duplex(1024);
            let hello = async |_: Request<Incoming>| {
                Ok::<_, Infallible>(Response::new(Full::new(Bytes::from("hello"))))
            };
            let mut http = hyper::server::conn::http1::Builder::new();
            http.timer(HyperTimer).header_read_timeout(Duration::from_secs(7));
            let serving = spawn(http.serve_connection(FuturesIo::new(server), service_fn(hello)));
            client.write_all(sent.as_bytes()).await.unwrap();
            let begin = now();
            let mut answer = Vec::new();
            let end = timeout(WATCHDOG, client.read_to_end(&mut answer)).await;
            end.expect("the client stays").unwrap();
            assert_eq!(now() - begin, Duration::from_secs(7), "after {sent:?}");
            assert_eq!(answer.ends_with(b"hello"), sent.ends_with("\r\n\r\n"), "{answer:?}");
            let _ = serving.await.unwrap(); // an error for the first two clients
            assert_eq!(stats().live_timers, 0, "after {sent:?}");
        }
    });
}

#[test]
fn the_cookbook_shows_hyper_s_timer_as_it_is() {
    let file = include_str!("../hyper_timer.rs");
    let code = &file[file.find("use std::cell").unwrap()..];
    assert!(include_str!("../../../docs/cookbook.md").contains(code), "copy the file again");
}

#[test]
fn web_sockets_echo_text_and_a_megabyte_and_close() {
    run(async {
        let (client, server) = pair().await;
        let serving = spawn(async move {
            let mut socket = async_tungstenite::accept_async(server).await.unwrap();
            while let Some(Ok(message)) = socket.next().await {
                if message.is_text() || message.is_binary() {
                    socket.send(message).await.unwrap();
                }
            }
        });
        let (mut socket, _) =
            async_tungstenite::client_async("ws://localhost/", client).await.unwrap();
        for message in [Message::text("hello"), Message::binary(vec![7; 1 << 20])] {
            socket.send(message.clone()).await.unwrap();
            assert_eq!(socket.next().await.unwrap().unwrap(), message);
        }
        socket.close(None).await.unwrap();
        while let Some(Ok(_)) = socket.next().await {}
        serving.await.unwrap();
    });
}

#[test]
fn futures_rustls_works_on_a_bare_transport() {
    run(async {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let key = PrivatePkcs8KeyDer::from(made.signing_key.serialize_der());
        let mut roots = RootCertStore::empty();
        roots.add(made.cert.der().clone()).unwrap();
        let config = ServerConfig::builder().with_no_client_auth();
        let config = config.with_single_cert(vec![made.cert.der().clone()], key.into()).unwrap();
        let acceptor = futures_rustls::TlsAcceptor::from(Arc::new(config));
        let config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
        let connector = futures_rustls::TlsConnector::from(Arc::new(config));

        let (client, server) = pair().await;
        let serving = spawn(async move {
            let mut server = acceptor.accept(server).await.unwrap();
            let mut request = Vec::new();
            server.read_to_end(&mut request).await.unwrap();
            server.write_all(&request).await.unwrap();
            server.close().await.unwrap();
        });
        let mut client = connector.connect("localhost".try_into().unwrap(), client).await.unwrap();
        client.write_all(&vec![7; 1 << 20]).await.unwrap();
        client.close().await.unwrap();
        let mut answer = Vec::new();
        client.read_to_end(&mut answer).await.unwrap();
        assert_eq!(answer, vec![7; 1 << 20]);
        serving.await.unwrap();
    });
}

#[test]
fn futures_util_reads_lines_copies_and_splits() {
    run(async {
        let (client, server) = pair().await;
        let (reader, mut writer) = client.split();
        let echo = spawn(async move {
            let (reader, mut writer) = server.split();
            let copied = futures_util::io::copy(reader, &mut writer).await.unwrap();
            writer.close().await.unwrap();
            copied
        });
        writer.write_all(b"one\ntwo\nthree").await.unwrap();
        writer.close().await.unwrap();
        let lines = futures_util::io::BufReader::new(reader).lines();
        assert_eq!(lines.try_collect::<Vec<_>>().await.unwrap(), ["one", "two", "three"]);
        assert_eq!(echo.await.unwrap(), 13);
    });
}
