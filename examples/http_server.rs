//! A small HTTP server, to be tried with a browser, curl or wrk.
//!
//! ```text
//! cargo run --release --example http_server
//! curl -i http://127.0.0.1:8080/
//! curl -i http://127.0.0.1:8080/hello/squall
//! curl -i --data-binary @README.md http://127.0.0.1:8080/echo
//! curl -iN http://127.0.0.1:8080/stream
//! curl -s http://127.0.0.1:8080/stats
//! wrk -c 64 http://127.0.0.1:8080/
//! ```

use std::cell::Cell;
use std::error::Error;
use std::io;
use std::net::TcpListener;
use std::process::ExitCode;
use std::rc::Rc;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use bytes::Bytes;
use futures_lite::stream;
use http::header::{CONTENT_TYPE, HeaderValue};
use lexopt::prelude::*;
use squall_net::signal::{SIGINT, SIGTERM, Signals};
use squall_net::{EventLoop, ForkOptions, Handle, Role, fork_processes, sleep, stats, stop};
use tiny_http::{Application, Config, HandlerResult, HttpServer, Request, Response};

/// How long running requests may take after a stop signal.
const GRACE: Duration = Duration::from_secs(15);

const HELP: &str = "\
A small HTTP server on the squall event loop.

Usage: http_server [OPTIONS]

Options:
  -l, --listen ADDR   Address to listen on [default: 127.0.0.1:8080]; port 0 lets the kernel choose
  -p, --processes N   Processes that share the socket; with more than one, SIGHUP to the first
                      replaces them one by one [default: 1]
  -w, --workers N     Event loops of a process, each on a thread of its own [default: 1]
  -h, --help          Print this help

Routes: GET /  GET /hello/{name}  POST /echo  GET /stream  GET /stats
SIGTERM and Ctrl-C stop accepting and finish running requests; a second signal stops at once.";

fn application() -> Application {
    Application::new()
        .get("/", async |_: &mut Request<'_>| {
            Ok(Response::text(Bytes::from_static(b"Hello, World!")))
        })
        .get("/hello/{name}", async |request: &mut Request<'_>| {
            Ok(Response::text(format!("Hello, {}!", request.path_argument("name"))))
        })
        .post("/echo", echo)
        .get("/stream", async |_: &mut Request<'_>| Ok(Response::stream(countdown())))
        .get("/stats", async |_: &mut Request<'_>| Ok(Response::json(stats_as_json())))
}

/// Returns the body, with its type.
async fn echo(request: &mut Request<'_>) -> HandlerResult {
    let content_type = request.header(CONTENT_TYPE.as_str());
    let content_type = content_type.and_then(|value| HeaderValue::from_bytes(value).ok());
    Ok(Response::new(content_type, request.body().await?))
}

/// Ten lines, a tenth of a second apart.
fn countdown() -> impl stream::Stream<Item = io::Result<Bytes>> {
    stream::unfold(10, |left| async move {
        if left == 0 {
            return None;
        }
        sleep(Duration::from_millis(100)).await;
        Some((Ok(format!("{left}\n").into()), left - 1))
    })
}

fn stats_as_json() -> String {
    let stats = stats();
    format!(
        "{{\"turns\":{},\"waits\":{},\"empty_wakeups\":{},\"stale_events\":{},\"callbacks\":{},\
         \"polls\":{},\"timers_fired\":{},\"messages\":{},\"wakeups_written\":{},\
         \"wakeups_saved\":{},\"registrations\":{},\"deregistrations\":{},\"live_tasks\":{},\
         \"live_timers\":{},\"live_sources\":{}}}\n",
        stats.turns,
        stats.waits,
        stats.empty_wakeups,
        stats.stale_events,
        stats.callbacks,
        stats.polls,
        stats.timers_fired,
        stats.messages,
        stats.wakeups_written,
        stats.wakeups_saved,
        stats.registrations,
        stats.deregistrations,
        stats.live_tasks,
        stats.live_timers,
        stats.live_sources,
    )
}

struct Options {
    listen: String,
    processes: usize,
    workers: usize,
}

/// Parses the command line. Returns `None` for `--help`.
fn options() -> Result<Option<Options>, lexopt::Error> {
    let mut options = Options { listen: "127.0.0.1:8080".into(), processes: 1, workers: 1 };
    let mut parser = lexopt::Parser::from_env();
    while let Some(argument) = parser.next()? {
        match argument {
            Short('l') | Long("listen") => options.listen = parser.value()?.string()?,
            Short('p') | Long("processes") => {
                options.processes = parser.value()?.parse_with(count)?
            }
            Short('w') | Long("workers") => options.workers = parser.value()?.parse_with(count)?,
            Short('h') | Long("help") => return Ok(None),
            _ => return Err(argument.unexpected()),
        }
    }
    Ok(Some(options))
}

fn count(text: &str) -> Result<usize, &'static str> {
    match text.parse() {
        Ok(0) | Err(_) => Err("a number of at least 1 is needed"),
        Ok(count) => Ok(count),
    }
}

fn main() -> ExitCode {
    env_logger::Builder::from_env(env_logger::Env::default().default_filter_or("warn")).init();
    let options = match options() {
        Ok(Some(options)) => options,
        Ok(None) => {
            println!("{HELP}");
            return ExitCode::SUCCESS;
        }
        Err(error) => {
            eprintln!("http_server: {error} (try --help)");
            return ExitCode::from(2);
        }
    };
    match run(&options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("http_server: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> Result<(), Box<dyn Error>> {
    let listener = listen(&options.listen)?;
    let listening = format!("listening on http://{}", listener.local_addr()?);
    if options.processes == 1 {
        return serve(listener, options.workers, Some(&listening));
    }
    println!("{listening}");
    let fork_options = ForkOptions::default().grace(Some(GRACE * 2));
    match fork_processes(Some(options.processes), fork_options)? {
        Role::Worker(_) => serve(listener, options.workers, None),
        Role::Supervisor => Ok(()),
    }
}

/// Serves until a signal comes, on this thread and `workers - 1` others. Prints the line `ready` when
/// a signal has its effect.
fn serve(listener: TcpListener, workers: usize, ready: Option<&str>) -> Result<(), Box<dyn Error>> {
    let mut handles = Vec::new();
    let mut threads = Vec::new();
    // This thread is the first worker.
    for number in 1..workers {
        let listener = listener.try_clone()?;
        let (sender, handle) = mpsc::channel();
        let work = move || {
            let worker = Worker::new(listener)?;
            let _ = sender.send(worker.event_loop.handle()); // cannot fail: `recv` below waits
            worker.run()
        };
        threads.push(thread::Builder::new().name(format!("worker-{number}")).spawn(work)?);
        handles.push(handle.recv()?);
    }
    let worker = Worker::new(listener)?;
    let mut signals = {
        let _entered = worker.event_loop.enter();
        Signals::new([SIGTERM, SIGINT])?
    };
    // The first signal completes this future and so drops `signals`. The second signal then has its
    // default action: it ends the process.
    worker.event_loop.add_future(async move { signals.next().await }, move |_| {
        handles.iter().for_each(Handle::stop);
        stop();
    });
    if let Some(ready) = ready {
        println!("{ready}");
    }
    worker.run()?;
    for thread in threads {
        thread.join().map_err(|_| "a worker panicked")??;
    }
    Ok(())
}

/// An event loop with a server on it.
struct Worker {
    event_loop: EventLoop,
    server: HttpServer,
}

impl Worker {
    fn new(listener: TcpListener) -> io::Result<Worker> {
        let event_loop = EventLoop::new()?;
        let server = {
            let _entered = event_loop.enter();
            let server = HttpServer::new(Config::default(), application());
            server.add_sockets(vec![listener])?;
            server
        };
        Ok(Worker { event_loop, server })
    }

    /// Serves until the loop is stopped, or its listening socket fails. Then finishes the running
    /// requests.
    fn run(self) -> io::Result<()> {
        let (server, failure) = (self.server.clone(), Rc::new(Cell::new(None)));
        let set_failure = Rc::clone(&failure);
        self.event_loop.add_future(async move { server.closed().await }, move |closed| {
            set_failure.set(closed.err());
            stop();
        });
        self.event_loop.run()?;
        let report = self.event_loop.block_on(self.server.shut_down(GRACE));
        if report.aborted > 0 {
            log::warn!("{} connections were cut after {GRACE:?}", report.aborted);
        }
        failure.take().map_or(Ok(()), Err)
    }
}

fn listen(address: &str) -> Result<TcpListener, String> {
    match squall_net::TcpListener::bind(address) {
        Ok(listener) => Ok(listener.into_std()),
        Err(error) => Err(format!("cannot listen on {address}: {error}")),
    }
}
