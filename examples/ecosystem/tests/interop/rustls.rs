//! futures-rustls, without squall's feature `tls`.

use std::sync::Arc;

use futures_rustls::pki_types::PrivatePkcs8KeyDer;
use futures_rustls::rustls::{ClientConfig, RootCertStore, ServerConfig};
use futures_util::{AsyncReadExt, AsyncWriteExt};
use squall_net::spawn;

use crate::support::{pair, run};

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
