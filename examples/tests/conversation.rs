//! How a connection continues and ends: keep-alive, pipelining, bodies, deadlines, and clients that
//! are slow or reset the connection.

mod support;

use std::io::{Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_lite::stream;
use squall_net::executor::fault::{self, Call};
use squall_net::sleep;
use support::{LocalServer, WATCHDOG, say};
use tiny_http::{Config, HandlerResult, Request, Response};

async fn app(request: &mut Request<'_>) -> HandlerResult {
    Ok(match request.path() {
        "/echo" => Response::text(request.body().await?),
        "/stream" => {
            let pieces =
                ["one ", "", "two ", "three"].map(|piece| Ok(Bytes::from_static(piece.as_bytes())));
            Response::stream(stream::iter(pieces))
        }
        "/large" => Response::text(vec![b'x'; 8 << 20]),
        "/slow" => {
            sleep(Duration::from_millis(200)).await;
            Response::text("slow")
        }
        "/panic" => panic!("on purpose"),
        path => Response::text(path.to_owned()),
    })
}

fn start() -> LocalServer {
    LocalServer::start(Config::default(), app)
}

fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n")
}

// HTS-20
#[test]
fn a_connection_serves_many_requests() {
    let server = start();
    let mut client = server.connect();
    for n in 0..100 {
        let (head, body) = client.send(get(&format!("/{n}"))).answer();
        assert!(head.starts_with("HTTP/1.1 200 OK\r\n") && !head.contains("Connection"), "{head}");
        assert!(head.contains("\r\nDate: ") && head.contains(" GMT\r\n"), "{head}");
        assert_eq!(body, format!("/{n}"));
    }
}

// HTS-21, HTS-22, HTS-23, HTS-X9
#[test]
fn the_connection_header_is_a_list_of_options() {
    let server = start();
    for (version, option, keeps_alive) in [
        ("1.1", "", true),
        ("1.1", "Connection: close\r\n", false),
        ("1.1", "Connection: keep-alive, Close\r\n", false),
        ("1.1", "Connection: x, keep-alive\r\n", true),
        ("1.0", "", false),
        ("1.0", "Connection: keep-alive\r\n", true),
    ] {
        let mut client = server.connect();
        let request = format!("GET / HTTP/{version}\r\nHost: x\r\n{option}\r\n");
        let (head, _) = client.send(&request).answer();
        assert_eq!(head.contains("Connection: close"), !keeps_alive, "{request}{head}");
        assert_eq!(
            head.contains("Connection: Keep-Alive"),
            version == "1.0" && keeps_alive,
            "{head}"
        );
        if keeps_alive {
            client.send(&request).answer();
        } else {
            assert_eq!(client.rest(), "", "{request}");
        }
    }
}

// HTS-25
#[test]
fn pipelined_requests_are_answered_in_order_with_one_send() {
    let server = start();
    let mut client = server.connect();
    client.send(get("/first")).answer();
    let sends = server.run_on_loop(|| fault::calls(Call::Send));
    let batch: String = (0..16).map(|n| get(&format!("/{n}"))).collect();
    client.send(batch);
    for n in 0..16 {
        assert_eq!(client.answer().1, format!("/{n}"));
    }
    if fault::ACTIVE {
        assert_eq!(server.run_on_loop(|| fault::calls(Call::Send)) - sends, 1);
    } else {
        say("skipped: system calls are counted in debug builds only");
    }
}

#[test]
fn head_is_answered_like_get_without_the_body() {
    let server = start();
    let mut client = server.connect();
    client.send("HEAD /tea HTTP/1.1\r\nHost: x\r\n\r\n").send(get("/tea"));
    let mut text = [0; 4096];
    let mut length = 0;
    while !text[..length].ends_with(b"\r\n\r\n/tea") {
        length += client.0.read(&mut text[length..]).unwrap();
    }
    let text = String::from_utf8_lossy(&text[..length]).into_owned();
    assert_eq!(text.matches("Content-Length: 4\r\n").count(), 2);
    assert_eq!(text.matches("/tea").count(), 1);
    // HEAD of a stream gets only the head.
    client.send("HEAD /stream HTTP/1.1\r\nHost: x\r\n\r\n");
    assert!(client.answer().0.contains("Transfer-Encoding: chunked"));
    assert_eq!(client.send(get("/next")).answer().1, "/next");
}

#[test]
fn a_stream_is_chunked_for_http_1_1_and_ends_with_the_connection_for_http_1_0() {
    let server = start();
    let new = server
        .connect()
        .send("GET /stream HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        .rest();
    assert!(new.contains("Transfer-Encoding: chunked\r\n"));
    assert!(new.ends_with("\r\n\r\n4\r\none \r\n4\r\ntwo \r\n5\r\nthree\r\n0\r\n\r\n"), "{new}");
    let old =
        server.connect().send("GET /stream HTTP/1.0\r\nConnection: keep-alive\r\n\r\n").rest();
    assert!(old.contains("Connection: close\r\n") && !old.contains("chunked"), "{old}");
    assert!(old.ends_with("\r\n\r\none two three"), "{old}");
}

// HTS-01, HTS-35
#[test]
fn bodies_come_back_as_they_were_sent_up_to_the_exact_limit() {
    let server = LocalServer::start(Config { max_body_bytes: 70_000, ..Config::default() }, app);
    for size in [1, 1000, 65_536, 70_000] {
        let body = "b".repeat(size);
        let mut client = server.connect();
        client.send(format!(
            "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: {size}\r\n\r\n{body}"
        ));
        assert!(client.answer().1 == body);
        client.send("POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n");
        for piece in body.as_bytes().chunks(9999) {
            client.send(format!("{:X}\r\n", piece.len())).send(piece).send("\r\n");
        }
        assert!(client.send("0\r\n\r\n").answer().1 == body);
    }
}

#[test]
fn continue_is_sent_when_the_body_is_wanted_and_only_then() {
    let server = start();
    let mut client = server.connect();
    client.send(
        "POST /echo HTTP/1.1\r\nHost: x\r\nExpect: 100-Continue\r\nContent-Length: 3\r\n\r\n",
    );
    assert_eq!(client.answer().0, "HTTP/1.1 100 Continue\r\n\r\n");
    assert_eq!(client.send("abc").answer().1, "abc");
    // A client that sends the body at once gets no `100 Continue`.
    client.send(
        "POST /echo HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\nabc",
    );
    let (head, body) = client.answer();
    assert!(head.starts_with("HTTP/1.1 200") && body == "abc", "{head}");
    // If the handler does not read the body, the response comes without `100 Continue`, and the
    // connection ends, whatever the client sends next.
    client
        .send("POST /no HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n");
    let rest = client.end().rest();
    assert!(rest.starts_with("HTTP/1.1 200") && rest.contains("Connection: close"), "{rest}");
}

// H5, HTS-X7
#[test]
fn an_unread_body_is_never_parsed_as_a_request() {
    let evil = Arc::new(AtomicUsize::new(0));
    let seen = evil.clone();
    let server = LocalServer::start(Config::default(), async move |request: &mut Request<'_>| {
        if request.path() == "/evil" {
            seen.fetch_add(1, Ordering::SeqCst);
        }
        Ok(Response::text("ignored"))
    });
    let hidden = get("/evil");
    let mut client = server.connect();
    // A small body is skipped, and the next request is served.
    client.send(format!(
        "GET / HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n{hidden}",
        hidden.len()
    ));
    client.send(get("/"));
    assert_eq!((client.answer().1, client.answer().1), ("ignored".into(), "ignored".into()));
    // With a large body, the request is answered and the connection ends while the client sends.
    let large = hidden.repeat((1 << 20) / hidden.len());
    client.send(format!("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n", large.len()));
    client.send(large);
    assert!(client.end().rest().ends_with("ignored"));
    assert_eq!(evil.load(Ordering::SeqCst), 0);
}

// I3, HTS-X5
#[test]
fn a_client_that_closes_its_sending_half_gets_the_whole_response() {
    let server = start();
    for path in ["/x", "/slow", "/large"] {
        let answer = server.connect().send(get(path)).end().rest();
        let size = match path {
            "/large" => 8 << 20,
            "/slow" => 4,
            _ => 2,
        };
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 200") && body.len() == size, "{path}: {}", body.len());
    }
}

// I2, HTS-36
#[test]
fn a_refusal_reaches_a_client_that_is_still_sending() {
    let server = start();
    for _ in 0..20 {
        let mut client = server.connect();
        client.send("POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 20000000\r\n\r\n");
        for _ in 0..305 {
            client.send([0; 1 << 16]); // fails if the server resets
        }
        let answer = client.end().rest();
        assert!(answer.starts_with("HTTP/1.1 413 Payload Too Large\r\n"), "{answer}");
    }
}

// H8, HTS-34, HTS-39
#[test]
fn slow_requests_get_408_and_idle_connections_are_closed() {
    let short = Duration::from_millis(60);
    let config = Config {
        head_timeout: short,
        body_timeout: short,
        idle_timeout: short,
        ..Config::default()
    };
    let server = LocalServer::start(config, app);
    let mut silent = server.connect();
    let mut used = server.connect();
    used.send(get("/used")).answer();
    let mut slow_head = server.connect();
    slow_head.send("GET / HTTP/1.1\r\nHo");
    let mut slow_body = server.connect();
    slow_body.send("POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 42\r\n\r\nabc");
    assert_eq!((silent.rest(), used.rest()), (String::new(), String::new()));
    for late in [&mut slow_head, &mut slow_body] {
        let (head, _) = late.answer();
        assert!(head.starts_with("HTTP/1.1 408 Request Timeout\r\n"), "{head}");
        assert_eq!(late.end().rest(), "");
    }
    // A client that sends one byte at a time does not extend the deadline of a head.
    let mut trickling = server.connect();
    let begin = Instant::now();
    let text = get("/dribbled");
    let mut bytes = text.bytes().chain(std::iter::repeat(b'x'));
    while begin.elapsed() < WATCHDOG && trickling.0.write_all(&[bytes.next().unwrap()]).is_ok() {
        let mut answer = [0; 12];
        trickling.0.set_read_timeout(Some(Duration::from_millis(5))).unwrap();
        if matches!(trickling.0.peek(&mut answer), Ok(12)) {
            assert!(&answer == b"HTTP/1.1 408" || begin.elapsed() < short, "{answer:?}");
            break;
        }
    }
    assert!(begin.elapsed() < WATCHDOG, "a trickling client was never cut");
}

// HTS-09 (WEB)
#[test]
fn a_panic_of_a_handler_is_a_500_and_ends_only_its_own_connection() {
    let server = start();
    let mut other = server.connect();
    other.send(get("/a")).answer();
    let answer = server.connect().send(get("/panic")).end().rest();
    assert!(answer.starts_with("HTTP/1.1 500 Internal Server Error\r\n"), "{answer}");
    assert_eq!(other.send(get("/b")).answer().1, "/b");
}

// I4, HTS-26: clients leave while the server sends, while a handler runs, and inside a body
#[test]
fn clients_that_reset_disturb_no_other_client() {
    let server = start();
    let mut other = server.connect();
    for n in 0..300 {
        let mut client = server.connect();
        let partial = "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nx".to_owned();
        client.send([get("/large"), get("/slow"), partial][n % 3].as_bytes());
        if n % 3 == 0 {
            client.0.read_exact(&mut [0]).unwrap(); // the rest of 8 MiB is left unread
        }
        // A socket that is closed with unread bytes sends a reset.
        drop(client);
    }
    assert_eq!(other.send(get("/fine")).answer().1, "/fine");
    drop(other);
    server.wait_until("no connection is left", |stats| stats.live_tasks == 1);
}

#[test]
fn a_slow_reader_and_a_slow_writer_do_not_delay_other_clients() {
    let server = start();
    let mut slow_reader = server.connect();
    slow_reader.send(get("/large"));
    let mut slow_writer = server.connect();
    slow_writer.send("POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\na");
    let mut client = server.connect();
    for n in 0..100 {
        assert_eq!(client.send(get(&format!("/{n}"))).answer().1, format!("/{n}"));
    }
    assert_eq!(slow_writer.send("bc").answer().1, "abc");
    assert_eq!(slow_reader.answer().1.len(), 8 << 20);
}

// H9
#[test]
fn the_server_stops_reading_from_a_client_that_pipelines_and_never_reads() {
    let server = start();
    let mut greedy = server.connect();
    greedy.0.set_write_timeout(Some(Duration::from_millis(300))).unwrap();
    let batch = get("/x").repeat(1000);
    let mut sent = 0;
    while greedy.0.write_all(batch.as_bytes()).is_ok() {
        sent += batch.len();
        assert!(sent < 1 << 30, "the server reads requests without limit");
    }
    assert_eq!(server.connect().send(get("/other")).answer().1, "/other");
}

#[test]
fn a_shutdown_finishes_running_requests_and_ends_idle_connections() {
    let server = start();
    let mut idle = server.connect();
    idle.send(get("/before")).answer();
    let mut busy = server.connect();
    busy.send(get("/slow"));
    server.wait_until("the request is running", |stats| stats.live_timers >= 2);
    let (stats, report) = server.stop();
    assert_eq!((report.finished, report.aborted), (2, 0));
    assert_eq!((stats.live_tasks, stats.live_timers, stats.live_sources), (0, 0, 0));
    assert_eq!(idle.rest(), "");
    let answer = busy.rest();
    assert!(
        answer.contains("Connection: close\r\n") && answer.ends_with("\r\n\r\nslow"),
        "{answer}"
    );
}

#[test]
fn a_new_connection_may_still_send_its_first_request_when_a_shutdown_begins() {
    let server = start();
    let mut new = server.connect();
    server.wait_until("the connection waits", |stats| stats.live_tasks >= 2);
    let client = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(200)); // the shutdown has begun
        new.send(get("/first")).rest()
    });
    let (_, report) = server.stop();
    assert_eq!((report.finished, report.aborted), (1, 0));
    let answer = client.join().unwrap();
    assert!(
        answer.contains("Connection: close\r\n") && answer.ends_with("\r\n\r\n/first"),
        "{answer}"
    );
}

// I6: with keep-alive, with `Connection: close`, after a half-close, and before a bad request
#[test]
fn a_client_that_never_reads_is_cut_at_the_write_deadline() {
    let short = Duration::from_millis(150);
    let config = Config { write_timeout: short, linger_timeout: short, ..Config::default() };
    let server = LocalServer::start(config, app);
    let mut never_reading: Vec<_> = (0..4).map(|_| server.connect()).collect();
    never_reading[0].send(get("/large"));
    never_reading[1].send("GET /large HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    never_reading[2].send(get("/large")).end();
    never_reading[3].send(get("/large") + "nonsense\r\n\r\n");
    server.wait_until("all requests are running", |stats| stats.live_tasks >= 5);
    server
        .wait_until("all clients are cut", |stats| stats.live_tasks == 1 && stats.live_timers == 0);
    // A client that reads slowly is not cut.
    let mut slow = server.connect();
    slow.send(get("/large"));
    let mut bytes = vec![0; 1 << 20];
    for _ in 0..8 {
        std::thread::sleep(Duration::from_millis(40));
        slow.0.read_exact(&mut bytes).unwrap();
    }
}

// I2: bytes after the last request of a connection must not cause a reset
#[test]
fn the_last_response_is_whole_although_the_client_has_sent_more() {
    let server = start();
    for extra in ["\r\n", "GET /more HTTP/1.1\r\nHost: x\r\n\r\n"] {
        let mut client = server.connect();
        client.send("GET /large HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        std::thread::sleep(Duration::from_millis(30)); // the server reads the request first
        client.send(extra);
        std::thread::sleep(Duration::from_millis(30));
        let answer = client.rest();
        let (_, body) = answer.split_once("\r\n\r\n").unwrap();
        assert_eq!(body.len(), 8 << 20, "after {extra:?}");
        assert_eq!(answer.matches("HTTP/1.1 ").count(), 1);
    }
}

// H5: also if the unread body turns out to be malformed, late or too large
#[test]
fn an_answered_request_gets_no_second_response() {
    let config = Config { body_timeout: Duration::from_millis(50), ..Config::default() };
    let server = LocalServer::start(config, app);
    for rest in [
        "Transfer-Encoding: chunked\r\n\r\nzz\r\n",
        "Transfer-Encoding: chunked\r\n\r\nfffffff\r\n",
        "Content-Length: 10\r\n\r\nabc",
    ] {
        let mut client = server.connect();
        client.send("POST /ignored HTTP/1.1\r\nHost: x\r\n".to_owned() + rest);
        let (head, body) = client.answer();
        assert!(head.starts_with("HTTP/1.1 200 ") && body == "/ignored", "{head}");
        assert_eq!(client.rest(), "", "a second response to {rest:?}");
    }
    // If the body is too large to skip, the response announces the end of the connection.
    let mut client = server.connect();
    client.send("POST /ignored HTTP/1.1\r\nHost: x\r\nContent-Length: 200000\r\n\r\n");
    assert!(client.answer().0.contains("Connection: close\r\n"));
}

// HTS-23
#[test]
fn an_empty_line_between_requests_does_not_start_the_head_deadline() {
    let config = Config { head_timeout: Duration::from_millis(50), ..Config::default() };
    let server = LocalServer::start(config, app);
    let mut client = server.connect();
    client.send("POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc\r\n").answer();
    std::thread::sleep(Duration::from_millis(120)); // longer than `head_timeout`
    assert_eq!(client.send(get("/next")).answer().1, "/next");
}

// S4 for requests
#[test]
fn a_client_that_pipelines_without_end_lets_the_others_in_between() {
    let server = LocalServer::start(Config::default(), async |request: &mut Request<'_>| {
        std::thread::sleep(Duration::from_millis(if request.path() == "/slow" { 1 } else { 0 }));
        Ok(Response::text("x"))
    });
    let mut greedy = server.connect();
    greedy.send(get("/slow").repeat(1500));
    server.wait_until("the first requests are answered", |stats| stats.turns > 3);
    let turns = server.stats().turns;
    let mut other = server.connect();
    other.send(get("/quick")).answer();
    // The greedy client gets at most 64 responses a turn, so 1500 would take more than 20 turns.
    let waited = server.stats().turns - turns;
    assert!(waited <= 15, "one request took {waited} turns beside a client that sent 1500");
}

#[test]
fn a_failed_handler_is_a_500_and_head_gets_it_without_a_body() {
    let server = LocalServer::start(Config::default(), async |request: &mut Request<'_>| {
        match request.path() {
            "/file" => Ok(Response::text(std::fs::read("/nowhere")?)),
            _ => panic!("on purpose"),
        }
    });
    let failed = server.connect().send(get("/file")).end().rest();
    assert!(
        failed.starts_with("HTTP/1.1 500 ") && failed.contains("the handler failed"),
        "{failed}"
    );
    let head = server.connect().send("HEAD /panic HTTP/1.1\r\nHost: x\r\n\r\n").end().rest();
    assert!(head.starts_with("HTTP/1.1 500 ") && head.ends_with("\r\n\r\n"), "{head}");
}

// T1, and a head limit that exceeds a buffer chunk
#[test]
fn endless_deadlines_and_large_limits_are_legal() {
    let config = Config {
        max_head_bytes: 48 << 10,
        idle_timeout: Duration::MAX,
        head_timeout: Duration::MAX,
        body_timeout: Duration::MAX,
        write_timeout: Duration::MAX,
        ..Config::default()
    };
    let server = LocalServer::start(config, app);
    let mut client = server.connect();
    client.send("GET /fine HTTP/1.1\r\n").send("Host: x\r\n\r\n");
    assert_eq!(client.answer().1, "/fine");
    let field = format!("X: {}\r\n", "y".repeat(40 << 10));
    client.send("GET / HTTP/1.1\r\nHost: x\r\n").send(&field);
    std::thread::sleep(Duration::from_millis(20));
    client.send(&field);
    assert!(client.end().rest().starts_with("HTTP/1.1 431 "));
}
