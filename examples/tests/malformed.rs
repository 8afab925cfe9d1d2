//! Malformed requests, sent whole and byte by byte. Each gets an error status and the end of its
//! connection, and the server never runs the request after it.

mod support;

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use support::requests::{EVIL, get, limits, malformed, unusual_but_valid};
use support::{Client, LocalServer, say};
use tiny_http::{Request, Response};

/// Sends `text`. Stops without an error if the server closes the connection.
fn send(client: &mut Client, text: &[u8], bytewise: bool) {
    let pieces: Box<dyn Iterator<Item = &[u8]>> =
        if bytewise { Box::new(text.chunks(1)) } else { Box::new(std::iter::once(text)) };
    for piece in pieces {
        if client.0.write_all(piece).is_err() {
            return;
        }
    }
}

// H1, H2, H3, H4, H6, H7, HTS-08, HTS-09, HTS-10, HTS-12, HTS-14, HTS-15, HTS-17, HTS-33, HTS-42, HTS-44, HTS-X2, HTS-X3
#[test]
fn malformed_requests_get_their_status_and_the_end_of_the_connection() {
    let evil = Arc::new(AtomicUsize::new(0));
    let seen = evil.clone();
    let server = LocalServer::start(limits(), async move |request: &mut Request<'_>| {
        if request.path() == "/evil" {
            seen.fetch_add(1, Ordering::SeqCst);
        }
        Ok(Response::text(request.body().await?))
    });
    let mut failures = Vec::new();
    let cases = malformed();
    assert!(cases.len() >= 400, "{} cases", cases.len());
    say(&format!("{} malformed requests", cases.len()));
    for (name, status, request) in cases {
        for bytewise in [false, true] {
            let mut client = server.connect();
            send(&mut client, (request.clone() + EVIL).as_bytes(), bytewise);
            let answer = client.end().rest();
            let is_right = answer.starts_with(&format!("HTTP/1.1 {status} "))
                && answer.matches("HTTP/1.1 ").count() == 1
                && answer.contains("\r\nConnection: close\r\n");
            if !is_right {
                let how = if bytewise { "byte by byte" } else { "whole" };
                failures.push(format!("{name}, {how}: wanted {status}, got {answer:?}"));
            }
        }
    }
    assert!(failures.is_empty(), "{} failed:\n{}", failures.len(), failures.join("\n"));
    assert_eq!(evil.load(Ordering::SeqCst), 0, "a smuggled request was run");
    assert_eq!(server.stop().0.live_tasks, 0);
}

// H6, HTS-02, HTS-03, HTS-06, HTS-11
#[test]
fn unusual_but_valid_requests_are_served() {
    let server = LocalServer::start(limits(), async |request: &mut Request<'_>| {
        Ok(Response::text(request.body().await?))
    });
    for (name, request, body) in unusual_but_valid() {
        for bytewise in [false, true] {
            let mut client = server.connect();
            send(&mut client, request.as_bytes(), bytewise);
            let (head, got) = client.answer();
            assert!(head.starts_with("HTTP/1.1 200 ") && got == body, "{name}: {head}{got}");
            // The server found the end of the request: the connection serves the next request.
            let (head, _) = client.send(get(&[])).answer();
            assert!(head.starts_with("HTTP/1.1 200 "), "after {name}: {head}");
        }
    }
}
