//! The client with https URLs.

use std::cell::Cell;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use http_client::{ClientConfig, FetchError, FetchRequest, HttpClient};
use squall_net::tls::rustls::pki_types::PrivatePkcs8KeyDer;
use squall_net::tls::rustls::{self, RootCertStore, ServerConfig};
use squall_net::tls::{TlsAcceptor, TlsConnector, TlsStream};
use squall_net::{IoStream, TcpServer, TcpStream, block_on, sleep, timeout};

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// Runs a test, which may take a minute.
fn run(test: impl Future<Output = ()>) {
    block_on(async { timeout(Duration::from_secs(60), test).await.expect("the test hangs") });
}

type Peer = IoStream<TlsStream<TcpStream>>;

/// A TLS server with a certificate for "localhost", and a client that trusts it.
struct Pair {
    address: SocketAddr,
    accepted: Rc<Cell<usize>>,
    client: HttpClient,
    _server: TcpServer,
}

impl Pair {
    fn new(script: impl AsyncFn(&mut Peer) -> io::Result<()> + 'static) -> Pair {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let key = PrivatePkcs8KeyDer::from(made.signing_key.serialize_der());
        let certificate = made.cert.der().clone();
        let mut roots = RootCertStore::empty();
        roots.add(certificate.clone()).unwrap();
        let config = ServerConfig::builder().with_no_client_auth();
        let config = config.with_single_cert(vec![certificate], key.into()).unwrap();
        let accepted = Rc::new(Cell::new(0));
        let count = Rc::clone(&accepted);
        let server =
            TcpServer::tls(TlsAcceptor::new(Arc::new(config)), async move |mut peer, _| {
                count.set(count.get() + 1);
                script(&mut peer).await
            });
        let address = server.listen("127.0.0.1:0").unwrap();
        let config =
            rustls::ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
        let tls = Some(TlsConnector::new(Arc::new(config)));
        let client = HttpClient::with_config(ClientConfig { tls, ..ClientConfig::default() });
        Pair { address, accepted, client, _server: server }
    }

    /// A server that sends `answer` to each request.
    fn answering(answer: &'static str) -> Pair {
        Pair::new(async move |peer| {
            loop {
                peer.read_until(b"\r\n\r\n").await?;
                peer.write(answer)?;
            }
        })
    }

    fn url(&self) -> String {
        format!("https://localhost:{}/", self.address.port())
    }
}

// HTC-01
#[test]
fn https_works_and_its_connections_are_kept() {
    run(async {
        let pair = Pair::answering(OK);
        for _ in 0..3 {
            let answer = pair.client.fetch(pair.url()).await.unwrap();
            assert_eq!((answer.body(), answer.url()), (&"ok".into(), &*pair.url()));
        }
        assert_eq!(pair.accepted.get(), 1, "session tickets are no bytes of an answer");
        let http = format!("http://{}/", pair.address);
        assert!(pair.client.fetch(http).await.is_err());
    });
}

#[test]
fn a_certificate_for_another_name_or_from_a_stranger_is_refused() {
    run(async {
        let pair = Pair::answering(OK);
        let other_name = format!("https://{}/", pair.address);
        let outcome = pair.client.fetch(other_name).await;
        assert!(matches!(outcome, Err(FetchError::Connect(_))), "{outcome:?}");
        let outcome = HttpClient::new().fetch(pair.url()).await; // trusts what the platform trusts
        assert!(matches!(outcome, Err(FetchError::Connect(_))), "{outcome:?}");
        assert_eq!(pair.accepted.get(), 0);
    });
}

// HTC-17, H13
#[test]
fn a_body_without_a_length_needs_an_announced_end() {
    run(async {
        for is_announced in [true, false] {
            let pair = Pair::new(async move |peer| {
                peer.read_until(b"\r\n\r\n").await?;
                peer.write("HTTP/1.1 200 OK\r\n\r\nthe whole?")?;
                peer.flush().await?;
                if is_announced {
                    return Ok(peer.shutdown().await?);
                }
                Err(io::ErrorKind::Other.into()) // ends the connection without `close_notify`
            });
            match pair.client.fetch(pair.url()).await {
                Ok(answer) => assert!(is_announced && answer.body() == "the whole?"),
                Err(FetchError::Connection(_)) => assert!(!is_announced),
                Err(error) => panic!("{error}"),
            }
        }
    });
}

// H13
#[test]
fn a_connection_that_the_server_has_closed_is_not_reused() {
    run(async {
        let closed = Rc::new(Cell::new(0));
        let count = Rc::clone(&closed);
        let pair = Pair::new(async move |peer| {
            peer.read_until(b"\r\n\r\n").await?;
            peer.write(OK)?;
            peer.shutdown().await?;
            count.set(count.get() + 1);
            Ok(())
        });
        for number in 1..=3 {
            pair.client.fetch(FetchRequest::post(pair.url(), "")).await.unwrap();
            while closed.get() < number {
                sleep(Duration::ZERO).await;
            }
            assert_eq!(pair.accepted.get(), number);
        }
    });
}

// HTC-05
#[test]
fn a_redirect_from_https_to_http_loses_the_credentials() {
    run(async {
        let plain = TcpServer::new(async |mut stream: IoStream, _| {
            let head = stream.read_until(b"\r\n\r\n").await?;
            let is_secret = head.windows(13).any(|part| part == b"authorization");
            stream.write(if is_secret { "HTTP/1.1 400 Told\r\n\r\n" } else { OK })?;
            Ok(stream.shutdown().await?)
        });
        let target = plain.listen("127.0.0.1:0").unwrap();
        let pair = Pair::new(async move |peer| {
            let head = peer.read_until(b"\r\n\r\n").await?;
            assert!(head.windows(13).any(|part| part == b"authorization"));
            peer.write(format!("HTTP/1.1 302 Found\r\nLocation: http://{target}/\r\n\r\n"))?;
            Ok(peer.shutdown().await?)
        });
        let request = FetchRequest::get(pair.url()).basic_auth("user", "password");
        assert_eq!(pair.client.fetch(request).await.unwrap().body(), "ok");
    });
}
