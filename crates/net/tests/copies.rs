//! Copies between streams, and streams as transports of futures-io.

use std::future::{Future, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::task::Poll;
use std::time::Duration;

use futures_io::{AsyncRead, AsyncWrite};
use futures_lite::future::zip;
use futures_lite::{AsyncReadExt, AsyncWriteExt};
use squall_net::{
    DuplexStream, IoStream, StreamConfig, StreamError, TcpListener, TcpStream, block_on, copy,
    copy_bidirectional, duplex, spawn, timeout, yield_now,
};

const WATCHDOG: Duration = Duration::from_secs(20);

fn run<F: Future<Output = ()>>(test: F) {
    block_on(async { timeout(WATCHDOG, test).await.expect("the test hangs") });
}

fn pair(capacity: usize) -> (IoStream<DuplexStream>, IoStream<DuplexStream>) {
    let (here, there) = duplex(capacity);
    (IoStream::new(here), IoStream::new(there))
}

async fn tcp_pair() -> (IoStream, IoStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (client, accepted) =
        zip(TcpStream::connect(listener.local_addr().unwrap()), listener.accept()).await;
    (IoStream::new(client.unwrap()), IoStream::new(accepted.unwrap().0))
}

fn numbers(n: usize) -> Vec<u8> {
    (0..n).map(|n| u8::try_from(n % 251).unwrap()).collect()
}

#[test]
fn a_copy_moves_every_byte_and_leaves_the_writer_open() {
    run(async {
        let (mut source, from) = pair(1000);
        let (to, mut sink) = pair(7);
        let copied = spawn(async move {
            let (mut reader, _keeps) = from.split();
            let (_keeps_too, mut writer) = to.split();
            let copied = copy(&mut reader, &mut writer).await?;
            writer.write_all(b" and more").await?;
            Ok::<u64, StreamError>(copied)
        });
        let sent = async {
            source.write_all(&numbers(100_000)).await.unwrap();
            source.shutdown().await.unwrap();
        };
        let (received, ()) = zip(sink.read_until_close(), sent).await;
        let received = received.unwrap();
        assert_eq!(copied.await.unwrap().unwrap(), 100_000);
        assert_eq!(received[..100_000], numbers(100_000));
        assert_eq!(received[100_000..], b" and more"[..]);
    });
}

#[test]
fn a_copy_that_is_dropped_loses_and_repeats_no_byte() {
    run(async {
        let (mut source, from) = pair(64);
        let (to, mut sink) = pair(16);
        let (mut reader, _keeps) = from.split();
        let (_keeps_too, mut writer) = to.split();
        let sending = spawn(async move {
            source.write_all(&numbers(10_000)).await?;
            source.shutdown().await
        });
        let receiving = spawn(async move { sink.read_until_close().await });
        let mut is_done = false;
        while !is_done {
            // One poll, and then the copy is dropped.
            let mut copying = pin!(copy(&mut reader, &mut writer));
            is_done = poll_fn(|cx| Poll::Ready(copying.as_mut().poll(cx).is_ready())).await;
            yield_now().await;
        }
        writer.shutdown().await.unwrap();
        sending.await.unwrap().unwrap();
        assert_eq!(receiving.await.unwrap().unwrap(), numbers(10_000));
    });
}

#[test]
fn each_direction_of_a_bidirectional_copy_has_its_own_end() {
    run(async {
        let (mut client, mut a) = pair(64);
        let (mut b, mut server) = pair(64);
        let proxy = spawn(async move { copy_bidirectional(&mut a, &mut b).await });
        client.write_all(b"a request").await.unwrap();
        client.shutdown().await.unwrap();
        assert_eq!(server.read_until_close().await.unwrap(), "a request");
        let answer = numbers(50_000);
        let (received, sent) = zip(client.read_until_close(), async {
            server.write_all(&answer).await?;
            server.shutdown().await
        })
        .await;
        sent.unwrap();
        assert_eq!(received.unwrap(), answer);
        assert_eq!(proxy.await.unwrap().unwrap(), (9, 50_000));
    });
}

#[test]
fn a_reset_of_one_side_reaches_the_other_as_a_reset() {
    run(async {
        let (mut client, mut a) = tcp_pair().await;
        let (mut b, mut server) = tcp_pair().await;
        let proxy = spawn(async move { copy_bidirectional(&mut a, &mut b).await });
        server.write_all(b"half an answ").await.unwrap();
        assert_eq!(client.read_bytes(12).await.unwrap(), "half an answ");
        server.reset();
        let error = io::Error::from(client.read_until_close().await.unwrap_err());
        assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
        let error = io::Error::from(proxy.await.unwrap().unwrap_err());
        assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
    });
}

#[test]
fn a_stream_is_a_transport_that_gives_buffered_bytes_first() {
    run(async {
        let (mut here, there) = pair(64);
        let mut there = there;
        here.write_all(b"a line\nand the rest").await.unwrap();
        here.shutdown().await.unwrap();
        assert_eq!(there.read_until(b"\n").await.unwrap(), "a line\n");
        let mut text = String::new();
        AsyncReadExt::read_to_string(&mut there, &mut text).await.unwrap();
        assert_eq!(text, "and the rest");

        // A stream in a stream: what a library would do with it.
        let mut outer = IoStream::new(there);
        outer.write("an answer").unwrap();
        outer.shutdown().await.unwrap();
        assert_eq!(here.read_until_close().await.unwrap(), "an answer");
    });
}

#[test]
fn writes_through_the_trait_wait_when_the_queue_is_full() {
    run(async {
        let (mut here, mut there) = pair(64);
        let mut accepted = 0;
        poll_fn(|cx| {
            while let Poll::Ready(n) = AsyncWrite::poll_write(Pin::new(&mut here), cx, &[7; 10_000])
            {
                accepted += n.unwrap();
            }
            Poll::Ready(())
        })
        .await;
        assert!((1..=66_000).contains(&accepted), "{accepted} bytes in a queue of 64 KiB");
        let sending = spawn(async move {
            AsyncWriteExt::write_all(&mut here, &[8; 100_000]).await?;
            AsyncWriteExt::close(&mut here).await
        });
        let received = there.read_until_close().await.unwrap();
        assert_eq!(received.len(), accepted + 100_000);
        sending.await.unwrap().unwrap();

        // A smaller limit of the stream's own is kept to.
        let (here, mut there) = duplex(8);
        let config = StreamConfig::default().max_write_buffer_size(Some(100));
        let mut here = IoStream::with_config(here, config);
        let sending = spawn(async move {
            AsyncWriteExt::write_all(&mut here, &[9; 1000]).await?;
            AsyncWriteExt::close(&mut here).await
        });
        let mut received = Vec::new();
        there.read_to_end(&mut received).await.unwrap();
        assert_eq!(received, [9; 1000]);
        sending.await.unwrap().unwrap();
    });
}

#[test]
fn the_parts_of_an_idle_stream_are_its_transport_and_its_unread_bytes() {
    run(async {
        let (mut here, mut there) = pair(64);
        there.write_all(b"PROXY UNKNOWN\r\nhello").await.unwrap();
        here.read_until(b"\r\n").await.unwrap();
        let (transport, unread) = here.into_parts().unwrap();
        assert_eq!(unread, "hello");
        let mut here = IoStream::new(transport);
        there.write_all(b"more").await.unwrap();
        assert_eq!(here.read_bytes(4).await.unwrap(), "more");

        here.write("not sent yet").unwrap();
        let mut here = here.into_parts().unwrap_err();
        here.flush().await.unwrap();
        drop(here.closed());
        let mut here = here.into_parts().unwrap_err();
        here.close();
        assert!(here.into_parts().is_err());
    });
}

#[test]
fn the_halves_are_transports_too() {
    fn reads(_: &impl AsyncRead) {}
    fn writes(_: &impl AsyncWrite) {}
    run(async {
        let (here, _there) = pair(64);
        let (reader, writer) = here.split();
        reads(&reader);
        writes(&writer);
    });
}

#[test]
fn an_answer_that_has_ended_in_order_survives_a_later_failure_of_the_copy() {
    run(async {
        let (mut client, mut a) = tcp_pair().await;
        let (mut b, mut server) = tcp_pair().await;
        let proxy = spawn(async move { copy_bidirectional(&mut a, &mut b).await });
        client.write("a request whose rest never comes\n").unwrap();
        server.read_until(b"\n").await.unwrap();
        server.write_all(b"the whole answer").await.unwrap();
        server.shutdown().await.unwrap();
        assert_eq!(client.read_bytes(16).await.unwrap(), "the whole answer");
        assert_eq!(client.fill().await.unwrap(), 0, "the end was passed on");
        server.reset();
        client.write("more").unwrap(); // fails at the proxy
        assert!(proxy.await.unwrap().is_err());
        assert_eq!(client.fill().await.unwrap(), 0, "still an orderly end");
    });
}
