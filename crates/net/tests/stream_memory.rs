//! What streams hold: a program of its own, since it counts every byte that lives.

mod descriptor_limit;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::io::Write;
use std::net::TcpStream as StdStream;
use std::time::Duration;

use squall_net::{IoStream, StreamConfig, TcpListener, block_on, sleep, spawn, timeout, yield_now};

const WATCHDOG: Duration = Duration::from_secs(60);
/// Enough that the chunks which a thread keeps for later, 8 MiB, do not hide what each stream holds.
const STREAMS: usize = 500;

struct Counting;

thread_local! {
    /// The bytes that this thread has allocated and not freed. The test runner's thread allocates and frees when it likes.
    static LIVE: Cell<isize> = const { Cell::new(0) };
}

fn count(bytes: usize) -> isize {
    isize::try_from(bytes).unwrap_or(0)
}

#[allow(unsafe_code, reason = "an allocator that counts")]
// SAFETY: every call is passed on to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        LIVE.set(LIVE.get() + count(layout.size()));
        // SAFETY: the caller keeps the promises of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        LIVE.set(LIVE.get() - count(layout.size()));
        // SAFETY: the caller keeps the promises of `dealloc`.
        unsafe { System.dealloc(memory, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn live() -> isize {
    LIVE.get()
}

async fn pair(listener: &TcpListener, config: StreamConfig) -> (IoStream, StdStream) {
    let peer = StdStream::connect(listener.local_addr().unwrap()).unwrap();
    (IoStream::with_config(listener.accept().await.unwrap().0, config), peer)
}

/// Bytes that each of many streams holds after `act`, beyond what the thread keeps for all.
async fn bytes_each<T>(act: impl AsyncFn(IoStream, StdStream) -> T) -> isize {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (stream, peer) = pair(&listener, StreamConfig::default()).await;
    drop(act(stream, peer).await); // what is made once, is made
    let (mut held, before) = (Vec::new(), live());
    for _ in 0..STREAMS {
        let (stream, peer) = pair(&listener, StreamConfig::default()).await;
        held.push(act(stream, peer).await);
    }
    sleep(Duration::from_millis(20)).await; // whatever the watches have to read, they have
    let kept_for_all = (8 << 20) + (64 << 10);
    (live() - before - kept_for_all).max(0) / count(STREAMS)
}

// I9, and hostile peers: a byte each, a request each, a megabyte each. One test, since all share the count
#[test]
fn streams_that_wait_hold_little_more_than_their_bytes() {
    if !descriptor_limit::may_open(2 * STREAMS as u64 + 100) {
        return;
    }
    block_on(async {
        timeout(WATCHDOG, async {
            // Its request was read, and the handler waits for something else than the stream.
            let served = bytes_each(async |mut stream: IoStream, mut peer: StdStream| {
                peer.write_all(b"request\n").unwrap();
                assert_eq!(stream.read_until(b"\n").await.unwrap(), "request\n");
                (stream, peer)
            })
            .await;
            assert!(served < 1000, "{served} bytes each after a request");

            // As in a pool: the task that used a stream last has ended, whatever it held.
            let pooled = bytes_each(async |stream: IoStream, mut peer: StdStream| {
                let using = spawn(async move {
                    let mut stream = stream;
                    let memory = [0_u8; 16 << 10];
                    stream.read_until(b"\n").await.unwrap();
                    std::hint::black_box(&memory);
                    stream
                });
                yield_now().await; // it waits
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
            assert!(watched < 4000, "{watched} bytes each for a byte that nobody reads");
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
            // Its share of this turn may be used up; it waits for the peer in the next one.
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
