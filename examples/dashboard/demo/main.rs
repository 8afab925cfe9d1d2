//! A program with some load, and its dashboard: what a loop looks like while it works, and while it is
//! stuck.
//!
//! ```text
//! cargo run --release -p squall-dashboard
//! ```
//!
//! Then open http://127.0.0.1:8080/ and http://127.0.0.1:8081/ side by side. The first page has
//! buttons: one holds the loop for some seconds. The second page is the dashboard, which tells so.
//!
//! ```text
//! curl -s http://127.0.0.1:8081/metrics
//! curl -i http://127.0.0.1:8081/health
//! ```

mod load;
mod options;
mod pages;

use std::error::Error;
use std::io;
use std::process::ExitCode;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use squall_net::signal::{SIGINT, SIGTERM, Signals};
use squall_net::{EventLoop, Handle, block_on, sleep, spawn};
use tiny_http::{Config, HttpServer};

use crate::options::Options;

/// How long running requests may take after a stop signal.
const GRACE: Duration = Duration::from_secs(5);

fn main() -> ExitCode {
    env_logger::Builder::from_env(env_logger::Env::default().default_filter_or("warn")).init();
    let options = match Options::from_command_line() {
        Ok(Some(options)) => options,
        Ok(None) => {
            println!("{}", options::HELP);
            return ExitCode::SUCCESS;
        }
        Err(error) => {
            eprintln!("squall-dashboard: {error} (try --help)");
            return ExitCode::from(2);
        }
    };
    match block_on(run(&options)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("squall-dashboard: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(options: &Options) -> Result<(), Box<dyn Error>> {
    let cannot_listen =
        |address: &str, error: io::Error| format!("cannot listen on {address}: {error}");
    let dashboard = dashboard::serve(&*options.dashboard)
        .map_err(|error| cannot_listen(&options.dashboard, error))?;
    let url = format!("http://{}/", dashboard.address());

    let server = HttpServer::new(Config::default(), pages::application(url.clone()));
    let address =
        server.listen(&*options.listen).map_err(|error| cannot_listen(&options.listen, error))?;
    let counted = server.clone();
    dashboard::gauge("http_connections", "Open connections of the HTTP server.", move || {
        u32::try_from(counted.connections()).unwrap_or(u32::MAX).into()
    });
    load::start(address);

    let (worker, thread) = start_worker()?;
    dashboard.watch("worker", worker.clone());

    let mut signals = Signals::new([SIGTERM, SIGINT])?;
    println!("listening on http://{address}/");
    println!("the dashboard is {url}");
    signals.next().await;
    drop(signals); // a second signal ends the process at once
    let report = server.shut_down(GRACE).await;
    if report.aborted > 0 {
        log::warn!("{} connections were cut after {GRACE:?}", report.aborted);
    }
    worker.stop();
    thread.join().map_err(|_| "the worker has panicked")??;
    dashboard.stop();
    Ok(())
}

/// Starts a thread with a loop of its own. Returns when the loop runs.
fn start_worker() -> io::Result<(Handle, thread::JoinHandle<io::Result<()>>)> {
    let (sender, receiver) = mpsc::channel();
    let run = move || {
        let event_loop = EventLoop::new()?;
        drop(event_loop.spawn_named("counts", async {
            for step in 0_u64.. {
                drop(spawn(sleep(Duration::from_millis(step % 40))));
                sleep(Duration::from_millis(5)).await;
            }
        }));
        let _ = sender.send(event_loop.handle()); // `recv` below waits
        Ok(event_loop.run()?)
    };
    let thread = thread::Builder::new().name("worker".to_owned()).spawn(run)?;
    let handle = receiver.recv().map_err(io::Error::other)?;
    Ok((handle, thread))
}
