//! Which connections the HTTP client keeps, and how many requests run at once.

mod client_kit;

use std::cell::Cell;
use std::io;
use std::rc::Rc;
use std::time::Duration;

use client_kit::{MILLISECOND, OK, SECOND, Scripted, run, run_with_clock};
use futures_lite::future::zip;
use http_client::{ClientConfig, FetchRequest, HttpClient};
use squall_net::executor::future::Future;
use squall_net::{sleep, spawn, stats, yield_now};

/// Waits until `condition` holds.
async fn until(condition: impl Fn() -> bool) {
    while !condition() {
        sleep(Duration::ZERO).await;
    }
}

#[test]
fn requests_in_turn_share_a_connection_and_requests_at_once_do_not() {
    run(async {
        let server = Scripted::answering(OK);
        let client = HttpClient::new();
        for _ in 0..5 {
            client.fetch(server.url("/")).await.unwrap();
        }
        assert_eq!(server.accepted(), 1);
        let fetch = || async { client.fetch(server.url("/")).await.unwrap() };
        zip(fetch(), fetch()).await;
        assert_eq!(server.accepted(), 2);
        zip(fetch(), fetch()).await;
        assert_eq!(server.accepted(), 2);
    });
}

#[test]
fn a_connection_serves_one_host_port_and_source_only() {
    run(async {
        let (one, two) = (Scripted::answering(OK), Scripted::answering(OK));
        let client = HttpClient::new();
        for _ in 0..2 {
            client.fetch(one.url("/")).await.unwrap();
            client.fetch(two.url("/")).await.unwrap();
            client.fetch(FetchRequest::get(one.url("/")).source([127, 0, 0, 3])).await.unwrap();
        }
        assert_eq!((one.accepted(), two.accepted()), (2, 1));
    });
}

#[test]
fn a_connection_that_either_side_ends_is_not_kept() {
    run(async {
        for answer in [
            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok",
            "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok",
            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok and bytes that nobody asked for",
        ] {
            let server = Scripted::answering(answer);
            let client = HttpClient::new();
            for number in 1..=3 {
                assert_eq!(client.fetch(server.url("/")).await.unwrap().body(), "ok");
                assert_eq!(server.accepted(), number, "{answer:?}");
            }
        }
        let server = Scripted::answering(OK);
        let client = HttpClient::new();
        for number in 1..=3 {
            let request = FetchRequest::get(server.url("/")).header("connection", "x, Close");
            client.fetch(request).await.unwrap();
            assert_eq!(server.accepted(), number);
        }
    });
}

// H13
#[test]
fn a_closed_connection_is_not_reused() {
    run(async {
        let closed = Rc::new(Cell::new(0));
        let count = Rc::clone(&closed);
        let server = Scripted::new(async move |peer| {
            peer.request().await?;
            peer.stream.write(OK)?;
            peer.stream.shutdown().await?;
            count.set(count.get() + 1);
            Ok(())
        });
        let client = HttpClient::new();
        for number in 1..=5 {
            // Not even for a request that could not be sent again.
            client.fetch(FetchRequest::post(server.url("/"), "x")).await.unwrap();
            until(|| closed.get() == number).await;
            assert_eq!(server.accepted(), number);
        }
    });
}

// H13
#[test]
fn a_connection_on_which_bytes_came_unasked_is_not_reused() {
    run(async {
        let sent = Rc::new(Cell::new(0));
        let count = Rc::clone(&sent);
        let server = Scripted::new(async move |peer| {
            peer.request().await?;
            peer.stream.write(OK)?;
            peer.stream.flush().await?;
            sleep(Duration::ZERO).await; // the client has its answer
            peer.stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nforged").await?;
            count.set(count.get() + 1);
            std::future::pending::<io::Result<()>>().await
        });
        let client = HttpClient::new();
        for number in 1..=3 {
            assert_eq!(client.fetch(server.url("/")).await.unwrap().body(), "ok");
            until(|| sent.get() == number).await;
        }
        assert_eq!(server.accepted(), 3);
    });
}

#[test]
fn idle_connections_are_closed_after_the_idle_timeout_by_one_timer() {
    run_with_clock(async |clock| {
        let ended = Rc::new(Cell::new(0));
        let count = Rc::clone(&ended);
        let server = Scripted::new(async move |peer| {
            while peer.request().await.is_ok() {
                peer.stream.write(OK)?;
            }
            count.set(count.get() + 1);
            Ok(())
        });
        let client = HttpClient::new();
        let fetch = || async { client.fetch(server.url("/")).await.unwrap() };
        let before = stats();
        fetch().await;
        clock.advance_and_settle(10 * SECOND).await;
        fetch().await; // the connection is idle anew
        clock.advance_and_settle(29 * SECOND).await;
        assert_eq!((server.accepted(), ended.get()), (1, 0));
        zip(fetch(), fetch()).await;
        clock.advance_and_settle(SECOND).await;
        zip(fetch(), zip(fetch(), fetch())).await;
        assert_eq!(server.accepted(), 3);
        let idle = stats();
        assert_eq!(idle.live_timers, before.live_timers + 1);
        assert_eq!(idle.live_tasks, before.live_tasks + 3, "the tasks of the server");
        clock.advance_and_settle(30 * SECOND - MILLISECOND).await;
        assert_eq!(ended.get(), 0);
        clock.advance_and_settle(MILLISECOND).await;
        clock.advance_and_settle(Duration::ZERO).await;
        assert_eq!(ended.get(), 3);
        assert_eq!(stats().live_timers, before.live_timers);
    });
}

#[test]
fn the_oldest_of_too_many_idle_connections_is_closed() {
    run(async {
        let servers = [(); 3].map(|()| Scripted::answering(OK));
        let config = ClientConfig { max_idle: 2, ..ClientConfig::default() };
        let client = HttpClient::with_config(config);
        for server in &servers {
            client.fetch(server.url("/")).await.unwrap();
        }
        for server in servers.iter().rev() {
            client.fetch(server.url("/")).await.unwrap();
        }
        assert_eq!([0, 1, 2].map(|n: usize| servers[n].accepted()), [2, 1, 1]);
        let none = HttpClient::with_config(ClientConfig { max_idle: 0, ..ClientConfig::default() });
        for _ in 0..2 {
            none.fetch(servers[1].url("/")).await.unwrap();
        }
        assert_eq!(servers[1].accepted(), 3);
    });
}

#[test]
fn dropping_the_client_closes_its_connections() {
    run(async {
        let ended = Future::new();
        let end = ended.clone();
        let server = Scripted::new(async move |peer| {
            peer.request().await?;
            peer.stream.write(OK)?;
            assert!(peer.request().await.is_err());
            let _ = end.set_result(()); // it is set once
            Ok(())
        });
        let client = HttpClient::new();
        client.fetch(server.url("/")).await.unwrap();
        drop(client);
        ended.await.unwrap();
    });
}

// HTC-30
#[test]
fn a_dropped_fetch_closes_its_connection_and_gives_its_slot_back() {
    run(async {
        let ended = Rc::new(Cell::new(0));
        let count = Rc::clone(&ended);
        let server = Scripted::new(async move |peer| {
            let request = peer.request().await?;
            if request.starts_with("GET /silent ") {
                assert!(peer.request().await.is_err(), "the client has gone");
                count.set(count.get() + 1);
                return Ok(());
            }
            Ok(peer.stream.write(OK)?)
        });
        let config = ClientConfig { max_clients: 2, ..ClientConfig::default() };
        let client = HttpClient::with_config(config);
        // Dropped after every possible number of polls, in the queue too.
        for polls in 0..30 {
            let fetches: Vec<_> = (0..4)
                .map(|_| {
                    let (client, url) = (client.clone(), server.url("/silent"));
                    spawn(async move { client.fetch(url).await })
                })
                .collect();
            for _ in 0..polls {
                yield_now().await;
            }
            fetches.iter().for_each(|fetch| fetch.abort());
        }
        let (_, body) = client.fetch_streaming(server.url("/")).await.unwrap();
        drop(body);
        for _ in 0..3 {
            assert_eq!(client.fetch(server.url("/")).await.unwrap().body(), "ok");
        }
        let silent = || server.requests().iter().filter(|text| text.contains("/silent")).count();
        assert!(silent() > 10, "some were dropped while they waited for the answer");
        until(|| ended.get() == silent()).await;
    });
}

// HTC-32
#[test]
fn ten_requests_run_at_once_unless_another_number_is_set() {
    run(async {
        for (config, limit) in [
            (ClientConfig::default(), 10),
            (ClientConfig { max_clients: 14, ..ClientConfig::default() }, 14),
            (ClientConfig { max_clients: 0, ..ClientConfig::default() }, 1),
        ] {
            let (running, most) = (Rc::new(Cell::new(0)), Rc::new(Cell::new(0)));
            let (now, peak) = (Rc::clone(&running), Rc::clone(&most));
            let server = Scripted::new(async move |peer| {
                loop {
                    peer.request().await?;
                    now.set(now.get() + 1);
                    peak.set(peak.get().max(now.get()));
                    sleep(MILLISECOND).await;
                    now.set(now.get() - 1);
                    peer.stream.write(OK)?;
                }
            });
            let client = HttpClient::with_config(config);
            let fetches: Vec<_> = (0..60)
                .map(|_| {
                    let (client, url) = (client.clone(), server.url("/"));
                    spawn(async move { client.fetch(url).await.unwrap() })
                })
                .collect();
            for fetch in fetches {
                fetch.await.unwrap();
            }
            assert_eq!((most.get(), server.accepted()), (limit, limit));
        }
    });
}
