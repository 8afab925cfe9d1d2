//! How streams end: closes, panics and closed loops, and which tasks are woken.

use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::io::{self, Write};
use std::net::TcpStream as StdStream;
use std::os::fd::AsRawFd;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use bytes::Bytes;
use futures_io::{AsyncRead, AsyncWrite};
use squall_net::{
    DuplexStream, IoReader, IoStream, IoWriter, StreamError, TcpListener, block_on, duplex, sleep,
    spawn, stats, timeout, yield_now,
};

const WATCHDOG: Duration = Duration::from_secs(20);

fn run<F: Future<Output = ()>>(test: F) {
    block_on(async { timeout(WATCHDOG, test).await.expect("the test hangs") });
}

async fn pair() -> (IoStream, StdStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let peer = StdStream::connect(listener.local_addr().unwrap()).unwrap();
    (IoStream::new(listener.accept().await.unwrap().0), peer)
}

fn is_closed<T: std::fmt::Debug>(outcome: Result<T, StreamError>) -> bool {
    matches!(outcome, Err(StreamError::Closed { cause: None }))
}

fn errno<T: std::fmt::Debug>(outcome: Result<T, StreamError>) -> Option<i32> {
    match outcome {
        Err(StreamError::Closed { cause: Some(cause) }) => cause.raw_os_error(),
        other => panic!("{other:?}"),
    }
}

/// Closes the peer with a reset.
fn reset(peer: StdStream) {
    let linger = libc::linger { l_onoff: 1, l_linger: 0 };
    let length = libc::socklen_t::try_from(size_of_val(&linger)).unwrap();
    let linger = (&raw const linger).cast();
    #[allow(unsafe_code, reason = "std has no name for SO_LINGER")]
    // SAFETY: the kernel reads a live `linger` of the given length.
    let set = unsafe {
        libc::setsockopt(peer.as_raw_fd(), libc::SOL_SOCKET, libc::SO_LINGER, linger, length)
    };
    assert_eq!(set, 0);
}

/// Gives a close watcher the time to read what was sent before.
async fn let_the_close_watcher_read() {
    for _ in 0..3 {
        sleep(Duration::from_millis(1)).await;
    }
}

// I10
#[test]
fn a_waiting_writer_fails_when_the_other_half_closes() {
    run(async {
        let (stream, _peer) = pair().await;
        let (mut reader, mut writer) = stream.split();
        let writing = spawn(async move { writer.write_all(&vec![7; 64 << 20]).await });
        while writing.is_finished() || reader.is_closed() {
            yield_now().await;
        }
        let_the_close_watcher_read().await; // by now the socket is full
        reader.close();
        assert!(is_closed(writing.await.unwrap()));

        let (here, _there) = duplex(10);
        let (mut reader, mut writer) = IoStream::new(here).split();
        let writing = spawn(async move { writer.write_all(&[7; 100]).await });
        yield_now().await;
        reader.close();
        assert!(is_closed(writing.await.unwrap()));
    });
}

// TORNADO 2.3.2: a local close keeps the bytes that were received, also those that no read had
// asked for.
#[test]
fn bytes_that_were_read_ahead_survive_a_local_close() {
    run(async {
        let (mut stream, mut peer) = pair().await;
        stream.set_close_callback(|| ());
        peer.write_all(b"hello").unwrap();
        let_the_close_watcher_read().await;
        stream.close();
        assert_eq!(stream.read_until_close().await.unwrap(), "hello");
        assert!(is_closed(stream.read_until_close().await));
    });
}

// IOS-07, IOS-11
#[test]
fn a_read_to_the_end_succeeds_once_also_after_another_read_saw_the_end() {
    for is_watched in [false, true] {
        run(async {
            let (mut stream, mut peer) = pair().await;
            if is_watched {
                stream.set_close_callback(|| ());
            }
            peer.write_all(b"head\n").unwrap();
            assert_eq!(stream.read_until(b"\n").await.unwrap(), "head\n");
            drop(peer);
            let_the_close_watcher_read().await;
            assert_eq!(stream.read_until_close().await.unwrap(), "");
            assert!(is_closed(stream.read_until_close().await));
            assert!(is_closed(stream.read_bytes(1).await));
        });
    }
}

// I10
#[test]
fn the_end_is_reported_although_the_reading_half_was_dropped() {
    run(async {
        let (stream, mut peer) = pair().await;
        let (mut reader, mut writer) = stream.split();
        let over = reader.closed();
        peer.write_all(b"never read").unwrap();
        let_the_close_watcher_read().await;
        drop(reader);
        writer.write_all(b"going on").await.unwrap();
        peer.write_all(&[7; 200_000]).unwrap(); // more than a chunk, which is discarded too
        drop(peer);
        over.await;
    });
}

#[test]
fn a_waiting_reader_is_woken_for_bytes_that_the_close_watcher_read() {
    run(async {
        let (stream, mut peer) = pair().await;
        let reader = Rc::new(RefCell::new(stream.split().0));
        let reading = Rc::clone(&reader);
        let reading = spawn(async move {
            poll_fn(|cx| reading.borrow_mut().poll_fill(cx)).await.unwrap();
            IoReader::buffer(&reading.borrow()).to_vec()
        });
        yield_now().await; // the reader waits
        let _over = reader.borrow_mut().closed();
        peer.write_all(b"news").unwrap();
        assert_eq!(reading.await.unwrap(), b"news");
    });
}

/// Panics in its first read or write.
struct Fragile;

impl AsyncRead for Fragile {
    fn poll_read(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        _: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        panic!("a transport")
    }
}

impl AsyncWrite for Fragile {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, _: &[u8]) -> Poll<io::Result<usize>> {
        panic!("a transport")
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

// P1
#[test]
fn a_transport_that_panics_is_an_error_for_reads_writes_and_close_watchers() {
    run(async {
        let mut stream = IoStream::new(Fragile);
        stream.write("lost").unwrap();
        yield_now().await; // sent at the end of the batch
        assert!(stream.flush().await.is_err(), "the bytes are lost");

        let mut stream = IoStream::new(Fragile);
        stream.closed().await;
        let error = stream.read_bytes(1).await.unwrap_err();
        assert!(matches!(error, StreamError::Closed { cause: Some(_) }), "{error}");
    });
}

#[test]
fn a_local_close_ends_a_waiting_flush_without_a_cause() {
    run(async {
        let (here, _there) = duplex(8);
        let (mut reader, mut writer) = IoStream::new(here).split();
        writer.write(vec![0; 5000]).unwrap();
        let flushing = spawn(async move { (writer.flush().await, writer) });
        yield_now().await;
        reader.close();
        let (outcome, mut writer) = flushing.await.unwrap();
        assert!(is_closed(outcome));
        assert!(is_closed(writer.write("x")));
    });
}

// I4
#[test]
fn an_error_keeps_its_kind_and_text_when_it_is_returned_again() {
    run(async {
        let (mut stream, peer) = pair().await;
        reset(peer);
        for _ in 0..2 {
            assert_eq!(errno(stream.read_bytes(1).await), Some(libc::ECONNRESET));
        }
        while stream.write_all(b"x").await.is_ok() {}
        for _ in 0..2 {
            assert!(matches!(errno(stream.write("x")), Some(libc::EPIPE | libc::ECONNRESET)));
        }
    });
}

#[test]
fn fill_returns_zero_at_the_end_and_an_error_after_a_close() {
    run(async {
        let (mut stream, peer) = pair().await;
        drop(peer);
        assert_eq!(stream.fill().await.unwrap(), 0);
        assert_eq!(stream.fill().await.unwrap(), 0);
        stream.close();
        assert!(is_closed(stream.fill().await));
    });
}

#[test]
fn a_write_buffer_that_outlives_its_loop_is_sent_on_the_next() {
    let (here, there) = duplex(8);
    let mut here = block_on(async {
        let mut here = IoStream::new(here);
        here.write("twenty bytes are long").unwrap();
        yield_now().await;
        yield_now().await;
        here
    });
    assert_eq!(here.queued(), 21 - 8, "the other end has room for 8");
    run(async {
        let mut there = IoStream::new(there);
        let reading = spawn(async move { there.read_bytes(22).await });
        here.write("!").unwrap();
        here.flush().await.unwrap();
        assert_eq!(reading.await.unwrap().unwrap(), "twenty bytes are long!");
    });
}

/// Sets the close callback of a stream in its destructor.
struct Late(Rc<RefCell<Option<IoStream>>>);

impl Drop for Late {
    fn drop(&mut self) {
        if let Some(stream) = &mut *self.0.borrow_mut() {
            stream.set_close_callback(|| ());
        }
    }
}

#[test]
fn a_close_callback_that_is_set_while_a_loop_ends_holds_up_no_read_on_the_next() {
    let kept = Rc::new(RefCell::new(None));
    let peer = block_on(async {
        let (stream, peer) = pair().await;
        *kept.borrow_mut() = Some(stream);
        let late = Late(Rc::clone(&kept));
        spawn(async move {
            let _late = late;
            std::future::pending::<()>().await;
        });
        yield_now().await;
        peer
    });
    run(async move {
        let mut stream = kept.borrow_mut().take().unwrap();
        (&peer).write_all(b"hello").unwrap();
        assert_eq!(stream.read_bytes(5).await.unwrap(), "hello");
    });
}

/// The owner of some bytes. Closes a stream in its destructor.
struct Owner(Rc<RefCell<IoReader>>);

impl AsRef<[u8]> for Owner {
    fn as_ref(&self) -> &[u8] {
        b"small"
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        self.0.borrow_mut().close();
    }
}

#[allow(unsafe_code, reason = "the owner of bytes must be Send")]
// SAFETY: the bytes and their owner are made, used and dropped on one thread.
unsafe impl Send for Owner {}

// W13
#[test]
fn bytes_whose_owner_closes_the_stream_are_dropped_while_nothing_is_borrowed() {
    run(async {
        let (stream, _peer) = pair().await;
        let (reader, mut writer) = stream.split();
        let reader = Rc::new(RefCell::new(reader));
        let bytes = Bytes::from_owner(Owner(Rc::clone(&reader)));
        writer.write(bytes).unwrap();
        assert!(writer.is_closed());
    });
}

/// A transport that accepts every write in full.
struct Bottomless(Rc<Cell<usize>>);

impl AsyncWrite for Bottomless {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        from: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.0.set(self.0.get() + from.len());
        Poll::Ready(Ok(from.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

// I1, S4: a stream sends at most its byte budget in a turn, also when no task waits for it. A close
// sends as much as the transport accepts.
#[test]
fn a_write_buffer_is_sent_in_portions_but_by_a_close_at_once() {
    const MUCH: usize = 8 << 20;
    run(async {
        let taken = Rc::new(Cell::new(0));
        let mut stream = IoStream::new(Bottomless(Rc::clone(&taken)));
        for _ in 0..MUCH >> 16 {
            stream.write(vec![0; 1 << 16]).unwrap();
        }
        let mut turns = 0;
        while taken.get() < MUCH {
            let before = taken.get();
            yield_now().await;
            assert!(taken.get() - before <= 64 << 16, "{} bytes at once", taken.get() - before);
            turns += 1;
            assert!(turns < 100_000, "sending stopped at {} bytes", taken.get());
        }
        for _ in 0..MUCH >> 16 {
            stream.write(vec![0; 1 << 16]).unwrap();
        }
        drop(stream);
        assert_eq!(taken.get(), 2 * MUCH);
    });
}

// A transport that accepts everything, as TLS and memory do, gets at most the byte budget.
#[test]
fn a_large_write_is_sent_in_portions_too() {
    const MUCH: usize = 8 << 20;
    run(async {
        let taken = Rc::new(Cell::new(0));
        let mut stream = IoStream::new(Bottomless(Rc::clone(&taken)));
        let turns = stats().turns;
        stream.write_all(&vec![0; MUCH]).await.unwrap();
        stream.write(vec![0; MUCH]).unwrap();
        stream.flush().await.unwrap();
        assert_eq!(taken.get(), 2 * MUCH);
        let turns = stats().turns - turns;
        assert!(turns >= 2 * (MUCH as u64 >> 18) - 4, "{turns} turns");
    });
}

/// A waker that writes to a stream.
struct Writes(Mutex<Option<IoWriter<DuplexStream>>>);

// SAFETY: a `Writes` is made, used and dropped on one thread, that of the loop.
#[allow(unsafe_code, reason = "a waker must be Send and Sync")]
unsafe impl Send for Writes {}
// SAFETY: as above.
#[allow(unsafe_code, reason = "a waker must be Send and Sync")]
unsafe impl Sync for Writes {}

impl Wake for Writes {
    fn wake(self: Arc<Self>) {
        if let Some(writer) = &mut *self.0.lock().unwrap() {
            writer.write("2").unwrap();
        }
    }
}

// W13: the transport wakes the other end while it accepts what was written before.
#[test]
fn bytes_that_a_waker_writes_during_a_transport_call_follow_the_earlier_ones() {
    run(async {
        let (here, mut there) = duplex(16);
        let (_reader, writer) = IoStream::new(here).split();
        let writes = Arc::new(Writes(Mutex::new(None)));
        let waker = Arc::clone(&writes).into();
        let mut bytes = [0; 16];
        let read = Pin::new(&mut there).poll_read(&mut Context::from_waker(&waker), &mut bytes);
        assert!(read.is_pending());
        let mut first = writer;
        first.write("1").unwrap();
        *writes.0.lock().unwrap() = Some(first);
        yield_now().await;
        assert_eq!(IoStream::new(there).read_bytes(2).await.unwrap(), "12");
        drop(writes.0.lock().unwrap().take());
    });
}

#[test]
fn a_flush_needs_no_loop_where_the_transport_needs_none() {
    let (here, there) = duplex(16);
    let (mut here, mut there) = (IoStream::new(here), IoStream::new(there));
    here.write(vec![7; 100]).unwrap();
    let both = futures_lite::future::zip(here.flush(), there.read_bytes(100));
    let (flushed, read) = futures_lite::future::block_on(both);
    flushed.unwrap();
    assert_eq!(read.unwrap().len(), 100);
}

/// Claims to have moved five bytes more than it was given.
struct Exaggerating;

impl AsyncRead for Exaggerating {
    fn poll_read(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        into: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(into.len() + 5))
    }
}

impl AsyncWrite for Exaggerating {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        from: &[u8],
    ) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(from.len() + 5))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[test]
fn a_transport_that_claims_more_bytes_than_it_was_given_is_refused() {
    run(async {
        let refused = spawn(async { IoStream::new(Exaggerating).write_all(b"hello").await });
        assert!(refused.await.unwrap_err().is_panic());
        let refused = spawn(async { IoStream::new(Exaggerating).read_some(5).await });
        assert!(refused.await.unwrap_err().is_panic());
        let refused = spawn(async {
            let mut stream = IoStream::new(Exaggerating);
            stream.write("hello").unwrap();
            stream.flush().await
        });
        assert!(refused.await.unwrap_err().is_panic());
        // At the end of the batch, no task of the user's could get the panic.
        let mut stream = IoStream::new(Exaggerating);
        stream.write("hello").unwrap();
        yield_now().await;
        assert!(stream.flush().await.is_err());
        assert!(stream.write("more").is_err());
    });
}

#[test]
fn every_task_that_waits_for_a_flush_is_woken() {
    run(async {
        let (here, there) = duplex(8);
        let writer = Rc::new(RefCell::new(IoStream::new(here)));
        writer.borrow_mut().write(vec![7; 100]).unwrap();
        let flushes: Vec<_> = (0..3)
            .map(|_| {
                let writer = Rc::clone(&writer);
                spawn(poll_fn(move |cx| writer.borrow_mut().poll_flush(cx)))
            })
            .collect();
        yield_now().await;
        assert!(flushes.iter().all(|flush| !flush.is_finished()), "the peer has read nothing");
        assert_eq!(IoStream::new(there).read_bytes(100).await.unwrap(), [7; 100][..]);
        for flush in flushes {
            flush.await.unwrap().unwrap();
        }
    });
}

/// Takes every byte, and tells once that a flush has failed.
struct FailsToFlush(bool);

impl AsyncRead for FailsToFlush {
    fn poll_read(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        _: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        Poll::Pending
    }
}

impl AsyncWrite for FailsToFlush {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        from: &[u8],
    ) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(from.len()))
    }

    fn poll_flush(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        match std::mem::replace(&mut self.0, true) {
            false => Poll::Ready(Err(io::ErrorKind::ConnectionReset.into())),
            true => Poll::Pending,
        }
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[test]
fn an_error_of_a_flush_that_is_told_only_once_reaches_the_caller() {
    // A later poll would find the error in any case, so the first one must tell it.
    fn first_poll(future: impl Future<Output = Result<(), StreamError>>) -> io::ErrorKind {
        match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(Err(error)) => io::Error::from(error).kind(),
            other => panic!("{other:?}"),
        }
    }
    run(async {
        let mut stream = IoStream::new(FailsToFlush(false));
        stream.write("x").unwrap();
        assert_eq!(first_poll(stream.flush()), io::ErrorKind::ConnectionReset);
        let mut stream = IoStream::new(FailsToFlush(false));
        assert_eq!(first_poll(stream.write_all(b"x")), io::ErrorKind::ConnectionReset);
    });
}

/// Panics when it is read. The other half of the pair sees when it is dropped.
struct PanicsOverMemory(#[expect(dead_code, reason = "its drop ends the pair")] DuplexStream);

impl AsyncRead for PanicsOverMemory {
    fn poll_read(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        _: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        panic!("a transport")
    }
}

#[test]
fn a_close_drops_a_transport_that_has_panicked() {
    run(async {
        let (here, there) = duplex(8);
        let mut stream = IoStream::new(PanicsOverMemory(here));
        let read = || stream.poll_fill(&mut Context::from_waker(Waker::noop()));
        assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(read)).is_err());
        stream.close();
        assert_eq!(IoStream::new(there).read_until_close().await.unwrap(), "");
    });
}
