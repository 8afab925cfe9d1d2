//! TLS: handshakes, lines, a body, and the orderly end.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};

use squall_net::tls::rustls::pki_types::PrivatePkcs8KeyDer;
use squall_net::tls::rustls::{ClientConfig, RootCertStore, ServerConfig};
use squall_net::tls::{TlsAcceptor, TlsConnector};
use squall_net::{IoStream, Stats, TcpServer, TcpStream};

use super::on_a_loop::on_a_loop;
use super::served::served;
use crate::journal;

const CLIENTS: usize = 3;
const LINES: usize = 5;
const BODY: usize = 40_000;

pub(super) fn run() -> Stats {
    // Made in the first run, which is not swept.
    static CONFIGS: OnceLock<(Arc<ServerConfig>, Arc<ClientConfig>)> = OnceLock::new();
    let (server, client) = CONFIGS.get_or_init(|| configs().expect("a certificate"));
    on_a_loop(async || {
        let acceptor = TlsAcceptor::new(Arc::clone(server));
        let connector = TlsConnector::new(Arc::clone(client));
        let server = TcpServer::tls(acceptor, async |mut stream, _peer| {
            for _ in 0..LINES {
                let line = stream.read_until(b"\n").await?;
                stream.write(line)?;
                stream.flush().await?;
            }
            let body = stream.read_bytes(BODY).await?;
            stream.write(body)?;
            Ok(stream.shutdown().await?)
        });
        let clients = async |address| {
            for _ in 0..CLIENTS {
                journal::outcome("a client", exchange(address, &connector).await);
            }
        };
        served(&server, clients).await;
        Ok(())
    })
}

async fn exchange(address: SocketAddr, connector: &TlsConnector) -> io::Result<()> {
    let stream = IoStream::new(TcpStream::connect(address).await?);
    let mut stream = stream.start_tls(connector, "localhost").await?;
    for number in 0..LINES {
        let line = format!("line {number}\n");
        stream.write(line.clone())?;
        if stream.read_until(b"\n").await? != line {
            journal::fault(format_args!("line {number} came back changed"));
        }
    }
    let body: Vec<u8> = (0..=250).cycle().take(BODY).collect();
    stream.write(body.clone())?;
    let echoed = stream.read_until_close().await?;
    if echoed != body {
        journal::fault(format_args!("{} bytes of {BODY} came back", echoed.len()));
    }
    stream.close(); // the server has closed already, so it may answer with a reset
    Ok(())
}

/// A server's certificate, and a client that trusts it.
fn configs() -> Result<(Arc<ServerConfig>, Arc<ClientConfig>), Box<dyn std::error::Error>> {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()])?;
    let key = PrivatePkcs8KeyDer::from(made.signing_key.serialize_der());
    let certificate = made.cert.der().clone();
    let mut roots = RootCertStore::empty();
    roots.add(certificate.clone())?;
    let mut server = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key.into())?;
    // No resumption: its caches would count as memory that is left.
    server.send_tls13_tickets = 0;
    let mut client = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    client.resumption = squall_net::tls::rustls::client::Resumption::disabled();
    Ok((Arc::new(server), Arc::new(client)))
}
