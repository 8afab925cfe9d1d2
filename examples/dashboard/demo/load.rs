//! Some load: clients, timers, and a callback that is too slow now and then.

use std::net::SocketAddr;
use std::thread;
use std::time::Duration;

use squall_net::{
    IoStream, PeriodicCallback, StreamError, TcpStream, call_later, sleep, spawn, spawn_named,
};

const CLIENTS: u64 = 8;

/// Starts the load on this thread's loop. The clients use the server at `address`.
pub(crate) fn start(address: SocketAddr) {
    for number in 0..CLIENTS {
        drop(spawn_named(format!("client {number}"), async move {
            loop {
                if let Err(error) = ask_again_and_again(address, number).await {
                    log::debug!("client {number}: {error}"); // the server may be shutting down
                }
                sleep(Duration::from_secs(1)).await;
            }
        }));
    }
    PeriodicCallback::new(Duration::from_millis(20), || {
        drop(spawn(sleep(Duration::from_millis(150))));
    })
    .start();
    drop(spawn_named("makes slow callbacks", async {
        for round in 0.. {
            sleep(Duration::from_millis(6_700)).await;
            let time = Duration::from_millis(120 + 90 * (round % 4));
            call_later(Duration::ZERO, move || thread::sleep(time));
        }
    }));
}

/// Sends requests on one connection, until it ends.
async fn ask_again_and_again(address: SocketAddr, number: u64) -> Result<(), StreamError> {
    let mut stream = IoStream::new(TcpStream::connect(address).await?);
    let request = format!("GET /hello/client-{number} HTTP/1.1\r\nHost: {address}\r\n\r\n");
    loop {
        stream.write(&*request)?;
        let head = stream.read_until(b"\r\n\r\n").await?;
        let head = String::from_utf8_lossy(&head);
        let length = head.lines().find_map(|line| line.strip_prefix("Content-Length: "));
        let length = length.and_then(|length| length.parse().ok()).unwrap_or(0);
        stream.read_bytes(length).await?;
        sleep(Duration::from_millis(2 + 3 * number)).await;
    }
}
