//! Writes that fail where no caller waits for them: at the end of a batch, in the pump, and while a
//! server sends what a handler has left.

use std::io::{self, Read};
use std::net::TcpStream as StdStream;
use std::sync::Mutex;
use std::time::Duration;

use futures_io::{AsyncRead, AsyncWrite};
use squall_executor::fault::{self, Call};
use squall_net::{
    IoStream, StreamError, TcpListener, TcpServer, TcpStream, UnixStream, block_on, spawn,
    spawn_blocking, timeout,
};

const WATCHDOG: Duration = Duration::from_secs(20);
const MUCH: usize = 4 << 20;
/// An error of this machine, not of the peer. The connection stays alive.
const ENOBUFS: i32 = libc::ENOBUFS;

static WARNINGS: Mutex<Vec<String>> = Mutex::new(Vec::new());

struct Warnings;

impl log::Log for Warnings {
    fn enabled(&self, metadata: &log::Metadata<'_>) -> bool {
        metadata.level() == log::Level::Warn
    }

    fn log(&self, record: &log::Record<'_>) {
        if self.enabled(record.metadata()) {
            WARNINGS.lock().unwrap().push(record.args().to_string());
        }
    }

    fn flush(&self) {}
}

fn run<F: Future<Output = ()>>(test: F) {
    if !fault::ACTIVE {
        return eprintln!("skipped: this build has no fault seam");
    }
    block_on(async { timeout(WATCHDOG, test).await.expect("the test hangs") });
}

/// A stream, and a peer that stays silent.
async fn pair() -> (IoStream, StdStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let peer = StdStream::connect(listener.local_addr().unwrap()).unwrap();
    (IoStream::new(listener.accept().await.unwrap().0), peer)
}

fn errno<T: std::fmt::Debug>(outcome: Result<T, StreamError>) -> Option<i32> {
    match outcome {
        Err(StreamError::Closed { cause: Some(cause) }) => cause.raw_os_error(),
        other => panic!("{other:?}"),
    }
}

/// Writes a request, and waits for an answer that cannot come, because the request is not sent.
async fn ask<S>(stream: &mut IoStream<S>)
where
    S: AsyncRead + AsyncWrite + Unpin + 'static,
{
    stream.write("a request\n").unwrap();
    fault::inject(Call::Send, 0, 1, ENOBUFS);
    assert_eq!(errno(stream.read_until(b"\n").await), Some(ENOBUFS));
    assert_eq!(errno(stream.read_until(b"\n").await), Some(ENOBUFS));
    assert_eq!(errno(stream.write("another")), Some(ENOBUFS));
}

// I10
#[test]
fn a_read_does_not_wait_for_the_answer_to_what_could_not_be_sent() {
    run(async {
        let (mut tcp, _peer) = pair().await;
        ask(&mut tcp).await;
        let (unix, _peer) = UnixStream::pair().unwrap();
        ask(&mut IoStream::new(unix)).await;
    });
}

#[test]
fn a_read_of_a_stream_whose_end_is_watched_does_not_wait_either() {
    run(async {
        let (mut stream, _peer) = pair().await;
        let end = stream.closed();
        ask(&mut stream).await;
        end.await;
    });
}

// I10
#[test]
fn a_reader_in_another_task_is_woken_when_a_write_has_failed() {
    run(async {
        let (stream, _peer) = pair().await;
        let (mut reader, mut writer) = stream.split();
        let reads = spawn(async move { errno(reader.read_until(b"\n").await) });
        squall_net::yield_now().await; // the reader waits
        fault::inject(Call::Send, 0, 1, ENOBUFS);
        assert_eq!(errno(writer.write_all(b"a request\n").await), Some(ENOBUFS));
        assert_eq!(reads.await.unwrap(), Some(ENOBUFS));
    });
}

/// A transport that the stream knows nothing about, as TLS is.
struct Unknown(TcpStream);

mod unknown {
    use std::io;
    use std::pin::Pin;
    use std::task::{Context, Poll};

    use futures_io::{AsyncRead, AsyncWrite};

    use super::Unknown;

    impl AsyncRead for Unknown {
        fn poll_read(
            mut self: Pin<&mut Self>,
            cx: &mut Context<'_>,
            into: &mut [u8],
        ) -> Poll<io::Result<usize>> {
            Pin::new(&mut self.0).poll_read(cx, into)
        }
    }

    impl AsyncWrite for Unknown {
        fn poll_write(
            mut self: Pin<&mut Self>,
            cx: &mut Context<'_>,
            from: &[u8],
        ) -> Poll<io::Result<usize>> {
            Pin::new(&mut self.0).poll_write(cx, from)
        }

        fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
            Pin::new(&mut self.0).poll_flush(cx)
        }

        fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
            Pin::new(&mut self.0).poll_close(cx)
        }
    }
}

#[test]
fn a_read_from_a_transport_of_another_crate_does_not_wait_either() {
    run(async {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let _peer = StdStream::connect(listener.local_addr().unwrap()).unwrap();
        let (socket, _) = listener.accept().await.unwrap();
        ask(&mut IoStream::new(Unknown(socket))).await;
    });
}

#[test]
fn a_read_still_gets_what_a_peer_sent_that_reads_no_more() {
    run(async {
        let (ours, mut theirs) = std::os::unix::net::UnixStream::pair().unwrap();
        theirs.shutdown(std::net::Shutdown::Read).unwrap();
        let mut stream = IoStream::new(UnixStream::from_std(ours).unwrap());
        stream.write("a request that nobody reads\n").unwrap();
        let answer = spawn(async move { stream.read_until(b"\n").await });
        squall_net::yield_now().await;
        squall_net::yield_now().await; // the write has failed
        io::Write::write_all(&mut theirs, b"an early answer\n").unwrap();
        assert_eq!(answer.await.unwrap().unwrap(), "an early answer\n");
    });
}

// I1
#[test]
fn what_could_not_be_sent_after_the_handler_is_logged_and_ends_in_a_reset() {
    let _ = log::set_logger(&Warnings); // fails for all but the first test of this process
    log::set_max_level(log::LevelFilter::Warn);
    run(async {
        let server =
            TcpServer::new(async |mut stream: IoStream, _| Ok(stream.write(vec![7; MUCH])?));
        let address = server.listen("127.0.0.1:0").unwrap();
        let client = spawn_blocking(move || {
            let mut received = Vec::new();
            let outcome = StdStream::connect(address).unwrap().read_to_end(&mut received);
            (outcome.map_err(|error| error.kind()), received.len())
        });
        fault::inject(Call::Send, 2, 1, ENOBUFS); // the third portion
        let (outcome, received) = client.await.unwrap();
        assert_eq!(outcome, Err(io::ErrorKind::ConnectionReset), "{received} bytes");
        let warnings = WARNINGS.lock().unwrap();
        assert!(warnings.iter().any(|line| line.contains("were not sent")), "{warnings:?}");
    });
}

// I1
#[test]
fn a_stream_that_is_dropped_after_a_failed_write_ends_in_a_reset() {
    run(async {
        for closes in [false, true] {
            let (mut stream, mut peer) = pair().await;
            stream.write_all(b"a part").await.unwrap();
            fault::inject(Call::Send, 0, 1, ENOBUFS);
            assert_eq!(errno(stream.write_all(b" of the whole").await), Some(ENOBUFS));
            if closes {
                stream.close();
            }
            drop(stream);
            let mut received = Vec::new();
            let error = peer.read_to_end(&mut received).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
        }
    });
}
