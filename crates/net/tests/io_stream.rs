//! IoStream over TCP: reads, limits, writes, ends.

use std::future::Future;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream as StdStream};
use std::rc::Rc;
use std::time::Duration;

use squall_executor::fault::{self, Call};
use squall_net::{
    IoStream, StreamConfig, StreamError, TcpListener, TcpStream, block_on, sleep, spawn, stats,
    timeout, yield_now,
};

const WATCHDOG: Duration = Duration::from_secs(10);

/// A stream and its peer, which is a blocking socket of std.
async fn pair() -> (IoStream, StdStream) {
    pair_with(StreamConfig::default()).await
}

async fn pair_with(config: StreamConfig) -> (IoStream, StdStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let peer = StdStream::connect(listener.local_addr().unwrap()).unwrap();
    let (stream, _) = listener.accept().await.unwrap();
    (IoStream::with_config(stream, config), peer)
}

/// Runs a test on a loop, for at most `WATCHDOG`.
fn run<F: Future<Output = ()>>(test: F) {
    block_on(async { timeout(WATCHDOG, test).await.expect("the test hangs") });
}

fn is_closed<T: std::fmt::Debug>(outcome: Result<T, StreamError>) -> bool {
    matches!(outcome, Err(StreamError::Closed { cause: None }))
}

// IOS-03, IOS-05, IOS-18, IOS-26, IOS-27
#[test]
fn reads_of_every_kind_follow_each_other() {
    run(async {
        let (mut stream, mut peer) = pair().await;
        peer.write_all(b"HTTP/1.1 200 OK\r\nA: b\r\n\r\nbody and more").unwrap();
        assert_eq!(stream.read_bytes(9).await.unwrap(), "HTTP/1.1 ");
        assert_eq!(stream.read_bytes(0).await.unwrap(), "");
        assert_eq!(stream.read_some(3).await.unwrap(), "200");
        assert_eq!(stream.read_some(0).await.unwrap(), "");
        assert_eq!(stream.read_until(b"\r\n\r\n").await.unwrap(), " OK\r\nA: b\r\n\r\n");
        let mut body = [0; 4];
        stream.read_exact(&mut body).await.unwrap();
        stream.read_exact(&mut []).await.unwrap();
        assert_eq!(&body, b"body");
        let digits = |data: &[u8]| data.iter().position(|byte| *byte == b'm');
        assert_eq!(stream.read_until_match(100, digits).await.unwrap(), " and ");
        assert_eq!(stream.read_some(100).await.unwrap(), "more");
        drop(peer);
        assert!(is_closed(stream.read_some(1).await));
    });
}

// I8, IOS-23: the bytes come in two pieces, split at every place
#[test]
fn a_delimiter_is_found_wherever_the_bytes_are_split() {
    run(async {
        let (mut stream, mut peer) = pair().await;
        peer.set_nodelay(true).unwrap();
        let text = b"aab-aabb--end";
        for split in 0..=text.len() {
            peer.write_all(&text[..split]).unwrap();
            let read = stream.read_until(b"aabb");
            let (line, ()) = futures_lite::future::zip(read, async {
                sleep(Duration::from_micros(300)).await;
                peer.write_all(&text[split..]).unwrap();
            })
            .await;
            assert_eq!(line.unwrap(), "aab-aabb", "split at {split}");
            assert_eq!(stream.read_bytes(5).await.unwrap(), "--end");
        }
    });
}

// I8
#[test]
fn a_delimiter_that_comes_with_the_end_of_the_stream_is_found() {
    run(async {
        let (mut stream, mut peer) = pair().await;
        let mut bytes = vec![b'x'; 2048];
        peer.write_all(&bytes).unwrap();
        stream.fill().await.unwrap();
        peer.write_all(b"done").unwrap();
        drop(peer);
        bytes.extend_from_slice(b"done");
        assert_eq!(stream.read_until(b"done").await.unwrap(), bytes);
        assert!(is_closed(stream.read_until(b"done").await));
    });
}

// I7, IOS-12
#[test]
fn a_long_line_is_searched_in_linear_time() {
    run(async {
        let (mut stream, mut peer) = pair().await;
        const SIZE: usize = 4 << 20;
        let writer = std::thread::spawn(move || {
            for _ in 0..4096 {
                peer.write_all(&[b'x'; SIZE / 4096]).unwrap();
            }
            peer.write_all(b"\r\n").unwrap();
        });
        let mut scanned = 0;
        let mut searched = 0;
        let line = stream.read_until_match(usize::MAX, |data| {
            scanned += data.len() - searched;
            let found = data[searched..].iter().position(|byte| *byte == b'\n');
            let found = found.map(|at| searched + at + 1);
            searched = data.len();
            found
        });
        assert_eq!(line.await.unwrap().len(), SIZE + 2);
        assert!(scanned <= SIZE + 2);
        writer.join().unwrap();
    });
}

// IOS-19, IOS-X8 (DEVIATE: the stream stays open)
#[test]
fn limits_are_exact_and_leave_the_bytes_and_the_stream() {
    run(async {
        let (mut stream, mut peer) = pair().await;
        peer.write_all(b"12345\n").unwrap();
        let short = stream.read_until_max(b"\n", 5).await;
        assert!(matches!(short, Err(StreamError::TooLong { limit: 5 })), "{short:?}");
        assert_eq!(stream.buffer(), b"12345\n");
        assert_eq!(stream.read_until_max(b"\n", 6).await.unwrap(), "12345\n");
        peer.write_all(b"67\n").unwrap();
        assert_eq!(stream.read_until_max(b"\n", 100).await.unwrap(), "67\n");
    });
}

// I5; TORNADO 2.3.7
#[test]
fn a_small_buffer_works_against_a_flood_and_never_holds_more_than_its_limit() {
    run(async {
        let config = StreamConfig::default().max_buffer_size(1000);
        let (mut stream, mut peer) = pair_with(config).await;
        let writer = std::thread::spawn(move || peer.write_all(&[7; 100_000]));
        for _ in 0..100 {
            assert_eq!(stream.read_bytes(1000).await.unwrap().len(), 1000);
            assert!(stream.buffer().len() <= 1000);
        }
        let long = stream.read_bytes(1001).await;
        assert!(matches!(long, Err(StreamError::TooLong { limit: 1000 })));
        writer.join().unwrap().unwrap();

        let (mut stream, mut peer) = pair_with(config).await;
        peer.write_all(&[b'x'; 2000]).unwrap();
        let endless = stream.read_until(b"\n").await;
        assert!(matches!(endless, Err(StreamError::TooLong { limit: 1000 })));
        assert!(matches!(stream.fill().await, Err(StreamError::TooLong { limit: 1000 })));
        stream.consume(1000);
        assert!(stream.fill().await.unwrap() > 0);
    });
}

// IOS-02, IOS-07, IOS-11, IOS-X4
#[test]
fn read_until_close_takes_everything_once() {
    run(async {
        let (mut stream, mut peer) = pair().await;
        peer.write_all(b"1234").unwrap();
        assert_eq!(stream.read_bytes(1).await.unwrap(), "1");
        drop(peer);
        assert_eq!(stream.read_until_close().await.unwrap(), "234");
        assert!(is_closed(stream.read_until_close().await));
        assert!(is_closed(stream.read_bytes(1).await));

        let (mut stream, mut peer) = pair().await;
        peer.write_all(b"buffered").unwrap();
        stream.fill().await.unwrap();
        stream.close();
        assert!(stream.is_closed());
        assert_eq!(stream.read_bytes(3).await.unwrap(), "buf");
        assert_eq!(stream.read_until_close().await.unwrap(), "fered");
        assert!(is_closed(stream.write("late")));
    });
}

// IOS-01, R9, W4
#[test]
fn data_come_before_the_end() {
    run(async {
        let (mut stream, mut peer) = pair().await;
        let expected = vec![5; 1 << 20];
        let sent = expected.clone();
        let writer = std::thread::spawn(move || peer.write_all(&sent).unwrap());
        sleep(Duration::from_millis(5)).await;
        assert!(stream.read_until_close().await.unwrap() == expected);
        writer.join().unwrap();
    });
}

// TORNADO 2.3.4 (DEVIATE)
#[test]
fn a_read_that_is_dropped_loses_nothing() {
    run(async {
        let (mut stream, mut peer) = pair().await;
        for part in ["one ", "line", "\n"] {
            let late = timeout(Duration::from_millis(1), stream.read_until(b"\n")).await;
            assert!(late.is_err());
            peer.write_all(part.as_bytes()).unwrap();
        }
        assert_eq!(stream.read_until(b"\n").await.unwrap(), "one line\n");
    });
}

// I3: half-close
#[test]
fn the_end_of_reading_does_not_end_writing() {
    run(async {
        let (mut stream, mut peer) = pair().await;
        peer.write_all(b"question").unwrap();
        peer.shutdown(Shutdown::Write).unwrap();
        assert_eq!(stream.read_until_close().await.unwrap(), "question");
        stream.write("answer").unwrap();
        stream.shutdown().await.unwrap();
        let mut answer = String::new();
        peer.read_to_string(&mut answer).unwrap();
        assert_eq!(answer, "answer");
    });
}

// IOS-08, IOS-17
#[test]
fn small_writes_leave_in_one_system_call_at_the_end_of_the_batch() {
    run(async {
        let (mut stream, mut peer) = pair().await;
        let before = fault::calls(Call::Send);
        stream.write("").unwrap();
        for word in ["one ", "two ", "three"] {
            stream.write(word).unwrap();
        }
        stream.write(String::from(" four").into_bytes()).unwrap();
        assert_eq!(stream.queued(), 18);
        yield_now().await;
        assert_eq!(stream.queued(), 0);
        let mut text = [0; 18];
        peer.read_exact(&mut text).unwrap();
        assert_eq!(&text, b"one two three four");
        if fault::ACTIVE {
            assert_eq!(fault::calls(Call::Send) - before, 1);
        }
    });
}

// IOS-35
#[test]
fn a_write_larger_than_the_kernel_accepts_is_sent_without_a_flush() {
    run(async {
        let (mut stream, mut peer) = pair().await;
        const SIZE: usize = 20 << 20;
        stream.write(vec![9; SIZE]).unwrap();
        yield_now().await;
        assert!(stream.queued() > 0, "the kernel took 20 MiB at once");
        // No task flushes. A flush that is dropped must not cancel the wake-up either.
        assert!(timeout(Duration::from_millis(1), stream.flush()).await.is_err());
        let reader = std::thread::spawn(move || {
            let mut total = 0;
            let mut buffer = vec![0; 1 << 20];
            while total < SIZE {
                let n = peer.read(&mut buffer).unwrap();
                assert!(n > 0 && buffer[..n].iter().all(|byte| *byte == 9));
                total += n;
            }
            peer
        });
        while stream.queued() > 0 {
            sleep(Duration::from_millis(1)).await;
        }
        stream.flush().await.unwrap();
        let _peer = reader.join().unwrap();
    });
}

#[test]
fn write_all_sends_after_the_queued_bytes() {
    run(async {
        let (mut stream, mut peer) = pair().await;
        let large = vec![b'b'; 8 << 20];
        let size = large.len();
        let reader = std::thread::spawn(move || {
            let mut bytes = Vec::new();
            peer.read_to_end(&mut bytes).unwrap();
            bytes
        });
        stream.write("a").unwrap();
        stream.write_all(&large).await.unwrap();
        stream.write("c").unwrap();
        stream.shutdown().await.unwrap();
        drop(stream);
        let bytes = reader.join().unwrap();
        assert_eq!(
            (bytes.len(), bytes[0], bytes[1], bytes[size], bytes[size + 1]),
            (size + 2, b'a', b'b', b'b', b'c')
        );
    });
}

// IOS-X5, I6
#[test]
fn a_write_over_the_limit_is_refused_whole_and_the_stream_stays_open() {
    run(async {
        let config = StreamConfig::default().max_write_buffer_size(Some(100));
        let (mut stream, mut peer) = pair_with(config).await;
        let over = stream.write(vec![0; 101]);
        assert!(matches!(over, Err(StreamError::BufferFull { limit: 100 })));
        assert_eq!(stream.queued(), 0);
        stream.write(&[1; 60]).unwrap();
        assert!(matches!(stream.write(&[2; 41]), Err(StreamError::BufferFull { .. })));
        stream.write(&[1; 40]).unwrap();
        stream.flush().await.unwrap();
        peer.read_exact(&mut [0; 100]).unwrap();
    });
}

// IOS-X6
#[test]
fn dropping_a_stream_tries_once_to_send_and_delivers_a_prefix() {
    run(async {
        let (mut stream, mut peer) = pair().await;
        stream.write("last words").unwrap();
        drop(stream);
        let mut text = String::new();
        peer.read_to_string(&mut text).unwrap();
        assert_eq!(text, "last words");

        let (mut stream, mut peer) = pair().await;
        stream.write(vec![3; 30 << 20]).unwrap();
        drop(stream);
        let reader = std::thread::spawn(move || {
            let mut bytes = Vec::new();
            let _ = peer.read_to_end(&mut bytes);
            bytes
        });
        while !reader.is_finished() {
            sleep(Duration::from_millis(1)).await;
        }
        let bytes = reader.join().unwrap();
        assert!(!bytes.is_empty() && bytes.len() < 30 << 20 && bytes.iter().all(|byte| *byte == 3));
    });
}

// IOS-X12, I4
#[test]
fn writing_to_a_peer_that_reset_is_an_error_with_its_cause() {
    run(async {
        let (mut stream, peer) = pair().await;
        stream.write("unread").unwrap();
        stream.flush().await.unwrap();
        while !matches!(peer.peek(&mut [0; 8]), Ok(6)) {}
        drop(peer); // with unread bytes, so the kernel sends a reset
        let error = loop {
            if let Err(error) = stream.write_all(b"more").await {
                break error;
            }
            yield_now().await;
        };
        let StreamError::Closed { cause: Some(cause) } = error else { panic!("{error:?}") };
        use std::io::ErrorKind::{BrokenPipe, ConnectionReset};
        assert!(matches!(cause.kind(), BrokenPipe | ConnectionReset), "{cause}");
    });
}

// I1, I12
#[test]
fn thousands_of_pieces_leave_in_order() {
    run(async {
        let (mut stream, mut peer) = pair().await;
        let reader = std::thread::spawn(move || {
            let mut bytes = Vec::new();
            peer.read_to_end(&mut bytes).unwrap();
            bytes
        });
        for n in 0..3000_u32 {
            // Owned, and large enough to be queued without a copy: each is a piece of its own.
            stream.write(vec![u8::try_from(n % 251).unwrap(); 2049]).unwrap();
        }
        stream.shutdown().await.unwrap();
        let bytes = reader.join().unwrap();
        assert_eq!(bytes.len(), 3000 * 2049);
        let in_order =
            |(n, piece): (usize, &[u8])| piece.iter().all(|byte| usize::from(*byte) == n % 251);
        assert!(bytes.chunks(2049).enumerate().all(in_order));
    });
}

// S4
#[test]
fn a_stream_that_always_has_bytes_to_read_lets_other_tasks_run() {
    run(async {
        let (mut stream, mut peer) = pair().await;
        let stop = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
        let writer = std::thread::spawn({
            let stop = stop.clone();
            move || {
                while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                    if peer.write_all(&[0; 1 << 16]).is_err() {
                        return;
                    }
                }
            }
        });
        let reads = Rc::new(std::cell::Cell::new(0_u64));
        let reader = spawn({
            let reads = reads.clone();
            async move {
                loop {
                    let n = stream.fill().await.unwrap();
                    stream.consume(n);
                    reads.set(reads.get() + n as u64);
                }
            }
        });
        // Two hundred timers of zero, each of which needs a turn, while the peer sends
        // without a pause.
        let (turns, bytes) = (stats().turns, reads.get());
        for _ in 0..200 {
            sleep(Duration::ZERO).await;
        }
        let turns = stats().turns - turns;
        assert!(turns <= 1000, "200 timers of zero took {turns} turns");
        assert!((reads.get() - bytes) / turns.max(1) <= 512 << 10, "one stream held the loop");
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
        reader.abort();
        yield_now().await;
        writer.join().unwrap();
    });
}

// I2
#[test]
fn lingering_lets_a_peer_that_still_sends_read_the_answer() {
    run(async {
        for _ in 0..20 {
            let (mut stream, mut peer) = pair().await;
            let client = std::thread::spawn(move || {
                for _ in 0..64 {
                    peer.write_all(&[0; 1 << 14]).unwrap(); // fails if it was reset
                }
                peer.shutdown(Shutdown::Write).unwrap();
                let mut answer = String::new();
                peer.read_to_string(&mut answer).unwrap();
                answer
            });
            stream.fill().await.unwrap();
            stream.write("refused").unwrap();
            stream.linger(100 << 20, WATCHDOG).await.unwrap();
            drop(stream);
            assert_eq!(client.join().unwrap(), "refused");
        }
    });
}

// IOS-29, TCC-03, I13 (a connect that is refused)
#[test]
fn connecting_to_a_closed_port_is_refused_and_leaves_no_descriptor() {
    run(async {
        let unused = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let error = TcpStream::connect(unused).await.unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::ConnectionRefused);
        assert_eq!(stats().live_sources, 0);
    });
}

#[test]
fn stream_errors_become_io_errors_of_their_kind() {
    let ended = std::io::Error::from(StreamError::Closed { cause: None });
    assert_eq!(ended.kind(), std::io::ErrorKind::UnexpectedEof);
    let reset: std::io::Error = StreamError::from(std::io::Error::from_raw_os_error(104)).into();
    assert_eq!(reset.raw_os_error(), Some(104));
    let long = std::io::Error::from(StreamError::TooLong { limit: 5 });
    assert_eq!(long.to_string(), "no end of the read within 5 bytes");
}

#[test]
fn a_listener_is_a_stream_of_connections() {
    run(async {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let clients: Vec<_> = (0..3).map(|_| StdStream::connect(address).unwrap()).collect();
        let accepted = futures_lite::StreamExt::take(listener.incoming(), 3);
        let peers: Vec<_> = futures_lite::StreamExt::collect(accepted).await;
        let peers: Vec<_> = peers.into_iter().map(|outcome| outcome.unwrap().1).collect();
        let own: Vec<_> = clients.iter().map(|client| client.local_addr().unwrap()).collect();
        assert_eq!(peers, own);
    });
}

#[test]
fn a_failed_read_is_no_clean_end_and_a_stream_may_end_exactly_at_the_limit() {
    run(async {
        let (mut stream, peer) = pair().await;
        stream.write("unread").unwrap();
        stream.flush().await.unwrap();
        (&peer).write_all(b"half").unwrap();
        while !matches!(peer.peek(&mut [0; 8]), Ok(6)) {}
        stream.fill().await.unwrap();
        drop(peer); // with unread bytes, so the kernel sends a reset
        let first = stream.read_until_close().await.unwrap_err();
        assert!(matches!(first, StreamError::Closed { cause: Some(_) }), "{first:?}");
        assert!(stream.read_until_close().await.is_err(), "half was taken for the whole");
        assert_eq!(stream.buffer(), b"half");

        for (sent, fits) in [(1000, true), (1001, false)] {
            let config = StreamConfig::default().max_buffer_size(1000);
            let (mut stream, mut peer) = pair_with(config).await;
            peer.write_all(&vec![1; sent]).unwrap();
            drop(peer);
            assert_eq!(stream.read_until_close().await.is_ok(), fits, "{sent} bytes");
        }
    });
}

/// A transport that accepts `room` bytes, and stores only the last waker of a write or flush.
struct Narrow {
    room: Rc<std::cell::Cell<usize>>,
    waker: Rc<std::cell::RefCell<Option<std::task::Waker>>>,
    taken: Rc<std::cell::Cell<usize>>,
    panics: bool,
}

impl futures_io::AsyncWrite for Narrow {
    fn poll_write(
        self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
        from: &[u8],
    ) -> std::task::Poll<std::io::Result<usize>> {
        let n = from.len().min(self.room.get());
        if n == 0 {
            assert!(!self.panics || self.taken.get() == 0, "on purpose");
            *self.waker.borrow_mut() = Some(cx.waker().clone());
            return std::task::Poll::Pending;
        }
        self.room.set(self.room.get() - n);
        self.taken.set(self.taken.get() + n);
        std::task::Poll::Ready(Ok(n))
    }

    fn poll_flush(
        self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<std::io::Result<()>> {
        *self.waker.borrow_mut() = Some(cx.waker().clone());
        std::task::Poll::Ready(Ok(()))
    }

    fn poll_close(
        self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<std::io::Result<()>> {
        std::task::Poll::Ready(Ok(()))
    }
}

#[test]
fn a_transport_that_stores_one_waker_keeps_that_of_the_waiting_writer() {
    run(async {
        let (room, waker, taken) = (Rc::default(), Rc::default(), Rc::default());
        let narrow = Narrow {
            room: Rc::clone(&room),
            waker: Rc::clone(&waker),
            taken: Rc::clone(&taken),
            panics: false,
        };
        let mut stream = IoStream::new(narrow);
        room.set(5);
        let writer = spawn(async move {
            stream.write("12345").unwrap();
            stream.write_all(&[0; 100]).await.unwrap();
        });
        while !writer.is_finished() {
            yield_now().await;
            yield_now().await;
            room.set(10);
            if let Some(waker) = waker.take() {
                std::task::Waker::wake(waker);
            }
        }
        assert_eq!(taken.get(), 105);
    });
}

// P1
#[test]
fn a_transport_that_panics_in_the_pump_ends_the_flush() {
    run(async {
        let (room, waker, taken) = (Rc::default(), Rc::default(), Rc::default());
        let narrow = Narrow {
            room: Rc::clone(&room),
            waker: Rc::clone(&waker),
            taken: Rc::clone(&taken),
            panics: true,
        };
        let mut stream = IoStream::new(narrow);
        stream.write("0123456789").unwrap();
        let flusher = spawn(async move { stream.flush().await });
        yield_now().await;
        room.set(3);
        std::task::Waker::wake(waker.take().unwrap());
        assert!(matches!(flusher.await.unwrap(), Err(StreamError::Closed { .. })));
    });
}

// S4 for writes: the peer reads as fast as the stream writes
#[test]
fn a_stream_whose_writes_never_block_lets_other_tasks_run() {
    run(async {
        for whole in [false, true] {
            let (mut stream, mut peer) = pair().await;
            let reader = std::thread::spawn(move || {
                let mut buffer = vec![0; 1 << 20];
                while matches!(peer.read(&mut buffer), Ok(n) if n > 0) {}
            });
            let sent = Rc::new(std::cell::Cell::new(0_u64));
            let writer = spawn({
                let sent = sent.clone();
                let data = vec![0; 64 << 10];
                async move {
                    loop {
                        if whole {
                            stream.write_all(&data).await.unwrap();
                        } else {
                            stream.write(&data).unwrap();
                            stream.flush().await.unwrap();
                        }
                        sent.set(sent.get() + data.len() as u64);
                    }
                }
            });
            let mut most = 0;
            for _ in 0..200 {
                let (turn, before) = (stats().turns, sent.get());
                sleep(Duration::ZERO).await; // one turn, or a few
                most = most.max((sent.get() - before) / (stats().turns - turn).max(1));
            }
            assert!(most <= 1 << 20, "{most} bytes in a turn");
            writer.abort();
            yield_now().await;
            yield_now().await;
            reader.join().unwrap();
        }
    });
}

#[test]
fn a_stream_that_outlives_its_loop_goes_on_sending_on_the_next() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let client = StdStream::connect(listener.local_addr().unwrap()).unwrap();
    let (mut peer, _) = listener.accept().unwrap();
    let mut stream = IoStream::new(TcpStream::from_std(client).unwrap());
    let first = squall_net::EventLoop::new().unwrap();
    let entered = first.enter();
    stream.write("one").unwrap();
    drop(entered);
    drop(first);
    run(async {
        stream.write("two").unwrap();
        while stream.queued() > 0 {
            yield_now().await;
        }
    });
    let mut text = [0; 6];
    peer.read_exact(&mut text).unwrap();
    assert_eq!(&text, b"onetwo");
}

// IOS-06
#[test]
fn a_read_of_more_than_comes_fails_with_closed_and_keeps_the_bytes() {
    run(async {
        let (mut stream, mut peer) = pair().await;
        peer.write_all(b"short").unwrap();
        drop(peer);
        assert!(is_closed(stream.read_bytes(1 << 20).await));
        assert_eq!(stream.read_until_close().await.unwrap(), "short");
    });
}

// IOS-24
#[test]
fn a_reader_that_pauses_holds_the_sender_back_and_gets_everything() {
    run(async {
        let (mut stream, mut peer) =
            pair_with(StreamConfig::default().max_buffer_size(5 << 20)).await;
        let writer = std::thread::spawn(move || peer.write_all(&vec![7; 10 << 20]).unwrap());
        for n in 0..10 {
            if n == 5 {
                sleep(Duration::from_millis(20)).await;
            }
            assert!(stream.buffer().len() <= 5 << 20);
            assert_eq!(stream.read_bytes(1 << 20).await.unwrap().len(), 1 << 20);
        }
        writer.join().unwrap();
    });
}

// IOS-31, IOS-32: the caller of the read gets the error, whether the read had to wait or not.
// Nothing is left for the log.
#[test]
fn an_error_of_a_read_reaches_its_caller() {
    run(async {
        for waits in [false, true] {
            let (mut stream, mut peer) = pair().await;
            if waits {
                assert!(timeout(Duration::ZERO, stream.read_some(1)).await.is_err());
            }
            peer.write_all(b"x").unwrap();
            fault::inject(Call::Recv, 0, 1, libc::EIO);
            let outcome = stream.read_until_close().await;
            let Err(StreamError::Closed { cause: Some(cause) }) = outcome else {
                panic!("{outcome:?}")
            };
            assert_eq!(cause.raw_os_error(), Some(libc::EIO));
        }
    });
}
