//! TLS under streams and servers, as far as rustls does not test it by itself.
#![cfg(feature = "tls")]

mod tls_kit;

use std::future::Future;
use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::time::Duration;

use futures_io::AsyncWrite;
use futures_lite::future::zip;
use squall_net::tls::TlsStream;
use squall_net::{
    IoStream, IoWriter, StreamConfig, StreamError, TcpListener, TcpServer, TcpStream, UnixServer,
    UnixStream, block_on, duplex, sleep, spawn, stats, timeout, yield_now,
};

use tls_kit::{both, streams};

const WATCHDOG: Duration = Duration::from_secs(20);
/// More than the kernel's buffers of two sockets hold.
const MUCH: usize = 30 << 20;

fn run<F: Future<Output = ()>>(test: F) {
    block_on(async { timeout(WATCHDOG, test).await.expect("the test hangs") });
}

async fn tcp() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (client, server) =
        zip(TcpStream::connect(listener.local_addr().unwrap()), listener.accept()).await;
    (client.unwrap(), server.unwrap().0)
}

/// Returns a second descriptor of a stream's socket, for bytes that bypass TLS.
fn socket_of(stream: &IoStream<TlsStream<TcpStream>>) -> std::net::TcpStream {
    let fd = stream.with_transport(|tls| tls.get_ref().0.as_fd().try_clone_to_owned());
    let socket = std::net::TcpStream::from(fd.unwrap().unwrap());
    socket.set_nonblocking(false).unwrap();
    socket
}

/// Waits until the kernel accepts no more bytes.
async fn until_full<S: AsyncWrite + Unpin + 'static>(writer: &IoWriter<S>) {
    let mut queued = usize::MAX;
    while writer.queued() < queued {
        queued = writer.queued();
        for _ in 0..100 {
            yield_now().await;
        }
    }
    assert!(queued > 0, "the kernel accepted everything");
}

// IOS-37
#[test]
fn a_plain_stream_can_start_tls_once_it_is_idle() {
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
    });
}

// A load balancer sends its PROXY line and the ClientHello in one segment.
#[test]
fn a_client_hello_that_came_with_a_line_begins_the_handshake() {
    run(async {
        let (acceptor, connector) = both();
        let (client, server) = tcp().await;
        let connecting = spawn(async move {
            let mut client = IoStream::new(client);
            client.write_all(b"PROXY TCP4 10.0.0.1 10.0.0.2 1 2\r\n").await.unwrap();
            let mut client = client.start_tls(&connector, "localhost").await.unwrap();
            client.write("secret\n").unwrap();
            assert_eq!(client.read_until(b"\n").await.unwrap(), "secret\n");
        });
        let mut server = IoStream::new(server);
        while server.buffer().len() < 100 {
            server.fill().await.unwrap();
        }
        assert_eq!(server.read_until(b"\r\n").await.unwrap().len(), 34);
        assert!(!server.buffer().is_empty());
        let mut server = server.accept_tls(&acceptor).await.unwrap();
        let line = server.read_until(b"\n").await.unwrap();
        server.write_all(&line).await.unwrap();
        connecting.await.unwrap();
    });
}

#[test]
fn a_handshake_may_begin_in_the_buffer_and_go_on_anywhere() {
    run(async {
        let (acceptor, connector) = both();
        for buffered in [1, 4, 5, 6, 50, 100, 10_000] {
            let (client, server) = duplex(10_000);
            let client = IoStream::new(client);
            let config = StreamConfig::default().read_chunk_size(buffered);
            let mut server = IoStream::with_config(server, config);
            let (client, server) = zip(client.start_tls(&connector, "localhost"), async {
                assert!(server.fill().await.unwrap() <= buffered);
                server.accept_tls(&acceptor).await
            })
            .await;
            let (mut client, mut server) = (client.unwrap(), server.unwrap());
            server.write_all(b"data\n").await.unwrap();
            assert_eq!(client.read_until(b"\n").await.unwrap(), "data\n");
        }
    });
}

/// The first byte of a record with an alert.
const ALERT: u8 = 21;

#[test]
fn buffered_bytes_that_are_no_handshake_are_refused_at_once_with_an_alert() {
    for is_server in [false, true] {
        run(async {
            let (acceptor, connector) = both();
            let (stream, peer) = duplex(10_000);
            let (mut stream, mut peer) = (IoStream::new(stream), IoStream::new(peer));
            peer.write_all(&[b'x'; 9000]).await.unwrap();
            stream.fill().await.unwrap();
            let outcome = if is_server {
                stream.accept_tls(&acceptor).await
            } else {
                stream.start_tls(&connector, "localhost").await
            };
            assert_eq!(outcome.unwrap_err().kind(), std::io::ErrorKind::InvalidData);
            let answer = peer.read_until_close().await.unwrap();
            let alert = answer.len() - 7; // a header of 5 bytes, a level and a description
            assert_eq!(answer[alert], ALERT, "{answer:?}");
        });
    }
}

#[test]
fn a_stream_that_has_unsent_bytes_or_is_closed_or_watched_starts_no_tls() {
    let busy: [fn(&mut IoStream<_>); 3] = [
        |stream| stream.write("unsent").unwrap(),
        |stream| stream.close(),
        |stream| drop(stream.closed()),
    ];
    for make_busy in busy {
        run(async {
            let (_, connector) = both();
            let (stream, _peer) = duplex(64);
            let mut stream = IoStream::new(stream);
            make_busy(&mut stream);
            let error = stream.start_tls(&connector, "localhost").await.unwrap_err();
            assert_eq!(error.kind(), std::io::ErrorKind::InvalidInput);
            assert_eq!(
                error.to_string(),
                "TLS cannot start: the stream has unsent bytes, is closed, or its end is watched"
            );
        });
    }
}

// IOS-37
#[test]
fn a_wrong_server_name_and_a_peer_without_tls_are_refused() {
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
fn an_end_without_close_notify_is_an_error() {
    run(async {
        let (client, mut server) = streams().await;
        let mut client = client.into_inner().unwrap();
        futures_lite::AsyncWriteExt::write_all(&mut client, b"half a body").await.unwrap();
        drop(client); // a FIN, without close_notify
        let outcome = server.read_until_close().await;
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
        assert!(server.connections() >= 200, "the silent clients are still connected");
        while server.connections() > 0 {
            sleep(Duration::from_millis(5)).await;
        }
        let mut rest = Vec::new();
        silent[0].read_to_end(&mut rest).unwrap();
        assert_eq!(rest, b"");
    });
}

// L4, L6: the bytes of the client come in small pieces, and two records that come at once are read
// byte by byte.
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
        let mut client = IoStream::new(client).start_tls(&connector, "localhost").await.unwrap();
        client.write_all(b"first").await.unwrap();
        client.write_all(b"other").await.unwrap();
        assert_eq!(client.read_bytes(10).await.unwrap(), "firstother");
        serving.await.unwrap();
    });
}

/// A record that does not decrypt.
const GARBAGE: [u8; 45] = {
    let mut record = [0; 45];
    [record[0], record[1], record[2], record[4]] = [0x17, 3, 3, 40];
    record
};

// L5
// When a read fails, the transport writes once more, and stores the reader's waker instead of the
// writer's.
#[test]
fn a_read_that_fails_holds_up_no_flush() {
    for is_reset in [false, true] {
        run(async {
            let (client, server) = streams().await;
            let mut raw = socket_of(&client);
            let (mut reader, mut writer) = server.split();
            writer.write(vec![7; MUCH]).unwrap();
            until_full(&writer).await;
            let flushing = spawn(async move { writer.flush().await });
            let reading = spawn(async move { (reader.read_bytes(1).await, reader) });
            yield_now().await;
            raw.write_all(&GARBAGE).unwrap();
            let (read, reader) = reading.await.unwrap();
            assert!(read.is_err());
            drop(client.into_inner()); // `raw` keeps the socket open
            raw.set_read_timeout(Some(WATCHDOG)).unwrap();
            let peer = std::thread::spawn(move || {
                if !is_reset {
                    let _ = std::io::copy(&mut raw, &mut std::io::sink()); // may end in a reset
                }
            });
            let _ = flushing.await.unwrap(); // may fail, but must end
            drop(reader); // closes the stream, so the peer's read ends
            peer.join().unwrap();
        });
    }
}

#[test]
fn an_end_that_the_close_watcher_reads_holds_up_no_flush() {
    run(async {
        let (client, mut server) = streams().await;
        let mut raw = socket_of(&client);
        let over = server.closed();
        server.write(vec![7; MUCH]).unwrap();
        until_full(server.halves().1).await;
        let flushing = spawn(async move { server.flush().await });
        yield_now().await;
        raw.write_all(&GARBAGE).unwrap();
        over.await;
        drop(client);
        drop(raw); // with unread bytes, so the kernel sends a reset
        assert!(flushing.await.unwrap().is_err());
    });
}

#[test]
fn a_waiting_shutdown_fails_when_the_other_half_closes() {
    run(async {
        let (_client, server) = streams().await;
        let (mut reader, mut writer) = server.split();
        writer.write(vec![7; MUCH]).unwrap();
        until_full(&writer).await;
        let ending = spawn(async move { writer.shutdown().await });
        yield_now().await;
        reader.close();
        assert!(ending.await.unwrap().is_err());
    });
}

// L2, TCS-02, IOS-01, over TLS
#[test]
fn a_handler_that_writes_and_closes_sends_the_whole_answer() {
    run(async {
        let (acceptor, connector) = both();
        let server = TcpServer::tls(acceptor, async |mut stream, _| {
            for _ in 0..20 {
                // In all, more than the byte budget of a turn, and less than the kernel accepts.
                stream.write(vec![7; 50_000])?;
            }
            yield_now().await;
            stream.close();
            Ok(())
        });
        let address = server.listen("127.0.0.1:0").unwrap();
        let client = IoStream::new(TcpStream::connect(address).await.unwrap());
        let mut client = client.start_tls(&connector, "localhost").await.unwrap();
        assert_eq!(client.read_until_close().await.unwrap().len(), 1_000_000);
    });
}

// L2, from the sending side: only `close` and `shutdown` announce an end.
#[test]
fn a_dropped_stream_sends_no_close_notify() {
    for what in ["failure", "panic", "cut write"] {
        run(async {
            let (acceptor, connector) = both();
            let server = TcpServer::tls(acceptor, async move |mut stream, _| {
                stream.write("half of an ans")?;
                stream.flush().await?;
                match what {
                    "failure" => Err(std::io::Error::other("no more ideas")),
                    "panic" => panic!("a handler"),
                    _ => {
                        let cut = stream.write_all(&[7; MUCH]);
                        let _ = timeout(Duration::from_millis(5), cut).await;
                        Ok(())
                    }
                }
            });
            let address = server.listen("127.0.0.1:0").unwrap();
            let client = IoStream::new(TcpStream::connect(address).await.unwrap());
            let mut client = client.start_tls(&connector, "localhost").await.unwrap();
            let Err(StreamError::Closed { cause: Some(cause) }) = client.read_until_close().await
            else {
                panic!("{what}: the client sees an orderly end")
            };
            assert_eq!(cause.kind(), std::io::ErrorKind::UnexpectedEof, "{what}");
            assert!(client.buffer().starts_with(b"half of an ans"));
        });
    }
}

// L3
#[test]
fn a_draining_server_ends_handshakes_and_wakes_waiting_handlers() {
    run(async {
        let (acceptor, connector) = both();
        let server = TcpServer::tls_with_draining(acceptor, |draining| {
            async move |mut stream: IoStream<_>, _| {
                while let Some(line) = draining.unless_begun(stream.read_until(b"\n")).await {
                    stream.write(line?)?;
                    stream.flush().await?;
                }
                Ok(stream.shutdown().await?)
            }
        });
        let address = server.listen("127.0.0.1:0").unwrap();
        let mut silent = std::net::TcpStream::connect(address).unwrap();
        let idle = IoStream::new(TcpStream::connect(address).await.unwrap());
        let mut idle = idle.start_tls(&connector, "localhost").await.unwrap();
        idle.write("hello\n").unwrap();
        assert_eq!(idle.read_until(b"\n").await.unwrap(), "hello\n");
        // Shorter than the handshake deadline: if drain waited for handshakes, it would abort this
        // one.
        let report = server.drain(Duration::from_secs(5)).await;
        assert_eq!((report.finished, report.aborted), (2, 0));
        assert_eq!(idle.read_until_close().await.unwrap(), "", "the end is orderly");
        assert_eq!(silent.read(&mut [0]).unwrap(), 0);
    });
}

#[test]
fn unix_servers_speak_tls_too() {
    let path = std::env::temp_dir().join(format!("squall-tls-{}", std::process::id()));
    run(async {
        let (acceptor, connector) = both();
        let server = UnixServer::tls(acceptor, async |mut stream, _| {
            stream.write("data")?;
            Ok(stream.shutdown().await?)
        });
        server.listen(&path).unwrap();
        let client = IoStream::new(UnixStream::connect(&path).await.unwrap());
        let mut client = client.start_tls(&connector, "localhost").await.unwrap();
        assert_eq!(client.read_until_close().await.unwrap(), "data");
    });
    std::fs::remove_file(path).unwrap();
}

// L1: wherever the ClientHello is cut off, the handshake fails, and does not spin.
#[test]
fn a_handshake_that_is_cut_off_anywhere_is_an_error() {
    run(async {
        let (acceptor, connector) = both();
        let (client, server) = duplex(10_000);
        let connecting = spawn(async move {
            let _ = IoStream::new(client).start_tls(&connector, "localhost").await;
        });
        let hello = IoStream::new(server).read_some(10_000).await.unwrap();
        connecting.abort();
        assert!(hello.len() > 100, "{} bytes", hello.len());
        for end in 0..hello.len() {
            let (client, server) = duplex(10_000);
            let mut client = IoStream::new(client);
            client.write_all(&hello[..end]).await.unwrap();
            client.shutdown().await.unwrap();
            let polls = stats().polls;
            let outcome = IoStream::new(server).accept_tls(&acceptor).await;
            assert!(outcome.is_err(), "cut off behind {end} bytes");
            assert!(stats().polls - polls < 100, "{} polls", stats().polls - polls);
        }
    });
}

// As without TLS; the end itself is not announced, because the handler has not closed the stream.
#[test]
fn what_a_handler_has_written_is_sent_whole_after_it_has_returned() {
    run(async {
        let (acceptor, connector) = both();
        let server = TcpServer::tls(acceptor, async |mut stream: IoStream<_>, _| {
            Ok(stream.write(vec![7; MUCH])?)
        });
        let address = server.listen("127.0.0.1:0").unwrap();
        let client = IoStream::new(TcpStream::connect(address).await.unwrap());
        let mut client = client.start_tls(&connector, "localhost").await.unwrap();
        assert_eq!(client.read_bytes(MUCH).await.unwrap().len(), MUCH);
        assert!(client.read_until_close().await.is_err(), "no close_notify");
    });
}
