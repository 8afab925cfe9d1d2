//! The same stream over every transport: TCP, Unix, pipe, memory, and TLS with its feature.

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
    block_on(async { timeout(WATCHDOG, test).await.expect("the test hangs") });
}

async fn tcp() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (client, server) =
        zip(TcpStream::connect(listener.local_addr().unwrap()), listener.accept()).await;
    (client.unwrap(), server.unwrap().0)
}

fn closed<T: std::fmt::Debug>(outcome: &Result<T, StreamError>) -> bool {
    matches!(outcome, Err(StreamError::Closed { cause: None }))
}

/// Runs a case whose bytes go one way over every transport.
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
                    let (a, b) = super::tls::pair().await;
                    super::cases::$case(a, b).await
                });
            }
        }
    };
}

/// Runs a case that talks both ways.
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
                    let (a, b) = super::tls::pair().await;
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

    // IOS-35, I1, I12: large and small pieces, far more than fits between
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

    // IOS-19, IOS-23, IOS-X8; TORNADO 2.3.4, 2.3.7
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

    // IOS-09, IOS-15, IOS-16; TORNADO 2.3.10, 2.3.11
    pub(super) async fn the_end_is_told_once_the_bytes_are_read(
        writer: impl Writes,
        reader: impl Reads,
    ) {
        let (mut writer, mut reader) = (IoStream::new(writer), IoStream::new(reader));
        let told = Rc::new(Cell::new(0));
        let tell = Rc::clone(&told);
        reader.set_close_callback(move || tell.set(tell.get() + 1));
        writer.write("12").unwrap();
        assert_eq!(reader.read_bytes(1).await.unwrap(), "1");
        writer.shutdown().await.unwrap();
        drop(writer);
        for _ in 0..20 {
            sleep(Duration::from_millis(1)).await;
        }
        assert_eq!(told.get(), 0, "a byte is left");
        assert_eq!(reader.read_bytes(1).await.unwrap(), "2");
        reader.closed().await;
        yield_now().await;
        assert_eq!(told.get(), 1);
        assert!(closed(&reader.read_bytes(1).await));
        reader.close();
        yield_now().await;
        assert_eq!(told.get(), 1);
    }

    // IOS-15: with a read under way, which fails; and of a stream that is idle
    pub(super) async fn the_end_is_told_beside_a_read(writer: impl Writes, reader: impl Reads) {
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

    // X: the halves live in different tasks, both full; L5 over TLS
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

    // The other half learns of a close at once, and halves of two streams do not fit
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

    // I3: the end of reading does not end writing
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
one_way!(the_end_is_told_once_the_bytes_are_read);
one_way!(the_end_is_told_beside_a_read);
both_ways!(halves_move_a_lot_both_ways);
both_ways!(a_half_that_closes_wakes_the_other);
both_ways!(half_close_keeps_the_answer);

// IOS-X1 cannot happen: a second read while one is pending does not compile, since reads borrow the stream
#[test]
fn a_local_close_is_told_and_into_inner_gives_only_an_idle_transport_back() {
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
        a.closed().await; // asked for after the end
        assert!(a.into_inner().is_err());
    });
}

#[cfg(feature = "tls")]
mod tls {
    use std::io::Read;
    use std::sync::Arc;

    use squall_net::tls::rustls::pki_types::PrivatePkcs8KeyDer;
    use squall_net::tls::rustls::{ClientConfig, RootCertStore, ServerConfig};
    use squall_net::tls::{TlsAcceptor, TlsConnector, TlsStream};
    use squall_net::{TcpServer, spawn};

    use super::*;

    /// A server and a client that trusts it, for the name "localhost".
    fn both() -> (TlsAcceptor, TlsConnector) {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let key = PrivatePkcs8KeyDer::from(made.signing_key.serialize_der());
        let certificate = made.cert.der().clone();
        let mut roots = RootCertStore::empty();
        roots.add(certificate.clone()).unwrap();
        let mut server = ServerConfig::builder()
            .with_no_client_auth()
            .with_single_cert(vec![certificate], key.into())
            .unwrap();
        let mut client =
            ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
        // A client that closes with a ticket unread would reset the connection, and what it sent with it.
        server.send_tls13_tickets = 0;
        server.alpn_protocols = vec![b"squall/1".to_vec()];
        client.alpn_protocols = vec![b"other".to_vec(), b"squall/1".to_vec()];
        (TlsAcceptor::new(Arc::new(server)), TlsConnector::new(Arc::new(client)))
    }

    pub(super) async fn pair() -> (TlsStream<TcpStream>, TlsStream<TcpStream>) {
        let (acceptor, connector) = both();
        let (client, server) = tcp().await;
        let (client, server) = zip(
            IoStream::new(client).start_tls(&connector, "localhost"),
            IoStream::new(server).accept_tls(&acceptor),
        )
        .await;
        (client.unwrap().into_inner().unwrap(), server.unwrap().into_inner().unwrap())
    }

    // IOS-37
    #[test]
    fn a_plain_stream_goes_on_in_tls_once_it_is_idle() {
        run(async {
            let (acceptor, connector) = both();
            let (client, server) = tcp().await;
            let (mut client, mut server) = (IoStream::new(client), IoStream::new(server));
            let serving = spawn(async move {
                assert_eq!(server.read_until(b"\n").await.unwrap(), "STARTTLS\n");
                server.write_all(b"go on\n").await.unwrap();
                let mut server = server.accept_tls(&acceptor).await.unwrap();
                let line = server.read_until(b"\n").await.unwrap();
                server.write(line).unwrap();
                server.shutdown().await.unwrap();
            });
            client.write_all(b"STARTTLS\n").await.unwrap();
            assert_eq!(client.read_until(b"\n").await.unwrap(), "go on\n");
            let mut client = client.start_tls(&connector, "localhost").await.unwrap();
            assert_eq!(client.alpn_protocol().unwrap(), b"squall/1");
            client.write("secret\n").unwrap();
            assert_eq!(client.read_until_close().await.unwrap(), "secret\n");
            serving.await.unwrap();

            let (busy, mut peer) = duplex(64);
            let mut busy = IoStream::new(busy);
            futures_lite::AsyncWriteExt::write_all(&mut peer, b"x").await.unwrap();
            busy.fill().await.unwrap();
            let error = busy.start_tls(&connector, "localhost").await.unwrap_err();
            assert_eq!(error.to_string(), "the stream is not idle: bytes are in its buffers");
        });
    }

    // IOS-37
    #[test]
    fn a_name_or_a_peer_that_does_not_fit_is_refused() {
        run(async {
            let (acceptor, connector) = both();
            let (client, server) = tcp().await;
            let serving =
                spawn(async move { IoStream::new(server).accept_tls(&acceptor).await.map(drop) });
            let error = IoStream::new(client).start_tls(&connector, "elsewhere").await.unwrap_err();
            assert_eq!(error.kind(), std::io::ErrorKind::InvalidData, "{error}");
            assert!(serving.await.unwrap().is_err());

            let (client, mut server) = duplex(1000);
            futures_lite::AsyncWriteExt::write_all(&mut server, b"no tls here\r\n").await.unwrap();
            assert!(IoStream::new(client).start_tls(&connector, "localhost").await.is_err());
        });
    }

    // L2
    #[test]
    fn an_end_that_tls_does_not_announce_is_an_error() {
        run(async {
            let (mut client, server) = pair().await;
            futures_lite::AsyncWriteExt::write_all(&mut client, b"half a body").await.unwrap();
            drop(client); // a FIN, without close_notify
            let outcome = IoStream::new(server).read_until_close().await;
            let Err(StreamError::Closed { cause: Some(cause) }) = outcome else {
                panic!("{outcome:?}")
            };
            assert_eq!(cause.kind(), std::io::ErrorKind::UnexpectedEof);
        });
    }

    // L3
    #[test]
    fn silent_clients_hold_up_no_handshake_and_are_closed_at_their_deadline() {
        run(async {
            let (acceptor, connector) = both();
            let acceptor = acceptor.handshake_deadline(Duration::from_millis(500));
            let server = TcpServer::tls(acceptor, async |mut stream, _| {
                stream.write("hello\n")?;
                Ok(stream.shutdown().await?)
            });
            let address = server.listen("127.0.0.1:0").unwrap();
            let mut silent: Vec<_> =
                (0..200).map(|_| std::net::TcpStream::connect(address).unwrap()).collect();
            let stream = IoStream::new(TcpStream::connect(address).await.unwrap());
            let mut stream = stream.start_tls(&connector, "localhost").await.unwrap();
            assert_eq!(stream.read_until_close().await.unwrap(), "hello\n");
            assert!(server.connections() >= 200, "the silent ones are still there");
            while server.connections() > 0 {
                sleep(Duration::from_millis(5)).await;
            }
            let mut rest = Vec::new();
            silent[0].read_to_end(&mut rest).unwrap();
            assert_eq!(rest, b"");
        });
    }

    // L4, L6: the client's bytes come one by one, and two records at once are read byte by byte
    #[test]
    fn records_in_any_pieces_are_read_whole() {
        run(async {
            let (acceptor, connector) = both();
            let (client, server) = duplex(64);
            let serving = spawn(async move {
                let mut server = IoStream::new(server).accept_tls(&acceptor).await.unwrap();
                let mut text = Vec::new();
                while text.len() < 10 {
                    text.extend_from_slice(&server.read_bytes(1).await.unwrap());
                }
                server.write(text).unwrap();
                server.flush().await.unwrap();
            });
            let mut client =
                IoStream::new(client).start_tls(&connector, "localhost").await.unwrap();
            client.write_all(b"first").await.unwrap();
            client.write_all(b"other").await.unwrap();
            assert_eq!(client.read_bytes(10).await.unwrap(), "firstother");
            serving.await.unwrap();
        });
    }
}
