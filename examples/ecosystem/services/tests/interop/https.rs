//! hyper over TLS: the ends agree on HTTP/2 or HTTP/1 by ALPN.

use std::sync::Arc;

use axum::Router;
use axum::routing::get;
use futures_rustls::rustls::pki_types::PrivatePkcs8KeyDer;
use futures_rustls::rustls::{ClientConfig, RootCertStore, ServerConfig};
use http_body_util::Empty;
use hyper::body::Bytes;
use hyper::client::conn::{http1, http2};
use hyper::{Request, Version};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use squall_net::hyper::{Executor, Io};
use squall_net::tls::{TlsAcceptor, TlsConnector};
use squall_net::{TcpServer, spawn};

use crate::support::{connect, run, whole};

/// A server for the name "localhost", and clients that trust it: one knows HTTP/2, one does not.
fn tls() -> (TlsAcceptor, TlsConnector, TlsConnector) {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let key = PrivatePkcs8KeyDer::from(made.signing_key.serialize_der());
    let mut roots = RootCertStore::empty();
    roots.add(made.cert.der().clone()).unwrap();
    let server = ServerConfig::builder().with_no_client_auth();
    let mut server = server.with_single_cert(vec![made.cert.der().clone()], key.into()).unwrap();
    server.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let old = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    let mut new = old.clone();
    new.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let connector = |config| TlsConnector::new(Arc::new(config));
    (TlsAcceptor::new(Arc::new(server)), connector(new), connector(old))
}

#[test]
fn hyper_speaks_the_protocol_that_tls_has_agreed_on() {
    run(async {
        let (acceptor, new, old) = tls();
        let router = Router::new().route("/", get(async |version: Version| format!("{version:?}")));
        let server = TcpServer::tls(acceptor, async move |stream, _| {
            let service = TowerToHyperService::new(router.clone());
            let http = auto::Builder::new(Executor);
            http.serve_connection(Io::new(stream), service).await.expect("the clients behave");
            Ok(())
        });
        let address = server.listen("127.0.0.1:0").unwrap();
        let request = || {
            let request = Request::get("https://localhost/").header("host", "localhost");
            request.body(Empty::<Bytes>::new()).unwrap()
        };

        let stream = connect(address).await.start_tls(&new, "localhost").await.unwrap();
        assert_eq!(stream.alpn_protocol().unwrap(), b"h2");
        let (mut sender, connection) = http2::handshake(Executor, Io::new(stream)).await.unwrap();
        let connection = spawn(connection);
        let answer = sender.send_request(request()).await.unwrap();
        assert_eq!(whole(answer.into_body()).await, "HTTP/2.0");
        drop(sender);
        connection.await.unwrap().unwrap();

        let stream = connect(address).await.start_tls(&old, "localhost").await.unwrap();
        assert_eq!(stream.alpn_protocol(), None);
        let (mut sender, connection) = http1::handshake(Io::new(stream)).await.unwrap();
        let connection = spawn(connection);
        let answer = sender.send_request(request()).await.unwrap();
        assert_eq!(whole(answer.into_body()).await, "HTTP/1.1");
        drop(sender);
        connection.await.unwrap().unwrap();
    });
}
