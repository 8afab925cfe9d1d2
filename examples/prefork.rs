//! An HTTP server of several processes that loses no request when its processes are replaced.
//!
//! ```text
//! cargo run --release --example prefork -- --workers 4
//! kill -HUP  <process>     replaces the workers one by one
//! kill -USR2 <process>     starts this program again with the same sockets, then ends this process
//! kill -TERM <process>     finishes the running requests and ends
//! ```

use std::env;
use std::io;
use std::net::TcpListener;
use std::os::fd::AsFd;
use std::os::unix::process::parent_id;
use std::process::{Command, ExitCode};
use std::time::Duration;

use lexopt::prelude::*;
use squall_net::signal::{SIGTERM, SIGUSR2, Signals};
use squall_net::{
    ForkOptions, Role, bind_sockets, block_on, fork_processes, inherited_sockets, sleep,
    spawn_with_sockets,
};
use tiny_http::{Config, HttpServer, Request, Response};

const HELP: &str = "\
An HTTP server of several processes.

Usage: prefork [options]

  --listen HOST:PORT   where to listen (127.0.0.1:8080); ignored if sockets are inherited
  --workers N          number of processes (one for each core)
  --help               this text";

/// How long a running request may take after the signal to end.
const GRACE: Duration = Duration::from_secs(10);

struct Arguments {
    host: String,
    port: u16,
    workers: Option<usize>,
}

fn main() -> ExitCode {
    env_logger::init();
    let outcome = match arguments() {
        Ok(Some(arguments)) => run(&arguments),
        Ok(None) => return ExitCode::SUCCESS,
        Err(error) => Err(io::Error::other(error)),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("prefork: {error}");
            ExitCode::FAILURE
        }
    }
}

fn arguments() -> Result<Option<Arguments>, lexopt::Error> {
    let mut arguments = Arguments { host: "127.0.0.1".into(), port: 8080, workers: None };
    let mut parser = lexopt::Parser::from_env();
    while let Some(argument) = parser.next()? {
        match argument {
            Long("listen") => {
                let address: std::net::SocketAddr = parser.value()?.parse()?;
                (arguments.host, arguments.port) = (address.ip().to_string(), address.port());
            }
            Long("workers") => arguments.workers = Some(parser.value()?.parse()?),
            Long("help") | Short('h') => {
                println!("{HELP}");
                return Ok(None);
            }
            _ => return Err(argument.unexpected()),
        }
    }
    Ok(Some(arguments))
}

fn run(arguments: &Arguments) -> io::Result<()> {
    let inherited: Vec<_> = inherited_sockets()?
        .into_iter()
        .map(|socket| socket.into_tcp())
        .collect::<io::Result<_>>()?;
    let sockets = if inherited.is_empty() {
        let Arguments { host, port, .. } = arguments;
        bind_sockets(*port, Some(host), Default::default()).map_err(|error| {
            io::Error::new(error.kind(), format!("cannot listen on {host}:{port}: {error}"))
        })?
    } else {
        inherited
    };
    println!("listening on http://{}, process {}", sockets[0].local_addr()?, std::process::id());
    let options = ForkOptions::default().grace(Some(GRACE * 2));
    let parent = std::process::id();
    match fork_processes(arguments.workers, options)? {
        Role::Worker(number) => block_on(serve(number, sockets, parent)),
        Role::Supervisor => Ok(()),
    }
}

/// Runs a worker: serves until `SIGTERM` arrives.
async fn serve(number: usize, sockets: Vec<TcpListener>, parent: u32) -> io::Result<()> {
    // Kept until the end of this function: a second SIGTERM must not cut running requests off.
    let mut signals = Signals::new([SIGTERM, SIGUSR2])?;
    let server = HttpServer::new(Config::default(), async |_: &mut Request<'_>| {
        Ok(Response::text("Hello, World!"))
    });
    let listening = sockets.iter().map(TcpListener::try_clone).collect::<io::Result<_>>()?;
    server.add_sockets(listening)?;
    while let Some(signal) = signals.next().await {
        // Every worker gets the signal. Only worker 0 starts the successor.
        if signal == SIGUSR2 && number == 0 && start_successor(&sockets).await? {
            // If the supervisor has died, process 1 is the parent and must get no signal.
            if parent_id() == parent {
                Command::new("kill").arg(parent.to_string()).status()?;
            }
        } else if signal == SIGTERM {
            break;
        }
    }
    drop(sockets);
    server.shut_down(GRACE).await;
    Ok(())
}

/// Starts this program again with the same sockets. Returns false if it ends within 300 ms.
async fn start_successor(sockets: &[TcpListener]) -> io::Result<bool> {
    let mut command = Command::new(env::current_exe()?);
    command.args(env::args_os().skip(1));
    let named: Vec<_> = sockets.iter().map(|socket| ("http", socket.as_fd())).collect();
    let mut successor = spawn_with_sockets(&mut command, &named)?;
    sleep(Duration::from_millis(300)).await;
    match successor.try_wait()? {
        None => Ok(true),
        Some(status) => {
            eprintln!("prefork: the successor has ended, so this process stays: {status}");
            Ok(false)
        }
    }
}
