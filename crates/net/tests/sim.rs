//! Simulated hosts: what their code sees, what failures do, and that a seed replays a run.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::io::{self, Read};
use std::process::Command;
use std::rc::Rc;
use std::task::{Poll, Waker};
use std::time::Duration;

use squall_net::sim::{Ended, Host, LinkConfig, NetConfig, Simulation, check, random};
use squall_net::{
    AsyncFd, BindOptions, Child, ForkOptions, IoStream, PeriodicCallback, TcpListener, TcpServer,
    TcpStream, UdpSocket, UnixDatagram, UnixListener, UnixStream, bind_sockets, fork_processes,
    interval, lookup, now, pipe, run_workers, signal, sleep, spawn, spawn_blocking, timeout,
};

const MINUTE: Duration = Duration::from_secs(60);

/// Echoes lines on port 80 until the process ends.
async fn echo() -> io::Result<()> {
    let server = TcpServer::new(async |mut stream: IoStream, _| {
        loop {
            let line = stream.read_until(b"\n").await?;
            stream.write_all(&line).await?;
        }
    });
    server.listen("0.0.0.0:80")?;
    server.closed().await
}

async fn connect(to: &str) -> io::Result<IoStream> {
    Ok(IoStream::new(TcpStream::connect(to).await?))
}

async fn ask(stream: &mut IoStream, line: &str) -> io::Result<()> {
    stream.write(line.as_bytes())?;
    assert_eq!(stream.read_until(b"\n").await?, line);
    Ok(())
}

/// A `main` that does nothing for some time.
fn idle_for(time: Duration) -> impl AsyncFn() -> io::Result<()> {
    async move || {
        sleep(time).await;
        Ok(())
    }
}

fn simulation() -> Simulation {
    Simulation::new(1)
}

#[test]
fn a_wake_by_other_code_than_the_hosts_is_noticed() {
    let simulation = simulation();
    let shared = Rc::new((Cell::new(false), Cell::new(None::<Waker>)));
    let of_host = Rc::clone(&shared);
    let host = simulation.host("waits", async move || {
        poll_fn(|cx| {
            of_host.1.set(Some(cx.waker().clone()));
            if of_host.0.get() { Poll::Ready(Ok(())) } else { Poll::Pending }
        })
        .await
    });
    let wake = || {
        shared.0.set(true);
        shared.1.take().expect("the host waits").wake();
    };
    simulation.block_on(sleep(MINUTE));
    assert!(host.is_running());
    wake(); // while no loop is entered
    simulation.block_on(sleep(MINUTE));
    assert!(!host.is_running());
    shared.0.set(false);
    host.restart();
    simulation.block_on(async {
        sleep(MINUTE).await;
        wake(); // while that of another host is entered
        sleep(MINUTE).await;
    });
    assert!(!host.is_running());
}

#[test]
fn a_script_talks_to_a_server_and_time_passes_by_the_latency() {
    let simulation = simulation();
    let server = simulation.host("server", echo);
    simulation.block_on(async {
        let mut stream = connect("server:80").await.unwrap();
        let (local, peer) = (stream.local_addr().unwrap(), stream.peer_addr().unwrap());
        assert_eq!((peer.ip(), peer.port()), (server.ip(), 80));
        assert_ne!(local.ip(), peer.ip());
        let before = now();
        ask(&mut stream, "hello\n").await.unwrap();
        let passed = now() - before;
        assert!(
            (Duration::from_millis(1)..Duration::from_millis(5)).contains(&passed),
            "{passed:?}"
        );
    });
}

#[test]
fn an_hour_of_timers_takes_no_time() {
    let simulation = simulation();
    let ticks = Rc::new(Cell::new(0));
    let counted = Rc::clone(&ticks);
    simulation.host("ticker", async move || {
        let counter = Rc::clone(&counted);
        let periodic =
            PeriodicCallback::new(Duration::from_secs(1), move || counter.set(counter.get() + 1));
        periodic.start();
        let mut every = interval(Duration::from_secs(60));
        for _ in 0..60 {
            every.tick().await;
        }
        Ok(())
    });
    simulation.run(Duration::from_secs(4000)).unwrap();
    assert!((3_539..=3_600).contains(&ticks.get()), "{}", ticks.get());
    assert!(simulation.now() <= Duration::from_secs(3600));
}

#[test]
fn a_connect_to_a_port_where_nobody_listens_is_refused_after_a_round_trip() {
    let simulation = simulation();
    simulation.host("empty", idle_for(MINUTE));
    simulation.block_on(async {
        let error = TcpStream::connect("empty:80").await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
    });
    assert!(simulation.now() > Duration::from_millis(1));
}

#[test]
fn a_name_that_no_host_has_is_not_found_and_an_address_that_none_has_is_unreachable() {
    let simulation = simulation();
    simulation.block_on(async {
        let error = TcpStream::connect("nobody:80").await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
        let error = TcpStream::connect("10.9.9.9:80").await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::HostUnreachable);
    });
}

#[test]
fn a_partition_is_silent_and_what_was_sent_comes_after_it() {
    let simulation = simulation();
    simulation.host("server", echo);
    simulation.block_on(async {
        let mut stream = connect("server:80").await.unwrap();
        simulation.partition("script", "server");
        stream.write("late\n").unwrap();
        assert!(timeout(MINUTE, stream.read_until(b"\n")).await.is_err());
        simulation.heal("server", "script");
        let answer = timeout(2 * MINUTE, stream.read_until(b"\n")).await.unwrap();
        assert_eq!(answer.unwrap(), "late\n");
    });
}

#[test]
fn a_connect_into_a_partition_times_out_after_127_seconds_as_by_the_kernel() {
    let simulation = simulation();
    simulation.host("server", echo);
    simulation.block_on(async {
        simulation.partition_oneway("script", "server");
        let before = now();
        let error = TcpStream::connect("server:80").await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        let passed = (now() - before).as_secs();
        assert_eq!(passed, 127);
    });
}

#[test]
fn a_killed_peer_ends_the_stream_and_a_crashed_one_is_silent_until_it_answers_again() {
    let simulation = simulation();
    let server = simulation.host("server", echo);
    simulation.block_on(async {
        let mut stream = connect("server:80").await.unwrap();
        ask(&mut stream, "one\n").await.unwrap();
        server.kill();
        assert!(!server.is_running());
        let ended = io::Error::from(stream.read_until(b"\n").await.unwrap_err());
        assert_eq!(ended.kind(), io::ErrorKind::UnexpectedEof);

        server.restart();
        sleep(Duration::from_secs(1)).await;
        let mut stream = connect("server:80").await.unwrap();
        ask(&mut stream, "two\n").await.unwrap();
        server.crash();
        stream.write("three\n").unwrap();
        assert!(timeout(MINUTE, stream.read_until(b"\n")).await.is_err(), "nobody answers");
        server.restart();
        let error = io::Error::from(stream.read_until(b"\n").await.unwrap_err());
        assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
    });
}

/// What each read of a server has returned, and the bytes.
type Reads = Rc<RefCell<Vec<(Result<usize, io::ErrorKind>, Vec<u8>)>>>;

/// Reads from one connection until that fails.
fn read_all(reads: &Reads) -> impl AsyncFn() -> io::Result<()> + use<> {
    let reads = Rc::clone(reads);
    async move || {
        let listener = TcpListener::bind("0.0.0.0:80")?;
        let mut stream = IoStream::new(listener.accept().await?.0);
        loop {
            let outcome = stream.fill().await.map_err(|error| io::Error::from(error).kind());
            reads.borrow_mut().push((outcome, stream.buffer().to_vec()));
            stream.consume(stream.buffer().len());
            if outcome.is_err() {
                return Ok(());
            }
        }
    }
}

#[test]
fn what_comes_before_a_reset_has_no_gap_though_the_link_became_faster() {
    let simulation = simulation();
    let reads = Reads::default();
    simulation.host("server", read_all(&reads));
    simulation.block_on(async {
        let mut stream = connect("server:80").await.unwrap();
        stream.write_all(b"first").await.unwrap();
        sleep(MINUTE).await;
        simulation.link("script", "server", LinkConfig::default().bandwidth(1_000));
        stream.write_all(&[b'x'; 100]).await.unwrap(); // leaves after 100 ms
        simulation.link("script", "server", LinkConfig::default());
        stream.write_all(b"last").await.unwrap();
        stream.reset();
        sleep(MINUTE).await;
    });
    let reset = (Err(io::ErrorKind::ConnectionReset), Vec::new());
    assert_eq!(*reads.borrow(), [(Ok(5), b"first".to_vec()), reset]);
}

#[test]
fn what_was_lost_before_a_reset_is_not_sent_again() {
    // Two ways: the loss is known when the connection is reset, or is not.
    for (time_to_be_lost, hears) in [(Duration::from_millis(50), true), (Duration::ZERO, false)] {
        let simulation = simulation();
        let reads = Reads::default();
        simulation.host("server", read_all(&reads));
        simulation.block_on(async {
            let mut stream = connect("server:80").await.unwrap();
            stream.write_all(b"first").await.unwrap();
            sleep(MINUTE).await;
            simulation.partition("script", "server");
            stream.write_all(b"lost").await.unwrap();
            sleep(time_to_be_lost).await;
            if hears {
                simulation.heal("script", "server"); // before the next attempt
            }
            stream.reset();
            sleep(Duration::from_millis(10)).await;
            simulation.heal("script", "server");
            sleep(MINUTE).await;
        });
        let mut expected = vec![(Ok(5), b"first".to_vec())];
        if hears {
            expected.push((Err(io::ErrorKind::ConnectionReset), Vec::new()));
        }
        assert_eq!(*reads.borrow(), expected);
    }
}

#[test]
fn a_listener_gets_no_connection_that_an_earlier_one_was_asked_for() {
    let link = LinkConfig::default().latency(Duration::from_millis(10)..Duration::from_millis(11));
    let simulation = simulation();
    let server = simulation.host("server", echo);
    simulation.link("script", "server", link);
    simulation.block_on(async {
        let client = spawn(async {
            let mut stream = connect("server:80").await?;
            ask(&mut stream, "hello\n").await
        });
        sleep(Duration::from_millis(15)).await; // the answer to the request is on its way
        server.kill();
        server.restart();
        let error = client.await.unwrap().unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
        ask(&mut connect("server:80").await.unwrap(), "hello\n").await.unwrap();
    });
}

#[test]
fn a_writer_waits_while_the_reader_does_not_read() {
    let simulation = Simulation::with(1, NetConfig::default().buffer(100_000));
    simulation.host("server", async || {
        let listener = TcpListener::bind("0.0.0.0:80")?;
        let mut stream = IoStream::new(listener.accept().await?.0);
        sleep(MINUTE).await;
        let read = stream.read_bytes(1_000_000).await?;
        assert!(read.iter().all(|byte| *byte == 7));
        Ok(())
    });
    simulation.block_on(async {
        let mut stream = connect("server:80").await.unwrap();
        let before = now();
        stream.write_all(&[7; 1_000_000]).await.unwrap();
        assert!(now() - before >= MINUTE - Duration::from_secs(1));
        sleep(Duration::from_secs(1)).await;
    });
}

#[test]
fn bandwidth_and_loss_delay_a_stream_and_lose_datagrams() {
    let net = NetConfig::default().bandwidth(100_000);
    let simulation = Simulation::with(3, net);
    simulation.host("server", echo);
    simulation.host("post", async || {
        let socket = UdpSocket::bind("0.0.0.0:53")?;
        let mut buffer = [0; 1500];
        loop {
            let (n, peer) = socket.recv_from(&mut buffer).await?;
            socket.send_to(&buffer[..n], peer).await?;
        }
    });
    simulation.block_on(async {
        let mut stream = connect("server:80").await.unwrap();
        let before = now();
        let line = format!("{}\n", "x".repeat(99_999));
        ask(&mut stream, &line).await.unwrap();
        let passed = now() - before;
        assert!((Duration::from_secs(2)..Duration::from_secs(3)).contains(&passed), "{passed:?}");

        simulation.link("script", "post", LinkConfig::default().loss(0.5));
        let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
        let post = lookup("post:53").await.unwrap()[0];
        let mut answers = 0;
        for _ in 0..100 {
            socket.send_to(b"ping", post).await.unwrap();
            let mut buffer = [0; 16];
            if timeout(Duration::from_secs(1), socket.recv_from(&mut buffer)).await.is_ok() {
                answers += 1;
            }
        }
        assert!((10..45).contains(&answers), "a quarter of 100 comes back, and here {answers}");
    });
}

#[test]
fn datagrams_to_nobody_fail_a_connected_socket() {
    let simulation = simulation();
    let host = simulation.host("empty", idle_for(MINUTE));
    simulation.block_on(async {
        let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
        socket.connect((host.ip(), 9).into()).unwrap();
        socket.send(b"x").await.unwrap();
        let error = socket.recv(&mut [0; 8]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
        let error = socket.send(&[0; 65_508]).await.unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::EMSGSIZE));
    });
}

#[test]
fn a_run_that_nothing_can_end_is_stuck_and_names_every_task() {
    let simulation = simulation();
    simulation.host("server", echo);
    let ended = simulation.run(MINUTE).unwrap_err();
    let Ended::Stuck(report) = &ended else { panic!("{ended}") };
    assert!(report.contains("server (10.0.0.2): tasks: 2"), "{report}");
    assert!(report.contains(file!()) && report.contains("waiting"), "{report}");
}

#[test]
fn a_run_ends_with_an_error_a_panic_or_the_limit() {
    let simulation = simulation();
    simulation.host("bad", async || Err(io::Error::other("no disk")));
    let ended = simulation.run(MINUTE).unwrap_err();
    assert_eq!(ended.to_string(), "the host bad has failed: no disk");

    let simulation = self::simulation();
    simulation.host("bad", async || panic!("a bug"));
    let ended = simulation.run(MINUTE).unwrap_err();
    assert!(matches!(&ended, Ended::Panicked { host, .. } if host == "bad"), "{ended:?}");

    let simulation = self::simulation();
    simulation.host("slow", idle_for(2 * MINUTE));
    assert!(matches!(simulation.run(MINUTE), Err(Ended::Limit)));
    assert_eq!(simulation.now(), MINUTE);
    simulation.run(MINUTE).unwrap();
}

#[test]
fn blocking_jobs_and_signals_are_those_of_the_host() {
    let simulation = simulation();
    let got = Rc::new(RefCell::new(Vec::new()));
    let log = Rc::clone(&got);
    let host = simulation.host("daemon", async move || {
        let answer = spawn_blocking(|| 40 + 2).await.unwrap();
        log.borrow_mut().push(answer);
        let mut signals = signal::Signals::new([signal::SIGTERM, signal::SIGHUP])?;
        for _ in 0..2 {
            let signal = signals.next().await.unwrap();
            log.borrow_mut().push(signal);
        }
        Ok(())
    });
    let careless = simulation.host("careless", idle_for(MINUTE));
    simulation.block_on(async {
        sleep(Duration::from_secs(1)).await;
        host.signal(signal::SIGHUP);
        sleep(Duration::from_secs(1)).await;
        careless.signal(signal::SIGCHLD);
        assert!(careless.is_running(), "this signal does no harm");
        careless.signal(signal::SIGTERM);
        assert!(!careless.is_running());
        host.signal(signal::SIGTERM);
    });
    simulation.run(MINUTE).unwrap();
    assert_eq!(*got.borrow(), [42, signal::SIGHUP, signal::SIGTERM]);
}

#[test]
fn sockets_run_out_and_an_address_is_used_once() {
    let simulation = Simulation::with(1, NetConfig::default().max_sockets(2));
    simulation.block_on(async {
        let _one = TcpListener::bind("0.0.0.0:80").unwrap();
        let error = TcpListener::bind("10.0.0.1:80").unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
        let error = TcpListener::bind("10.0.0.9:80").unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AddrNotAvailable);
        let _two = UdpSocket::bind("0.0.0.0:80").unwrap();
        let error = TcpStream::connect("127.0.0.1:80").await.unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::EMFILE));
    });
}

/// A busy day: clients, a partition, a crash. Returns the trace.
fn day(simulation: &Simulation) -> u64 {
    let server = simulation.host("server", echo);
    for n in 0..3 {
        simulation.host(&format!("client{n}"), async || {
            for _ in 0..20 {
                let Ok(mut stream) = connect("server:80").await else { continue };
                for _ in 0..5 {
                    let line = format!("{}\n", random());
                    let answer = timeout(Duration::from_secs(2), ask(&mut stream, &line)).await;
                    if !matches!(answer, Ok(Ok(()))) {
                        break;
                    }
                    sleep(Duration::from_millis(random() % 500)).await;
                }
            }
            Ok(())
        });
    }
    simulation.block_on(async {
        for _ in 0..3 {
            sleep(Duration::from_millis(random() % 5_000)).await;
            simulation.partition("server", "client1");
            sleep(Duration::from_millis(random() % 3_000)).await;
            simulation.heal("server", "client1");
            server.crash();
            sleep(Duration::from_millis(random() % 1_000)).await;
            server.restart();
        }
        let idle = spawn(sleep(MINUTE));
        idle.await.unwrap();
    });
    assert!(simulation.trace().len() > 500);
    simulation.trace().hash()
}

#[test]
fn a_seed_replays_a_run_and_another_seed_makes_another() {
    let hash = |seed| day(&Simulation::new(seed));
    assert_eq!(hash(1), hash(1));
    assert_ne!(hash(1), hash(2));
}

#[test]
fn check_finds_the_lowest_seed_that_fails_and_shows_the_end_of_its_trace() {
    check(0..20, |simulation| {
        day(simulation);
    });
    let outcome = std::panic::catch_unwind(|| {
        check(0..100, |simulation| {
            simulation.host("server", idle_for(Duration::from_secs(1)));
            simulation.run(MINUTE).unwrap();
            let drawn = simulation.block_on(async { random() });
            assert!(!drawn.is_multiple_of(8), "an eighth fails");
        });
    });
    let text = outcome.unwrap_err().downcast::<String>().unwrap();
    let fails = |seed: u64| {
        let simulation = Simulation::new(seed);
        simulation.host("server", idle_for(Duration::from_secs(1)));
        simulation.run(MINUTE).unwrap();
        simulation.block_on(async { random() }).is_multiple_of(8)
    };
    let lowest = (0..100).find(|seed| fails(*seed)).unwrap();
    assert!(text.starts_with(&format!("seed {lowest} of 0..100 fails: an eighth fails")), "{text}");
    assert!(text.contains("1.000000000 server ends"), "{text}");
    assert!(text.ends_with(&format!("SQUALL_SEED={lowest} runs it alone")), "{text}");
}

#[test]
fn what_has_no_simulation_is_refused_by_name() {
    let std_socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let simulation = simulation();
    simulation.block_on(async {
        let refusals = [
            ("UdpSocket::from_std", UdpSocket::from_std(std_socket).err()),
            ("UnixStream::pair", UnixStream::pair().err()),
            ("UnixStream::connect", UnixStream::connect("/x").await.err()),
            ("UnixListener::bind", UnixListener::bind("/x").err()),
            ("UnixDatagram::unbound", UnixDatagram::unbound().err()),
            ("pipe", pipe().err()),
            ("Child::spawn", Child::spawn(&mut Command::new("true")).err()),
            ("fork_processes", fork_processes(Some(1), ForkOptions::default()).err()),
            ("run_workers", run_workers(1, async |_| Ok(())).err()),
            ("bind_sockets", bind_sockets(0, None, BindOptions::default()).err()),
        ];
        for (call, error) in refusals {
            let error = error.unwrap_or_else(|| panic!("{call} must be refused"));
            assert_eq!(error.kind(), io::ErrorKind::Unsupported, "{call}");
            assert_eq!(error.to_string(), format!("{call} is not simulated"));
        }
        let (reader, _writer) = io::pipe().unwrap();
        let reader = AsyncFd::new(reader).unwrap();
        let error = reader.read_with(|mut reader| reader.read(&mut [0])).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::Unsupported);
        assert!(error.to_string().contains("AsyncFd"), "{error}");
    });
}

/// The message of the panic of `f`.
fn panic_of(f: impl FnOnce()) -> String {
    let payload = std::panic::catch_unwind(std::panic::AssertUnwindSafe(f)).unwrap_err();
    match payload.downcast::<String>() {
        Ok(text) => *text,
        Err(payload) => (*payload.downcast::<&str>().unwrap()).to_owned(),
    }
}

#[test]
fn misuse_is_a_panic_that_says_what_is_wrong() {
    let simulation = simulation();
    simulation.host("one", idle_for(MINUTE));
    let twice = panic_of(|| drop(simulation.host("one", idle_for(MINUTE))));
    assert_eq!(twice, "a host is named \"one\" already");
    let unknown = panic_of(|| simulation.partition("one", "two"));
    assert_eq!(unknown, "no host is named \"two\"; there are script, one");
    for name in ["", "a b", "10.0.0.7", "localhost", "server:80"] {
        let refused = panic_of(|| drop(simulation.host(name, idle_for(MINUTE))));
        assert!(refused.starts_with("a host cannot be named"), "{refused}");
    }
    let itself = panic_of(|| simulation.partition("one", "one"));
    assert!(itself.contains("a host has no link to itself"), "{itself}");
    let nested = panic_of(|| simulation.block_on(async { drop(Simulation::new(2)) }));
    assert_eq!(nested, "the host script is simulated, and cannot have a simulation of its own");
    let nested = panic_of(|| {
        squall_net::block_on(async { simulation.run(MINUTE).unwrap() });
    });
    assert!(nested.contains("cannot run: "), "{nested}");
    let failed = panic_of(|| {
        simulation.host("bad", async || Err(io::Error::other("no disk")));
        simulation.block_on(sleep(MINUTE));
    });
    assert_eq!(failed, "the host bad has failed: no disk");
    let stuck = panic_of(|| simulation.block_on(std::future::pending()));
    assert!(stuck.contains("the future of block_on"), "{stuck}");
}

#[test]
fn a_run_goes_on_after_a_host_has_failed() {
    let simulation = simulation();
    simulation.host("bad", async || Err(io::Error::other("no disk")));
    simulation.host("good", idle_for(MINUTE));
    assert!(matches!(simulation.run(2 * MINUTE), Err(Ended::Failed { .. })));
    simulation.run(2 * MINUTE).unwrap();
    assert_eq!(simulation.now(), MINUTE);
}

#[test]
fn a_simulation_that_is_dropped_in_mid_flight_leaves_nothing() {
    let alive = Rc::new(());
    for seed in 0..20 {
        let simulation = Simulation::new(seed);
        let held = Rc::clone(&alive);
        simulation.host("server", async move || {
            let _held = Rc::clone(&held);
            echo().await
        });
        let held = Rc::clone(&alive);
        simulation.host("client", async move || {
            let _held = Rc::clone(&held);
            let mut stream = connect("server:80").await?;
            loop {
                ask(&mut stream, "hello\n").await?;
            }
        });
        assert!(matches!(simulation.run(Duration::from_millis(50)), Err(Ended::Limit)));
        assert!(Rc::strong_count(&alive) > 1);
        drop(simulation);
        assert_eq!(Rc::strong_count(&alive), 1);
    }
}

#[test]
fn a_socket_that_outlives_its_simulation_does_no_harm() {
    let stream = {
        let simulation = simulation();
        simulation.host("server", echo);
        simulation.block_on(async { connect("server:80").await.unwrap() })
    };
    drop(stream);
}

#[test]
fn a_simulated_socket_takes_options_that_change_nothing() {
    let simulation = simulation();
    simulation.host("server", echo);
    simulation.block_on(async {
        let stream = TcpStream::connect("server:80").await.unwrap();
        rustix::net::sockopt::set_socket_keepalive(&stream, true).unwrap();
        assert!(rustix::net::sockopt::socket_keepalive(&stream).unwrap());
        stream.set_nodelay(true).unwrap();
    });
}

#[test]
fn a_host_may_end_itself_and_start_again() {
    for how in ["kill", "crash", "signal"] {
        let simulation = simulation();
        let itself = Rc::new(RefCell::new(None::<Host>));
        let lives = Rc::new(Cell::new(0));
        let (handle, count) = (Rc::clone(&itself), Rc::clone(&lives));
        let host = simulation.host("server", async move || {
            count.set(count.get() + 1);
            let _listener = TcpListener::bind("0.0.0.0:80")?;
            sleep(MINUTE).await;
            let host = handle.borrow().clone();
            let host = host.expect("it is set at the start");
            match how {
                "kill" => host.kill(),
                "crash" => host.crash(),
                _ => host.signal(signal::SIGTERM),
            }
            assert!(!host.is_running());
            if count.get() < 3 {
                host.restart();
            }
            std::future::pending().await
        });
        *itself.borrow_mut() = Some(host.clone());
        simulation.run(10 * MINUTE).unwrap();
        assert_eq!((lives.get(), simulation.now()), (3, 3 * MINUTE), "{how}");
        assert!(!host.is_running());
    }
}

#[cfg(feature = "tls")]
mod tls_kit;

#[cfg(feature = "tls")]
#[test]
fn tls_works_between_simulated_sockets() {
    check(0..20, |simulation| {
        simulation.block_on(async {
            let (mut client, mut server) = tls_kit::streams().await;
            client.write("hello\n").unwrap();
            assert_eq!(server.read_until(b"\n").await.unwrap(), "hello\n");
            server.write(vec![7; 1 << 20]).unwrap();
            assert!(client.read_bytes(1 << 20).await.unwrap().iter().all(|byte| *byte == 7));
            client.shutdown().await.unwrap();
            assert_eq!(server.fill().await.unwrap(), 0);
        });
    });
}

#[test]
fn a_host_without_power_sends_nothing_again() {
    for seed in 0..50 {
        let simulation = Simulation::new(seed);
        let got = Rc::new(Cell::new(false));
        let gets = Rc::clone(&got);
        simulation.host("b", async move || {
            let listener = TcpListener::bind("0.0.0.0:80")?;
            let mut stream = IoStream::new(listener.accept().await?.0);
            gets.set(stream.read_until(b"\n").await.is_ok());
            std::future::pending().await
        });
        let a = simulation.host("a", async || {
            let mut stream = connect("b:80").await?;
            sleep(Duration::from_secs(1)).await;
            stream.write("x\n")?;
            std::future::pending().await
        });
        simulation.block_on(async {
            sleep(Duration::from_millis(900)).await;
            simulation.link("a", "b", LinkConfig::default().loss(0.8));
            sleep(Duration::from_millis(150)).await;
            let was_there = got.get();
            a.crash();
            sleep(MINUTE).await;
            assert_eq!(got.get(), was_there, "seed {seed}\n{}", simulation.trace());
        });
    }
}

#[test]
fn a_link_that_is_repaired_lets_through_what_was_lost_and_a_connect_over_a_bad_one_gives_up() {
    for seed in 0..20 {
        let simulation = Simulation::new(seed);
        simulation.host("server", echo);
        simulation.block_on(async {
            let mut stream = connect("server:80").await.unwrap();
            simulation.link("script", "server", LinkConfig::default().loss(0.99));
            stream.write("x\n").unwrap();
            sleep(Duration::from_secs(2)).await;
            simulation.link("script", "server", LinkConfig::default());
            let before = now();
            assert_eq!(stream.read_until(b"\n").await.unwrap(), "x\n");
            assert!(now() - before < Duration::from_secs(3), "{:?}", now() - before);

            simulation.link("script", "server", LinkConfig::default().loss(0.999_999));
            let before = now();
            let error = TcpStream::connect("server:80").await.unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::TimedOut);
            assert_eq!((now() - before).as_secs(), 127);
        });
    }
}

#[test]
fn a_panic_of_a_task_that_nobody_awaits_fails_the_run() {
    let simulation = simulation();
    simulation.host("server", async || {
        let server = TcpServer::new(async |_: IoStream, _| panic!("an invariant is broken"));
        server.listen("0.0.0.0:80")?;
        server.closed().await
    });
    let message = panic_of(|| {
        simulation.block_on(async {
            let _stream = connect("server:80").await.unwrap();
            sleep(MINUTE).await;
        });
    });
    assert_eq!(message, "the host server has panicked: an invariant is broken");
    assert!(simulation.trace().to_string().contains("server has a task that panics"));
    let caught = simulation.block_on(async { spawn(async { panic!("caught") }).await });
    assert!(caught.is_err(), "who awaits a task gets its panic");
}

#[test]
fn a_task_that_is_always_ready_is_found() {
    let simulation = simulation();
    simulation.host("busy", async || {
        loop {
            squall_net::yield_now().await;
        }
    });
    let Err(Ended::Stuck(text)) = simulation.run(MINUTE) else { panic!("it must be stuck") };
    assert!(text.contains("A task of the host busy is always ready"), "{text}");
}

#[test]
fn a_run_that_does_not_follow_from_its_seed_is_called_so() {
    let runs = std::sync::atomic::AtomicU64::new(0);
    let text = panic_of(|| {
        check(0..1, |_| {
            let run = runs.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            assert!(run > 0, "only the first run fails");
        });
    });
    assert!(text.contains("a second run with this seed was another one"), "{text}");
    let text = panic_of(|| check(0..1, |_| panic!("always")));
    assert!(!text.contains("a second run"), "{text}");
    let text = panic_of(|| check(5..5, |_| {}));
    assert_eq!(text, "5..5 holds no seed");
}

#[test]
fn the_report_of_a_run_that_is_stuck_lists_hosts_without_power_too() {
    let simulation = simulation();
    let server = simulation.host("server", echo);
    simulation.host("done", async || Ok(()));
    let text = panic_of(|| {
        simulation.block_on(async {
            let mut stream = connect("server:80").await.unwrap();
            sleep(MINUTE).await;
            server.crash();
            let _ = stream.fill().await;
        });
    });
    assert!(text.starts_with("stuck: every task waits"), "{text}");
    assert!(text.contains("server (10.0.0.2): crashed"), "{text}");
    assert!(text.contains("done (10.0.0.3): ended"), "{text}");
}

#[test]
fn a_name_is_no_address_to_bind_to_and_standard_input_is_not_simulated() {
    simulation().block_on(async {
        let error = TcpListener::bind("no-such-name.invalid:80").unwrap_err();
        assert!(error.to_string().contains("binds to an address, such as"), "{error}");
        let mut stdin = IoStream::new(squall_net::stdin());
        let error = io::Error::from(stdin.fill().await.unwrap_err());
        assert_eq!(error.kind(), io::ErrorKind::Unsupported);
    });
}

/// Keeps the lines of the log.
struct Lines(std::sync::Mutex<Vec<String>>);

impl log::Log for Lines {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &log::Record<'_>) {
        self.0.lock().unwrap().push(record.args().to_string());
    }

    fn flush(&self) {}
}

#[test]
fn a_main_that_blocks_the_thread_is_named_in_the_log() {
    static LINES: Lines = Lines(std::sync::Mutex::new(Vec::new()));
    log::set_logger(&LINES).unwrap();
    log::set_max_level(log::LevelFilter::Warn);
    let simulation = simulation();
    simulation.host("sluggish", async || {
        std::thread::sleep(Duration::from_millis(150));
        Ok(())
    });
    simulation.run(MINUTE).unwrap();
    assert_eq!(simulation.now(), Duration::ZERO);
    let lines = LINES.0.lock().unwrap();
    let is_named = |line: &String| line.starts_with("the host sluggish has held up");
    assert!(lines.iter().any(is_named), "{lines:?}");
}

#[test]
fn a_sleep_that_another_host_moves_ends_at_its_new_time() {
    let simulation = simulation();
    let shared = Rc::new(RefCell::new(None::<std::pin::Pin<Box<squall_net::Sleep>>>));
    let of_sleeper = Rc::clone(&shared);
    simulation.host("sleeper", async move || {
        *of_sleeper.borrow_mut() = Some(Box::pin(sleep(60 * MINUTE)));
        std::future::poll_fn(|cx| of_sleeper.borrow_mut().as_mut().unwrap().as_mut().poll(cx))
            .await;
        Ok(())
    });
    simulation.block_on(async {
        sleep(MINUTE).await;
        shared.borrow_mut().as_mut().unwrap().as_mut().get_mut().reset(now() + MINUTE);
    });
    simulation.run(120 * MINUTE).unwrap();
    assert_eq!(simulation.now(), 2 * MINUTE);
}
