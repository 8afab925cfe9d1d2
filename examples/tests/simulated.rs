//! The HTTP server on simulated hosts: deadlines of minutes without a real second, and chaos.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::io;
use std::rc::Rc;
use std::time::Duration;

use slab::Slab;
use squall_net::sim::{LinkConfig, Simulation, check, random};
use squall_net::{
    Bytes, ConnectOptions, IoReader, IoStream, IoWriter, OverrideResolver, SystemResolver,
    TcpServer, TcpStream, now, signal, sleep, spawn, timeout,
};
use tiny_http::{Application, Config, HttpServer, Request, Response, StaticFiles};

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);

async fn connect(to: &str) -> io::Result<IoStream> {
    Ok(IoStream::new(TcpStream::connect(to).await?))
}

/// Answers each request with its body, after as many milliseconds as the path says.
async fn http_server() -> io::Result<()> {
    let server = HttpServer::new(Config::default(), async |request: &mut Request<'_>| {
        let wait = request.path().trim_start_matches('/').parse().unwrap_or(0);
        let body = request.body().await?;
        sleep(Duration::from_millis(wait)).await;
        Ok(Response::text(body))
    });
    server.listen("0.0.0.0:80")?;
    signal::termination().await?;
    server.shut_down(MINUTE).await;
    Ok(())
}

fn with_server() -> Simulation {
    let simulation = Simulation::new(1);
    simulation.host("server", http_server);
    simulation
}

/// Sends a request with this body, and returns the status and the body of the answer.
async fn post(stream: &mut IoStream, path: &str, body: &str) -> io::Result<(u16, String)> {
    let head =
        format!("POST {path} HTTP/1.1\r\nHost: server\r\nContent-Length: {}\r\n\r\n", body.len());
    stream.write(head + body)?;
    read_answer(stream).await
}

async fn read_answer(stream: &mut IoStream) -> io::Result<(u16, String)> {
    let head = stream.read_until(b"\r\n\r\n").await?;
    let head = String::from_utf8(head.to_vec()).expect("ASCII");
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
    let length = head.lines().find_map(|line| line.strip_prefix("Content-Length: "));
    let length = length.expect("a length").parse().expect("a number");
    let body = stream.read_bytes(length).await?;
    Ok((status.expect("a status"), String::from_utf8(body.to_vec()).expect("ASCII")))
}

// H8
#[test]
fn an_idle_connection_is_closed_at_its_limit_and_not_before() {
    with_server().block_on(async {
        let mut stream = connect("server:80").await.unwrap();
        for _ in 0..3 {
            sleep(Config::default().idle_timeout - SECOND).await;
            assert_eq!(post(&mut stream, "/", "x").await.unwrap(), (200, "x".into()));
        }
        let before = now();
        assert_eq!(stream.fill().await.unwrap(), 0, "an orderly end");
        let waited = now() - before;
        assert!(waited.abs_diff(Config::default().idle_timeout) < SECOND, "{waited:?}");
    });
}

// H8
#[test]
fn clients_that_send_a_byte_a_second_are_answered_408_while_others_are_served() {
    let simulation = with_server();
    simulation.block_on(async {
        let slow: Vec<_> = (0..2_000)
            .map(|_| {
                spawn(async {
                    let mut stream = connect("server:80").await?;
                    let before = now();
                    for byte in "GET / HTTP/1.1\r\nX: ".chars().chain(std::iter::repeat('x')) {
                        if stream.write(byte.to_string()).is_err() {
                            break;
                        }
                        if timeout(SECOND, stream.fill()).await.is_ok() {
                            break;
                        }
                    }
                    let status = read_answer(&mut stream).await?.0;
                    io::Result::Ok((status, now() - before))
                })
            })
            .collect();
        let mut probe = connect("server:80").await.unwrap();
        for _ in 0..20 {
            let before = now();
            post(&mut probe, "/", "x").await.unwrap();
            assert!(now() - before < Duration::from_millis(10), "the probe waits for nobody");
            sleep(SECOND).await;
        }
        for client in slow {
            let (status, time) = client.await.unwrap().unwrap();
            assert_eq!(status, 408);
            assert!(time.abs_diff(Config::default().head_timeout) < 2 * SECOND, "{time:?}");
        }
    });
}

#[test]
fn an_answer_that_comes_before_the_body_was_sent_is_read_whole() {
    let simulation = with_server();
    simulation.link("script", "server", LinkConfig::default().bandwidth(1 << 20));
    simulation.block_on(async {
        let mut stream = connect("server:80").await.unwrap();
        let too_long = Config::default().max_body_bytes + 1;
        stream
            .write(format!("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: {too_long}\r\n\r\n"))
            .unwrap();
        stream.write(vec![b'x'; 100 << 10]).unwrap();
        assert_eq!(read_answer(&mut stream).await.unwrap().0, 413);
    });
}

#[test]
fn a_shutdown_answers_the_requests_that_run_and_those_on_their_way_to_a_handler() {
    let simulation = Simulation::new(1);
    let server = simulation.host("server", http_server);
    simulation.block_on(async {
        let mut streams = Vec::new();
        for _ in 0..20 {
            streams.push(connect("server:80").await.unwrap());
        }
        let asked: Vec<_> = streams
            .into_iter()
            .map(|mut stream| spawn(async move { post(&mut stream, "/30000", "late").await }))
            .collect();
        sleep(SECOND).await;
        server.signal(signal::SIGTERM);
        sleep(SECOND).await;
        assert!(connect("server:80").await.is_err(), "it does not listen any more");
        for answer in asked {
            assert_eq!(answer.await.unwrap().unwrap(), (200, "late".into()));
        }
        sleep(SECOND).await;
        assert!(!server.is_running());
    });
}

#[test]
fn max_connections_lets_the_next_client_in_when_one_leaves() {
    let simulation = Simulation::new(1);
    simulation.host("server", async || {
        let server = TcpServer::new(async |mut stream: IoStream, _| {
            stream.write("welcome\n")?;
            Ok(stream.fill().await.map(drop)?)
        })
        .max_connections(2);
        server.listen("0.0.0.0:80")?;
        server.closed().await
    });
    simulation.block_on(async {
        let mut first = connect("server:80").await.unwrap();
        let _second = connect("server:80").await.unwrap();
        first.read_until(b"\n").await.unwrap();
        let mut third = connect("server:80").await.unwrap();
        assert!(timeout(MINUTE, third.read_until(b"\n")).await.is_err());
        drop(first);
        assert_eq!(third.read_until(b"\n").await.unwrap(), "welcome\n");
    });
}

// RFC 8305
#[test]
fn the_next_address_is_tried_after_250_ms_of_silence_or_at_once_after_a_refusal() {
    let simulation = with_server();
    let dead = simulation.host("dead", async || Ok(()));
    let empty = simulation.host("empty", async || std::future::pending().await);
    simulation.block_on(async {
        use squall_net::Resolver;
        dead.crash();
        let server = SystemResolver.resolve("server", 80).await.unwrap()[0].ip();
        for (first, least, most) in [(dead.ip(), 250, 260), (empty.ip(), 1, 20)] {
            let resolver = OverrideResolver::new(SystemResolver).host("both", [first, server]);
            let before = now();
            let options = ConnectOptions::default().resolver(resolver);
            let stream = TcpStream::connect_with("both:80", options).await.unwrap();
            assert_eq!(stream.peer_addr().unwrap().ip(), server);
            let passed = (now() - before).as_millis();
            assert!((least..most).contains(&passed), "{passed} ms");
        }
    });
}

/// What the clients of the chaos have seen.
#[derive(Default)]
struct Report {
    answers: Cell<u32>,
    /// The number of the last line that was said.
    lines: Cell<u64>,
}

/// Reads a line. A client that has lost its power is silent for ever, so a server needs a limit.
async fn read_line(stream: &mut IoReader) -> io::Result<Bytes> {
    Ok(timeout(5 * MINUTE, stream.read_until(b"\n")).await??)
}

/// Echo on port 7, HTTP on port 80, chat on port 6667.
async fn three_servers() -> io::Result<()> {
    let echo = TcpServer::new(async |mut stream: IoStream, _| {
        loop {
            let line = read_line(stream.halves().0).await?;
            stream.write(line)?;
        }
    });
    let room = Rc::<RefCell<Slab<IoWriter>>>::default();
    let chat = TcpServer::new(async move |stream: IoStream, _| {
        let (mut reader, writer) = stream.split();
        let key = room.borrow_mut().insert(writer);
        let outcome = loop {
            match read_line(&mut reader).await {
                Ok(line) => room.borrow_mut().iter_mut().for_each(|(_, writer)| {
                    let _ = writer.write(line.clone()); // its own reader sees the error
                }),
                Err(error) => break error,
            }
        };
        let writer = room.borrow_mut().remove(key);
        drop(writer);
        Err(outcome)
    });
    echo.listen("0.0.0.0:7")?;
    chat.listen("0.0.0.0:6667")?;
    http_server().await
}

/// Asks again and again, over new connections, until `count` answers have come in a row after the
/// end of the chaos.
async fn ask(port: u16, report: Rc<Report>) -> io::Result<()> {
    let mut calm = 0;
    while calm < 3 {
        let attempt = timeout(20 * SECOND, async {
            let mut stream = connect(&format!("server:{port}")).await?;
            for _ in 0..3 {
                let text = format!("{}\n", random());
                let answer = if port == 80 {
                    post(&mut stream, "/5", &text).await?.1
                } else {
                    stream.write(text.clone())?;
                    let answer = stream.read_until(b"\n").await?;
                    String::from_utf8_lossy(&answer).into_owned()
                };
                assert_eq!(answer, text);
                report.answers.set(report.answers.get() + 1);
                sleep(Duration::from_millis(random() % 200)).await;
            }
            io::Result::Ok(())
        });
        calm = if matches!(attempt.await, Ok(Ok(()))) { calm + 1 } else { 0 };
        sleep(Duration::from_millis(random() % 1_000)).await;
    }
    Ok(())
}

/// Says numbered lines, and reads what the others say, until it has heard itself 20 times on one
/// connection.
async fn talk(name: String, report: Rc<Report>) -> io::Result<()> {
    loop {
        let session = timeout(MINUTE, async {
            let (mut reader, mut writer) = connect("server:6667").await?.split();
            let mut last = BTreeMap::new();
            let mut heard = 0;
            while heard < 20 {
                report.lines.set(report.lines.get() + 1);
                writer.write(format!("{name} {}\n", report.lines.get()))?;
                let line = reader.read_until(b"\n").await?;
                let line = String::from_utf8_lossy(&line).into_owned();
                let (who, said) = line.trim_end().split_once(' ').expect("a name and a number");
                let said: u64 = said.parse().expect("a whole line");
                let before = last.insert(who.to_owned(), said);
                assert!(before.is_none_or(|before| before < said), "{line} after {before:?}");
                heard += u32::from(who == name);
            }
            io::Result::Ok(())
        });
        if matches!(session.await, Ok(Ok(()))) {
            return Ok(());
        }
        sleep(Duration::from_millis(random() % 1_000)).await;
    }
}

/// Half a minute in which links are cut and hosts die; then everything works again.
fn chaos(simulation: &Simulation) {
    let report = Rc::<Report>::default();
    let server = simulation.host("server", three_servers);
    let names = ["echo", "http", "alice", "bob"];
    let clients = names.map(|name| {
        let report = Rc::clone(&report);
        simulation.host(name, async move || match name {
            "echo" => ask(7, Rc::clone(&report)).await,
            "http" => ask(80, Rc::clone(&report)).await,
            name => talk(name.to_owned(), Rc::clone(&report)).await,
        })
    });
    simulation.block_on(async {
        for _ in 0..8 {
            let client = usize::try_from(random() % 4).expect("small");
            sleep(Duration::from_millis(random() % 2_000)).await;
            match random() % 6 {
                0 => simulation.partition(names[client], "server"),
                1 => simulation.partition_oneway("server", names[client]),
                2 => server.crash(),
                3 => server.kill(),
                4 => clients[client].crash(),
                _ => clients[client].kill(),
            }
            sleep(Duration::from_millis(random() % 2_000)).await;
            names.iter().for_each(|name| simulation.heal(name, "server"));
            server.restart();
            clients[client].restart();
        }
    });
    while clients.iter().any(squall_net::sim::Host::is_running) {
        assert!(simulation.now() < 30 * MINUTE, "the clients do not come to rest");
        simulation.block_on(sleep(SECOND));
    }
    assert!(report.answers.get() >= 18, "{} answers", report.answers.get());
    // Nobody is connected any more, so nothing is left of the connections.
    simulation.block_on(sleep(20 * MINUTE));
    let stats = server.stats();
    let main_and_accept_loops = 4;
    let left = (stats.live_tasks, stats.live_timers);
    assert_eq!(left, (main_and_accept_loops, 0), "{}", server.dump());
}

#[test]
fn a_thousand_days_of_chaos_leave_whole_answers_lines_in_order_and_nothing_behind() {
    check(0..1_000, chaos);
}

#[test]
fn a_file_is_copied_to_a_transport_that_is_no_socket_of_the_kernels() {
    let name = format!("squall-simulated-files-{}", std::process::id());
    let directory = std::env::temp_dir().join(name);
    std::fs::create_dir_all(&directory).unwrap();
    let content: String = (0..30_000).map(|n| format!("{n:04x}")).collect();
    std::fs::write(directory.join("file"), &content).unwrap();
    let simulation = Simulation::new(1);
    let served = directory.clone();
    simulation.host("server", move || {
        let served = served.clone();
        async move {
            let files = Application::new().route("/{*path}", StaticFiles::new(&served)?);
            let server = HttpServer::new(Config::default(), files);
            server.listen("0.0.0.0:80")?;
            signal::termination().await?;
            Ok(())
        }
    });
    let received = simulation.block_on(async {
        let mut stream = connect("server:80").await?;
        stream.write("GET /file HTTP/1.1\r\nHost: server\r\n\r\n")?;
        Ok::<_, io::Error>(read_answer(&mut stream).await?.1)
    });
    std::fs::remove_dir_all(directory).unwrap();
    assert!(received.unwrap() == content);
}
