//! What clients and handlers must not be able to bring about: ways around a route, a stream taken over
//! unasked, forged cookies, a loop that stands still.

mod support;

use std::fs;
use std::path::PathBuf;
use std::sync::mpsc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use futures_lite::stream;
use http::header::{CONTENT_TYPE, HeaderValue};
use http::{Method, StatusCode};
use squall_net::{EventLoop, IoStream, sleep, spawn_blocking};
use support::LocalServer;
use tiny_http::{Application, Config, HttpError, Request, RequestHandler, Response, StaticFiles};

fn start(make: impl FnOnce() -> Application + Send + 'static) -> LocalServer {
    LocalServer::start_handler(Config::default(), make)
}

fn fixed(text: &'static str) -> impl RequestHandler {
    async move |_: &mut Request<'_>| Ok(Response::text(text))
}

/// Sends a request with these fields on a new connection. Returns the head and the body.
fn ask(server: &LocalServer, line: &str, fields: &str) -> (String, String) {
    server.connect().send(format!("{line} HTTP/1.1\r\nHost: x\r\n{fields}\r\n")).answer()
}

/// A directory that is served, but for the paths under `/private/`. It is removed at the end.
struct Directory(PathBuf);

impl Directory {
    fn new(name: &str) -> Directory {
        let path =
            std::env::temp_dir().join(format!("squall-hostile-{name}-{}", std::process::id()));
        fs::create_dir_all(path.join("private")).unwrap();
        fs::write(path.join("private/a"), "secret").unwrap();
        fs::write(path.join("a.css"), "a {}").unwrap();
        Directory(path)
    }

    fn application(&self) -> impl FnOnce() -> Application + Send + 'static {
        let path = self.0.clone();
        || {
            Application::new()
                .route("/private/{*rest}", async |_: &mut Request<'_>| {
                    Err(HttpError::new(StatusCode::FORBIDDEN, "not you"))
                })
                .route("/{*path}", StaticFiles::new(path).unwrap())
        }
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0); // a rest in the temporary directory does no harm
    }
}

#[test]
fn no_way_to_encode_a_path_passes_by_a_route() {
    let directory = Directory::new("routes");
    let server = start(directory.application());
    for (path, status) in [
        ("/private/a", "403"),
        ("/%70rivate/a", "403"),
        ("/privat%65/%61", "403"),
        ("/private%2Fa", "404"),
        ("/private%2fa", "404"),
        ("//private/a", "404"),
        ("/./private/a", "404"),
        ("/x/../private/a", "404"),
    ] {
        let (head, body) = ask(&server, &format!("GET {path}"), "");
        assert!(&head[9..12] == status && !body.contains("secret"), "{path}: {head}{body}");
    }
}

/// An upgrade whose function shows that it has run.
fn upgrade() -> Response {
    Response::upgrade("echo", async |mut stream: IoStream| {
        stream.write("TAKEN")?;
        Ok(stream.flush().await?)
    })
}

#[test]
fn only_a_101_that_was_asked_for_hands_the_stream_on() {
    let server = start(|| {
        Application::new()
            .get("/200", async |_: &mut Request<'_>| Ok(upgrade().with_status(StatusCode::OK)))
            .route("/", async |_: &mut Request<'_>| Ok(upgrade()))
            .error_page(|_, _| upgrade())
    });
    const ASKED: &str = "Connection: upgrade\r\nUpgrade: echo\r\n";
    for (line, fields, body, status) in [
        ("GET /200", ASKED, "", "500"),
        ("GET /404", ASKED, "", "500"),
        ("GET /", "Upgrade: echo\r\n", "", "426"),
        // A body before the new protocol would have to be read after the 101.
        ("POST /", &format!("{ASKED}Content-Length: 3\r\n"), "abc", "400"),
        ("POST /", &format!("{ASKED}Expect: 100-continue\r\nContent-Length: 3\r\n"), "", "400"),
        ("POST /", &format!("{ASKED}Transfer-Encoding: chunked\r\n"), "x\r\n", "400"),
    ] {
        let request = format!("{line} HTTP/1.1\r\nHost: x\r\n{fields}\r\n{body}");
        let text = server.connect().send(&request).end().rest();
        assert!(&text[9..12] == status && !text.contains("TAKEN"), "{request}{text}");
    }
    let (head, _) = ask(&server, "GET /", ASKED);
    assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
}

// CVE-2020-8184 of another server
#[test]
fn a_cookie_is_found_by_its_name_as_it_is() {
    let server = start(|| {
        Application::new().get("/", async |request: &mut Request<'_>| {
            Ok(Response::text(request.cookie("__Host-id").unwrap_or_default()))
        })
    });
    for (cookies, wanted) in [
        (&b"%5F_Host-id=evil; __Host-id=good"[..], "good"),
        (b"other=\xe9; __Host-id=good", "good"),
        (b"nonsense; ; =x; __Host-id=a%20b", "a b"),
        (b"__Host-id=%ff", "%ff"),
        (b"x__Host-id=evil", ""),
    ] {
        let request = [b"GET / HTTP/1.1\r\nHost: x\r\nCookie: ", cookies, b"\r\n\r\n"].concat();
        assert_eq!(server.connect().send(request).answer().1, wanted);
    }
}

#[test]
fn files_of_odd_times_and_names_are_served() {
    let directory = Directory::new("odd");
    for (name, time) in [
        ("old", SystemTime::UNIX_EPOCH - Duration::from_secs(86_400)),
        ("late", SystemTime::UNIX_EPOCH + Duration::from_secs(9_000_000_000)),
    ] {
        let file = fs::File::create(directory.0.join(name)).unwrap();
        file.set_modified(time).unwrap();
    }
    fs::create_dir_all(directory.0.join("d/index.html")).unwrap();
    let server = start(directory.application());
    for (path, status) in [("/old", "200"), ("/late", "200"), ("/d", "301"), ("/d/", "404")] {
        assert_eq!(&ask(&server, &format!("GET {path}"), "").0[9..12], status, "{path}");
    }
    assert!(ask(&server, "GET /d?q=1", "").0.contains("\r\nlocation: /d/?q=1\r\n"));
}

#[test]
fn a_304_says_nothing_of_the_type() {
    let directory = Directory::new("types");
    let server = start(directory.application());
    let (head, _) = ask(&server, "GET /a.css", "If-None-Match: *\r\n");
    assert!(head.starts_with("HTTP/1.1 304 ") && !head.contains("Content-Type"), "{head}");
}

#[test]
fn clients_that_leave_do_not_queue_jobs_without_end() {
    const LIMIT: usize = 256;
    let directory = Directory::new("jobs");
    let make_loop = || EventLoop::builder().blocking_threads(1).build().unwrap();
    let server = LocalServer::start_on(make_loop, Config::default(), directory.application());
    // The only thread of the pool waits, as for a disk that does not answer.
    let (release, is_released) = mpsc::channel::<()>();
    server.run_on_loop(move || drop(spawn_blocking(move || is_released.recv())));
    let descriptors = || fs::read_dir("/proc/self/fd").unwrap().count();
    let (before, tasks) = (descriptors(), server.stats().live_tasks);
    for number in 0..LIMIT {
        let mut client = server.connect();
        client.send(format!("GET /none-{number} HTTP/1.1\r\nHost: x\r\n\r\n"));
        // A job that waits is a task of the loop too.
        server.wait_until("the job waits", |stats| stats.live_tasks == tasks + number + 2);
        client.reset();
        server.wait_until("the client is gone", |stats| stats.live_tasks == tasks + number + 1);
    }
    assert!(descriptors() < before + 20, "{before} descriptors before, {} after", descriptors());
    let (head, _) = ask(&server, "GET /one-more", "");
    assert!(head.starts_with("HTTP/1.1 503 "), "{head}");
    // What the kernel has in memory needs no job.
    assert!(ask(&server, "GET /a.css", "").0.starts_with("HTTP/1.1 200 "));
    drop(release);
    while !ask(&server, "GET /one-more", "").0.starts_with("HTTP/1.1 404 ") {}
}

#[test]
fn a_stream_of_empty_pieces_holds_up_no_other_client() {
    let server = start(|| {
        Application::new()
            .get("/empty", async |_: &mut Request<'_>| {
                Ok(Response::stream(stream::repeat_with(|| Ok(Bytes::new()))))
            })
            .get("/", fixed("fine"))
    });
    let tasks = server.stats().live_tasks;
    let mut endless = server.connect();
    endless.send("GET /empty HTTP/1.1\r\nHost: x\r\n\r\n").answer();
    assert_eq!(ask(&server, "GET /", "").1, "fine");
    endless.reset();
    server.wait_until("the stream has ended", |stats| stats.live_tasks <= tasks);
}

#[test]
fn empty_pieces_do_not_lengthen_a_chunk_size() {
    let server = start(|| {
        Application::new().get("/", async |_: &mut Request<'_>| {
            Ok(Response::stream(stream::unfold(0, async |number| {
                sleep(Duration::from_millis(60)).await;
                let piece = if number == 11 { Bytes::from("x") } else { Bytes::new() };
                (number < 12).then_some((Ok(piece), number + 1))
            })))
        })
    });
    // The client ends its sending half, so the server looks by early zeros whether it still reads.
    let text = server.connect().send("GET / HTTP/1.1\r\nHost: x\r\n\r\n").end().rest();
    assert!(text.contains("1\r\nx\r\n") && text.ends_with("0\r\n\r\n"), "{text}");
    assert!(!text.contains("00000000000000000"), "{text}");
}

#[test]
fn routes_of_one_shape_share_their_methods_and_head_may_have_its_own() {
    let server = start(|| {
        Application::new()
            .get("/{page}", fixed("page"))
            .post("/login", fixed("login"))
            .method(Method::HEAD, "/", fixed(""))
            .error_page(|status, _| Response::text(format!("page of {status}")))
    });
    assert_eq!(ask(&server, "POST /login", "").1, "login");
    assert_eq!(ask(&server, "GET /login", "").1, "page");
    let head =
        server.connect().send("HEAD / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").rest();
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    let (head, page) = ask(&server, "PUT /login", "");
    assert_eq!(page, "page of 405 Method Not Allowed");
    assert!(head.contains("\r\nallow: GET, HEAD, OPTIONS\r\n"), "{head}");
}

#[test]
fn a_type_is_sent_once() {
    let server = start(|| {
        Application::new().get("/", async |_: &mut Request<'_>| {
            Ok(Response::text("").with(CONTENT_TYPE, HeaderValue::from_static("a/b")))
        })
    });
    let head = ask(&server, "GET /", "").0.to_ascii_lowercase();
    assert!(
        head.matches("content-type: a/b\r\n").count() == 1 && !head.contains("text/"),
        "{head}"
    );
}
