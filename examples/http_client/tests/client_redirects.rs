//! Redirects of the HTTP client.

mod client_kit;

use std::cell::Cell;
use std::rc::Rc;

use client_kit::{OK, Scripted, run, status_error};
use futures_lite::{StreamExt, stream};
use http::{Method, StatusCode};
use http_client::{ClientConfig, FetchRequest, HttpClient};
use squall_net::Bytes;

/// An answer that redirects to `location`.
fn to(status: u16, location: &str) -> String {
    format!("HTTP/1.1 {status} R\r\nLocation: {location}\r\nContent-Length: 6\r\n\r\nmoved!")
}

/// Redirects `/n` to `/n-1`, and answers `/0`.
fn countdown() -> Scripted {
    Scripted::new(async |peer| {
        loop {
            let request = peer.request().await?;
            let path = request.split(' ').nth(1).unwrap();
            let answer = match path.trim_start_matches('/').parse::<u32>().unwrap() {
                0 => OK.to_owned(),
                n => to(302, &format!("/{}", n - 1)),
            };
            peer.stream.write(answer)?;
        }
    })
}

// HTC-06
#[test]
fn redirects_are_followed_or_not_on_request() {
    run(async {
        let server = countdown();
        let client = HttpClient::new();
        let response = client.fetch(server.url("/2")).await.unwrap();
        assert_eq!(response.body(), "ok");
        assert_eq!(
            (response.original_url(), response.url()),
            (&*server.url("/2"), &*server.url("/0"))
        );
        assert_eq!(server.accepted(), 1, "the body of a redirect is read");
        let request = FetchRequest::get(server.url("/2")).follow_redirects(false);
        let response = status_error(client.fetch(request).await);
        assert_eq!((response.status(), &**response.body()), (StatusCode::FOUND, &b"moved!"[..]));
        assert_eq!(response.url(), server.url("/2"));
    });
}

// HTC-06
#[test]
fn a_redirect_without_a_location_is_returned_as_it_is() {
    run(async {
        let server = Scripted::answering("HTTP/1.1 302 Found\r\nContent-Length: 2\r\n\r\nhm");
        let request = FetchRequest::get(server.url("/")).any_status();
        let response = HttpClient::new().fetch(request).await.unwrap();
        assert_eq!((response.status(), &**response.body()), (StatusCode::FOUND, &b"hm"[..]));
    });
}

// HTC-07
#[test]
fn the_redirect_beyond_the_limit_is_returned_with_the_first_and_the_last_url() {
    run(async {
        let server = countdown();
        let client = HttpClient::new();
        let request = |path| FetchRequest::get(server.url(path)).max_redirects(3);
        assert_eq!(client.fetch(request("/3")).await.unwrap().body(), "ok");
        let response = status_error(client.fetch(request("/4")).await);
        assert_eq!(
            (response.status(), &response.headers()["location"]),
            (StatusCode::FOUND, &"/0".parse().unwrap())
        );
        assert_eq!(
            (response.original_url(), response.url()),
            (&*server.url("/4"), &*server.url("/1"))
        );
        assert_eq!(client.fetch(server.url("/5")).await.unwrap().body(), "ok");
        status_error(client.fetch(server.url("/6")).await);
    });
}

// HTC-10
#[test]
fn redirects_release_their_slot_between_requests() {
    run(async {
        let server = countdown();
        let config = ClientConfig { max_clients: 1, ..ClientConfig::default() };
        let client = HttpClient::with_config(config);
        let fetches = ["/3", "/2", "/4"].map(|path| {
            let (client, url) = (client.clone(), server.url(path));
            squall_net::spawn(async move { client.fetch(url).await.unwrap() })
        });
        for fetch in fetches {
            assert_eq!(fetch.await.unwrap().body(), "ok");
        }
        let requests = server.requests();
        let paths = requests.iter().map(|request| request.split(' ').nth(1).unwrap());
        let order = ["/3", "/2", "/4", "/2", "/1", "/3", "/1", "/0", "/2", "/0", "/1", "/0"];
        assert!(paths.eq(order), "each hop waits for its turn: {requests:?}");
    });
}

// HTC-06
#[test]
fn a_post_becomes_a_get_or_is_sent_again_as_the_status_says() {
    run(async {
        for (status, method, with_body) in [
            (301, "GET", false),
            (302, "GET", false),
            (303, "GET", false),
            (307, "POST", true),
            (308, "POST", true),
        ] {
            let server = Scripted::new(async move |peer| {
                peer.request().await?;
                peer.stream.write(to(status, "b?c"))?;
                peer.request().await?;
                Ok(peer.stream.write(OK)?)
            });
            let request = FetchRequest::post(server.url("/a"), "tea").header("content-type", "x");
            HttpClient::new().fetch(request).await.unwrap();
            let second = server.last_request();
            assert!(second.starts_with(&format!("{method} /b?c HTTP/1.1\r\n")), "{second}");
            assert_eq!(second.ends_with("content-length: 3\r\n\r\ntea"), with_body, "{second}");
            assert_eq!(second.contains("content-type"), with_body, "{second}");
        }
    });
}

// HTC-06
#[test]
fn a_head_stays_a_head() {
    run(async {
        let server = Scripted::new(async |peer| {
            peer.request().await?;
            peer.stream
                .write("HTTP/1.1 303 See Other\r\nLocation: /b\r\nContent-Length: 9\r\n\r\n")?;
            peer.request().await?;
            Ok(peer.stream.write("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n")?)
        });
        let request = FetchRequest::new(Method::HEAD, server.url("/a"));
        HttpClient::new().fetch(request).await.unwrap();
        assert!(server.last_request().starts_with("HEAD /b "));
    });
}

// HTC-05
#[test]
fn secrets_follow_to_the_same_origin_only() {
    run(async {
        let other = Scripted::answering(OK);
        let elsewhere = other.url("/there").replace("//", "//chosen:by-server@");
        let server = Scripted::new(async move |peer| {
            peer.request().await?;
            peer.stream.write(to(302, "/here"))?;
            peer.request().await?;
            peer.stream.write(to(302, &elsewhere))?;
            Ok(())
        });
        let url = server.url("/").replace("//", "//user:password@");
        let request = FetchRequest::get(url).header("cookie", "secret=1").header("x-plain", "2");
        let response = HttpClient::new().fetch(request).await.unwrap();
        assert_eq!(response.url(), other.url("/there"));
        for request in server.requests() {
            assert!(request.contains("authorization: Basic "), "{request}");
            assert!(request.contains("cookie: secret=1\r\n"), "{request}");
        }
        let request = other.last_request();
        assert!(!request.contains("authorization") && !request.contains("cookie"), "{request}");
        assert!(request.contains(&format!("host: {}\r\n", other.address)), "{request}");
        assert!(request.contains("x-plain: 2\r\n"), "{request}");
    });
}

// HTC-X2
#[test]
fn only_the_last_answer_of_redirects_is_streamed() {
    run(async {
        let server = countdown();
        let (response, mut body) =
            HttpClient::new().fetch_streaming(server.url("/3")).await.unwrap();
        assert_eq!((response.status(), response.url()), (StatusCode::OK, &*server.url("/0")));
        assert_eq!(body.next().await.unwrap().unwrap(), "ok");
        assert_eq!(body.next().await.unwrap(), None);
    });
}

#[test]
fn a_streamed_body_is_not_sent_to_a_second_server() {
    run(async {
        let server = Scripted::answering(to(307, "/again"));
        let made = Rc::new(Cell::new(0));
        let count = Rc::clone(&made);
        let pieces = stream::iter(["a", "b"]).map(move |piece| {
            count.set(count.get() + 1);
            Ok(Bytes::from(piece))
        });
        let request = FetchRequest::post(server.url("/"), "").body_stream(pieces, None);
        let response = status_error(HttpClient::new().fetch(request).await);
        assert_eq!((response.status(), made.get()), (StatusCode::TEMPORARY_REDIRECT, 2));
        assert_eq!(server.requests().len(), 1);
    });
}

#[test]
fn a_redirect_with_a_long_body_closes_its_connection() {
    run(async {
        let server = Scripted::new(async |peer| {
            loop {
                let request = peer.request().await?;
                if request.starts_with("GET /b ") {
                    peer.stream.write(OK)?;
                } else {
                    peer.stream.write("HTTP/1.1 302 Found\r\nLocation: /b\r\n\r\n")?;
                    while peer.stream.write_all(&[b'x'; 1 << 16]).await.is_ok() {}
                }
            }
        });
        assert_eq!(HttpClient::new().fetch(server.url("/a")).await.unwrap().body(), "ok");
        assert_eq!(server.accepted(), 2);
    });
}
