//! What a handler may answer, and how an answer ends that cannot be completed.

mod support;

use std::future::pending;
use std::io::{self, Read};
use std::time::Duration;

use bytes::Bytes;
use futures_lite::stream::{self, StreamExt};
use http::StatusCode;
use squall_net::{EventLoop, sleep};
use support::{Client, LocalServer};
use tiny_http::{Config, HandlerResult, HttpServer, Request, Response};

fn start() -> LocalServer {
    LocalServer::start(Config::default(), app)
}

async fn app(request: &mut Request<'_>) -> HandlerResult {
    let path = request.path().to_owned();
    Ok(match path.split('/').collect::<Vec<_>>()[..] {
        ["", "status", code] => Response::status(code.parse().unwrap()),
        ["", "stream", end] => {
            let pieces = stream::iter(["one ", "two "].map(|piece| Ok(Bytes::from(piece))));
            match end {
                "fails" => Response::stream(pieces.chain(stream::once(Err(io::Error::other("x"))))),
                "panics" => Response::stream(pieces.chain(stream::once_future(async {
                    sleep(Duration::from_millis(1)).await;
                    panic!("on purpose")
                }))),
                "never_ends" => Response::stream(pieces.chain(stream::once_future(pending()))),
                _ => Response::stream(pieces),
            }
        }
        _ => Response::text(path),
    })
}

fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n")
}

#[test]
fn an_interim_status_of_a_handler_becomes_a_500() {
    let server = start();
    let mut client = server.connect();
    for path in ["/status/100", "/status/101", "/status/103", "/status/199"] {
        let (head, _) = client.send(get(path)).answer();
        assert!(head.starts_with("HTTP/1.1 500 "), "{path}: {head}");
        assert!(head.contains("Content-Length: "), "{path}: {head}");
    }
    assert_eq!(client.send(get("/next")).answer().1, "/next");
}

// RFC 9110, 15.3.6 and RFC 9112, 6.3
#[test]
fn a_205_has_a_length_of_zero_and_no_body() {
    let server = start();
    let mut client = server.connect();
    let (head, _) = client.send(get("/status/205")).answer();
    assert!(head.starts_with("HTTP/1.1 205 ") && head.contains("Content-Length: 0\r\n"), "{head}");
    assert_eq!(client.send(get("/next")).answer().1, "/next");
    for path in ["/status/204", "/status/304"] {
        let mut client = server.connect();
        let (head, _) = client.send(get(path)).answer();
        assert!(!head.contains("Content-Length"), "{head}");
        assert_eq!(client.send(get("/next")).answer().1, "/next", "{path}");
    }
}

/// Reads an HTTP/1.0 response to the end of its connection.
fn read_old(client: &mut Client) -> (String, io::Result<usize>) {
    let mut bytes = Vec::new();
    let outcome = client.0.read_to_end(&mut bytes);
    (String::from_utf8(bytes).unwrap(), outcome)
}

#[test]
fn a_stream_without_a_length_ends_in_a_reset_if_it_is_not_complete() {
    let server = start();
    for end in ["fails", "panics"] {
        let mut client = server.connect();
        client.send(format!("GET /stream/{end} HTTP/1.0\r\n\r\n"));
        let (text, outcome) = read_old(&mut client);
        let error = outcome.expect_err("an incomplete response must not end in order");
        assert_eq!(error.kind(), io::ErrorKind::ConnectionReset, "{end}: {text}");
    }
    let mut client = server.connect();
    let (text, outcome) = read_old(client.send("GET /stream/ends HTTP/1.0\r\n\r\n"));
    outcome.expect("a complete response ends in order");
    assert!(text.ends_with("\r\n\r\none two "), "{text}");
    // The server cuts this one, because it does not end before the deadline of the shutdown.
    let mut cut = server.connect();
    cut.send("GET /stream/never_ends HTTP/1.0\r\n\r\n");
    let mut text = Vec::new();
    while !text.ends_with(b"one two ") {
        let mut byte = [0];
        cut.0.read_exact(&mut byte).unwrap();
        text.extend(byte);
    }
    let (_, report) = server.stop();
    assert_eq!(report.aborted, 1);
    let error = read_old(&mut cut).1.expect_err("an aborted response must not end in order");
    assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
}

// RFC 9110, 9.3.7: the request is about the server and not about one of its paths
#[test]
fn options_of_the_server_are_answered_without_the_handler() {
    let server = LocalServer::start(Config::default(), async |_: &mut Request<'_>| {
        Ok(Response::status(StatusCode::NOT_FOUND))
    });
    for request in [
        "OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n",
        "OPTIONS * HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc",
        "OPTIONS * HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
    ] {
        let mut client = server.connect();
        let (head, body) = client.send(request).answer();
        assert!(head.starts_with("HTTP/1.1 200 OK\r\n") && body.is_empty(), "{head}");
        assert!(head.contains("Content-Length: 0\r\n"), "{head}");
        assert!(client.send(get("/")).answer().0.starts_with("HTTP/1.1 404 "));
    }
}

// The loop is busy while the clients connect and send, so that the shutdown begins before the
// server has heard of them.
#[test]
fn requests_that_have_reached_the_server_are_answered_by_its_shutdown() {
    let event_loop = EventLoop::new().unwrap();
    let server = HttpServer::new(Config::default(), app);
    let answers = event_loop.block_on(async {
        let address = server.listen("127.0.0.1:0").unwrap();
        let mut idle: Vec<_> = (0..4).map(|_| Client::connect(address)).collect();
        while server.connections() < 4 {
            sleep(Duration::from_millis(1)).await;
        }
        sleep(Duration::from_millis(1)).await; // they wait for a request
        for client in &mut idle {
            client.send(get("/late"));
        }
        let mut queued: Vec<_> = (0..50).map(|_| Client::connect(address)).collect();
        for client in &mut queued {
            client.send(get("/queued"));
        }
        let report = server.shut_down(Duration::from_secs(5)).await;
        assert_eq!((report.finished, report.aborted), (54, 0));
        idle.into_iter().chain(queued).map(|mut client| client.rest()).collect::<Vec<_>>()
    });
    assert_eq!(answers.len(), 54);
    for answer in answers {
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer:?}");
    }
}

// H12
#[test]
fn a_half_closed_client_costs_no_turns_while_a_body_is_open() {
    let server = LocalServer::start(Config::default(), async |request: &mut Request<'_>| {
        if request.path() == "/stream" {
            return Ok(Response::stream(stream::pending()));
        }
        let length = request.body().await?.len();
        Ok(Response::text(length.to_string()))
    });
    // One ends in the middle of its body, and one while the response is open.
    let mut sending = server.connect();
    sending.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabc").end();
    let mut receiving = server.connect();
    receiving.send(get("/stream")).end();
    assert!(sending.answer().0.starts_with("HTTP/1.1 400 "));
    assert!(receiving.answer().0.starts_with("HTTP/1.1 200 "));
    let before = server.stats().turns;
    std::thread::sleep(Duration::from_secs(1));
    let turns = server.stats().turns - before;
    // Bytes that look whether the client is still there go out after 50, 100, 200 and 400 ms.
    assert!(turns < 20, "{turns} turns in a second");
}
