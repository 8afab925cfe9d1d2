//! Workers are replaced, and a new binary takes over, under load: no request is lost.

mod support;

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

const WATCHDOG: Duration = Duration::from_secs(30);
/// Four threads that each begin a connection every 4 ms: 1,000 connections in a second.
const THREADS: u32 = 4;
const EVERY: Duration = Duration::from_millis(4);
/// The load goes on until this has passed, and whatever happens under it is over.
const AT_LEAST: Duration = Duration::from_secs(4);

struct Server {
    child: Child,
    lines: BufReader<ChildStdout>,
    address: SocketAddr,
}

impl Server {
    fn start() -> Server {
        let mut program: PathBuf = std::env::current_exe().unwrap();
        program.pop(); // the test's name
        program.pop(); // deps
        let mut child = support::with_default_signals(program.join("examples/prefork"))
            .args(["--listen", "127.0.0.1:0", "--workers", "4"])
            .stdout(Stdio::piped())
            .spawn()
            .expect("a plain `cargo test` builds it");
        let mut lines = BufReader::new(child.stdout.take().unwrap());
        let (address, pid) = announced(&mut lines);
        assert_eq!(pid, child.id());
        Server { child, lines, address }
    }

    fn kill(&self, signal: &str) {
        kill(self.child.id(), signal);
    }

    fn workers(&self) -> Vec<u32> {
        let pid = self.child.id();
        let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap();
        children.split_whitespace().map(|pid| pid.parse().unwrap()).collect()
    }

    fn end(&mut self) {
        let begin = Instant::now();
        while self.child.try_wait().unwrap().is_none() {
            assert!(begin.elapsed() < WATCHDOG, "the server does not end");
            thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill(); // its workers end with it
        let _ = self.child.wait();
    }
}

/// Where a server says that it listens, and its process.
fn announced(lines: &mut impl BufRead) -> (SocketAddr, u32) {
    let mut line = String::new();
    lines.read_line(&mut line).unwrap();
    let rest = line.strip_prefix("listening on http://").unwrap_or_else(|| panic!("{line:?}"));
    let (address, pid) = rest.trim().split_once(", process ").unwrap();
    (address.parse().unwrap(), pid.parse().unwrap())
}

fn kill(pid: u32, signal: &str) {
    Command::new("kill").args([&format!("-{signal}"), &pid.to_string()]).status().unwrap();
}

/// One connection, one request, one whole answer.
fn ask(address: SocketAddr) -> std::io::Result<()> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(WATCHDOG))?;
    stream.write_all(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    match answer.starts_with("HTTP/1.1 200 OK") && answer.ends_with("Hello, World!") {
        true => Ok(()),
        false => Err(std::io::Error::other(format!("not the answer: {answer:?}"))),
    }
}

/// Asks 1,000 times a second while `act` acts, and returns how many asked and what went wrong.
fn under_load(address: SocketAddr, act: impl FnOnce()) -> (u32, Vec<String>) {
    let is_over = &AtomicBool::new(false);
    let client = move |number: u32| {
        let begin = Instant::now() + EVERY * number / THREADS;
        let (mut asked, mut failures) = (0, Vec::new());
        while begin.elapsed() < AT_LEAST || !is_over.load(Ordering::Relaxed) {
            thread::sleep((begin + EVERY * asked).saturating_duration_since(Instant::now()));
            asked += 1;
            if let Err(error) = ask(address) {
                failures.push(error.to_string());
            }
        }
        (asked, failures)
    };
    thread::scope(|scope| {
        let clients: Vec<_> =
            (0..THREADS).map(|number| scope.spawn(move || client(number))).collect();
        let acted = catch_unwind(AssertUnwindSafe(act));
        is_over.store(true, Ordering::Relaxed); // also after a panic: the scope waits for the clients
        acted.unwrap_or_else(|panic| resume_unwind(panic));
        let done = clients.into_iter().map(|client| client.join().unwrap());
        done.fold((0, Vec::new()), |(asked, mut failures), (more, others)| {
            failures.extend(others);
            (asked + more, failures)
        })
    })
}

fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !holds() {
        assert!(begin.elapsed() < WATCHDOG, "{what}");
        thread::sleep(Duration::from_millis(5));
    }
}

// X7
#[test]
fn a_rolling_restart_under_load_loses_no_request() {
    let mut server = Server::start();
    until("four workers", || server.workers().len() == 4);
    let first = server.workers();
    let (asked, failures) = under_load(server.address, || {
        for _ in 0..2 {
            let former = server.workers();
            thread::sleep(Duration::from_millis(500));
            server.kill("HUP");
            until("all are replaced", || {
                let now = server.workers();
                now.len() == 4 && now.iter().all(|pid| !former.contains(pid))
            });
        }
    });
    assert!(server.workers().iter().all(|pid| !first.contains(pid)));
    let _ = writeln!(
        std::io::stderr(),
        "two rolling restarts: {asked} connections, {} failed",
        failures.len()
    );
    assert!(failures.is_empty(), "{failures:?}");
    server.kill("TERM");
    server.end();
}

// X7, with another process
#[test]
fn a_new_binary_that_takes_the_sockets_over_under_load_loses_no_request() {
    let mut server = Server::start();
    until("four workers", || server.workers().len() == 4);
    let mut successor = 0;
    let (asked, failures) = under_load(server.address, || {
        thread::sleep(Duration::from_millis(500));
        server.kill("USR2");
        let (address, pid) = announced(&mut server.lines);
        assert_eq!(address, server.address);
        successor = pid;
        let begin = Instant::now();
        while server.child.try_wait().unwrap().is_none() {
            assert!(begin.elapsed() < WATCHDOG, "the former server does not end");
            thread::sleep(Duration::from_millis(5));
        }
    });
    let _ =
        writeln!(std::io::stderr(), "a hand-over: {asked} connections, {} failed", failures.len());
    kill(successor, "TERM");
    assert!(failures.is_empty(), "{failures:?}");
    until("the successor has ended", || TcpStream::connect(server.address).is_err());
}
