//! For tests of TLS: a server's certificate, a client that trusts it, and a connected pair.

use std::sync::Arc;

use futures_lite::future::zip;
use squall_net::tls::rustls::pki_types::PrivatePkcs8KeyDer;
use squall_net::tls::rustls::{ClientConfig, RootCertStore, ServerConfig};
use squall_net::tls::{TlsAcceptor, TlsConnector, TlsStream};
use squall_net::{IoStream, TcpListener, TcpStream};

/// A server and a client that trusts it, for the name "localhost".
pub(crate) fn both() -> (TlsAcceptor, TlsConnector) {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let key = PrivatePkcs8KeyDer::from(made.signing_key.serialize_der());
    let certificate = made.cert.der().clone();
    let mut roots = RootCertStore::empty();
    roots.add(certificate.clone()).unwrap();
    let mut server = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key.into())
        .unwrap();
    let mut client = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    // A client that closes with a ticket unread would reset the connection, which loses the bytes
    // that it sent.
    server.send_tls13_tickets = 0;
    server.alpn_protocols = vec![b"squall/1".to_vec()];
    client.alpn_protocols = vec![b"other".to_vec(), b"squall/1".to_vec()];
    (TlsAcceptor::new(Arc::new(server)), TlsConnector::new(Arc::new(client)))
}

/// Returns the connected streams of a client and a server.
pub(crate) async fn streams() -> (IoStream<TlsStream<TcpStream>>, IoStream<TlsStream<TcpStream>>) {
    let (acceptor, connector) = both();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (client, server) =
        zip(TcpStream::connect(listener.local_addr().unwrap()), listener.accept()).await;
    let (client, server) = zip(
        IoStream::new(client.unwrap()).start_tls(&connector, "localhost"),
        IoStream::new(server.unwrap().0).accept_tls(&acceptor),
    )
    .await;
    (client.unwrap(), server.unwrap())
}
