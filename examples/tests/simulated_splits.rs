//! Requests that arrive in two parts, on a simulated host: each place to split costs no real time.

mod support;

use std::time::Duration;

use squall_net::sim::Simulation;
use squall_net::{IoStream, TcpStream, sleep};
use support::requests::{EVIL, limits, malformed};
use tiny_http::{HttpServer, Request, Response};

/// A server that echoes bodies.
fn with_server() -> Simulation {
    let simulation = Simulation::new(1);
    simulation.host("server", || async {
        let server = HttpServer::new(limits(), async |request: &mut Request<'_>| {
            assert_ne!(request.path(), "/evil", "a smuggled request was run");
            Ok(Response::text(request.body().await?))
        });
        server.listen("0.0.0.0:80")?;
        std::future::pending().await
    });
    simulation
}

/// Connects, and sends `first` alone.
async fn send(first: &str) -> IoStream {
    let mut stream = IoStream::new(TcpStream::connect("server:80").await.unwrap());
    stream.write(first).unwrap();
    sleep(Duration::from_millis(50)).await; // longer than the way of a packet
    stream
}

// H1, H2, H3, H4, H6
#[test]
fn a_malformed_request_gets_the_same_status_wherever_it_is_split() {
    let splits = with_server().block_on(async {
        let mut splits = 0;
        for (name, status, request) in malformed() {
            if request.len() >= 300 {
                continue;
            }
            for at in 1..request.len() {
                let mut stream = send(&request[..at]).await;
                let _ = stream.write(format!("{}{EVIL}", &request[at..])); // it may be refused by now
                let answer = stream.read_until_close().await.unwrap();
                let answer = String::from_utf8_lossy(&answer);
                assert!(
                    answer.starts_with(&format!("HTTP/1.1 {status} "))
                        && answer.matches("HTTP/1.1 ").count() == 1,
                    "{name}, split at {at}: wanted {status}, got {answer:?}"
                );
                splits += 1;
            }
        }
        splits
    });
    support::say(&format!("{splits} splits of malformed requests"));
}

// H6: the last bytes of the stream are parsed too
#[test]
fn a_head_that_is_cut_off_gets_the_same_answer_wherever_it_is_split() {
    with_server().block_on(async {
        for (head, wanted) in [
            ("GET / HTTP/2.0\r\nHost", "505 HTTP Version Not Supported: this server speaks"),
            ("GET / HTTP/1.1\r\nHost : x", "400 Bad Request: the head is malformed"),
            ("GET / HTTP/1.1\r\nHost: x", "400 Bad Request: the stream ended inside the head"),
        ] {
            for at in 1..head.len() {
                let mut stream = send(&head[..at]).await;
                let _ = stream.write(&head.as_bytes()[at..]); // it may be refused by now
                let _ = stream.shutdown().await;
                let answer = stream.read_until_close().await.unwrap();
                let answer = String::from_utf8_lossy(&answer);
                assert!(answer.contains(wanted), "{head:?}, split at {at}: {answer}");
            }
        }
    });
}
