//! When the HTTP client sends a request again, and when it must not (FAULTS H13).

mod client_kit;

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use client_kit::{MILLISECOND, OK, Scripted, error_of, run, say};
use futures_lite::future::zip;
use http::Method;
use http_client::{FetchError, FetchRequest, HttpClient};
use squall_net::executor::future::Future;
use squall_net::{sleep, yield_now};

/// A server that answers the first request of each connection, and closes when the second comes.
fn closing_on_the_second_request() -> Scripted {
    Scripted::new(async |peer| {
        peer.request().await?;
        peer.stream.write(OK)?;
        peer.request().await?;
        Ok(())
    })
}

// H13
#[test]
fn an_idempotent_request_is_sent_once_more_if_a_kept_connection_ends_without_an_answer() {
    run(async {
        for method in [Method::GET, Method::HEAD, Method::OPTIONS, Method::PUT, Method::DELETE] {
            let server = closing_on_the_second_request();
            let client = HttpClient::new();
            client.fetch(server.url("/")).await.unwrap();
            let mut request = FetchRequest::new(method.clone(), server.url("/"));
            if method == Method::PUT {
                request = request.body("tea");
            }
            client.fetch(request).await.unwrap();
            assert_eq!((server.accepted(), server.requests().len()), (2, 3), "{method}");
            assert_eq!(server.requests()[1], server.requests()[2]);
        }
    });
}

// H13
#[test]
fn no_other_request_is_sent_twice() {
    run(async {
        let whole = |method, url: &str| FetchRequest::new(method, url).body("tea");
        let streamed = |url: &str| {
            let pieces = futures_lite::stream::iter([Ok("tea".into())]);
            FetchRequest::new(Method::PUT, url).body_stream(pieces, None)
        };
        for make in [
            &(|url: &str| whole(Method::POST, url)) as &dyn Fn(&str) -> FetchRequest,
            &|url| whole(Method::PATCH, url),
            &streamed,
        ] {
            let server = closing_on_the_second_request();
            let client = HttpClient::new();
            client.fetch(server.url("/")).await.unwrap();
            let outcome = client.fetch(make(&server.url("/"))).await;
            assert!(matches!(error_of(outcome), FetchError::Connection(_)));
            assert_eq!((server.accepted(), server.requests().len()), (1, 2));
        }
    });
}

// H13
#[test]
fn a_request_is_not_sent_again_after_a_byte_of_an_answer_or_on_a_new_connection() {
    run(async {
        for begin in ["H", "HTTP/1.1 100 Continue\r\n\r\n"] {
            let server = Scripted::new(async move |peer| {
                peer.request().await?;
                peer.stream.write(OK)?;
                peer.request().await?;
                Ok(peer.stream.write(begin)?)
            });
            let client = HttpClient::new();
            client.fetch(server.url("/")).await.unwrap();
            let outcome = client.fetch(server.url("/")).await;
            assert!(matches!(error_of(outcome), FetchError::Truncated));
            assert_eq!(server.requests().len(), 2);
        }
        let server = Scripted::new(async |peer| peer.request().await.map(drop));
        let outcome = HttpClient::new().fetch(server.url("/")).await;
        assert!(matches!(error_of(outcome), FetchError::Connection(_)));
        assert_eq!(server.requests().len(), 1);
    });
}

// H13
#[test]
fn a_request_is_sent_twice_at_most() {
    run(async {
        // Both connections are kept, and both fail at the next request.
        let server = Scripted::new(async |peer| {
            if peer.number < 2 {
                peer.request().await?;
                sleep(MILLISECOND).await; // the two requests overlap
                peer.stream.write(OK)?;
            }
            peer.request().await.map(drop)
        });
        let client = HttpClient::new();
        let fetch = || client.fetch(server.url("/"));
        let (first, second) = zip(fetch(), fetch()).await;
        assert!(first.is_ok() && second.is_ok());
        let outcome = fetch().await;
        assert!(matches!(error_of(outcome), FetchError::Connection(_)));
        assert_eq!((server.accepted(), server.requests().len()), (3, 4));
    });
}

/// When a server closes the connection on which it has answered.
#[derive(Default)]
struct Close {
    /// Set when the client begins its next request.
    begun: RefCell<Future<()>>,
    /// How many turns of the loop, and then steps within a turn, the server waits after that.
    turns: Cell<usize>,
    steps: Cell<usize>,
    /// How many requests the server has read.
    read: Cell<usize>,
}

/// A server that closes each connection after its first answer, without reading another request.
fn closing_at(close: Rc<Close>) -> Scripted {
    Scripted::new(async move |peer| {
        peer.head().await?;
        close.read.set(close.read.get() + 1);
        peer.stream.write(OK)?;
        let begun = close.begun.borrow().clone();
        begun.await.expect("it is set");
        for _ in 0..close.turns.get() {
            sleep(Duration::ZERO).await;
        }
        for _ in 0..close.steps.get() {
            yield_now().await;
        }
        Ok(())
    })
}

// H13
#[test]
fn in_thousands_of_races_with_a_close_no_get_is_lost_and_no_post_comes_twice() {
    const ROUNDS: usize = 10_000;
    run(async {
        let close = Rc::new(Close::default());
        let server = closing_at(Rc::clone(&close));
        let (mut found, mut lost) = (0, 0);
        for round in 0..ROUNDS {
            close.begun.replace(Future::new());
            close.turns.set(round / 2 % 5);
            close.steps.set(round / 10 % 7);
            close.read.set(0);
            let client = HttpClient::new();
            client.fetch(server.url("/")).await.unwrap();
            let accepted = server.accepted();
            close.begun.borrow().set_result(()).unwrap();
            let is_post = round % 2 == 1;
            let request = match is_post {
                true => FetchRequest::new(Method::POST, server.url("/")).body(""),
                false => FetchRequest::get(server.url("/")),
            };
            match client.fetch(request).await {
                Ok(response) => {
                    assert_eq!(response.body(), "ok");
                    assert_eq!((server.accepted(), close.read.get()), (accepted + 1, 2), "{round}");
                    found += usize::from(is_post);
                }
                Err(FetchError::Connection(_)) if is_post => {
                    assert_eq!((server.accepted(), close.read.get()), (accepted, 1), "{round}");
                    lost += 1;
                }
                Err(error) => panic!("round {round}: {error}"),
            }
        }
        say(&format!("{ROUNDS} races: {found} POSTs found the close in time, {lost} were lost"));
        assert!(found > 0 && lost > 0, "the close came before and after the request");
    });
}
