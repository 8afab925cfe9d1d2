//! The memory that streams hold. This is a program of its own, because it counts all live bytes.

mod descriptor_limit;
mod live_bytes;

use std::io::Write;
use std::net::TcpStream as StdStream;
use std::time::Duration;

use live_bytes::{count, live};
use squall_net::{IoStream, StreamConfig, TcpListener, block_on, sleep, spawn, timeout, yield_now};

const WATCHDOG: Duration = Duration::from_secs(60);
/// So many that the 8 MiB of chunks that a thread keeps for reuse do not hide what a stream holds.
const STREAMS: usize = 500;

async fn pair(listener: &TcpListener, config: StreamConfig) -> (IoStream, StdStream) {
    let peer = StdStream::connect(listener.local_addr().unwrap()).unwrap();
    (IoStream::with_config(listener.accept().await.unwrap().0, config), peer)
}

/// Returns the bytes that each of many streams holds after `act`, without what the thread keeps for
/// all.
async fn bytes_each<T>(act: impl AsyncFn(IoStream, StdStream) -> T) -> isize {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (stream, peer) = pair(&listener, StreamConfig::default()).await;
    drop(act(stream, peer).await); // allocates what is allocated only once
    let (mut held, before) = (Vec::new(), live());
    for _ in 0..STREAMS {
        let (stream, peer) = pair(&listener, StreamConfig::default()).await;
        held.push(act(stream, peer).await);
    }
    sleep(Duration::from_millis(20)).await; // the close watchers have read everything
    let kept_for_all = (8 << 20) + (64 << 10);
    (live() - before - kept_for_all).max(0) / count(STREAMS)
}

// I9, and hostile peers: a byte each, a request each, a megabyte each. One test, because the cases
// share the counter.
#[test]
fn streams_that_wait_hold_little_more_than_their_bytes() {
    if !descriptor_limit::may_open(2 * STREAMS as u64 + 100) {
        return;
    }
    block_on(async {
        timeout(WATCHDOG, async {
            // The request was read, and the handler waits for something other than the stream.
            let served = bytes_each(async |mut stream: IoStream, mut peer: StdStream| {
                peer.write_all(b"request\n").unwrap();
                assert_eq!(stream.read_until(b"\n").await.unwrap(), "request\n");
                (stream, peer)
            })
            .await;
            assert!(served < 1000, "{served} bytes each after a request");

            // As in a pool: the task that used the stream has ended, and freed what it held.
            let pooled = bytes_each(async |stream: IoStream, mut peer: StdStream| {
                let using = spawn(async move {
                    let mut stream = stream;
                    let memory = [0_u8; 16 << 10];
                    stream.read_until(b"\n").await.unwrap();
                    std::hint::black_box(&memory);
                    stream
                });
                yield_now().await; // the task waits
                peer.write_all(b"answer\n").unwrap();
                (using.await.unwrap(), peer)
            })
            .await;
            assert!(pooled < 1000, "{pooled} bytes each in a pool");

            let watched = bytes_each(async |mut stream: IoStream, mut peer: StdStream| {
                stream.set_close_callback(|| ());
                peer.write_all(b"x").unwrap();
                yield_now().await;
                (stream, peer)
            })
            .await;
            assert!(watched < 4000, "{watched} bytes each for an unread byte");
        })
        .await
        .expect("the test hangs");
    });

    block_on(async {
        timeout(WATCHDOG, async {
            let before = live();
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let (mut stream, mut peer) = pair(&listener, StreamConfig::default()).await;
            let sending = std::thread::spawn(move || {
                peer.write_all(&vec![7; 8 << 20]).unwrap();
                peer
            });
            while stream.buffer().len() < 8 << 20 {
                stream.fill().await.unwrap();
            }
            let _peer = sending.join().unwrap();
            stream.consume(stream.buffer().len() - 5000);
            let waiting = spawn(async move { stream.read_bytes(6000).await });
            // The byte budget of this turn may be used up. Then the read waits for the peer from
            // the next turn on.
            while live() - before > 400 << 10 {
                yield_now().await;
            }
            waiting.abort();
        })
        .await
        .expect("the test hangs");

        let config =
            StreamConfig::default().max_buffer_size(usize::MAX).read_chunk_size(usize::MAX);
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (mut stream, mut peer) = pair(&listener, config).await;
        peer.write_all(b"x").unwrap();
        let before = live();
        stream.fill().await.unwrap();
        assert!(live() - before <= (1 << 20) + 1000, "{} bytes for one", live() - before);
        assert_eq!(stream.read_bytes(1).await.unwrap(), "x");
    });
}
