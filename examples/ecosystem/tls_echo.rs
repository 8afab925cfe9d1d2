//! An echo server for lines over TLS. It makes a self-signed certificate at the start.
//!
//! ```text
//! cargo run --release --example tls_echo --features tls
//! openssl s_client -quiet -connect 127.0.0.1:7780
//! ```

use std::env;
use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use futures_lite::future::or;
use squall_net::tls::TlsAcceptor;
use squall_net::tls::rustls::ServerConfig;
use squall_net::tls::rustls::pki_types::PrivatePkcs8KeyDer;
use squall_net::{TcpServer, block_on, signal};

fn main() -> Result<(), Box<dyn Error>> {
    env_logger::init();
    let address = env::args().nth(1).unwrap_or_else(|| "127.0.0.1:7780".to_owned());
    if address == "--help" {
        println!("usage: tls_echo [host:port]   (127.0.0.1:7780)");
        return Ok(());
    }
    // A real server reads its key, and a certificate signed by an authority, from files.
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()])?;
    let key = PrivatePkcs8KeyDer::from(made.signing_key.serialize_der());
    let config = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key.into())?;
    let acceptor = TlsAcceptor::new(Arc::new(config)).handshake_deadline(Duration::from_secs(5));
    block_on(async {
        let server = TcpServer::tls(acceptor, async |mut stream, _peer| {
            loop {
                let line = stream.read_until(b"\n").await?;
                stream.write(line)?;
                stream.flush().await?;
            }
        });
        println!("echoing lines over TLS on {}", server.listen(&address)?);
        let told_to_end = async { signal::termination().await.map(drop) };
        let ended = or(told_to_end, server.closed()).await;
        server.drain(Duration::from_secs(1)).await;
        Ok(ended?)
    })
}
