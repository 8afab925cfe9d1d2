//! A loop with a watchdog, and connected sockets.

use std::time::Duration;

use squall_net::{TcpListener, TcpStream, block_on, timeout};

const WATCHDOG: Duration = Duration::from_secs(20);

pub(crate) fn run<F: Future<Output = ()>>(test: F) {
    block_on(async { timeout(WATCHDOG, test).await.expect("the test hangs") });
}

pub(crate) async fn pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    (client, listener.accept().await.unwrap().0)
}
