//! When a server sends what a handler has written: after the poll in which it was written, whatever
//! becomes of the handler.

use std::cell::Cell;
use std::io;
use std::rc::Rc;
use std::time::Duration;

use squall_net::executor::fault::{self, Call};
use squall_net::executor::future;
use squall_net::{IoStream, TcpServer, TcpStream, block_on, spawn, timeout, yield_now};

const WATCHDOG: Duration = Duration::from_secs(20);

fn run<F: Future<Output = ()>>(test: F) {
    block_on(async { timeout(WATCHDOG, test).await.expect("the test hangs") });
}

/// A client of a server with this handler.
async fn client_of(
    handler: impl AsyncFn(IoStream) -> io::Result<()> + 'static,
) -> (IoStream, TcpServer) {
    let server = TcpServer::new(async move |stream, _peer| handler(stream).await);
    let address = server.listen("127.0.0.1:0").unwrap();
    (IoStream::new(TcpStream::connect(address).await.unwrap()), server)
}

#[test]
fn what_a_handler_writes_leaves_in_one_system_call_when_its_poll_ends() {
    run(async {
        let (go, has_begun) = (future::Future::new(), future::Future::new());
        let signals = (go.clone(), has_begun.clone());
        let (mut client, _server) = client_of(async move |mut stream| {
            let (go, has_begun) = &signals;
            has_begun.set_result(()).unwrap();
            go.ready().await.unwrap();
            for word in ["one ", "two ", "three"] {
                stream.write(word)?;
            }
            std::future::pending().await
        })
        .await;
        has_begun.ready().await.unwrap();
        let before = fault::calls(Call::Send);
        let (next, sends) = (future::Future::new(), Rc::new(Cell::new(0)));
        // Runs in the batch of the handler, behind it.
        let counting = spawn({
            let (next, sends) = (next.clone(), Rc::clone(&sends));
            async move {
                next.ready().await.unwrap();
                sends.set(fault::calls(Call::Send) - before);
            }
        });
        yield_now().await;
        go.set_result(()).unwrap();
        next.set_result(()).unwrap();
        counting.await.unwrap();
        if fault::ACTIVE {
            assert_eq!(sends.get(), 1);
        }
        assert_eq!(client.read_bytes(13).await.unwrap(), "one two three");
    });
}

#[test]
fn what_a_handler_wrote_is_sent_when_it_has_given_the_stream_to_another_task() {
    run(async {
        let (mut client, _server) = client_of(async |mut stream| {
            stream.write("hello")?;
            spawn(async move {
                let _stream = stream;
                std::future::pending::<()>().await;
            });
            Ok(())
        })
        .await;
        assert_eq!(client.read_bytes(5).await.unwrap(), "hello");
    });
}

#[test]
fn a_task_with_a_stream_whose_handler_has_panicked_still_sends_what_it_writes() {
    run(async {
        let (mut client, _server) = client_of(async |stream| {
            spawn(async move {
                let mut stream = stream;
                let _ = stream.read_bytes(1).await;
                let _ = stream.write("hello");
                std::future::pending::<()>().await;
            });
            panic!("on purpose")
        })
        .await;
        client.write("?").unwrap();
        assert_eq!(client.read_bytes(5).await.unwrap(), "hello");
    });
}
