//! How a server's connections end: after the handler's result, at a drain, and when a listening
//! socket fails.

use std::cell::{Cell, RefCell};
use std::future::pending;
use std::hint::black_box;
use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream as StdStream};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream as StdUnixStream;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Mutex;
use std::thread;
use std::time::Duration;

use squall_net::{
    BindOptions, IoStream, StreamError, TcpServer, TcpStream, UnixServer, UnixStream, bind_sockets,
    block_on, sleep, spawn, spawn_blocking, timeout, yield_now,
};

const WATCHDOG: Duration = Duration::from_secs(20);
/// More than the kernel's buffers hold.
const MUCH: usize = 20_000_000;

fn run<F: Future<Output = ()>>(test: F) {
    block_on(async { timeout(WATCHDOG, test).await.expect("the test hangs") });
}

fn is_reset<T: std::fmt::Debug>(outcome: Result<T, StreamError>) -> bool {
    let error = io::Error::from(outcome.expect_err("an orderly end"));
    error.kind() == io::ErrorKind::ConnectionReset
}

/// A path for a socket, removed at the end.
struct SocketPath(PathBuf);

impl SocketPath {
    fn new(name: &str) -> SocketPath {
        let name = format!("squall-{name}-{}", std::process::id());
        SocketPath(std::env::temp_dir().join(name))
    }
}

impl Drop for SocketPath {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// The warnings that were logged.
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

/// Whether a warning was logged that counts the bytes that are missing from [`MUCH`].
fn warned_of_loss(received: usize) -> bool {
    let warnings = WARNINGS.lock().unwrap();
    warnings.iter().any(|warning| {
        let lost = warning.split(' ').find_map(|word| word.parse::<usize>().ok());
        warning.contains("were not sent") && lost.is_some_and(|lost| received + lost <= MUCH)
    })
}

fn log_warnings() {
    let _ = log::set_logger(&Warnings); // fails for all but the first test of this process
    log::set_max_level(log::LevelFilter::Warn);
}

// I1
#[test]
fn what_a_handler_has_written_is_sent_whole_after_it_has_returned() {
    run(async {
        let server =
            TcpServer::new(async |mut stream: IoStream, _| Ok(stream.write(vec![7; MUCH])?));
        let address = server.listen("127.0.0.1:0").unwrap();
        let client = spawn_blocking(move || {
            let mut received = Vec::new();
            StdStream::connect(address).unwrap().read_to_end(&mut received).map(|_| received.len())
        });
        assert_eq!(client.await.unwrap().unwrap(), MUCH);
    });
    run(async {
        let path = SocketPath::new("whole");
        let server = UnixServer::new(async |mut stream: IoStream<UnixStream>, _| {
            Ok(stream.write(vec![7; MUCH])?)
        });
        server.listen(&path.0).unwrap();
        let mut client = IoStream::new(UnixStream::connect(&path.0).await.unwrap());
        assert_eq!(client.read_until_close().await.unwrap().len(), MUCH);
    });
}

#[test]
fn a_drain_waits_until_what_was_written_is_sent() {
    run(async {
        let server =
            TcpServer::new(async |mut stream: IoStream, _| Ok(stream.write(vec![7; MUCH])?));
        let address = server.listen("127.0.0.1:0").unwrap();
        let mut client = IoStream::new(TcpStream::connect(address).await.unwrap());
        client.fill().await.unwrap();
        let (report, received) =
            futures_lite::future::zip(server.drain(WATCHDOG), client.read_until_close()).await;
        assert_eq!((report.finished, report.aborted), (1, 0));
        assert_eq!(received.unwrap().len(), MUCH);
    });
}

#[test]
fn bytes_that_are_lost_at_the_flush_deadline_end_in_a_reset_and_a_warning() {
    log_warnings();
    run(async {
        let server =
            TcpServer::new(async |mut stream: IoStream, _| Ok(stream.write(vec![7; MUCH])?))
                .flush_deadline(Duration::from_millis(20));
        let address = server.listen("127.0.0.1:0").unwrap();
        let mut client = IoStream::new(TcpStream::connect(address).await.unwrap());
        while server.accepted() == 0 || server.connections() > 0 {
            sleep(Duration::from_millis(1)).await;
        }
        let mut received = 0;
        let end = loop {
            match client.fill().await {
                Ok(0) => panic!("an orderly end after {received} bytes"),
                Ok(n) => received += n,
                Err(error) => break error,
            }
            client.consume(client.buffer().len());
        };
        assert!(is_reset::<()>(Err(end)));
        assert!(warned_of_loss(received), "{:?}", WARNINGS.lock().unwrap());
    });
}

// I1
#[test]
fn a_stream_that_is_dropped_or_closed_with_unsent_bytes_ends_in_a_reset() {
    log_warnings();
    run(async {
        let listener = squall_net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        for is_closed in [false, true] {
            let mut client = IoStream::new(TcpStream::connect(address).await.unwrap());
            let mut stream = IoStream::new(listener.accept().await.unwrap().0);
            stream.write(vec![7; MUCH]).unwrap();
            if is_closed {
                stream.close();
            }
            drop(stream);
            assert!(is_reset(client.read_until_close().await));
        }
        // What the kernel takes at once is whole.
        let mut client = IoStream::new(TcpStream::connect(address).await.unwrap());
        let mut stream = IoStream::new(listener.accept().await.unwrap().0);
        stream.write("all of it").unwrap();
        drop(stream);
        assert_eq!(client.read_until_close().await.unwrap(), "all of it");
        // A stream in memory tells it too.
        let (here, there) = squall_net::duplex(8);
        let mut stream = IoStream::new(here);
        stream.write("more than eight bytes").unwrap();
        drop(stream);
        assert!(is_reset(IoStream::new(there).read_until_close().await));
    });
}

#[test]
fn a_stream_can_be_reset() {
    run(async {
        let listener = squall_net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let mut client = IoStream::new(TcpStream::connect(address).await.unwrap());
        let mut stream = IoStream::new(listener.accept().await.unwrap().0);
        stream.reset();
        assert!(stream.is_closed());
        assert!(is_reset(client.read_until_close().await));
    });
}

#[test]
fn a_handler_that_fails_resets_unless_its_peer_has_ended_in_order() {
    run(async {
        // Answers lines until the end of the stream, which is an error of `read_until`.
        let server = TcpServer::new(async |mut stream: IoStream, _| {
            loop {
                let line = stream.read_until(b"\n").await?;
                if line == "fail\n" {
                    return Err(io::Error::other("on purpose"));
                }
                stream.write(line)?;
            }
        });
        let address = server.listen("127.0.0.1:0").unwrap();
        let mut client = IoStream::new(TcpStream::connect(address).await.unwrap());
        client.write("one\ntwo\n").unwrap();
        client.shutdown().await.unwrap();
        assert_eq!(client.read_until_close().await.unwrap(), "one\ntwo\n");

        let mut client = IoStream::new(TcpStream::connect(address).await.unwrap());
        client.write("fail\n").unwrap();
        assert!(is_reset(client.read_until_close().await));
    });
}

#[test]
fn a_failure_after_the_end_of_a_whole_answer_does_not_destroy_it() {
    run(async {
        let server = TcpServer::new(async |mut stream: IoStream, _| {
            stream.write("whole")?;
            stream.shutdown().await?;
            Err(io::Error::other("on purpose"))
        });
        let address = server.listen("127.0.0.1:0").unwrap();
        let mut client = IoStream::new(TcpStream::connect(address).await.unwrap());
        assert_eq!(client.read_until_close().await.unwrap(), "whole");
    });
}

#[test]
fn a_handler_may_drop_its_stream_and_go_on_or_give_it_to_another_task() {
    run(async {
        let kept = Rc::new(RefCell::new(None));
        let keeps = kept.clone();
        let server = TcpServer::new(async move |mut stream: IoStream, _| {
            if stream.read_until(b"\n").await? == "keep\n" {
                keeps.borrow_mut().replace(stream);
                return Err(io::Error::other("its stream is elsewhere"));
            }
            stream.write(vec![7; MUCH])?;
            drop(stream);
            pending().await
        });
        let address = server.listen("127.0.0.1:0").unwrap();
        let mut client = IoStream::new(TcpStream::connect(address).await.unwrap());
        client.write("drop\n").unwrap();
        assert_eq!(client.read_until_close().await.unwrap().len(), MUCH);
        assert_eq!(server.connections(), 1, "the handler goes on");

        let mut client = IoStream::new(TcpStream::connect(address).await.unwrap());
        client.write("keep\n").unwrap();
        while kept.borrow().is_none() {
            yield_now().await;
        }
        yield_now().await;
        let mut stream = kept.borrow_mut().take().unwrap();
        stream.write("still open").unwrap();
        drop(stream);
        assert_eq!(client.read_until_close().await.unwrap(), "still open");
    });
}

#[test]
fn a_connection_that_a_drain_aborts_in_the_middle_of_an_answer_is_reset() {
    run(async {
        let server = TcpServer::new(async |mut stream: IoStream, _| {
            stream.write_all(b"half an answ").await?;
            pending().await
        });
        let address = server.listen("127.0.0.1:0").unwrap();
        let mut client = IoStream::new(TcpStream::connect(address).await.unwrap());
        client.read_bytes(12).await.unwrap();
        let report = server.drain(Duration::from_millis(1)).await;
        assert_eq!((report.finished, report.aborted), (0, 1));
        assert!(is_reset(client.read_until_close().await));
    });
}

#[test]
fn the_errors_of_handlers_reach_the_hook() {
    run(async {
        let errors = Rc::new(RefCell::new(Vec::new()));
        let log = errors.clone();
        let server = TcpServer::new(async |_: IoStream, _| Err(io::Error::other("on purpose")))
            .on_error(move |peer, error| log.borrow_mut().push((*peer, error.to_string())));
        let address = server.listen("127.0.0.1:0").unwrap();
        let mut client = IoStream::new(TcpStream::connect(address).await.unwrap());
        let peer = client.local_addr().unwrap();
        assert!(is_reset(client.read_until_close().await));
        assert_eq!(*errors.borrow(), [(peer, "on purpose".to_owned())]);
    });
}

/// Answers one line in capitals, or nothing if the drain begins first.
fn shouting() -> TcpServer {
    TcpServer::with_draining(|draining| {
        async move |mut stream: IoStream, _| {
            while let Some(line) = draining.unless_begun(stream.read_until(b"\n")).await {
                let line = line?;
                stream.write(line.to_ascii_uppercase())?;
            }
            Ok(())
        }
    })
}

fn ask(client: &mut (impl Read + Write), text: &str) {
    client.write_all(text.as_bytes()).unwrap();
}

fn rest(mut client: impl Read) -> io::Result<String> {
    let mut text = String::new();
    client.read_to_string(&mut text).map(|_| text)
}

/// Clients that have connected and sent a request.
fn asking<C: Read + Write>(count: usize, connect: impl Fn() -> C) -> Vec<C> {
    let ask_one = |_| {
        let mut client = connect();
        ask(&mut client, "hello\n");
        client
    };
    (0..count).map(ask_one).collect()
}

fn assert_answered<C: Read>(clients: Vec<C>) {
    for client in clients {
        assert_eq!(rest(client).unwrap(), "HELLO\n");
    }
}

// X7
#[test]
fn clients_that_the_kernel_has_queued_are_served_by_a_drain() {
    run(async {
        let server = shouting();
        let address = server.listen("127.0.0.1:0").unwrap();
        yield_now().await;
        // The loop is busy: it cannot accept before the drain begins.
        let clients = asking(50, || StdStream::connect(address).unwrap());
        let report = server.drain(WATCHDOG).await;
        assert_eq!((report.finished, report.aborted), (50, 0));
        assert_answered(clients);
        assert!(StdStream::connect(address).is_err(), "the socket is closed");
    });
}

#[test]
fn clients_of_a_unix_server_that_the_kernel_has_queued_are_served_by_a_stop() {
    run(async {
        let path = SocketPath::new("queued");
        let server = UnixServer::new(async |mut stream: IoStream<UnixStream>, _| {
            let line = stream.read_until(b"\n").await?;
            Ok(stream.write(line.to_ascii_uppercase())?)
        });
        server.listen(&path.0).unwrap();
        yield_now().await;
        let clients = asking(50, || StdUnixStream::connect(&path.0).unwrap());
        server.stop();
        while server.accepted() < 50 || server.connections() > 0 {
            yield_now().await;
        }
        assert_answered(clients);
    });
}

#[test]
fn a_drain_serves_queued_clients_also_at_the_limit_of_connections() {
    run(async {
        let server = shouting().max_connections(2);
        let address = server.listen("127.0.0.1:0").unwrap();
        yield_now().await;
        let clients = asking(5, || StdStream::connect(address).unwrap());
        let report = server.drain(WATCHDOG).await;
        assert_eq!((report.finished, report.aborted), (5, 0));
        assert_answered(clients);
    });
}

// X7
#[test]
fn requests_that_had_reached_their_sockets_are_answered_by_a_drain() {
    run(async {
        let server = shouting();
        let address = server.listen("127.0.0.1:0").unwrap();
        let mut clients: Vec<_> = (0..4).map(|_| StdStream::connect(address).unwrap()).collect();
        while server.connections() < 4 {
            yield_now().await;
        }
        sleep(Duration::from_millis(1)).await; // the handlers wait for a request
        for client in &mut clients {
            ask(client, "hello\n");
        }
        let report = server.drain(WATCHDOG).await;
        assert_eq!((report.finished, report.aborted), (4, 0));
        assert_answered(clients);
    });
}

#[test]
fn the_owner_learns_of_a_listening_socket_that_fails() {
    run(async {
        let sockets = bind_sockets(0, Some("127.0.0.1"), BindOptions::default()).unwrap();
        let address = sockets[0].local_addr().unwrap();
        let another_process_s = sockets[0].as_fd().try_clone_to_owned().unwrap();
        let server = shouting();
        server.add_sockets(sockets).unwrap();
        let closed = spawn({
            let server = server.clone();
            async move { server.closed().await }
        });
        sleep(Duration::from_millis(1)).await;
        assert!(!closed.is_finished());
        StdStream::from(another_process_s).shutdown(Shutdown::Both).unwrap();
        let error = closed.await.unwrap().unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
        assert!(error.to_string().contains(&address.to_string()), "{error}");
        server.closed().await.unwrap(); // it does not listen any more
    });
    run(async {
        let server = shouting();
        server.closed().await.unwrap(); // it does not listen yet
        server.listen("127.0.0.1:0").unwrap();
        let stops = server.clone();
        squall_net::add_callback(move || stops.stop());
        server.closed().await.unwrap();
    });
}

// On a stack of 2 MiB, without optimisations
#[test]
fn a_handler_may_be_large() {
    let test = || {
        run(async {
            let answers = Cell::new(0);
            let server = TcpServer::new(async |mut stream: IoStream, _| {
                let mut bytes = [1_u8; 512 << 10];
                black_box(&mut bytes);
                stream.read_until(b"\n").await?;
                Ok(stream.write(vec![bytes[black_box(7)]])?)
            });
            let address = server.listen("127.0.0.1:0").unwrap();
            let mut client = IoStream::new(TcpStream::connect(address).await.unwrap());
            client.write("hello\n").unwrap();
            answers.set(client.read_until_close().await.unwrap().len());
            assert_eq!(answers.get(), 1);
        });
    };
    thread::Builder::new().stack_size(2 << 20).spawn(test).unwrap().join().unwrap();
}

#[test]
fn a_half_in_another_task_does_not_change_how_a_handler_s_stream_ends() {
    run(async {
        for fails in [false, true] {
            let server = TcpServer::new(async move |stream: IoStream, _| {
                let (mut reader, mut writer) = stream.split();
                let _reading =
                    spawn(async move { reader.read_until_close().await }).abort_on_drop();
                writer.write(vec![7; MUCH])?;
                if fails { Err(io::Error::other("on purpose")) } else { Ok(()) }
            });
            let address = server.listen("127.0.0.1:0").unwrap();
            let mut client = IoStream::new(TcpStream::connect(address).await.unwrap());
            let received = client.read_until_close().await;
            if fails {
                assert!(is_reset(received));
            } else {
                assert_eq!(received.unwrap().len(), MUCH);
            }
        }
    });
}

#[test]
fn a_stream_that_another_task_drops_ends_while_the_handler_waits() {
    run(async {
        let server = TcpServer::new(async |mut stream: IoStream, _| {
            spawn(async move { stream.write("all") }).await.unwrap()?;
            pending().await
        });
        let address = server.listen("127.0.0.1:0").unwrap();
        let mut client = IoStream::new(TcpStream::connect(address).await.unwrap());
        assert_eq!(client.read_until_close().await.unwrap(), "all");
    });
}

#[test]
fn an_aborted_flush_resets_the_connection_and_leaves_nothing_behind() {
    run(async {
        let server =
            TcpServer::new(async |mut stream: IoStream, _| Ok(stream.write(vec![7; MUCH])?));
        let address = server.listen("127.0.0.1:0").unwrap();
        let mut client = IoStream::new(TcpStream::connect(address).await.unwrap());
        client.fill().await.unwrap();
        let report = server.drain(Duration::from_millis(10)).await;
        assert_eq!((report.finished, report.aborted), (0, 1));
        yield_now().await;
        assert_eq!(squall_net::stats().live_tasks, 0, "no pump is left");
        assert!(is_reset(client.read_until_close().await));
    });
}

#[test]
fn a_loop_that_ends_during_a_flush_resets_the_connection() {
    let (address, received) = std::sync::mpsc::channel();
    let client = thread::spawn(move || {
        let mut stream = StdStream::connect(received.recv().unwrap()).unwrap();
        let (begun, mut bytes) = (stream.read(&mut [0]).unwrap(), Vec::new());
        received.recv().unwrap_err(); // the loop has ended
        (begun, stream.read_to_end(&mut bytes))
    });
    block_on(async {
        let server =
            TcpServer::new(async |mut stream: IoStream, _| Ok(stream.write(vec![7; MUCH])?));
        address.send(server.listen("127.0.0.1:0").unwrap()).unwrap();
        while server.accepted() == 0 {
            sleep(Duration::from_millis(1)).await;
        }
        sleep(Duration::from_millis(1)).await;
    });
    drop(address);
    let (begun, end) = client.join().unwrap();
    assert_eq!(begun, 1);
    assert_eq!(end.unwrap_err().kind(), io::ErrorKind::ConnectionReset);
}

#[test]
fn a_write_that_is_dropped_halfway_leaves_no_orderly_end() {
    run(async {
        let server = TcpServer::new(async |mut stream: IoStream, _| {
            let bytes = vec![7; MUCH];
            let cut = timeout(Duration::from_millis(5), stream.write_all(&bytes)).await;
            assert!(cut.is_err(), "the client reads nothing");
            Ok(())
        });
        let address = server.listen("127.0.0.1:0").unwrap();
        let mut client = IoStream::new(TcpStream::connect(address).await.unwrap());
        while server.accepted() == 0 || server.connections() > 0 {
            sleep(Duration::from_millis(1)).await;
        }
        assert!(is_reset(client.read_until_close().await));
    });
}

#[test]
fn a_write_that_waits_hides_none_that_was_dropped_halfway() {
    for cuts in [0, 1, 2] {
        run(async move {
            let rest = Rc::new(Cell::new(false));
            let sends_rest = Rc::clone(&rest);
            let server = TcpServer::new(async move |mut stream: IoStream, _| {
                let bytes = vec![7; MUCH];
                for _ in 0..cuts {
                    let cut = timeout(Duration::from_millis(5), stream.write_all(&bytes)).await;
                    assert!(cut.is_err(), "the client reads nothing");
                }
                sends_rest.set(true);
                Ok(stream.write_all(&bytes).await?)
            });
            let address = server.listen("127.0.0.1:0").unwrap();
            let mut client = IoStream::new(TcpStream::connect(address).await.unwrap());
            while !rest.get() {
                sleep(Duration::from_millis(1)).await;
            }
            let received = client.read_until_close().await;
            if cuts == 0 {
                assert_eq!(received.unwrap().len(), MUCH);
            } else {
                assert!(is_reset(received), "{cuts} writes were dropped");
            }
        });
    }
}

#[test]
fn a_connection_is_aborted_once_also_by_two_drains() {
    run(async {
        let server = TcpServer::new(async |_stream: IoStream, _| pending().await);
        let address = server.listen("127.0.0.1:0").unwrap();
        let clients: Vec<_> = (0..5).map(|_| StdStream::connect(address).unwrap()).collect();
        while server.connections() < 5 {
            yield_now().await;
        }
        let limit = Duration::from_millis(1);
        let (one, other) =
            futures_lite::future::zip(server.drain(limit), server.drain(limit)).await;
        assert_eq!((one.aborted, other.aborted), (5, 5), "both waited for the same five");
        drop(clients);
    });
}
