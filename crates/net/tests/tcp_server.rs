//! `TcpServer`: the accept loop, the errors that it survives, and the cost of a connection.

mod descriptor_limit;

use std::cell::Cell;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream as StdStream};
use std::rc::Rc;
use std::time::Duration;

use futures_lite::future::zip;
use squall_executor::fault::{self, Call};
use squall_net::{
    EventLoop, IoStream, TcpServer, TcpStream, block_on, sleep, stats, timeout, yield_now,
};

const WATCHDOG: Duration = Duration::from_secs(10);

fn run<F: Future<Output = ()>>(test: F) {
    block_on(async { timeout(WATCHDOG, test).await.expect("the test hangs") });
}

fn echo() -> TcpServer {
    TcpServer::new(async |mut stream: IoStream, _| {
        loop {
            let line = stream.read_until(b"\n").await?;
            stream.write(line)?;
        }
    })
}

async fn says_hello(address: SocketAddr) {
    let mut client = IoStream::new(TcpStream::connect(address).await.unwrap());
    client.write("hello\n").unwrap();
    let answer = timeout(WATCHDOG, client.read_until(b"\n")).await.expect("no answer");
    assert_eq!(answer.unwrap(), "hello\n");
}

fn is_reset(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::ConnectionReset
}

// TCS-02, TCS-05, FUT-04
#[test]
fn many_clients_are_served_at_once() {
    block_on(async {
        let address = echo().listen("127.0.0.1:0").unwrap();
        let clients: Vec<_> = (0..100).map(|_| squall_net::spawn(says_hello(address))).collect();
        for client in clients {
            client.await.unwrap();
        }
    });
}

// FUT-04, FUT-05
#[test]
fn a_line_client_gets_its_answer_or_the_server_s_error_by_await_and_by_future() {
    async fn capitalized(address: SocketAddr, text: &str) -> Result<String, String> {
        let mut stream = IoStream::new(TcpStream::connect(address).await.unwrap());
        stream.write(format!("{text}\n")).unwrap();
        let line = stream.read_until(b"\n").await.unwrap();
        let line = String::from_utf8(line.to_vec()).unwrap();
        match line.trim_end().strip_prefix("error: ") {
            Some(error) => Err(error.to_owned()),
            None => Ok(line.trim_end().to_owned()),
        }
    }
    block_on(async {
        let server = TcpServer::new(async |mut stream: IoStream, _| {
            let line = stream.read_until(b"\n").await?;
            let text = String::from_utf8_lossy(&line).trim_end().to_owned();
            let is_upper = text.chars().all(char::is_uppercase);
            let answer = if is_upper { "already capitalized" } else { &text.to_uppercase() };
            let mark = if is_upper { "error: " } else { "" };
            stream.write(format!("{mark}{answer}\n"))?;
            Ok(stream.shutdown().await?)
        });
        let address = server.listen("127.0.0.1:0").unwrap();
        assert_eq!(capitalized(address, "hello").await, Ok("HELLO".to_owned()));
        let error = Err("already capitalized".to_owned());
        assert_eq!(capitalized(address, "HELLO").await, error);
        let future = squall_executor::future::Future::new();
        let setter = future.clone();
        let client = async move { capitalized(address, "HELLO").await };
        squall_executor::add_future(client, move |outcome| setter.set_result(outcome).unwrap());
        assert_eq!(timeout(WATCHDOG, future).await.unwrap(), Ok(error));
    });
}

// TCS-01, P1
#[test]
fn a_handler_that_fails_or_panics_resets_its_connection_and_accepting_goes_on() {
    let panics = Rc::new(Cell::new(0));
    let hook = {
        let panics = panics.clone();
        move |_: &(dyn std::any::Any + Send)| panics.set(panics.get() + 1)
    };
    let event_loop = EventLoop::builder().on_panic(hook).build().unwrap();
    event_loop.block_on(async {
        let server = TcpServer::new(async |mut stream: IoStream, _| {
            match &*stream.read_until(b"\n").await? {
                b"fail\n" => Err(io::Error::other("on purpose")),
                b"panic\n" => panic!("on purpose"),
                _ => Ok(stream.write("fine\n")?),
            }
        });
        let address = server.listen("127.0.0.1:0").unwrap();
        for request in ["fail\n", "panic\n", "work\n"] {
            let mut client = IoStream::new(TcpStream::connect(address).await.unwrap());
            client.write(request).unwrap();
            let got = timeout(WATCHDOG, client.read_until_close()).await.expect("left open");
            match request {
                "work\n" => assert_eq!(got.unwrap(), "fine\n"),
                _ => assert!(is_reset(&got.map_err(io::Error::from).unwrap_err())),
            }
        }
        yield_now().await;
        assert_eq!((server.connections(), server.accepted()), (0, 3));
    });
    assert_eq!(panics.get(), 1);
}

// TCS-03, TCS-X4
#[test]
fn stop_ends_accepting_may_be_repeated_and_leaves_open_streams() {
    block_on(async {
        let server = echo();
        let address = server.listen("127.0.0.1:0").unwrap();
        let mut client = IoStream::new(TcpStream::connect(address).await.unwrap());
        client.write("one\n").unwrap();
        client.read_until(b"\n").await.unwrap();
        server.stop();
        server.stop();
        yield_now().await;
        let refused = TcpStream::connect(address).await.unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
        client.write("two\n").unwrap();
        assert_eq!(client.read_until(b"\n").await.unwrap(), "two\n");
    });
}

#[test]
fn drain_waits_for_handlers_and_aborts_those_that_do_not_end() {
    block_on(async {
        let server = echo();
        let address = server.listen("127.0.0.1:0").unwrap();
        let report = server.drain(WATCHDOG).await;
        assert_eq!((report.finished, report.aborted), (0, 0));

        let address_again = server.listen(address).unwrap();
        let leaves = TcpStream::connect(address_again).await.unwrap();
        let stays = TcpStream::connect(address_again).await.unwrap();
        while server.connections() < 2 {
            yield_now().await;
        }
        drop(leaves);
        let report = server.drain(Duration::from_millis(20)).await;
        assert_eq!((report.finished, report.aborted, server.connections()), (1, 1, 0));
        let mut end = IoStream::new(stays);
        assert_eq!(end.fill().await.unwrap(), 0);
    });
}

// R1
#[test]
fn full_descriptor_tables_pause_accepting_without_a_spin_and_service_resumes() {
    if !fault::ACTIVE {
        return eprintln!("skipped: faults are injected in debug builds only");
    }
    for errno in [24 /* EMFILE */, 23 /* ENFILE */, 105 /* ENOBUFS */] {
        block_on(async {
            let server = echo();
            let address = server.listen("127.0.0.1:0").unwrap();
            yield_now().await;
            fault::inject(Call::Accept, 0, 3, errno);
            let (accepts, turns) = (fault::calls(Call::Accept), stats().turns);
            says_hello(address).await;
            assert_eq!(server.pauses(), 3, "errno {errno}");
            assert!(fault::calls(Call::Accept) - accepts <= 6);
            assert!(stats().turns - turns < 30, "{} turns", stats().turns - turns);
        });
    }
}

// R4
#[test]
fn errors_of_a_single_connection_cost_no_pause() {
    if !fault::ACTIVE {
        return eprintln!("skipped: faults are injected in debug builds only");
    }
    // ECONNABORTED and the other errors of single connections in accept(2)
    for errno in [103, 71, 92, 112, 64, 113, 95, 101, 100, 1, 110] {
        block_on(async {
            let server = echo();
            let address = server.listen("127.0.0.1:0").unwrap();
            yield_now().await;
            fault::inject(Call::Accept, 0, 1, errno);
            says_hello(address).await;
            assert_eq!(server.pauses(), 0, "errno {errno}");
        });
    }
}

// R3
#[test]
fn a_refused_epoll_registration_costs_one_connection_at_most() {
    if !fault::ACTIVE {
        return eprintln!("skipped: faults are injected in debug builds only");
    }
    block_on(async {
        let server = echo();
        let address = server.listen("127.0.0.1:0").unwrap();
        yield_now().await; // registers the listener
        let mut victim = StdStream::connect(address).unwrap();
        fault::inject(Call::EpollAdd, 0, 1, 28 /* ENOSPC */);
        while server.accepted() == 0 {
            yield_now().await;
        }
        sleep(Duration::from_millis(1)).await;
        assert!(is_reset(&victim.read(&mut [0]).unwrap_err()), "its handler has failed");
        says_hello(address).await;
    });
}

// S6, TCS-X3
#[test]
fn a_queue_of_connections_is_accepted_in_portions() {
    if !descriptor_limit::may_open(1200) {
        return;
    }
    block_on(async {
        let server = TcpServer::new(async |_stream: IoStream, _| Ok(()));
        let address = server.listen("127.0.0.1:0").unwrap();
        let clients: Vec<_> = (0..500).map(|_| StdStream::connect(address).unwrap()).collect();
        let mut largest = 0;
        let mut before = 0;
        while server.accepted() < 500 {
            yield_now().await;
            largest = largest.max(server.accepted() - before);
            before = server.accepted();
        }
        assert!(largest <= 64, "{largest} accepts in one batch");
        drop(clients);
    });
}

// A connection costs one EPOLL_CTL_ADD and one EPOLL_CTL_DEL, and neither if it never waits.
#[test]
fn a_connection_costs_at_most_one_registration_and_none_if_it_never_waits() {
    block_on(async {
        let server = TcpServer::new(async |mut stream: IoStream, _| {
            let line = stream.read_until(b"\n").await?;
            stream.write(line)?;
            Ok(stream.shutdown().await?)
        });
        let address = server.listen("127.0.0.1:0").unwrap();
        yield_now().await;
        let listener_only = stats().registrations;
        for _ in 0..50 {
            // The request arrives before the server accepts.
            let mut client = StdStream::connect(address).unwrap();
            client.write_all(b"ready\n").unwrap();
            while server.connections() > 0 || server.accepted() == 0 {
                yield_now().await;
            }
            sleep(Duration::from_micros(500)).await;
            let mut answer = String::new();
            client.read_to_string(&mut answer).unwrap();
            assert_eq!(answer, "ready\n");
        }
        assert_eq!(stats().registrations, listener_only);

        for _ in 0..50 {
            let mut client = StdStream::connect(address).unwrap();
            sleep(Duration::from_micros(500)).await; // the server waits for the request
            client.write_all(b"late\n").unwrap();
            sleep(Duration::from_micros(500)).await;
            let mut answer = String::new();
            client.read_to_string(&mut answer).unwrap();
        }
        assert_eq!(stats().registrations - listener_only, 50);
        assert_eq!(stats().deregistrations, 50);
    });
}

#[test]
fn all_sockets_of_a_server_share_its_connection_limit() {
    run(async {
        let server = TcpServer::new(async |mut stream: IoStream, _| {
            stream.read_until_close().await?;
            Ok(())
        })
        .max_connections(1);
        let addresses = [(); 3].map(|()| server.listen("127.0.0.1:0").unwrap());
        yield_now().await; // all three listeners wait for a connection
        let clients = addresses.map(|address| StdStream::connect(address).unwrap());
        while server.accepted() == 0 {
            yield_now().await;
        }
        for _ in 0..20 {
            sleep(Duration::from_micros(200)).await; // time enough to accept another
            assert_eq!((server.connections(), server.accepted()), (1, 1));
        }
        drop(clients);
        while server.accepted() < 3 || server.connections() > 0 {
            assert!(server.connections() <= 1);
            yield_now().await;
        }
    });
}

#[test]
fn simultaneous_drains_report_the_same_aborted_connection() {
    run(async {
        let server = echo();
        let address = server.listen("127.0.0.1:0").unwrap();
        let _client = StdStream::connect(address).unwrap();
        while server.connections() == 0 {
            yield_now().await;
        }
        let (short, long) =
            zip(server.drain(Duration::from_millis(5)), server.drain(Duration::from_secs(60)))
                .await;
        assert_eq!((short.finished, short.aborted), (0, 1));
        assert_eq!((long.finished, long.aborted), (0, 1));
    });
}

// A firewall may refuse every connection, with an error that counts as that of a single connection.
#[test]
fn a_long_run_of_accept_errors_does_not_spin() {
    if !fault::ACTIVE {
        return eprintln!("skipped: faults are injected in debug builds only");
    }
    run(async {
        let server = echo();
        fault::inject(Call::Accept, 0, 10_000, libc::EPERM);
        let address = server.listen("127.0.0.1:0").unwrap();
        let _client = StdStream::connect(address).unwrap();
        while server.pauses() == 0 {
            yield_now().await;
        }
        assert!(fault::calls(Call::Accept) < 100, "{} calls", fault::calls(Call::Accept));
    });
}

// The types that make up an idle connection. A change that enlarges a type must raise its limit
// here. With the feature `sim`, a socket may also be a simulated one, which is larger.
#[cfg(not(feature = "sim"))]
#[test]
fn an_idle_stream_is_small() {
    assert!(size_of::<TcpStream>() <= 48, "TcpStream: {}", size_of::<TcpStream>());
    assert!(size_of::<IoStream>() <= 64, "IoStream: {}", size_of::<IoStream>());
}
