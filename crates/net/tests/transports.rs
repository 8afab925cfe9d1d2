//! The same stream over every transport: TCP, Unix, pipe, memory; TLS and simulated TCP with their
//! features.

#[cfg(feature = "tls")]
mod tls_kit;

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::rc::Rc;
use std::time::Duration;

use futures_io::{AsyncRead, AsyncWrite};
use futures_lite::future::zip;
use squall_net::{
    IoStream, StreamConfig, StreamError, TcpListener, TcpStream, UnixStream, block_on, duplex,
    pipe, sleep, spawn, timeout, yield_now,
};

const WATCHDOG: Duration = Duration::from_secs(20);

trait Reads: AsyncRead + Unpin + 'static {}
impl<T: AsyncRead + Unpin + 'static> Reads for T {}
trait Writes: AsyncWrite + Unpin + 'static {}
impl<T: AsyncWrite + Unpin + 'static> Writes for T {}

fn run<F: Future<Output = ()>>(test: F) {
    block_on(watched(test));
}

async fn watched<F: Future<Output = ()>>(test: F) {
    timeout(WATCHDOG, test).await.expect("the test hangs");
}

async fn tcp() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (client, server) =
        zip(TcpStream::connect(listener.local_addr().unwrap()), listener.accept()).await;
    (client.unwrap(), server.unwrap().0)
}

#[cfg(feature = "tls")]
async fn tls_pair() -> (impl Reads + Writes, impl Reads + Writes) {
    let (client, server) = tls_kit::streams().await;
    (client.into_inner().unwrap(), server.into_inner().unwrap())
}

fn closed<T: std::fmt::Debug>(outcome: &Result<T, StreamError>) -> bool {
    matches!(outcome, Err(StreamError::Closed { cause: None }))
}

/// Runs a case that sends in one direction, over every transport.
macro_rules! one_way {
    ($(#[doc = $doc:literal])* $case:ident) => {
        mod $case {
            use super::*;

            #[test]
            fn over_tcp() {
                run(async {
                    let (a, b) = tcp().await;
                    super::cases::$case(a, b).await
                });
            }
            #[cfg(feature = "sim")]
            #[test]
            fn over_simulated_tcp() {
                squall_net::sim::check(0..5, |simulation| {
                    simulation.block_on(watched(async {
                        let (a, b) = tcp().await;
                        super::cases::$case(a, b).await
                    }));
                });
            }
            #[test]
            fn over_unix() {
                run(async {
                    let (a, b) = UnixStream::pair().unwrap();
                    super::cases::$case(a, b).await
                });
            }
            #[test]
            fn over_a_pipe() {
                run(async {
                    let (b, a) = pipe().unwrap();
                    super::cases::$case(a, b).await
                });
            }
            #[test]
            fn over_memory() {
                run(async {
                    let (a, b) = duplex(1000);
                    super::cases::$case(a, b).await
                });
            }
            #[cfg(feature = "tls")]
            #[test]
            fn over_tls() {
                run(async {
                    let (a, b) = super::tls_pair().await;
                    super::cases::$case(a, b).await
                });
            }
        }
    };
}

/// Runs a case that sends in both directions, over every transport but the pipe.
macro_rules! both_ways {
    ($case:ident) => {
        mod $case {
            use super::*;

            #[test]
            fn over_tcp() {
                run(async {
                    let (a, b) = tcp().await;
                    super::cases::$case(a, b).await
                });
            }
            #[cfg(feature = "sim")]
            #[test]
            fn over_simulated_tcp() {
                squall_net::sim::check(0..5, |simulation| {
                    simulation.block_on(watched(async {
                        let (a, b) = tcp().await;
                        super::cases::$case(a, b).await
                    }));
                });
            }
            #[test]
            fn over_unix() {
                run(async {
                    let (a, b) = UnixStream::pair().unwrap();
                    super::cases::$case(a, b).await
                });
            }
            #[test]
            fn over_memory() {
                run(async {
                    let (a, b) = duplex(1000);
                    super::cases::$case(a, b).await
                });
            }
            #[cfg(feature = "tls")]
            #[test]
            fn over_tls() {
                run(async {
                    let (a, b) = super::tls_pair().await;
                    super::cases::$case(a, b).await
                });
            }
        }
    };
}

mod cases {
    use super::*;

    // IOS-34, IOS-03, IOS-18, IOS-27
    pub(super) async fn reads_of_every_kind(writer: impl Writes, reader: impl Reads) {
        let (mut writer, mut reader) = (IoStream::new(writer), IoStream::new(reader));
        writer.write("hel").unwrap();
        writer.flush().await.unwrap();
        writer.write("lo world").unwrap();
        assert_eq!(reader.read_until(b" ").await.unwrap(), "hello ");
        assert_eq!(reader.read_bytes(0).await.unwrap(), "");
        assert_eq!(reader.read_some(0).await.unwrap(), "");
        assert_eq!(reader.read_bytes(3).await.unwrap(), "wor");
        reader.read_exact(&mut []).await.unwrap();
        writer.shutdown().await.unwrap();
        assert_eq!(reader.read_until_close().await.unwrap(), "ld");
        assert!(closed(&reader.read_until_close().await));
        assert!(closed(&reader.read_bytes(1).await));
    }

    // IOS-35, I1, I12: large and small pieces, far more than the transport holds
    pub(super) async fn a_million_bytes_in_pieces(writer: impl Writes, reader: impl Reads) {
        let (mut writer, mut reader) = (IoStream::new(writer), IoStream::new(reader));
        let sent: Vec<u8> = (0..1_000_000_u32).map(|n| (n % 251) as u8).collect();
        for piece in sent.chunks(7001) {
            let (small, large) = piece.split_at(1);
            writer.write(small).unwrap();
            writer.write(large.to_vec()).unwrap();
        }
        let (flushed, received) = zip(
            async {
                writer.flush().await?;
                writer.write("")?; // IOS-08, IOS-X9
                writer.shutdown().await
            },
            reader.read_until_close(),
        )
        .await;
        flushed.unwrap();
        assert!(received.unwrap() == sent);
    }

    // IOS-28
    pub(super) async fn mixed_reads_lose_nothing(writer: impl Writes, reader: impl Reads) {
        let (mut writer, mut reader) = (IoStream::new(writer), IoStream::new(reader));
        let sent: Vec<u8> = (0..1_000_000_u32).map(|n| (n % 253) as u8).collect();
        let bytes = sent.clone();
        let writing = spawn(async move {
            writer.write_all(&bytes).await.unwrap();
            writer.shutdown().await.unwrap();
        });
        let (mut received, mut random) = (Vec::new(), 7_usize);
        while received.len() < sent.len() {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let n = (random >> 40) % 9000;
            let n = n.min(sent.len() - received.len());
            match n % 3 {
                0 => received.extend_from_slice(&reader.read_bytes(n).await.unwrap()),
                1 => {
                    let start = received.len();
                    received.resize(start + n, 0);
                    reader.read_exact(&mut received[start..]).await.unwrap();
                }
                _ => received.extend_from_slice(&reader.read_some(n).await.unwrap()),
            }
        }
        assert!(received == sent);
        writing.await.unwrap();
    }

    // I5, IOS-19, IOS-23, IOS-X8; TORNADO 2.3.4, 2.3.7
    pub(super) async fn limits_leave_the_bytes(writer: impl Writes, reader: impl Reads) {
        let config = StreamConfig::default().max_buffer_size(4096);
        let (mut writer, mut reader) =
            (IoStream::new(writer), IoStream::with_config(reader, config));
        let writing = spawn(async move {
            writer.write_all(&[b"123456\n".as_slice(), &[b'x'; 100_000]].concat()).await.unwrap();
            writer.shutdown().await.unwrap();
        });
        assert!(matches!(
            reader.read_until_max(b"\n", 6).await,
            Err(StreamError::TooLong { limit: 6 })
        ));
        assert_eq!(reader.read_until_max(b"\n", 7).await.unwrap(), "123456\n");
        assert!(matches!(
            reader.read_until(b"\n").await,
            Err(StreamError::TooLong { limit: 4096 })
        ));
        assert_eq!(reader.buffer().len(), 4096);
        let mut left = 100_000;
        while left > 0 {
            left -= reader.read_some(1000).await.unwrap().len();
        }
        assert!(closed(
            &reader.fill().await.map(|n| assert_eq!(n, 0)).and(reader.read_some(1).await)
        ));
        writing.await.unwrap();
    }

    // IOS-09, IOS-15, IOS-16, I10; TORNADO 2.3.10, 2.3.11
    pub(super) async fn the_end_is_reported_once_the_bytes_are_read(
        writer: impl Writes,
        reader: impl Reads,
    ) {
        let (mut writer, mut reader) = (IoStream::new(writer), IoStream::new(reader));
        let calls = Rc::new(Cell::new(0));
        let counter = Rc::clone(&calls);
        reader.set_close_callback(move || counter.set(counter.get() + 1));
        writer.write("12").unwrap();
        assert_eq!(reader.read_bytes(1).await.unwrap(), "1");
        writer.shutdown().await.unwrap();
        drop(writer);
        for _ in 0..20 {
            sleep(Duration::from_millis(1)).await;
        }
        assert_eq!(calls.get(), 0, "a byte is left");
        assert_eq!(reader.read_bytes(1).await.unwrap(), "2");
        reader.closed().await;
        yield_now().await;
        assert_eq!(calls.get(), 1);
        assert!(closed(&reader.read_bytes(1).await));
        reader.close();
        yield_now().await;
        assert_eq!(calls.get(), 1);
    }

    // I10, IOS-15: the end comes during a read, which fails, and is then reported for the idle
    // stream.
    pub(super) async fn the_end_is_reported_during_a_read(writer: impl Writes, reader: impl Reads) {
        let (mut writer, mut reader) = (IoStream::new(writer), IoStream::new(reader));
        let over = reader.closed();
        let order = Rc::new(RefCell::new(Vec::new()));
        let log = Rc::clone(&order);
        let read = spawn(async move {
            let outcome = reader.read_bytes(10).await;
            log.borrow_mut().push("read");
            (outcome, reader)
        });
        writer.write("abc").unwrap();
        writer.shutdown().await.unwrap();
        let (outcome, mut reader) = read.await.unwrap();
        assert!(closed(&outcome));
        assert_eq!(reader.read_until_close().await.unwrap(), "abc");
        over.await;
    }

    // The halves are in different tasks, and both directions are full; L5 over TLS.
    pub(super) async fn halves_move_a_lot_both_ways(
        a: impl Reads + Writes,
        b: impl Reads + Writes,
    ) {
        const SIZE: usize = 2 << 20;
        let halves = (IoStream::new(a), IoStream::new(b)).map_each();
        let mut tasks = Vec::new();
        for (mut reader, mut writer) in halves {
            tasks.push(spawn(async move {
                writer.write_all(&vec![7; SIZE]).await.unwrap();
                writer.shutdown().await.unwrap();
                0
            }));
            tasks.push(spawn(async move { reader.read_until_close().await.unwrap().len() }));
        }
        let mut sum = 0;
        for task in tasks {
            sum += task.await.unwrap();
        }
        assert_eq!(sum, 2 * SIZE);
    }

    // A close wakes the other half at once.
    pub(super) async fn a_half_that_closes_wakes_the_other(
        a: impl Reads + Writes,
        b: impl Reads + Writes,
    ) {
        let (mut reader, mut writer) = IoStream::new(a).split();
        let peer = IoStream::new(b);
        let reading = spawn(async move { (reader.read_bytes(1).await, reader) });
        yield_now().await;
        yield_now().await;
        writer.close();
        let (outcome, reader) = reading.await.unwrap();
        assert!(closed(&outcome));
        assert!(writer.is_closed() && reader.is_closed());
        drop(reader.unsplit(writer).unwrap());
        drop(peer);
    }

    // The socket was read before, so it is known to be drained, and is not asked again.
    pub(super) async fn a_half_that_closes_wakes_a_reader_that_waits_again(
        a: impl Reads + Writes,
        b: impl Reads + Writes,
    ) {
        let (mut stream, mut peer) = (IoStream::new(a), IoStream::new(b));
        let (read, _) = zip(stream.read_bytes(1), async {
            sleep(Duration::from_millis(1)).await;
            peer.write_all(b"x").await.unwrap();
        })
        .await;
        assert_eq!(read.unwrap(), "x");
        let (mut reader, mut writer) = stream.split();
        let reading = spawn(async move { reader.read_bytes(1).await });
        yield_now().await;
        yield_now().await;
        writer.close();
        assert!(closed(&reading.await.unwrap()));
        drop(peer);
    }

    // I3, L7: the end of reading does not end writing
    pub(super) async fn half_close_keeps_the_answer(
        a: impl Reads + Writes,
        b: impl Reads + Writes,
    ) {
        let (mut client, mut server) = (IoStream::new(a), IoStream::new(b));
        client.write("request\n").unwrap();
        client.shutdown().await.unwrap();
        assert_eq!(server.read_until_close().await.unwrap(), "request\n");
        server.closed().await;
        server.write("answer\n").unwrap();
        server.shutdown().await.unwrap();
        assert_eq!(client.read_until_close().await.unwrap(), "answer\n");
    }

    // The kernel refuses to end a connection of TCP again that both sides have ended.
    pub(super) async fn a_second_shutdown_does_nothing(
        a: impl Reads + Writes,
        b: impl Reads + Writes,
    ) {
        let (mut client, mut server) = (IoStream::new(a), IoStream::new(b));
        client.write("request\n").unwrap();
        client.shutdown().await.unwrap();
        assert_eq!(server.read_until_close().await.unwrap(), "request\n");
        server.shutdown().await.unwrap();
        assert_eq!(client.read_until_close().await.unwrap(), "");
        client.shutdown().await.unwrap();
        server.shutdown().await.unwrap();
    }
}

trait MapEach {
    type Halves;
    fn map_each(self) -> Self::Halves;
}

type Boxed = Box<dyn Both>;
trait Both: AsyncRead + AsyncWrite + Unpin {}
impl<T: AsyncRead + AsyncWrite + Unpin> Both for T {}

impl<A: Reads + Writes, B: Reads + Writes> MapEach for (IoStream<A>, IoStream<B>) {
    type Halves = [(squall_net::IoReader<Boxed>, squall_net::IoWriter<Boxed>); 2];
    fn map_each(self) -> Self::Halves {
        let one: Boxed = Box::new(self.0.into_inner().unwrap());
        let other: Boxed = Box::new(self.1.into_inner().unwrap());
        [IoStream::new(one).split(), IoStream::new(other).split()]
    }
}

one_way!(reads_of_every_kind);
one_way!(a_million_bytes_in_pieces);
one_way!(mixed_reads_lose_nothing);
one_way!(limits_leave_the_bytes);
one_way!(the_end_is_reported_once_the_bytes_are_read);
one_way!(the_end_is_reported_during_a_read);
both_ways!(halves_move_a_lot_both_ways);
both_ways!(a_half_that_closes_wakes_the_other);
both_ways!(a_half_that_closes_wakes_a_reader_that_waits_again);
both_ways!(half_close_keeps_the_answer);
both_ways!(a_second_shutdown_does_nothing);

// IOS-X1 cannot happen: reads borrow the stream, so a second read while one is pending does not
// compile.
#[test]
fn a_local_close_is_reported_and_into_inner_returns_only_an_idle_transport() {
    run(async {
        let (a, b) = duplex(64);
        let (mut a, mut b) = (IoStream::new(a), IoStream::new(b));
        b.write("x").unwrap();
        b.flush().await.unwrap();
        a.fill().await.unwrap();
        let mut a = a.into_inner().expect_err("a byte is in the buffer");
        a.consume(1);
        let mut a = IoStream::new(a.into_inner().unwrap());
        let over = a.closed();
        a.close();
        over.await;
        a.closed().await; // also ends after the close
        assert!(a.into_inner().is_err());
    });
}
