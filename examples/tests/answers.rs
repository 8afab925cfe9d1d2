//! What a handler may answer, and how an answer ends that cannot be completed.

mod support;

use std::future::pending;
use std::io::{self, Read};
use std::time::Duration;

use bytes::Bytes;
use futures_lite::stream::{self, StreamExt};
use squall_net::sleep;
use support::{Client, LocalServer};
use tiny_http::{Config, Rejection, Request, Response};

fn start() -> LocalServer {
    LocalServer::start(Config::default(), app)
}

async fn app(request: &mut Request<'_>) -> Result<Response, Rejection> {
    let path = request.path().to_owned();
    Ok(match path.split('/').collect::<Vec<_>>()[..] {
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
