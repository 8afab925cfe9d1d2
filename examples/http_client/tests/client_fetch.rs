//! Requests and answers of the HTTP client, against `tiny_http` and against scripted servers.

mod client_kit;

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use client_kit::{OK, Scripted, error_of, run, say, status_error};
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use http_client::{ClientConfig, FetchError, FetchRequest, HttpClient};
use squall_net::{ConnectOptions, OverrideResolver, SystemResolver};
use tiny_http::{Config, HttpServer, Request, Response};

/// Answers with the method, the path, the query and the body of the request.
fn mirror() -> (HttpServer, String) {
    let server = HttpServer::new(Config::default(), async |request: &mut Request<'_>| {
        let body = request.body().await?;
        let line = format!("{} {} {:?} ", request.method(), request.path(), request.query());
        Ok(Response::text([line.as_bytes(), &body].concat()))
    });
    let address = server.listen("127.0.0.1:0").unwrap();
    (server, format!("http://{address}"))
}

// HTC-01
#[test]
fn every_method_goes_to_the_server_and_its_answer_comes_back() {
    run(async {
        let (_server, url) = mirror();
        let client = HttpClient::new();
        let get = client.fetch(format!("{url}/hello?name=world")).await.unwrap();
        assert_eq!(get.status(), StatusCode::OK);
        assert_eq!(get.body(), "GET /hello Some(\"name=world\") ");
        assert_eq!(get.headers()["content-type"], "text/plain; charset=utf-8");
        for method in [Method::POST, Method::PUT, Method::PATCH, Method::DELETE] {
            let request = FetchRequest::new(method.clone(), format!("{url}/x")).body("data");
            let answer = client.fetch(request).await.unwrap();
            assert_eq!(answer.body(), &format!("{method} /x None data"));
        }
        for method in [Method::DELETE, Method::OPTIONS, Method::from_bytes(b"BREW").unwrap()] {
            let answer = client.fetch(FetchRequest::new(method.clone(), &url)).await.unwrap();
            assert_eq!(answer.body(), &format!("{method} / None "));
        }
        let head = client.fetch(FetchRequest::new(Method::HEAD, &url)).await.unwrap();
        assert_eq!(
            (head.body().len(), &head.headers()["content-length"]),
            (0, &"12".parse().unwrap())
        );
    });
}

// HTC-01
#[test]
fn large_bodies_go_both_ways() {
    run(async {
        let config = Config { max_body_bytes: 64 << 20, ..Config::default() };
        let server = HttpServer::new(config, async |request: &mut Request<'_>| {
            Ok(Response::text(request.body().await?))
        });
        let address = server.listen("127.0.0.1:0").unwrap();
        let body: Vec<u8> = (0..8 << 20).map(|n: u32| n.to_le_bytes()[n as usize % 3]).collect();
        let request = FetchRequest::post(format!("http://{address}/"), body.clone());
        let answer = HttpClient::new().fetch(request).await.unwrap();
        assert!(answer.into_body() == body);
    });
}

// HTC-02
#[test]
fn chunks_are_joined_or_streamed_as_they_come() {
    run(async {
        let server = Scripted::new(async |peer| {
            loop {
                peer.request().await?;
                peer.stream.write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")?;
                peer.stream.write("4;x=y\r\nasdf\r\n4\r\nqwer\r\n0\r\nX-Trailer: z\r\n\r\n")?;
            }
        });
        let client = HttpClient::new();
        assert_eq!(client.fetch(server.url("/")).await.unwrap().body(), "asdfqwer");
        let (response, mut body) = client.fetch_streaming(server.url("/")).await.unwrap();
        assert_eq!((response.status(), response.body().len()), (StatusCode::OK, 0));
        assert_eq!(body.next().await.unwrap().unwrap(), "asdf");
        assert_eq!(body.next().await.unwrap().unwrap(), "qwer");
        assert_eq!(body.next().await.unwrap(), None);
        assert_eq!(body.next().await.unwrap(), None);
        assert_eq!(server.accepted(), 1);
    });
}

// HTC-04, HTC-33
#[test]
fn folded_fields_are_joined_and_bytes_beyond_ascii_arrive() {
    run(async {
        let mut answer = b"HTTP/1.1 200 OK\r\nX-Folded: a\r\n  b\r\nX-Latin: \xe9\r\n\r\n".to_vec();
        answer.extend_from_slice(b"body");
        let server = Scripted::closing_after(answer);
        let response = HttpClient::new().fetch(server.url("/")).await.unwrap();
        assert_eq!(response.headers()["x-folded"], "a b");
        assert_eq!(response.headers()["x-latin"].as_bytes(), b"\xe9");
        assert_eq!(response.body(), "body");
    });
}

// HTC-05
#[test]
fn credentials_come_from_the_method_or_the_url() {
    run(async {
        let server = Scripted::answering(OK);
        let client = HttpClient::new();
        let given = FetchRequest::get(server.url("/")).basic_auth("Aladdin", "open sesame");
        client.fetch(given).await.unwrap();
        assert!(
            server.last_request().contains("authorization: Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==\r\n")
        );
        let url = server.url("/").replace("//", "//Aladdin:open%20sesame@");
        let response = client.fetch(&url).await.unwrap();
        assert!(
            server.last_request().contains("authorization: Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==\r\n")
        );
        assert!(!server.last_request().contains('@'));
        assert_eq!(response.url(), server.url("/"));
        let both =
            FetchRequest::get(url).basic_auth("user", "").header("authorization", "Bearer x");
        client.fetch(both).await.unwrap();
        assert!(server.last_request().contains("authorization: Basic dXNlcjo=\r\n"));
        assert!(!server.last_request().contains("Bearer"));
    });
}

// HTC-14
#[test]
fn a_status_beyond_2xx_is_an_error_with_the_answer_or_plain_if_asked() {
    run(async {
        let answer = "HTTP/1.1 404 No such tea\r\nContent-Length: 5\r\nX-Y: z\r\n\r\nempty";
        let server = Scripted::answering(answer);
        let client = HttpClient::new();
        let response = status_error(client.fetch(server.url("/a")).await);
        assert_eq!((response.status(), &**response.body()), (StatusCode::NOT_FOUND, &b"empty"[..]));
        assert_eq!(
            (&response.headers()["x-y"], response.url()),
            (&"z".parse().unwrap(), &*server.url("/a"))
        );
        let streamed = status_error(client.fetch_streaming(server.url("/")).await);
        assert_eq!(streamed.body(), "empty");
        let plain = client.fetch(FetchRequest::get(server.url("/")).any_status()).await.unwrap();
        assert_eq!((plain.status(), &**plain.body()), (StatusCode::NOT_FOUND, &b"empty"[..]));
        assert_eq!(server.accepted(), 1, "an answer of any status keeps the connection");
    });
}

// HTC-15
#[test]
fn a_refused_connection_is_an_error_of_the_system() {
    run(async {
        let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = socket.local_addr().unwrap();
        drop(socket);
        match HttpClient::new().fetch(format!("http://{address}/")).await {
            Err(FetchError::Connect(error)) => {
                assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
            }
            other => panic!("{other:?}"),
        }
    });
}

// HTC-25
#[test]
fn the_header_of_the_caller_is_sent_and_not_changed() {
    run(async {
        let server = Scripted::answering(OK);
        let client = HttpClient::new();
        let mut headers = HeaderMap::new();
        headers.append("x-one", HeaderValue::from_static("1"));
        headers.append("x-two", HeaderValue::from_static("2"));
        headers.append("x-two", HeaderValue::from_static("three"));
        let before = headers.clone();
        let request = || FetchRequest::get(server.url("/")).headers(headers.clone());
        client.fetch(request()).await.unwrap();
        client.fetch(request().header("x-three", "3")).await.unwrap();
        assert_eq!(headers, before);
        let [first, second] = &server.requests()[..] else { panic!("two requests") };
        let sent = "x-one: 1\r\nx-two: 2\r\nx-two: three\r\n";
        assert!(first.contains(sent) && second.contains(sent), "{first}{second}");
        assert!(second.contains("x-three: 3\r\n") && !first.contains("x-three"));
    });
}

// HTC-25
#[test]
fn host_and_user_agent_are_set_unless_the_caller_sets_them() {
    run(async {
        let server = Scripted::answering(OK);
        let client = HttpClient::new();
        client.fetch(server.url("/").replace("//", "//user:secret@")).await.unwrap();
        let request = server.last_request();
        assert!(request.starts_with("GET / HTTP/1.1\r\n"), "{request}");
        assert!(request.contains(&format!("host: {}\r\n", server.address)), "{request}");
        assert!(request.contains("user-agent: squall-http-client/"), "{request}");
        let own = FetchRequest::get(server.url("/")).header("host", "x").header("user-agent", "me");
        client.fetch(own).await.unwrap();
        let request = server.last_request();
        assert_eq!(request, "GET / HTTP/1.1\r\nhost: x\r\nuser-agent: me\r\n\r\n");
    });
}

// HTC-26, H10
#[test]
fn line_ends_in_fields_are_refused_before_anything_is_sent() {
    run(async {
        let server = Scripted::answering(OK);
        let client = HttpClient::new();
        for end in ["\r", "\n", "\r\n", "\0"] {
            let value = format!("a{end}b: c");
            for request in [
                FetchRequest::get(server.url("/")).header("x", &*value),
                FetchRequest::get(server.url("/")).header(&*value, "x"),
                FetchRequest::get(server.url(&format!("/{value}"))),
                FetchRequest::get(server.url("/").replace("//", &format!("//a{end}b@"))),
            ] {
                assert!(matches!(
                    error_of(client.fetch(request).await),
                    FetchError::InvalidRequest(_)
                ));
            }
        }
        let user = FetchRequest::get(server.url("/")).basic_auth("a\r\nb", "c\r\nd");
        client.fetch(user).await.unwrap();
        let lines = server.last_request().lines().count();
        assert_eq!((server.requests().len(), lines), (1, 5), "base64 has no line ends");
    });
}

// HTC-27
#[test]
fn a_missing_body_and_a_body_that_must_not_be_are_refused() {
    run(async {
        let server = Scripted::answering(OK);
        let client = HttpClient::new();
        for method in [Method::POST, Method::PUT, Method::PATCH] {
            let request = FetchRequest::new(method, server.url("/"));
            assert!(matches!(error_of(client.fetch(request).await), FetchError::InvalidRequest(_)));
        }
        for method in [Method::GET, Method::HEAD, Method::TRACE] {
            let request = FetchRequest::new(method, server.url("/")).body("x");
            assert!(matches!(error_of(client.fetch(request).await), FetchError::InvalidRequest(_)));
        }
        for (name, value) in
            [("content-length", "3"), ("transfer-encoding", "chunked"), ("expect", "100-continue")]
        {
            let request = FetchRequest::post(server.url("/"), "x").header(name, value);
            assert!(matches!(error_of(client.fetch(request).await), FetchError::InvalidRequest(_)));
        }
        let tunnel = FetchRequest::new(Method::CONNECT, server.url("/"));
        assert!(matches!(error_of(client.fetch(tunnel).await), FetchError::InvalidRequest(_)));
        assert_eq!(server.accepted(), 0);
        client.fetch(FetchRequest::post(server.url("/"), "")).await.unwrap();
        assert!(server.last_request().contains("content-length: 0\r\n"));
    });
}

// HTC-28
#[test]
fn maps_of_names_and_ports_are_a_resolver() {
    run(async {
        let server = Scripted::answering(OK);
        let resolver = OverrideResolver::new(SystemResolver)
            .host("www.example.com", [Ipv4Addr::LOCALHOST.into()])
            .host_and_port("www.example.com", 8000, [server.address]);
        let connect = ConnectOptions::default().resolver(resolver);
        let client = HttpClient::with_config(ClientConfig { connect, ..ClientConfig::default() });
        let port = server.address.port();
        client.fetch(format!("http://www.example.com:{port}/")).await.unwrap();
        assert!(server.last_request().contains(&format!("host: www.example.com:{port}\r\n")));
        client.fetch("http://www.example.com:8000/").await.unwrap();
        assert!(server.last_request().contains("host: www.example.com:8000\r\n"));
    });
}

// HTC-29
#[test]
fn an_ipv6_url_works_and_is_refused_when_ipv6_is_off() {
    run(async {
        let address = SocketAddr::from((Ipv6Addr::LOCALHOST, 0)).to_string();
        let answer = async |peer: &mut client_kit::Peer| {
            peer.request().await?;
            Ok(peer.stream.write(OK)?)
        };
        let Ok(server) = Scripted::on(&address, answer) else {
            return say("skipped: this machine has no IPv6");
        };
        let response = HttpClient::new().fetch(server.url("/")).await.unwrap();
        assert!(response.url().starts_with("http://[::1]:"), "{}", response.url());
        assert!(
            server.last_request().contains(&format!("host: [::1]:{}\r\n", server.address.port()))
        );
        let config = ClientConfig { allow_ipv6: false, ..ClientConfig::default() };
        let client = HttpClient::with_config(config);
        assert!(matches!(error_of(client.fetch(server.url("/")).await), FetchError::Connect(_)));
        let other = Scripted::answering(OK);
        client.fetch(other.url("/")).await.unwrap();
        assert_eq!((server.accepted(), other.accepted()), (1, 1));
    });
}

// HTC-31
#[test]
fn the_source_address_can_be_chosen_and_must_be_one_of_this_machine() {
    run(async {
        let server = Scripted::new(async |peer| {
            peer.request().await?;
            let ip = peer.stream.peer_addr()?.ip().to_string();
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", ip.len());
            Ok(peer.stream.write(head + &ip)?)
        });
        let client = HttpClient::new();
        let from = |ip: [u8; 4]| FetchRequest::get(server.url("/")).source(ip);
        assert_eq!(client.fetch(from([127, 0, 0, 2])).await.unwrap().body(), "127.0.0.2");
        assert_eq!(client.fetch(from([127, 0, 0, 1])).await.unwrap().body(), "127.0.0.1");
        assert!(matches!(
            error_of(client.fetch(from([192, 0, 2, 1])).await),
            FetchError::Connect(_)
        ));
        let other_family = FetchRequest::get(server.url("/")).source(Ipv6Addr::LOCALHOST);
        assert!(matches!(error_of(client.fetch(other_family).await), FetchError::Connect(_)));
    });
}

// HTC-32
#[test]
fn each_thread_has_one_shared_client() {
    run(async {
        let server = Scripted::answering(OK);
        HttpClient::shared().fetch(server.url("/")).await.unwrap();
        HttpClient::shared().fetch(server.url("/")).await.unwrap();
        assert_eq!(server.accepted(), 1);
        HttpClient::new().fetch(server.url("/")).await.unwrap();
        assert_eq!(server.accepted(), 2);
    });
}

#[test]
fn a_shared_client_outlives_the_loops_of_its_thread() {
    for _ in 0..3 {
        run(async {
            let server = Scripted::answering(OK);
            for _ in 0..2 {
                HttpClient::shared().fetch(server.url("/")).await.unwrap();
            }
            assert_eq!(server.accepted(), 1);
        });
    }
}

#[cfg(not(feature = "tls"))]
#[test]
fn https_without_the_feature_is_a_clear_error() {
    run(async {
        let error = HttpClient::new().fetch("https://127.0.0.1:1/").await.unwrap_err();
        assert_eq!(error.to_string(), "invalid request: https needs the feature `tls`");
    });
}
