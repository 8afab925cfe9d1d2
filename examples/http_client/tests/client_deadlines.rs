//! Deadlines and timings of the HTTP client, on a clock that only the test moves.

mod client_kit;

use std::io;
use std::time::Duration;

use client_kit::{MILLISECOND, OK, SECOND, Scripted, error_of, run_with_clock};
use http_client::{ClientConfig, ClientResponse, FetchError, FetchRequest, HttpClient};
use squall_net::{Clock, ConnectOptions, JoinHandle, Resolver, Resolving, sleep, spawn};

type Fetching = JoinHandle<Result<ClientResponse, FetchError>>;

fn spawn_fetch(client: &HttpClient, request: impl Into<FetchRequest>) -> Fetching {
    let (client, request) = (client.clone(), request.into());
    spawn(async move { client.fetch(request).await })
}

/// A resolver that never answers.
struct Hanging;

impl Resolver for Hanging {
    fn resolve(&self, _: &str, _: u16) -> Resolving {
        Box::pin(std::future::pending())
    }
}

/// A server that never answers.
fn silent() -> Scripted {
    Scripted::new(async |peer| {
        peer.request().await?;
        std::future::pending::<io::Result<()>>().await
    })
}

/// Lets the loop run until `condition` holds. The clock stands still.
async fn settle_until(clock: &Clock, condition: impl Fn() -> bool) {
    for _ in 0..10_000 {
        if condition() {
            return;
        }
        clock.advance_and_settle(Duration::ZERO).await;
    }
    panic!("the condition does not come true");
}

// HTC-12
#[test]
fn a_request_waits_in_the_queue_for_its_deadline_and_no_longer() {
    run_with_clock(async |clock| {
        let server = silent();
        let config = ClientConfig { max_clients: 1, ..ClientConfig::default() };
        let client = HttpClient::with_config(config);
        let first = spawn_fetch(&client, server.url("/"));
        settle_until(&clock, || server.requests().len() == 1).await;
        let request = FetchRequest::get(server.url("/")).queue_timeout(100 * MILLISECOND);
        let second = spawn_fetch(&client, request);
        clock.advance_and_settle(Duration::ZERO).await;
        clock.advance_and_settle(99 * MILLISECOND).await;
        assert!(!second.is_finished());
        clock.advance_and_settle(MILLISECOND).await;
        let error = error_of(second.await.unwrap());
        assert!(matches!(error, FetchError::QueueTimeout));
        assert_eq!(error.to_string(), "timeout in the request queue");
        assert!(!first.is_finished());
        assert_eq!(server.accepted(), 1);
    });
}

// HTC-13
#[test]
fn the_connect_deadline_covers_a_resolver_that_hangs() {
    run_with_clock(async |clock| {
        let connect = ConnectOptions::default().resolver(Hanging);
        let client = HttpClient::with_config(ClientConfig { connect, ..ClientConfig::default() });
        let by_default = spawn_fetch(&client, "http://x.test/");
        let request = FetchRequest::get("http://x.test/").connect_timeout(100 * MILLISECOND);
        let sooner = spawn_fetch(&client, request);
        let request = FetchRequest::get("http://x.test/").request_timeout(100 * MILLISECOND);
        let by_request = spawn_fetch(&client, request);
        clock.advance_and_settle(Duration::ZERO).await;
        clock.advance_and_settle(99 * MILLISECOND).await;
        assert!(!sooner.is_finished() && !by_request.is_finished());
        clock.advance_and_settle(MILLISECOND).await;
        assert!(matches!(error_of(sooner.await.unwrap()), FetchError::ConnectTimeout));
        assert!(matches!(error_of(by_request.await.unwrap()), FetchError::RequestTimeout));
        assert!(!by_default.is_finished());
        clock.advance_and_settle(20 * SECOND).await;
        assert!(by_default.is_finished());
    });
}

// HTC-13
#[test]
fn the_request_deadline_covers_an_answer_that_hangs() {
    run_with_clock(async |clock| {
        let server = silent();
        let client = HttpClient::new();
        let fetch = spawn_fetch(&client, server.url("/"));
        settle_until(&clock, || server.requests().len() == 1).await;
        clock.advance_and_settle(20 * SECOND - MILLISECOND).await;
        assert!(!fetch.is_finished());
        clock.advance_and_settle(MILLISECOND).await;
        assert!(matches!(error_of(fetch.await.unwrap()), FetchError::RequestTimeout));
    });
}

// HTC-13
#[test]
fn the_request_deadline_covers_the_body() {
    run_with_clock(async |clock| {
        let server = Scripted::new(async |peer| {
            peer.request().await?;
            peer.stream.write("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf")?;
            std::future::pending::<io::Result<()>>().await
        });
        let client = HttpClient::new();
        let (_, mut body) = client.fetch_streaming(server.url("/")).await.unwrap();
        assert_eq!(body.next().await.unwrap().unwrap(), "half");
        let whole = spawn_fetch(&client, server.url("/"));
        let streamed = spawn(async move {
            let late = body.next().await;
            (late, body.next().await)
        });
        settle_until(&clock, || server.requests().len() == 2).await;
        assert!(!whole.is_finished() && !streamed.is_finished());
        clock.advance_and_settle(20 * SECOND).await;
        assert!(matches!(error_of(whole.await.unwrap()), FetchError::RequestTimeout));
        let (late, later) = streamed.await.unwrap();
        assert!(matches!(error_of(late), FetchError::RequestTimeout));
        assert!(matches!(error_of(later), FetchError::Truncated), "the connection is closed");
    });
}

// HTC-13
#[test]
fn zero_means_no_deadline() {
    run_with_clock(async |clock| {
        let config = ClientConfig {
            max_clients: 1,
            queue_timeout: Duration::ZERO,
            connect_timeout: Duration::ZERO,
            request_timeout: Duration::ZERO,
            ..ClientConfig::default()
        };
        let client = HttpClient::with_config(config);
        let server = Scripted::new(async |peer| {
            loop {
                peer.request().await?;
                sleep(100_000 * SECOND).await;
                peer.stream.write(OK)?;
            }
        });
        let (first, second) =
            (spawn_fetch(&client, server.url("/")), spawn_fetch(&client, server.url("/")));
        for number in 1..=2 {
            settle_until(&clock, || server.requests().len() == number).await;
            clock.advance_and_settle(100_000 * SECOND).await;
        }
        assert_eq!(first.await.unwrap().unwrap().body(), "ok");
        assert_eq!(second.await.unwrap().unwrap().body(), "ok");
    });
}

// HTC-33
#[test]
fn timings_are_what_the_clock_says() {
    run_with_clock(async |clock| {
        let server = Scripted::new(async |peer| {
            loop {
                let request = peer.request().await?;
                sleep(if request.starts_with("GET /3 ") { 3 * SECOND } else { 4 * SECOND }).await;
                peer.stream.write(match request.starts_with("GET /moved ") {
                    true => "HTTP/1.1 302 Found\r\nLocation: /3\r\nContent-Length: 0\r\n\r\n",
                    false => OK,
                })?;
            }
        });
        let config = ClientConfig { max_clients: 1, ..ClientConfig::default() };
        let client = HttpClient::with_config(config);
        let first = spawn_fetch(&client, server.url("/3"));
        let second = spawn_fetch(&client, server.url("/4"));
        settle_until(&clock, || server.requests().len() == 1).await;
        clock.advance_and_settle(3 * SECOND).await;
        settle_until(&clock, || server.requests().len() == 2).await;
        clock.advance_and_settle(4 * SECOND).await;
        let timings = first.await.unwrap().unwrap().timings();
        assert_eq!((timings.queue, timings.connect), (Duration::ZERO, Some(Duration::ZERO)));
        assert_eq!((timings.head, timings.total), (3 * SECOND, 3 * SECOND));
        let timings = second.await.unwrap().unwrap().timings();
        assert_eq!((timings.queue, timings.connect), (3 * SECOND, None));
        assert_eq!((timings.head, timings.total), (4 * SECOND, 7 * SECOND));

        let moved = spawn_fetch(&client, server.url("/moved"));
        settle_until(&clock, || server.requests().len() == 3).await;
        clock.advance_and_settle(4 * SECOND).await;
        settle_until(&clock, || server.requests().len() == 4).await;
        clock.advance_and_settle(3 * SECOND).await;
        let timings = moved.await.unwrap().unwrap().timings();
        assert_eq!((timings.head, timings.total), (3 * SECOND, 7 * SECOND));
    });
}
