//! The memory that an idle TLS stream holds. This is a program of its own, because it counts all live
//! bytes.
#![cfg(feature = "tls")]

mod descriptor_limit;
mod live_bytes;
#[allow(dead_code, reason = "this program needs only a part of it")]
mod tls_kit;

use std::net::SocketAddr;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use live_bytes::{count, live};
use squall_net::tls::{TlsConnector, TlsStream};
use squall_net::{IoStream, TcpListener, TcpStream, block_on, timeout};

const WATCHDOG: Duration = Duration::from_secs(60);
const STREAMS: usize = 400;
const MOST_BYTES: isize = 16 << 10;

/// Connects, and holds the answered streams until `end` is dropped.
fn hold(address: SocketAddr, connector: &TlsConnector, end: &mpsc::Receiver<()>) {
    block_on(async {
        let mut held = Vec::new();
        for _ in 0..=STREAMS {
            let stream = IoStream::new(TcpStream::connect(address).await.unwrap());
            let mut stream = stream.start_tls(connector, "localhost").await.unwrap();
            stream.write_all(b"request\n").await.unwrap();
            assert_eq!(stream.read_until(b"\n").await.unwrap(), "answer\n");
            held.push(stream);
        }
        let _ = end.recv(); // nothing is ever sent
    });
}

#[test]
fn an_idle_tls_stream_holds_at_most_16_kib() {
    if !descriptor_limit::may_open(2 * STREAMS as u64 + 100) {
        return;
    }
    let (acceptor, connector) = tls_kit::both();
    let (address, to_address) = mpsc::channel();
    let (until, end) = mpsc::channel();
    let clients = thread::spawn(move || hold(to_address.recv().unwrap(), &connector, &end));
    let serve = async {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        address.send(listener.local_addr().unwrap()).unwrap();
        let serve_one = async || -> IoStream<TlsStream<TcpStream>> {
            let stream = IoStream::new(listener.accept().await.unwrap().0);
            let mut stream = stream.accept_tls(&acceptor).await.unwrap();
            assert_eq!(stream.read_until(b"\n").await.unwrap(), "request\n");
            stream.write_all(b"answer\n").await.unwrap();
            stream
        };
        let first = serve_one().await; // allocates what is allocated only once
        let (mut held, before) = (Vec::with_capacity(STREAMS), live());
        for _ in 0..STREAMS {
            held.push(serve_one().await);
        }
        let each = (live() - before) / count(STREAMS);
        println!("an idle TLS stream holds {each} bytes of heap");
        assert!(each <= MOST_BYTES, "{each} bytes each");
        drop((first, held));
    };
    block_on(async { timeout(WATCHDOG, serve).await.expect("the test hangs") });
    drop(until);
    clients.join().unwrap();
}
