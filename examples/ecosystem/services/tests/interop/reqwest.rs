//! reqwest through async-compat: its connections and timers are tokio's, its callers tasks of squall.

use std::time::Duration;

use async_compat::Compat;
use axum::Router;
use axum::body::Body;
use axum::routing::{get, post};
use futures_util::future::{join_all, pending};
use hyper::body::Bytes;
use squall_net::{spawn, stats};

use crate::support::{RouterServer, run};

fn start() -> RouterServer {
    RouterServer::start(
        Router::new()
            .route("/hello", get(async || "hello"))
            .route("/echo", post(async |body: Body| body))
            .route("/never", get(async || pending::<&str>().await)),
    )
}

#[test]
fn a_client_in_a_task_of_squall_reads_from_a_server_of_the_same_loop() {
    run(Compat::new(async {
        let server = start();
        let client = reqwest::Client::new();
        for _ in 0..10 {
            let answer = client.get(server.url("/hello")).send().await.unwrap();
            assert_eq!(answer.text().await.unwrap(), "hello");
        }
        // The pool gets a connection back on tokio's thread, which the next request may not await.
        assert!(server.connections.get() < 10, "the client keeps no connection");
        assert!(stats().messages > 0, "tokio's thread wakes the loop");
    }));
}

#[test]
fn bodies_of_megabytes_are_streamed_back() {
    run(Compat::new(async {
        let server = start();
        let body = Bytes::from(vec![b'x'; 5 << 20]);
        let request = reqwest::Client::new().post(server.url("/echo")).body(body.clone());
        let mut answer = request.send().await.unwrap();
        let mut received = 0;
        while let Some(chunk) = answer.chunk().await.unwrap() {
            received += chunk.len();
        }
        assert_eq!(received, body.len());
    }));
}

#[test]
fn a_request_has_a_time_limit_of_tokio() {
    run(Compat::new(async {
        let server = start();
        let request = reqwest::Client::new().get(server.url("/never"));
        let error = request.timeout(Duration::from_millis(50)).send().await.unwrap_err();
        assert!(error.is_timeout(), "{error}");
    }));
}

/// Each task that calls tokio's functions is wrapped itself.
#[test]
fn spawned_tasks_share_a_client() {
    run(async {
        let server = start();
        let client = reqwest::Client::new();
        let fetch = |_| {
            let (client, url) = (client.clone(), server.url("/hello"));
            let fetch = async move { client.get(url).send().await.unwrap().text().await.unwrap() };
            spawn(Compat::new(fetch))
        };
        for text in join_all((0..20).map(fetch)).await {
            assert_eq!(text.unwrap(), "hello");
        }
    });
}
