//! Routes, arguments, error pages and handlers, over real connections.

mod support;

use std::cell::{Cell, RefCell};
use std::io;
use std::rc::Rc;
use std::sync::{Mutex, Once};
use std::time::Duration;

use bytes::Bytes;
use cookie::{Cookie, SameSite};
use futures_lite::stream;
use http::header::{HeaderName, HeaderValue};
use http::{Method, StatusCode};
use squall_net::{IoStream, UnixStream, block_on, sleep, yield_now};
use support::{Client, LocalServer};
use tiny_http::{
    Application, Config, HandlerResult, HttpError, HttpServer, Request, RequestHandler, Response,
};

/// Starts a server with the application that `make` makes on the server's thread.
fn start(make: impl FnOnce() -> Application + Send + 'static) -> LocalServer {
    LocalServer::start_handler(Config::default(), make)
}

/// Sends a request without a body. Returns the status and the body of the response.
fn ask(client: &mut Client, method: &str, target: &str) -> (u16, String) {
    let (head, body) =
        client.send(format!("{method} {target} HTTP/1.1\r\nHost: x.y\r\n\r\n")).answer();
    (head[9..12].parse().unwrap(), body)
}

fn get(server: &LocalServer, target: &str) -> (u16, String) {
    ask(&mut server.connect(), "GET", target)
}

/// A handler that returns `text`.
fn fixed(text: &'static str) -> impl RequestHandler {
    async move |_: &mut Request<'_>| Ok(Response::text(text))
}

// WEB-01
#[test]
fn the_first_route_that_matches_wins_and_a_path_without_route_is_404() {
    let server = start(|| {
        Application::new()
            .route("/a", fixed("first"))
            .route("/{x}", fixed("second"))
            .route("/b", fixed("never"))
    });
    assert_eq!(get(&server, "/a"), (200, "first".to_owned()));
    assert_eq!(get(&server, "/b?/a"), (200, "second".to_owned()));
    let (status, page) = get(&server, "/a/b");
    assert_eq!((status, &*page), (404, "404 Not Found\n"));
}

// WEB-02
#[test]
fn a_default_handler_replaces_the_404() {
    let server = start(|| {
        Application::new().default_handler(async |request: &mut Request<'_>| {
            let page = format!("no {}", request.path());
            Ok(Response::text(page).with_status(StatusCode::GONE))
        })
    });
    assert_eq!(get(&server, "/x"), (410, "no /x".to_owned()));
}

// WEB-03, WEB-04
#[test]
fn arguments_of_a_path_are_decoded_after_the_match() {
    let server = start(|| {
        Application::new().get("/{a}/x-{b}/{*rest}", async |request: &mut Request<'_>| {
            let [a, b, rest] = ["a", "b", "rest"].map(|name| request.path_argument(name));
            Ok(Response::text(format!("{a}|{b}|{rest}")))
        })
    });
    assert_eq!(get(&server, "/1%2F2/x-%C3%A4+/c/d%20").1, "1/2|ä+|c/d ");
    assert_eq!(get(&server, "/a/x-b/").1, "a|b|");
    assert_eq!(get(&server, "/a/x-/c").0, 404);
    assert_eq!(get(&server, "/a/x-%ff/c").0, 400);
}

// HTS-05, WEB-04
#[test]
fn arguments_come_from_the_query_and_from_a_form() {
    async fn sum(request: &mut Request<'_>) -> HandlerResult {
        let form = match *request.method() {
            Method::POST => request.form().await?,
            _ => request.query_arguments()?,
        };
        let all: u32 = form.all("n").filter_map(|n| n.parse::<u32>().ok()).sum();
        Ok(Response::text(format!("{all} {} {:?}", form.parsed::<u32>("n")?, form.get("e"))))
    }
    let server = start(|| Application::new().get("/", sum).post("/", sum));
    assert_eq!(get(&server, "/?n=1&e=&n=%32"), (200, "3 2 Some(\"\")".to_owned()));
    assert_eq!(get(&server, "/?n=x"), (400, "400 Bad Request: n is malformed\n".to_owned()));
    assert_eq!(get(&server, "/"), (400, "400 Bad Request: n is missing\n".to_owned()));
    assert_eq!(get(&server, "/?n=%ff").0, 400);
    let mut client = server.connect();
    let mut post = |content_type: &str, body: &str| {
        let length = body.len();
        let head = format!("POST / HTTP/1.1\r\nHost: x\r\nContent-Type: {content_type}\r\n");
        let head = client.send(format!("{head}Content-Length: {length}\r\n\r\n{body}")).answer();
        (head.0[9..12].parse::<u16>().unwrap(), head.1)
    };
    const FORM: &str = "Application/x-www-form-urlencoded; charset=utf-8";
    assert_eq!(post(FORM, "n=4&n=5&e=a+b"), (200, "9 5 Some(\"a b\")".to_owned()));
    assert_eq!(post("text/plain", "n=4").0, 415);
    // A form with 10,000 fields is refused, and the connection goes on.
    assert_eq!(post(FORM, &"n=1&".repeat(10_000)).0, 400);
    assert_eq!(post(FORM, "n=4").0, 200);
}

/// A handler with some methods, which counts what is called.
struct Calls(Rc<RefCell<Vec<String>>>);

impl RequestHandler for Calls {
    fn methods(&self) -> &[Method] {
        &[Method::GET, Method::DELETE, Method::PUT]
    }

    async fn prepare(&self, request: &mut Request<'_>) -> Result<Option<Response>, HttpError> {
        self.0.borrow_mut().push("prepare".to_owned());
        yield_now().await;
        Ok(match request.query() {
            Some("finish") => Some(Response::text("early")),
            Some("forbid") => return Err(HttpError::new(StatusCode::FORBIDDEN, "not you")),
            _ => None,
        })
    }

    async fn get(&self, _request: &mut Request<'_>) -> HandlerResult {
        self.0.borrow_mut().push("get".to_owned());
        Ok(Response::text("got"))
    }

    async fn delete(&self, _request: &mut Request<'_>) -> HandlerResult {
        Ok(Response::status(StatusCode::NO_CONTENT))
    }

    fn on_finish(&self, request: &Request<'_>, outcome: &HandlerResult) {
        let outcome = outcome.as_ref().map_err(HttpError::status).map(|_| ());
        self.0.borrow_mut().push(format!("finish {} {outcome:?}", request.method()));
    }
}

fn start_calls() -> LocalServer {
    start(|| {
        let calls = Rc::default();
        let read = Rc::clone(&calls);
        Application::new()
            .route("/calls", Calls(calls))
            .get("/", async move |_: &mut Request<'_>| Ok(Response::text(read.take().join(","))))
    })
}

// WEB-05, HTS-17
#[test]
fn a_method_without_function_is_405_and_options_lists_the_others() {
    let server = start_calls();
    let mut client = server.connect();
    for method in ["POST", "PATCH", "FOO", "get"] {
        let head = client.send(format!("{method} /calls HTTP/1.1\r\nHost: x\r\n\r\n")).answer().0;
        assert!(head.starts_with("HTTP/1.1 405 Method Not Allowed\r\n"), "{head}");
        assert!(head.contains("\r\nallow: DELETE, GET, HEAD, OPTIONS, PUT\r\n"), "{head}");
    }
    // In the list, but without a function.
    assert_eq!(ask(&mut client, "PUT", "/calls").0, 405);
    let head = client.send("OPTIONS /calls HTTP/1.1\r\nHost: x\r\n\r\n").answer().0;
    assert!(
        head.starts_with("HTTP/1.1 200 OK\r\n") && head.contains("allow: DELETE, GET, "),
        "{head}"
    );
    assert_eq!(ask(&mut client, "DELETE", "/calls").0, 204);
    let head = client.send("OPTIONS / HTTP/1.1\r\nHost: x\r\n\r\n").answer().0;
    assert!(head.contains("\r\nallow: GET, HEAD, OPTIONS\r\n"), "{head}");
}

// WEB-06, WEB-07, WEB-11
#[test]
fn prepare_can_answer_or_fail_before_the_method() {
    let server = start_calls();
    assert_eq!(get(&server, "/calls?finish"), (200, "early".to_owned()));
    assert_eq!(get(&server, "/calls?forbid"), (403, "403 Forbidden: not you\n".to_owned()));
    assert_eq!(get(&server, "/calls"), (200, "got".to_owned()));
    let calls = get(&server, "/").1;
    let wanted =
        "prepare,finish GET Ok(()),prepare,finish GET Err(403),prepare,get,finish GET Ok(())";
    assert_eq!(calls, wanted);
}

// WEB-08
#[test]
fn an_async_handler_sends_its_pieces_in_order() {
    let server = start(|| {
        Application::new().get("/", async |_: &mut Request<'_>| {
            yield_now().await;
            let pieces = stream::unfold(1, |n| async move {
                sleep(Duration::from_millis(1)).await;
                (n <= 3).then(|| (Ok(Bytes::from(n.to_string())), n + 1))
            });
            Ok(Response::stream(pieces))
        })
    });
    let request = "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    let text = server.connect().send(request).rest();
    assert!(text.ends_with("\r\n\r\n1\r\n1\r\n1\r\n2\r\n1\r\n3\r\n0\r\n\r\n"), "{text}");
}

#[test]
fn a_stream_of_another_type_than_text_names_its_type_once() {
    let server = start(|| {
        Application::new().get("/", async |_: &mut Request<'_>| {
            let events = stream::once(Ok(Bytes::from_static(b"data: 1\n\n")));
            let event_stream = HeaderValue::from_static("text/event-stream");
            Ok(Response::stream(events).with_content_type(event_stream))
        })
    });
    let request = "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    let text = server.connect().send(request).rest();
    let types = text.lines().filter(|line| line.to_lowercase().starts_with("content-type:"));
    let types: Vec<_> = types.collect();
    assert_eq!(types, ["Content-Type: text/event-stream"], "{text}");
    assert!(text.ends_with("\r\n\r\n9\r\ndata: 1\n\n\r\n0\r\n\r\n"), "{text}");
}

/// What is logged at level `warn` or above, by all tests of this program.
static LOGGED: Mutex<Vec<String>> = Mutex::new(Vec::new());

struct Logger;

impl log::Log for Logger {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &log::Record<'_>) {
        if record.level() <= log::Level::Warn {
            LOGGED.lock().unwrap().push(format!("{} {}", record.level(), record.args()));
        }
    }

    fn flush(&self) {}
}

/// From the first call on, everything that is logged goes to [`LOGGED`].
fn log_to_list() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        log::set_logger(&Logger).unwrap();
        log::set_max_level(log::LevelFilter::Trace);
    });
}

// WEB-09
#[test]
fn an_unexpected_error_is_500_and_logged_and_an_http_error_is_its_status_and_a_warning() {
    log_to_list();
    let server = start(|| {
        Application::new()
            .get("/unexpected", async |_: &mut Request<'_>| {
                let number: u32 = "secret".parse()?;
                Ok(Response::text(number.to_string()))
            })
            .get("/teapot", async |_: &mut Request<'_>| {
                Err(HttpError::new(StatusCode::IM_A_TEAPOT, "short and stout"))
            })
    });
    let mut client = server.connect();
    let (status, page) = ask(&mut client, "GET", "/unexpected");
    assert_eq!((status, &*page), (500, "500 Internal Server Error: the handler failed\n"));
    let (status, page) = ask(&mut client, "GET", "/teapot");
    assert_eq!((status, &*page), (418, "418 I'm a teapot: short and stout\n"));
    assert_eq!(ask(&mut client, "GET", "/logged-by-nobody").0, 404);
    let logged = LOGGED.lock().unwrap();
    let count = |text: &str| logged.iter().filter(|line| line.contains(text)).count();
    assert_eq!(count("ERROR GET /unexpected: invalid digit"), 1, "{logged:?}");
    assert_eq!(count("WARN GET /teapot: 418: short and stout"), 1, "{logged:?}");
    assert_eq!(count("logged-by-nobody"), 0, "{logged:?}");
}

// WEB-09, WEB-10
#[test]
fn an_error_page_of_ones_own_may_fail_too() {
    let server = start(|| {
        Application::new()
            .get("/bad", async |_: &mut Request<'_>| {
                Err(HttpError::new(StatusCode::CONFLICT, "no page for this"))
            })
            .error_page(|status, message| {
                assert_ne!(status, StatusCode::CONFLICT, "on purpose");
                Response::html(format!("<h1>{status}</h1>{message}"))
            })
    });
    let mut client = server.connect();
    assert_eq!(ask(&mut client, "GET", "/x"), (404, "<h1>404 Not Found</h1>".to_owned()));
    assert_eq!(ask(&mut client, "GET", "/bad"), (500, String::new()));
    assert_eq!(ask(&mut client, "GET", "/x").0, 404);
    // The server answers what it cannot parse, and not the application.
    let refused = server.connect().send("asdf\r\n\r\n").end().rest();
    assert!(refused.starts_with("HTTP/1.1 400 Bad Request\r\n"), "{refused}");
}

// WEB-13
#[test]
fn a_204_and_a_304_have_neither_length_nor_coding() {
    let server = start(|| {
        Application::new().get("/{status}", async |request: &mut Request<'_>| {
            let status = StatusCode::from_bytes(request.path_argument("status").as_bytes())?;
            Ok(Response::text("never sent").with_status(status))
        })
    });
    let mut client = server.connect();
    for status in [204, 304] {
        let head = client.send(format!("GET /{status} HTTP/1.1\r\nHost: x\r\n\r\n")).answer().0;
        assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{head}");
        assert!(!head.contains("Content-Length") && !head.contains("Transfer-Enc"), "{head}");
    }
    assert_eq!(ask(&mut client, "GET", "/200"), (200, "never sent".to_owned()));
}

// WEB-14
#[test]
fn if_none_match_is_any_a_strong_or_a_weak_tag_or_a_list() {
    let server = start(|| {
        Application::new().get("/", async |request: &mut Request<'_>| {
            let current = request.has_current("\"abc\"");
            Ok(if current { StatusCode::NOT_MODIFIED.into() } else { Response::text("new") })
        })
    });
    let mut client = server.connect();
    for (tags, status) in [
        ("*", "304"),
        ("\"abc\"", "304"),
        ("W/\"abc\"", "304"),
        ("\"x\", W/\"y\",\"abc\"", "304"),
        ("\"x\"\r\nIf-None-Match: \"abc\"", "304"),
        ("\"x\"", "200"),
        ("abc", "200"),
        ("W/\"x\", \"ab\"", "200"),
    ] {
        let request = format!("GET / HTTP/1.1\r\nHost: x\r\nIf-None-Match: {tags}\r\n\r\n");
        let head = client.send(request).answer().0;
        assert_eq!(&head[9..12], status, "{tags}");
    }
}

// WEB-16
#[test]
fn a_named_route_is_reversed_with_escaped_arguments() {
    let application = Application::new()
        .get("/user/{name}/{page}", fixed(""))
        .named("user")
        .get("/", fixed(""))
        .post("/user/{name}/{page}", fixed(""))
        .get("/other", fixed(""))
        .post("/", fixed(""))
        .named("home");
    let reverse = |name, arguments: &[&str]| application.reverse(name, arguments);
    assert_eq!(reverse("user", &["a/b", "1"]).as_deref(), Some("/user/a%2Fb/1"));
    assert_eq!(reverse("home", &[]).as_deref(), Some("/"));
    assert_eq!(reverse("user", &["a"]), None);
    assert_eq!(reverse("nobody", &[]), None);
}

// WEB-17
#[test]
fn routes_of_a_host_come_first_and_fall_through() {
    let server = start(|| {
        let of_host = Application::new().get("/a", fixed("a of x"));
        Application::new().get("/{any}", fixed("any")).host("x.example", of_host)
    });
    let mut client = server.connect();
    for (target, host, wanted) in [
        ("/a", "x.example", "a of x"),
        ("/a", "X.Example:8080", "a of x"),
        ("/b", "x.example", "any"),
        ("/a", "y.example", "any"),
        ("http://x.example:1/a", "y.example", "a of x"),
        ("/a", "[::1]:80", "any"),
    ] {
        let request = format!("GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n");
        assert_eq!(client.send(request).answer().1, wanted, "{target} {host}");
    }
}

// WEB-19
#[test]
fn a_handler_gets_the_body_in_pieces_and_may_answer_before_it() {
    let server = start(|| {
        let seen = Rc::new(Cell::new(0));
        let read = Rc::clone(&seen);
        Application::new()
            .post("/", async move |request: &mut Request<'_>| {
                if request.header("authorization").is_none() {
                    return Err(HttpError::new(StatusCode::UNAUTHORIZED, ""));
                }
                while let Some(piece) = request.next().await? {
                    seen.set(seen.get() + piece.len());
                }
                Ok(Response::text(seen.get().to_string()))
            })
            .get("/", async move |_: &mut Request<'_>| Ok(Response::text(read.get().to_string())))
    });
    let mut client = server.connect();
    client.send("POST / HTTP/1.1\r\nHost: x\r\nAuthorization: y\r\nContent-Length: 6\r\n\r\nabc");
    // The handler has the first piece while the second is not sent.
    while get(&server, "/").1 != "3" {}
    assert_eq!(client.send("def").answer().1, "6");
    // The rest of the body never comes, so the connection must end after the answer.
    let mut early = server.connect();
    early.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\nabc");
    let text = early.end().rest();
    assert!(text.starts_with("HTTP/1.1 401 Unauthorized\r\n"), "{text}");
    assert!(text.contains("\r\nConnection: close\r\n"), "{text}");
}

#[test]
fn cookies_are_read_and_set() {
    let server = start(|| {
        Application::new().get("/", async |request: &mut Request<'_>| {
            let name = request.cookie("name").unwrap_or_else(|| "nobody".to_owned());
            let cookie = Cookie::build(("name", "a b;c")).http_only(true).same_site(SameSite::Lax);
            Ok(Response::text(name).with_cookie(&cookie.path("/").build())?)
        })
    });
    let mut client = server.connect();
    let (head, body) = client.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n").answer();
    assert_eq!(body, "nobody");
    let set = "\r\nset-cookie: name=a%20b%3Bc; HttpOnly; SameSite=Lax; Path=/\r\n";
    assert!(head.contains(set), "{head}");
    let request = "GET / HTTP/1.1\r\nHost: x\r\nCookie: other=1; name=a%20b%3Bc\r\n\r\n";
    assert_eq!(client.send(request).answer().1, "a b;c");
}

// H5: what comes after the request belongs to the new protocol
#[test]
fn an_upgrade_hands_the_stream_on_with_what_has_come() {
    let server = start(|| {
        Application::new().get("/", async |_: &mut Request<'_>| {
            Ok(Response::upgrade("shout", async |mut stream: IoStream| {
                loop {
                    let line = stream.read_until(b"\n").await?;
                    stream.write_all(&line.to_ascii_uppercase()).await?;
                    if line == "end\n" {
                        return io::Result::Ok(());
                    }
                }
            }))
        })
    });
    let mut client = server.connect();
    client.send("GET / HTTP/1.1\r\nHost: x\r\nConnection: keep-alive, Upgrade\r\n");
    client.send("Upgrade: other, Shout\r\n\r\nGET /evil HTTP/1.1\r\n\r\n");
    let (head, _) = client.answer();
    assert!(head.starts_with("HTTP/1.1 101 Switching Protocols\r\n"), "{head}");
    assert!(head.contains("\r\nconnection: Upgrade\r\nupgrade: shout\r\n"), "{head}");
    assert!(!head.contains("Content-") && !head.contains("close"), "{head}");
    assert_eq!(client.send("end\n").rest(), "GET /EVIL HTTP/1.1\r\n\r\nEND\n");
    // A client that does not ask for it is told what is needed.
    let mut other = server.connect();
    let (head, _) = other.send("GET / HTTP/1.1\r\nHost: x\r\nUpgrade: shout\r\n\r\n").answer();
    assert!(head.starts_with("HTTP/1.1 426 Upgrade Required\r\n"), "{head}");
    assert!(head.contains("\r\nupgrade: shout\r\n"), "{head}");
}

#[test]
fn a_stream_of_another_length_than_announced_ends_the_connection() {
    let server = start(|| {
        Application::new().get("/{length}", async |request: &mut Request<'_>| {
            let length = request.path_argument("length").parse()?;
            let pieces = stream::iter(["abc", "", "def"].map(|piece| Ok(piece.into())));
            Ok(Response::stream_of(None, length, pieces))
        })
    });
    let mut client = server.connect();
    assert_eq!(ask(&mut client, "GET", "/6"), (200, "abcdef".to_owned()));
    assert_eq!(ask(&mut client, "GET", "/6").0, 200);
    for length in [5, 7] {
        client = server.connect();
        client.send(format!("GET /{length} HTTP/1.1\r\nHost: x\r\n\r\n"));
        let mut bytes = Vec::new();
        let _ = io::Read::read_to_end(&mut client.0, &mut bytes); // it may end in a reset
        let body = String::from_utf8(bytes).unwrap();
        let body = body.split_once("\r\n\r\n").map_or("", |(_, body)| body);
        assert!(body.len() < length && "abcdef".starts_with(body), "{length}: {body}");
    }
}

// HTS-37
#[test]
fn a_handler_sets_the_limits_of_its_own_request() {
    let config = Config { max_body_bytes: 10, ..Config::default() };
    let server = LocalServer::start(config, async |request: &mut Request<'_>| {
        if request.path() == "/large" {
            request.set_max_body_bytes(1000);
        }
        if request.path() == "/hasty" {
            request.set_body_timeout(Duration::from_millis(20));
        }
        Ok(Response::text(request.body().await?.len().to_string()))
    });
    let plain = |path, n| {
        let body = "x".repeat(n);
        format!("POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {n}\r\n\r\n{body}")
    };
    let chunked = |path, n| {
        let head = format!("POST {path} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n");
        format!("{head}{n:x}\r\n{}\r\n0\r\n\r\n", "x".repeat(n))
    };
    let mut client = server.connect();
    assert_eq!(client.send(plain("/large", 1000)).answer().1, "1000");
    assert_eq!(client.send(chunked("/large", 1000)).answer().1, "1000");
    // The limit was that of one request only.
    assert_eq!(client.send(plain("/", 10)).answer().1, "10");
    for request in
        [plain("/", 11), chunked("/", 11), plain("/large", 1001), chunked("/large", 1001)]
    {
        let text = server.connect().send(&request).rest();
        assert!(text.starts_with("HTTP/1.1 413 "), "{request}: {text}");
    }
    let whole = plain("/hasty", 5);
    let late = server.connect().send(&whole[..whole.len() - 1]).rest();
    assert!(late.starts_with("HTTP/1.1 408 "), "{late}");
}

// HTS-19
#[test]
fn a_unix_socket_serves_http_too() {
    let path = std::env::temp_dir().join(format!("squall-http-{}", std::process::id()));
    block_on(async {
        let application = Application::new()
            .get("/", async |request: &mut Request<'_>| {
                assert!(request.peer_addr().is_err());
                Ok(Response::text("over unix"))
            })
            .get("/up", async |_: &mut Request<'_>| {
                let hello = async |mut stream: IoStream<UnixStream>| Ok(stream.write("hello")?);
                Ok(Response::upgrade("x", hello))
            })
            .get("/wrong", async |_: &mut Request<'_>| {
                Ok(Response::upgrade("x", async |_: IoStream| Ok(())))
            });
        let server = HttpServer::unix(Config::default(), application);
        server.listen(&path)?;
        let ask = async |request: &str| {
            let mut client = IoStream::new(UnixStream::connect(&path).await?);
            client.write(request)?;
            let answer = client.read_until_close().await?;
            io::Result::Ok(String::from_utf8_lossy(&answer).into_owned())
        };
        let answer = ask("GET / HTTP/1.0\r\n\r\n").await?;
        assert!(answer.starts_with("HTTP/1.1 200 ") && answer.ends_with("over unix"), "{answer}");
        let answer = ask("asdf\r\n\r\n").await?;
        assert!(answer.starts_with("HTTP/1.1 400 Bad Request\r\n"), "{answer}");
        let upgrade = "HTTP/1.1\r\nHost: x\r\nConnection: upgrade, close\r\nUpgrade: x\r\n\r\n";
        let answer = ask(&format!("GET /up {upgrade}")).await?;
        assert!(
            answer.starts_with("HTTP/1.1 101 ") && answer.ends_with("\r\n\r\nhello"),
            "{answer}"
        );
        let answer = ask(&format!("GET /wrong {upgrade}")).await?;
        assert!(answer.starts_with("HTTP/1.1 500 "), "{answer}");
        let report = server.shut_down(Duration::from_secs(5)).await;
        assert_eq!(report.aborted, 0);
        io::Result::Ok(())
    })
    .unwrap();
}

// H10
#[test]
fn no_field_of_a_response_can_carry_a_line_end() {
    for text in ["a\r\nb", "a\nb", "a\rb", "a\0b", "\u{7f}"] {
        assert!(
            HeaderValue::from_str(text).is_err()
                && HeaderName::from_bytes(text.as_bytes()).is_err()
        );
        assert!(Response::see_other(text).is_err());
    }
    let cookie = Cookie::build(("a", "b")).path("/\r\nX: y").build();
    assert!(Response::text("").with_cookie(&cookie).is_err());
    // A value is percent-encoded, so it cannot carry one.
    assert!(Response::text("").with_cookie(&Cookie::new("a", "b\r\nX: y")).is_ok());
}

// HTS-32
#[test]
fn a_handler_cannot_set_the_framing_of_its_response() {
    let server = start(|| {
        Application::new().get("/{name}/{value}", async |request: &mut Request<'_>| {
            let name = HeaderName::from_bytes(request.path_argument("name").as_bytes())?;
            let value = HeaderValue::from_str(request.path_argument("value"))?;
            Ok(Response::text("hello").with(name, value))
        })
    });
    for field in
        ["content-length/foo", "Content-Length/+10", "content-length/5", "transfer-encoding/x"]
    {
        let (status, body) = get(&server, &format!("/{field}"));
        assert_eq!(
            (status, &*body),
            (500, "500 Internal Server Error: the handler failed\n"),
            "{field}"
        );
    }
    assert_eq!(get(&server, "/x-mine/1").0, 200);
}

// HTS-45
#[test]
fn repeated_fields_keep_their_values_and_order() {
    let server = start(|| {
        Application::new().get("/", async |request: &mut Request<'_>| {
            let all = request.headers().filter(|(name, _)| name.eq_ignore_ascii_case("a"));
            let all: Vec<_> = all.map(|(_, value)| String::from_utf8_lossy(value)).collect();
            let first = request.header("A").map(String::from_utf8_lossy);
            Ok(Response::text(format!("{all:?} {first:?}")))
        })
    });
    let request = "GET / HTTP/1.1\r\nA: 1\r\nHost: x\r\na: 2\r\nb: 3\r\nA: 4\r\n\r\n";
    let (_, body) = server.connect().send(request).answer();
    assert_eq!(body, "[\"1\", \"2\", \"4\"] Some(\"1\")");
}

// HTS-46, H7
#[test]
fn a_hundred_thousand_fields_are_refused_after_the_first_kilobytes() {
    let server = start(|| Application::new().get("/", fixed("")));
    let mut client = server.connect();
    let request = format!("GET / HTTP/1.1\r\nHost: x\r\n{}\r\n", "a: b\r\n".repeat(100_000));
    let _ = io::Write::write_all(&mut client.0, request.as_bytes()); // the server may not read it all
    assert!(client.answer().0.starts_with("HTTP/1.1 431 "));
}

// HTS-07
#[test]
fn a_connection_without_a_byte_does_no_harm() {
    log_to_list();
    let server = start(|| Application::new().get("/", fixed("fine")));
    for _ in 0..100 {
        drop(server.connect());
        server.connect().reset();
        server.connect().end().rest();
    }
    assert_eq!(get(&server, "/"), (200, "fine".to_owned()));
    let logged = LOGGED.lock().unwrap();
    assert!(!logged.iter().any(|line| line.contains("onnection")), "{logged:?}");
}
