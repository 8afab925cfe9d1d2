//! Unix sockets, datagrams, listening sockets that are bound before a loop exists, and connects.

use std::cell::Cell;
use std::fs;
use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use futures_lite::{AsyncReadExt, AsyncWriteExt};
use squall_net::executor::fault::{self, Call};
use squall_net::{
    BindOptions, ConnectError, ConnectOptions, IoStream, OverrideResolver, Resolver, Resolving,
    SystemResolver, TcpListener, TcpServer, TcpStream, UdpSocket, UnixListener, UnixServer,
    UnixStream, bind_sockets, bind_unix_socket, block_on, run_workers, sleep, spawn, timeout,
    yield_now,
};

const WATCHDOG: Duration = Duration::from_secs(10);

fn run<F: Future<Output = ()>>(test: F) {
    block_on(async { timeout(WATCHDOG, test).await.expect("the test hangs") });
}

/// A path for one test. Dropping it removes the file.
struct Place(PathBuf);

impl Place {
    fn new(name: &str) -> Place {
        Place(std::env::temp_dir().join(format!("squall-{}-{name}", std::process::id())))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

/// Returns whether a descriptor is close-on-exec, and whether it is non-blocking.
fn flags(fd: impl AsFd) -> (bool, bool) {
    let path = format!("/proc/self/fdinfo/{}", fd.as_fd().as_raw_fd());
    let text = fs::read_to_string(path).unwrap();
    let line = text.lines().find(|line| line.starts_with("flags:")).unwrap();
    let flags = i32::from_str_radix(line.split_whitespace().nth(1).unwrap(), 8).unwrap();
    (flags & libc::O_CLOEXEC != 0, flags & libc::O_NONBLOCK != 0)
}

// NET-X2, R12
#[test]
fn every_descriptor_is_close_on_exec_and_non_blocking_also_one_that_was_blocking() {
    run(async {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (server, _) = listener.accept().await.unwrap();
        let (a, b) = std::os::unix::net::UnixStream::pair().unwrap();
        let (a, b) = (UnixStream::from_std(a).unwrap(), UnixStream::from_std(b).unwrap());
        let (reader, _writer) = squall_net::pipe().unwrap();
        let udp = UdpSocket::from_std(std::net::UdpSocket::bind("127.0.0.1:0").unwrap()).unwrap();
        let place = Place::new("flags");
        let unix = UnixListener::bind(&place.0).unwrap();
        let there = UnixStream::connect(&place.0).await.unwrap();
        let (here, _) = unix.accept().await.unwrap();
        let bound = bind_sockets(0, Some("127.0.0.1"), BindOptions::default()).unwrap();
        let fds = [
            flags(&listener),
            flags(&client),
            flags(&server),
            flags(&a),
            flags(&b),
            flags(&reader),
            flags(&udp),
            flags(&unix),
            flags(&there),
            flags(&here),
            flags(&bound[0]),
        ];
        assert_eq!(fds, [(true, true); 11]);
    });
}

// NET-X1
#[test]
fn a_stale_socket_is_taken_over_and_a_living_one_or_a_file_is_not() {
    let place = Place::new("stale");
    drop(bind_unix_socket(&place.0, 0o600).unwrap()); // the path stays
    let living = bind_unix_socket(&place.0, 0o600).unwrap();
    assert_eq!(fs::metadata(&place.0).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(bind_unix_socket(&place.0, 0o600).unwrap_err().kind(), io::ErrorKind::AddrInUse);
    drop(living);
    let file = Place::new("file");
    fs::write(&file.0, "precious").unwrap();
    let error = bind_unix_socket(&file.0, 0o600).unwrap_err();
    assert!(error.to_string().ends_with("exists and is no socket"), "{error}");
    assert_eq!(fs::read_to_string(&file.0).unwrap(), "precious");
    let name = format!("\0squall-{}", std::process::id());
    let abstract_one = bind_unix_socket(&name, 0o600).unwrap();
    run(async {
        let server = UnixServer::new(async |mut stream: IoStream<UnixStream>, _| {
            let line = stream.read_until(b"\n").await?;
            stream.write(line)?;
            Ok(stream.shutdown().await?)
        });
        server.add_sockets(vec![abstract_one]).unwrap();
        let mut stream = IoStream::new(UnixStream::connect(&name).await.unwrap());
        stream.write("hello\n").unwrap();
        assert_eq!(stream.read_until_close().await.unwrap(), "hello\n");
        server.stop();
    });
}

// R18 for Unix addresses, and the credentials of the other end
#[test]
fn unix_addresses_and_credentials_are_those_of_the_other_end() {
    run(async {
        let place = Place::new("address");
        let listener = UnixListener::bind(&place.0).unwrap();
        let client = UnixStream::connect(&place.0).await.unwrap();
        let (server, peer) = listener.accept().await.unwrap();
        assert!(peer.is_unnamed());
        assert_eq!(client.peer_addr().unwrap().as_pathname(), Some(&*place.0));
        assert_eq!(server.local_addr().unwrap().as_pathname(), Some(&*place.0));
        assert_eq!(server.peer_credentials().unwrap().pid, Some(std::process::id()));
        let error = UnixStream::connect(Place::new("missing").0.clone()).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
    });
}

// R19: bytes that carry descriptors, with short reads around them
#[test]
fn passed_descriptors_arrive_and_hold_up_no_bytes() {
    run(async {
        let (a, mut b) = UnixStream::pair().unwrap();
        let (mut reader, writer) = io::pipe().unwrap();
        let mut first = [0; 64];
        let waiting = async { b.read(&mut first).await.unwrap() };
        let (n, sent) = futures_lite::future::zip(waiting, async {
            yield_now().await;
            a.send_with_fds(b"plain", &[]).await.unwrap()
        })
        .await;
        assert_eq!((&first[..n], sent), (&b"plain"[..], 5));
        assert_eq!(a.send_with_fds(b"with", &[writer.as_fd(), writer.as_fd()]).await.unwrap(), 4);
        assert_eq!(a.send_with_fds(b"after", &[]).await.unwrap(), 5);
        let mut bytes = [0; 64];
        let (n, fds) = b.recv_with_fds(&mut bytes).await.unwrap();
        assert_eq!((&bytes[..4], fds.len()), (&b"with"[..], 2));
        let rest = if n > 4 { n - 4 } else { b.read(&mut bytes).await.unwrap() };
        assert_eq!(rest, 5);
        assert!(fds.iter().all(|fd| flags(fd).0), "close-on-exec");
        fs::File::from(fds.into_iter().next().unwrap()).write_all(b"through").unwrap();
        drop(writer);
        let mut text = String::new();
        reader.read_to_string(&mut text).unwrap();
        assert_eq!(text, "through");
        assert_eq!(
            a.send_with_fds(b"", &[]).await.unwrap_err().kind(),
            io::ErrorKind::InvalidInput
        );
    });
}

// epoll cannot report that a full queue of a Unix listener has room again.
#[test]
fn a_connect_to_a_full_unix_queue_waits_for_its_turn() {
    run(async {
        let place = Place::new("full");
        let listener = std::os::unix::net::UnixListener::bind(&place.0).unwrap();
        shrink_queue(&listener);
        let path = place.0.clone();
        let clients: Vec<_> = (0..4)
            .map(|_| {
                let path = path.clone();
                spawn(async move { UnixStream::connect(&path).await.map(drop) })
            })
            .collect();
        sleep(Duration::from_millis(5)).await;
        let listener = UnixListener::from_std(listener).unwrap();
        for _ in 0..4 {
            listener.accept().await.unwrap();
        }
        for client in clients {
            client.await.unwrap().unwrap();
        }
    });
}

/// Shrinks the queue of a listener to one connection.
#[allow(unsafe_code, reason = "listen(2) again, for which std has no name")]
fn shrink_queue(listener: &impl AsRawFd) {
    // SAFETY: the call takes integers.
    assert_eq!(unsafe { libc::listen(listener.as_raw_fd(), 0) }, 0);
}

#[test]
fn datagrams_keep_their_bounds_and_several_tasks_may_wait() {
    run(async {
        let server = std::rc::Rc::new(UdpSocket::bind("127.0.0.1:0").unwrap());
        let client = UdpSocket::bind("127.0.0.1:0").unwrap();
        client.connect(server.local_addr().unwrap()).unwrap();
        assert_eq!(client.peer_addr().unwrap(), server.local_addr().unwrap());
        let waiting: Vec<_> = (0..2)
            .map(|_| {
                let server = std::rc::Rc::clone(&server);
                spawn(async move {
                    let mut buffer = [0; 3];
                    let (n, peer) = server.recv_from(&mut buffer).await.unwrap();
                    server.send_to(&buffer[..n], peer).await.unwrap();
                })
            })
            .collect();
        yield_now().await;
        client.send(b"long one").await.unwrap();
        client.send(b"b").await.unwrap();
        for task in waiting {
            task.await.unwrap();
        }
        let mut buffer = [0; 16];
        assert_eq!(
            client.peek_from(&mut buffer).await.unwrap().0,
            3,
            "bytes beyond the buffer are lost"
        );
        assert_eq!(client.recv(&mut buffer).await.unwrap(), 3);
        assert_eq!(client.recv(&mut buffer).await.unwrap(), 1);
    });
}

// NET-03
#[test]
fn a_port_is_shared_only_by_sockets_with_reuse_port() {
    let options = BindOptions::default().reuse_port(true);
    let first = bind_sockets(0, Some("127.0.0.1"), options).unwrap();
    let port = first[0].local_addr().unwrap().port();
    bind_sockets(port, Some("127.0.0.1"), options).unwrap();
    let error = bind_sockets(port, Some("127.0.0.1"), BindOptions::default()).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
    let every = bind_sockets(0, None, BindOptions::default()).unwrap();
    let ports: Vec<_> = every.iter().map(|socket| socket.local_addr().unwrap().port()).collect();
    assert!(ports.iter().all(|port| *port == ports[0] && *port != 0), "{ports:?}");
    assert!(every[0].local_addr().unwrap().is_ipv4());
}

// A port that the kernel has chosen for one address family may be taken in the other.
#[test]
fn a_port_that_is_taken_in_the_second_family_is_replaced_by_another() {
    if !fault::ACTIVE {
        return eprintln!("skipped: faults are injected in debug builds only");
    }
    fault::inject(Call::Socket, 1, 1, libc::EADDRINUSE);
    let before = fault::calls(Call::Socket);
    let sockets = bind_sockets(0, None, BindOptions::default()).unwrap();
    assert_eq!(fault::calls(Call::Socket) - before, 4);
    let ports: Vec<_> = sockets.iter().map(|s| s.local_addr().unwrap().port()).collect();
    assert!(ports.iter().all(|port| *port == ports[0]), "{ports:?}");
    fault::inject(Call::Socket, 0, 1000, libc::EADDRINUSE);
    let before = fault::calls(Call::Socket);
    let error = bind_sockets(0, None, BindOptions::default()).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
    assert_eq!(fault::calls(Call::Socket) - before, 16, "16 attempts, then it gives up");
}

async fn exchange(listen: &str, connect: impl Into<squall_net::Target>) {
    let listener = TcpListener::bind(listen).unwrap();
    let port = listener.local_addr().unwrap().port();
    let target = connect.into().to_string();
    let target = format!("{}:{port}", target.strip_suffix(":1").unwrap());
    let (client, server) =
        futures_lite::future::zip(TcpStream::connect(target), listener.accept()).await;
    let (mut client, mut server) = (client.unwrap(), server.unwrap().0);
    client.write_all(b"hello").await.unwrap();
    let mut bytes = [0; 5];
    server.read_exact(&mut bytes).await.unwrap();
    assert_eq!(&bytes, b"hello");
}

// TCC-01, TCC-18
#[test]
fn addresses_and_names_are_connected_to_over_ipv4() {
    run(async {
        exchange("127.0.0.1:0", "127.0.0.1:1").await;
        exchange("127.0.0.1:0", "localhost:1").await;
        exchange("0.0.0.0:0", "localhost:1").await;
    });
}

// TCC-02
#[test]
fn addresses_and_names_are_connected_to_over_ipv6() {
    run(async {
        if std::net::TcpListener::bind("[::1]:0").is_err() {
            let _ = io::stderr().write_all(b"skipped: this machine has no IPv6 loopback\n");
            return;
        }
        exchange("[::1]:0", "[::1]:1").await;
        exchange("[::]:0", "127.0.0.1:1").await; // dual
        exchange("[::]:0", "localhost:1").await;
    });
}

// TCC-19
#[test]
fn a_bad_name_is_an_error_and_the_loop_goes_on_meanwhile() {
    run(async {
        let bad = spawn(TcpStream::connect("an invalid domain:80"));
        let mut turns = 0;
        while !bad.is_finished() {
            turns += 1;
            sleep(Duration::from_micros(100)).await;
        }
        assert!(turns > 0);
        assert!(bad.await.unwrap().is_err());
        let error = TcpStream::connect("nonsense").await.unwrap_err();
        assert_eq!(error.to_string(), "\"nonsense\" is not of the form host:port");
    });
}

/// Resolves every name to the given addresses.
struct Fixed(Vec<SocketAddr>);

impl Resolver for Fixed {
    fn resolve(&self, _host: &str, _port: u16) -> Resolving {
        let addresses = self.0.clone();
        Box::pin(async move { Ok(addresses) })
    }
}

fn free_port() -> SocketAddr {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

/// Counts the sockets of this machine that are still connecting to an address.
fn trying(address: SocketAddr) -> usize {
    let table = fs::read_to_string("/proc/net/tcp").unwrap();
    let to = format!(":{:04X} 02 ", address.port()); // the other end's port, SYN_SENT
    table.lines().filter(|line| line.contains(&to)).count()
}

// TCC-10, TCC-15, IOS-29, IOS-30
#[test]
fn all_connect_errors_are_kept_and_a_single_one_is_returned_as_it_is() {
    run(async {
        let dead = [free_port(), free_port()];
        let options = ConnectOptions::default().resolver(Fixed(dead.to_vec()));
        let error = TcpStream::connect_with("dead:1", options.clone()).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
        let all = error.get_ref().unwrap().downcast_ref::<ConnectError>().unwrap();
        let addresses: Vec<_> = all.attempts().iter().map(|(address, _)| *address).collect();
        assert_eq!(addresses, dead);
        assert!(error.to_string().starts_with("cannot connect to dead:1: 127.0.0.1:"), "{error}");
        let alone = ConnectOptions::default().resolver(Fixed(vec![dead[0]]));
        let error = TcpStream::connect_with("dead:1", alone).await.unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::ECONNREFUSED)); // TCC-09
        let none = ConnectOptions::default().resolver(Fixed(Vec::new()));
        let error = TcpStream::connect_with("dead:1", none).await.unwrap_err();
        assert_eq!(error.to_string(), "cannot connect to dead:1: it has no address that fits");

        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mixed = vec![dead[0], listener.local_addr().unwrap()];
        let options = ConnectOptions::default().resolver(Fixed(mixed));
        TcpStream::connect_with("half:1", options).await.unwrap();
    });
}

// A name with thousands of addresses, all of which refuse.
#[test]
fn many_refusals_hold_up_no_loop_and_fill_no_log() {
    run(async {
        let port = free_port().port();
        let dead: Vec<_> = (0..2000_u16)
            .map(|n| {
                let [high, low] = n.to_be_bytes();
                SocketAddr::from(([127, 1, high, low], port))
            })
            .collect();
        let options = ConnectOptions::default().resolver(Fixed(dead.clone()));
        let turns = Rc::new(Cell::new(0));
        let counting = Rc::clone(&turns);
        let counter = spawn(async move {
            loop {
                counting.set(counting.get() + 1);
                yield_now().await;
            }
        });
        let error = TcpStream::connect_with("dead:1", options).await.unwrap_err();
        assert!(turns.get() >= dead.len(), "{} polls of the other task", turns.get());
        let all = error.get_ref().unwrap().downcast_ref::<ConnectError>().unwrap();
        assert_eq!(all.attempts().len(), dead.len());
        let text = error.to_string();
        assert!(text.ends_with("; and 1992 more") && text.len() < 1000, "{text}");
        counter.abort();
        let same = ConnectOptions::default().resolver(Fixed(vec![dead[0]; 100]));
        let error = TcpStream::connect_with("dead:1", same).await.unwrap_err();
        assert_eq!(
            error.raw_os_error(),
            Some(libc::ECONNREFUSED),
            "equal addresses are tried once"
        );
    });
}

// I13, TCC-13, TCC-17: an address that never answers, beside one that does
#[test]
fn a_silent_address_costs_its_delay_or_the_deadline_and_no_descriptor() {
    run(async {
        // A listener with a full queue answers no SYN.
        let hole = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        shrink_queue(&hole);
        let address = hole.local_addr().unwrap();
        let fill: Vec<_> = (0..3)
            .map(|_| std::net::TcpStream::connect_timeout(&address, Duration::from_millis(50)))
            .collect();
        assert_eq!(trying(address), 0);
        let deadline = ConnectOptions::default().deadline(Duration::from_millis(50));
        let error = TcpStream::connect_with(address, deadline.clone()).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut, "{error}");
        assert!(error.to_string().ends_with("in time"), "{error}");

        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let answering = listener.local_addr().unwrap();
        let options = ConnectOptions::default()
            .attempt_delay(Duration::from_millis(10))
            .deadline(WATCHDOG)
            .resolver(Fixed(vec![address, answering]));
        let stream = TcpStream::connect_with("hole:1", options.clone()).await.unwrap();
        assert_eq!(stream.peer_addr().unwrap(), answering);
        drop((stream, listener));
        let dropped = spawn(TcpStream::connect_with("hole:1", options));
        sleep(Duration::from_millis(2)).await;
        assert_eq!(trying(address), 1);
        dropped.abort();
        let _ = dropped.await;
        assert_eq!(trying(address), 0, "the dropped connect closes its sockets");
        drop(fill);
    });
}

// TCC-04
#[test]
fn a_source_address_is_used_or_is_an_error() {
    run(async {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let to = listener.local_addr().unwrap();
        let from = |ip: [u8; 4]| ConnectOptions::default().source(ip);
        let stream = TcpStream::connect_with(to, from([127, 0, 0, 9])).await.unwrap();
        assert_eq!(stream.local_addr().unwrap().ip().to_string(), "127.0.0.9");
        let error = TcpStream::connect_with(to, from([8, 8, 8, 8])).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AddrNotAvailable);
        let v6 = ConnectOptions::default().source(std::net::Ipv6Addr::LOCALHOST);
        let error = TcpStream::connect_with(to, v6).await.unwrap_err();
        assert!(error.to_string().ends_with("it has no address that fits"), "{error}");
    });
}

// TCC-20
#[test]
fn overrides_apply_from_the_most_specific_to_the_system_resolver() {
    run(async {
        let resolver = OverrideResolver::new(SystemResolver)
            .host("db", [[10, 0, 0, 7].into()])
            .host_and_port("db", 5432, [([10, 0, 0, 8], 15432).into()]);
        let ask = async |host, port| resolver.resolve(host, port).await.unwrap()[0].to_string();
        assert_eq!(ask("db", 5432).await, "10.0.0.8:15432");
        assert_eq!(ask("db", 80).await, "10.0.0.7:80");
        assert!(["127.0.0.1:80", "[::1]:80"].contains(&&*ask("localhost", 80).await));
    });
}

// R20, X6: four loops share one listener. A loop that blocks holds up its own connections only.
#[test]
fn loops_on_several_threads_share_a_listener_and_a_failure_stops_them_all() {
    let sockets = bind_sockets(0, Some("127.0.0.1"), BindOptions::default()).unwrap();
    let address = sockets[0].local_addr().unwrap();
    let clients = std::thread::spawn(move || {
        for _ in 0..400 {
            let mut text = String::new();
            std::net::TcpStream::connect(address).unwrap().read_to_string(&mut text).unwrap();
            assert_eq!(text, "hello");
        }
    });
    let error = run_workers(4, async |number| {
        let server = TcpServer::new(async |mut stream: IoStream, _| {
            stream.write("hello")?;
            Ok(stream.shutdown().await?)
        });
        server.add_sockets(vec![sockets[0].try_clone()?])?;
        if number > 0 {
            std::future::pending::<()>().await; // until the failure of worker 0 stops the loop
        }
        while !clients.is_finished() {
            sleep(Duration::from_millis(1)).await;
        }
        Err(io::Error::other("it is over"))
    })
    .unwrap_err();
    assert_eq!(error.to_string(), "it is over");
    clients.join().unwrap();
}

// Further connections wait in the kernel's queue, and cost no turn.
#[test]
fn a_full_server_stops_accepting_until_a_connection_ends() {
    run(async {
        let server = TcpServer::new(async |mut stream: IoStream, _| {
            stream.write("in")?;
            stream.read_until_close().await.map(drop).or(Ok(()))
        })
        .max_connections(2);
        let address = server.listen("127.0.0.1:0").unwrap();
        let mut streams = Vec::new();
        for _ in 0..3 {
            streams.push(IoStream::new(TcpStream::connect(address).await.unwrap()));
        }
        assert_eq!(streams[0].read_bytes(2).await.unwrap(), "in");
        assert_eq!(streams[1].read_bytes(2).await.unwrap(), "in");
        let third = timeout(Duration::from_millis(20), streams[2].read_bytes(2)).await;
        assert!(third.is_err() && server.accepted() == 2 && server.connections() == 2);
        let waits = squall_net::stats().waits;
        sleep(Duration::from_millis(20)).await;
        assert!(squall_net::stats().waits - waits < 10, "the loop spins");
        drop(streams.swap_remove(0)); // moves the third stream to index 0
        assert_eq!(streams[0].read_bytes(2).await.unwrap(), "in");
        server.stop();
    });
}

// TCC-05
#[test]
fn a_privileged_source_port_needs_the_privilege() {
    run(async {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let from = ConnectOptions::default().source_address("127.0.0.1:1".parse().unwrap());
        let outcome = TcpStream::connect_with(listener.local_addr().unwrap(), from).await;
        match outcome {
            Ok(stream) => {
                assert_eq!(stream.local_addr().unwrap().port(), 1);
                let _ = io::stderr().write_all(b"skipped: this user may bind port 1\n");
            }
            Err(error) => assert_eq!(error.kind(), io::ErrorKind::PermissionDenied),
        }
    });
}

#[test]
fn a_file_is_sent_by_sendfile_although_the_reader_is_slow() {
    use std::future::poll_fn;
    use std::io::Seek;

    run(async {
        let content: Vec<u8> = (0..24_000_000_u32).map(|n| (n % 251) as u8).collect();
        let mut file = tempfile();
        file.write_all(&content).unwrap();
        file.rewind().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (server, _) = listener.accept().await.unwrap();
        let waits = Rc::new(Cell::new(0));
        let counted = Rc::clone(&waits);
        let sending = spawn(async move {
            let mut stream = IoStream::new(server);
            stream.write("head").unwrap();
            stream.flush().await.unwrap();
            let mut offset = 0;
            while offset < 24_000_000 {
                let send = |socket: std::os::fd::BorrowedFd<'_>| {
                    let sent = rustix::fs::sendfile(socket, &file, Some(&mut offset), 1 << 20)?;
                    Ok(sent)
                };
                let mut send = send;
                poll_fn(|cx| {
                    let polled = stream.with_transport(|tcp| tcp.poll_write_with(cx, &mut send));
                    let polled = polled.expect("the stream is open");
                    counted.set(counted.get() + u32::from(polled.is_pending()));
                    polled
                })
                .await
                .unwrap();
            }
            stream.shutdown().await.unwrap();
        });
        // So that the sender has to wait, whatever the size of the kernel's buffers.
        while waits.get() == 0 {
            yield_now().await;
        }
        let received = IoStream::new(client).read_until_close().await.unwrap();
        sending.await.unwrap();
        assert_eq!(received[..4], *b"head");
        assert!(received[4..] == content);
    });
}

#[test]
fn a_socket_is_read_by_a_system_call_of_the_users() {
    run(async {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let writing = spawn(async move {
            yield_now().await;
            IoStream::new(theirs).write_all(b"abc").await.unwrap();
        });
        let mut into = [0; 8];
        let read = std::future::poll_fn(|cx| {
            ours.poll_read_with(cx, |socket| Ok(rustix::io::read(socket, &mut into)?))
        });
        assert_eq!(read.await.unwrap(), 3);
        assert_eq!(into[..3], *b"abc");
        writing.await.unwrap();
    });
}

/// A file without a name.
fn tempfile() -> fs::File {
    let place = Place::new("tempfile");
    let mut options = fs::OpenOptions::new();
    options.read(true).write(true).create_new(true).open(&place.0).unwrap()
}
