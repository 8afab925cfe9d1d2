//! The crawler as a user runs it.

use std::process::{Command, Output, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal};
use squall_net::{EventLoop, IoStream, TcpServer};
use tiny_http::{Application, Config, HttpServer, Request, Response};

/// The limit of every wait.
const WATCHDOG: Duration = Duration::from_secs(20);

/// A command for the crawler. Under `nohup` or a shell's `&`, the test ignores some signals, and the
/// child would inherit that.
fn crawler(arguments: &[&str]) -> Command {
    let mut command = Command::new("env");
    command.arg("--default-signal").arg(env!("CARGO_BIN_EXE_crawler")).args(arguments);
    command
}

fn run(arguments: &[&str]) -> (Option<i32>, String, String) {
    let Output { status, stdout, stderr } = crawler(arguments).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (status.code(), text(stdout), text(stderr))
}

/// Runs what `make` makes on a thread with a loop, and returns the URL.
fn serve<S: 'static>(make: impl FnOnce() -> (S, String) + Send + 'static) -> String {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        let event_loop = EventLoop::new().unwrap();
        let entered = event_loop.enter();
        let (_server, url) = make();
        drop(entered);
        sender.send(url).unwrap();
        event_loop.run().unwrap(); // until the test ends
    });
    receiver.recv().unwrap()
}

fn serve_application(make: impl FnOnce() -> Application + Send + 'static) -> String {
    serve(|| {
        let server = HttpServer::new(Config::default(), make());
        let url = format!("http://{}/", server.listen("127.0.0.1:0").unwrap());
        (server, url)
    })
}

// HTC-X3
#[test]
fn its_own_site_has_1000_pages_and_one_dead_link() {
    let (code, summary, errors) = run(&[]);
    assert_eq!((code, &*errors), (Some(1), ""), "{summary}");
    assert!(summary.contains(": 1000 pages, ") && summary.contains(" 1 dead link.\n"), "{summary}");
    assert!(summary.contains("/page/1000: 404 Not Found (on http://"), "{summary}");
    assert!(summary.trim_end().ends_with("/page/500)"), "{summary}");
}

#[test]
fn each_page_of_the_host_is_fetched_once_and_others_are_left_alone() {
    let url = serve_application(|| {
        let counts = std::cell::Cell::new(0);
        Application::new()
            .get("/", async |_: &mut Request<'_>| {
                Ok(Response::html(
                    "<A HREF=b>b</A> <a href=' /b#x '>b</a> <a href='//elsewhere.invalid/'>x</a>
                     <a name=top> <a href='mailto:a@b'>m</a> <!-- <a href='/comment'> -->
                     <script>'<a href=/script>'</script> <a href='a b.html?c=&amp;d'>s</a>
                     <a href='/picture'>p</a>",
                ))
            })
            .get("/b", async |_: &mut Request<'_>| Ok(Response::see_other("/c")?))
            .get("/c", async move |_: &mut Request<'_>| {
                counts.set(counts.get() + 1);
                Ok(Response::html(format!("<a href=/visit-{}>", counts.get())))
            })
            .get("/visit-1", async |_: &mut Request<'_>| Ok(Response::html("<a href=''>")))
            .get("/a b.html", async |request: &mut Request<'_>| {
                assert_eq!(request.query(), Some("c=&d"));
                Ok(Response::html(""))
            })
            .get("/picture", async |_: &mut Request<'_>| Ok(Response::text("<a href='/no-html'>")))
    });
    let (code, summary, _) = run(&[&url]);
    // The start, b, visit-1, the one with the space, and the picture. A comment is not a link; a
    // script's text is not one to a browser either.
    assert_eq!(code, Some(0), "{summary}");
    assert!(summary.contains(": 5 pages, ") && summary.contains(" 0 dead links.\n"), "{summary}");
    let (_, summary, _) = run(&["--pages", "2", "-w", "1", &url]);
    assert!(summary.contains(": 2 pages, ") && summary.contains("3 pages more"), "{summary}");
}

#[test]
fn ctrl_c_ends_the_crawl_with_the_summary() {
    let (sender, is_waiting) = mpsc::channel();
    let url = serve(move || {
        let server = TcpServer::new(async move |mut stream: IoStream, _peer| {
            let request = stream.read_until(b"\r\n\r\n").await?;
            if !request.starts_with(b"GET / ") {
                sender.send(()).unwrap();
                stream.read_until_close().await?; // never answers
            }
            let page = "<a href=/slow>";
            let head = "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length";
            stream.write(format!("{head}: {}\r\n\r\n{page}", page.len()))?;
            Ok(stream.flush().await?)
        });
        let url = format!("http://{}/", server.listen("127.0.0.1:0").unwrap());
        (server, url)
    });
    let child = crawler(&[&url]).stdout(Stdio::piped()).spawn().unwrap();
    is_waiting.recv_timeout(WATCHDOG).unwrap(); // a worker waits, so the signal has its effect
    rustix::process::kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    let output = child.wait_with_output().unwrap();
    let summary = String::from_utf8(output.stdout).unwrap();
    assert!(summary.contains(": 1 page, ") && summary.contains(" Interrupted."), "{summary}");
    assert_eq!(output.status.code(), Some(130));
}

#[test]
fn mistakes_are_one_plain_line() {
    for (arguments, code, line) in [
        (&["-w", "0"][..], 2, "a number of at least 1 is needed (try --help)"),
        (&["--nonsense"], 2, "invalid option '--nonsense' (try --help)"),
        (&["http://127.0.0.1:1/"], 1, "http://127.0.0.1:1/: cannot connect: Connection refused"),
        (&["nonsense"], 1, "nonsense: invalid request: the URL is not an absolute URL"),
    ] {
        let (got, out, errors) = run(arguments);
        assert_eq!((got, &*out, errors.lines().count()), (Some(code), "", 1), "{errors}");
        assert!(errors.starts_with("crawler: ") && errors.contains(line), "{errors}");
    }
    let (code, out, _) = run(&["--help"]);
    assert!(code == Some(0) && out.contains("Usage: crawler [OPTIONS] [URL]"));
}
