//! Bodies that the HTTP client makes while it sends them.

mod client_kit;

use std::cell::Cell;
use std::io;
use std::rc::Rc;
use std::time::Duration;

use client_kit::{MILLISECOND, OK, SECOND, Scripted, error_of, run, run_with_clock, status_error};
use futures_lite::{Stream, StreamExt, stream};
use http::StatusCode;
use http_client::{FetchError, FetchRequest, HttpClient};
use squall_net::{Bytes, sleep, spawn, timeout};

/// Pieces that are there at once.
fn at_once() -> impl Stream<Item = io::Result<Bytes>> + 'static {
    stream::iter(["1234", "", "5678"]).map(|piece| Ok(Bytes::from(piece)))
}

/// Pieces for which the client has to wait.
fn later() -> impl Stream<Item = io::Result<Bytes>> + 'static {
    at_once().then(async |piece| {
        sleep(Duration::ZERO).await;
        piece
    })
}

/// Pieces of 64 KiB without end, and how many were made.
fn endless() -> (impl Stream<Item = io::Result<Bytes>> + 'static, Rc<Cell<usize>>) {
    let made = Rc::new(Cell::new(0));
    let count = Rc::clone(&made);
    let pieces = stream::repeat_with(move || {
        count.set(count.get() + 1);
        Ok(Bytes::from_static(&[b'x'; 1 << 16]))
    });
    (pieces, made)
}

fn put(server: &Scripted) -> FetchRequest {
    FetchRequest::new(http::Method::PUT, server.url("/"))
}

// HTC-22
#[test]
fn a_body_is_made_at_once_or_later_and_sent_in_chunks_or_with_a_length() {
    run(async {
        let server = Scripted::answering(OK);
        let client = HttpClient::new();
        let chunks = "transfer-encoding: chunked\r\n\r\n4\r\n1234\r\n4\r\n5678\r\n0\r\n\r\n";
        let whole = "content-length: 8\r\n\r\n12345678";
        for (request, sent) in [
            (put(&server).body_stream(at_once(), None), chunks),
            (put(&server).body_stream(later(), None), chunks),
            (put(&server).body_stream(at_once(), Some(8)), whole),
            (put(&server).body_stream(later(), Some(8)), whole),
        ] {
            client.fetch(request).await.unwrap();
            assert!(server.last_request().ends_with(sent), "{}", server.last_request());
        }
        assert_eq!(server.accepted(), 1);
    });
}

// HTC-22
#[test]
fn a_body_of_another_length_or_with_an_error_fails_and_is_never_complete() {
    run(async {
        let incomplete = Rc::new(Cell::new(0));
        let count = Rc::clone(&incomplete);
        let server = Scripted::new(async move |peer| {
            if peer.request().await.is_err() {
                count.set(count.get() + 1);
            }
            Ok(peer.stream.write(OK)?)
        });
        let failing = || at_once().chain(stream::once(Err(io::Error::other("out of tea"))));
        for request in [
            put(&server).body_stream(at_once(), Some(9)),
            put(&server).body_stream(later(), Some(9)),
            put(&server).body_stream(failing(), None),
            put(&server).body_stream(failing(), Some(9)),
        ] {
            let error = error_of(HttpClient::new().fetch(request).await);
            assert!(matches!(error, FetchError::RequestBody(_)), "{error}");
        }
        while incomplete.get() < 4 {
            sleep(Duration::ZERO).await;
        }
        let longer = put(&server).body_stream(at_once(), Some(7));
        let error = error_of(HttpClient::new().fetch(longer).await);
        assert!(matches!(error, FetchError::RequestBody(_)), "{error}");
    });
}

#[test]
fn a_body_is_made_only_as_fast_as_the_server_reads() {
    run_with_clock(async |clock| {
        let server = Scripted::new(async |peer| {
            peer.head().await?;
            std::future::pending::<io::Result<()>>().await
        });
        let (pieces, made) = endless();
        let request = put(&server).body_stream(pieces, None);
        let fetch = spawn(async move { HttpClient::new().fetch(request).await });
        let mut before = usize::MAX;
        while before != made.get() {
            before = made.get();
            for _ in 0..100 {
                clock.advance_and_settle(Duration::ZERO).await;
            }
        }
        assert!((1..1000).contains(&before), "{before} pieces fill the buffers of the kernel");
        clock.advance_and_settle(20 * SECOND).await;
        assert!(matches!(error_of(fetch.await.unwrap()), FetchError::RequestTimeout));
        assert!(made.get() < 1000);
    });
}

// HTC-22
#[test]
fn an_early_refusal_ends_the_upload_and_is_returned() {
    run(async {
        for end in ["read on", "linger", "reset"] {
            let server = Scripted::new(async move |peer| {
                peer.head().await?;
                peer.stream.write("HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\nno")?;
                match end {
                    "linger" => return Ok(peer.stream.linger(1 << 30, SECOND).await?),
                    "reset" => {
                        peer.stream.flush().await?;
                        peer.stream.fill().await?; // unread bytes make the close a reset
                        return Ok(());
                    }
                    _ => {}
                }
                while peer.stream.fill().await? > 0 {
                    peer.stream.consume(peer.stream.buffer().len());
                }
                Ok(())
            });
            let client = HttpClient::new();
            for number in 1..=2 {
                let (pieces, _) = endless();
                let request = put(&server).body_stream(pieces, None);
                let response = status_error(client.fetch(request).await);
                assert_eq!(response.status(), StatusCode::PAYLOAD_TOO_LARGE);
                assert_eq!((&**response.body(), server.accepted()), (&b"no"[..], number));
            }
        }
    });
}

// HTC-22
#[test]
fn no_piece_is_made_after_an_answer_that_is_no_success() {
    run(async {
        let server = Scripted::new(async |peer| {
            peer.head().await?;
            peer.stream.write("HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\n")?;
            // Makes room for a client that would go on.
            peer.stream.read_bytes(64 << 10).await?;
            while timeout(20 * MILLISECOND, peer.stream.fill()).await.is_ok_and(|read| read.is_ok())
            {
                peer.stream.consume(peer.stream.buffer().len());
            }
            Ok(peer.stream.write("no")?)
        });
        let (pieces, made) = endless();
        let request = put(&server).body_stream(pieces.take(1000), None).any_status();
        let (response, mut body) = HttpClient::new().fetch_streaming(request).await.unwrap();
        assert_eq!(response.status(), StatusCode::PAYLOAD_TOO_LARGE);
        let before = made.get();
        assert_eq!(body.next().await.unwrap().unwrap(), "no");
        assert_eq!(made.get(), before);
    });
}

// H13
#[test]
fn a_connection_with_an_unsent_rest_of_a_request_is_not_reused() {
    run(async {
        let server = Scripted::new(async |peer| {
            peer.head().await?;
            peer.stream.write(OK)?;
            std::future::pending::<io::Result<()>>().await
        });
        let client = HttpClient::new();
        for number in 1..=2 {
            let request = FetchRequest::post(server.url("/"), vec![b'x'; 32 << 20]);
            assert_eq!(client.fetch(request).await.unwrap().body(), "ok");
            assert_eq!(server.accepted(), number);
        }
    });
}

#[test]
fn a_server_may_answer_while_it_reads() {
    run(async {
        let server = Scripted::new(async |peer| {
            peer.head().await?;
            peer.stream.write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")?;
            loop {
                let size = peer.stream.read_until(b"\r\n").await?;
                let size =
                    usize::from_str_radix(str::from_utf8(&size).unwrap().trim(), 16).unwrap();
                let chunk = peer.stream.read_bytes(size + 2).await?;
                peer.stream.write(format!("{size:x}\r\n"))?;
                peer.stream.write(chunk)?;
                if size == 0 {
                    return Ok(peer.stream.shutdown().await?);
                }
            }
        });
        let pieces = stream::repeat_with(|| Ok(Bytes::from_static(&[b'x'; 1 << 16]))).take(500);
        let request = FetchRequest::post(server.url("/"), "").body_stream(pieces, None);
        let answer = HttpClient::new().fetch(request).await.unwrap();
        assert_eq!(answer.body().len(), 500 << 16);
    });
}

#[test]
fn a_body_waits_for_the_consent_of_the_server() {
    run_with_clock(async |_| {
        let server = Scripted::new(async |peer| {
            let head = peer.head().await?;
            assert!(head.contains("expect: 100-continue\r\n"), "{head}");
            assert!(peer.stream.buffer().is_empty());
            peer.stream.write("HTTP/1.1 100 Continue\r\n\r\n")?;
            assert_eq!(peer.stream.read_bytes(3).await?, "tea");
            Ok(peer.stream.write(OK)?)
        });
        let request = FetchRequest::post(server.url("/"), "tea").expect_continue();
        assert_eq!(HttpClient::new().fetch(request).await.unwrap().body(), "ok");
    });
}

#[test]
fn a_body_is_sent_after_a_second_without_consent() {
    run_with_clock(async |clock| {
        let server = Scripted::answering(OK);
        let request = FetchRequest::post(server.url("/"), "tea").expect_continue();
        let fetch = spawn(async move { HttpClient::new().fetch(request).await });
        while server.accepted() == 0 {
            clock.advance_and_settle(Duration::ZERO).await;
        }
        clock.advance_and_settle(Duration::from_millis(999)).await;
        assert_eq!(server.requests().len(), 0);
        clock.advance_and_settle(Duration::from_millis(1)).await;
        assert_eq!(fetch.await.unwrap().unwrap().body(), "ok");
    });
}

// HTC-22
#[test]
fn without_consent_no_piece_is_made_and_the_connection_is_not_reused() {
    run(async {
        let refusal = "HTTP/1.1 417 Expectation Failed\r\nContent-Length: 0\r\n\r\n";
        for answer in [refusal, OK] {
            let server = Scripted::new(async move |peer| {
                peer.head().await?;
                peer.stream.write(answer)?;
                assert!(peer.stream.read_bytes(1).await.is_err(), "the body was not asked for");
                Ok(())
            });
            let (pieces, made) = endless();
            let request = put(&server).body_stream(pieces, None).expect_continue().any_status();
            let client = HttpClient::new();
            client.fetch(request).await.unwrap();
            let request = FetchRequest::post(server.url("/"), "tea").expect_continue().any_status();
            client.fetch(request).await.unwrap();
            assert_eq!((made.get(), server.accepted()), (0, 2));
        }
    });
}
