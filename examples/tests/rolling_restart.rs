//! Replacing the workers, or the whole program, under load loses no request.

mod support;

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

const WATCHDOG: Duration = Duration::from_secs(30);
/// Client threads. Each opens a connection every 4 ms: together 1,000 connections a second.
const THREADS: u32 = 4;
const PERIOD: Duration = Duration::from_millis(4);
/// The load lasts at least this long, and until the action under load has returned.
const MIN_LOAD_TIME: Duration = Duration::from_secs(4);

struct Server {
    child: Child,
    lines: BufReader<ChildStdout>,
    address: SocketAddr,
}

impl Server {
    /// Starts an example with four worker processes, whose number the option `workers` sets.
    fn start(example: &str, workers: &str) -> Server {
        let mut program: PathBuf = std::env::current_exe().unwrap();
        program.pop(); // removes the test's name
        program.pop(); // removes `deps`
        let mut child = support::with_default_signals(program.join("examples").join(example))
            .args(["--listen", "127.0.0.1:0", workers, "4"])
            .stdout(Stdio::piped())
            .spawn()
            .expect("a plain `cargo test` builds it");
        let mut lines = BufReader::new(child.stdout.take().unwrap());
        let (address, pid) = read_announcement(&mut lines);
        assert!(pid.is_none_or(|pid| pid == child.id()));
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

    /// Waits until the server has ended.
    fn wait_for_end(&mut self) -> ExitStatus {
        let begin = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(begin.elapsed() < WATCHDOG, "the server does not end");
            thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill(); // the workers end when their parent ends
        let _ = self.child.wait();
    }
}

/// Reads a server's first line. Returns the address it listens on, and its process number if it
/// prints that.
fn read_announcement(lines: &mut impl BufRead) -> (SocketAddr, Option<u32>) {
    let mut line = String::new();
    lines.read_line(&mut line).unwrap();
    let rest = line.strip_prefix("listening on http://").unwrap_or_else(|| panic!("{line:?}"));
    match rest.trim().split_once(", process ") {
        Some((address, pid)) => (address.parse().unwrap(), Some(pid.parse().unwrap())),
        None => (rest.trim().parse().unwrap(), None),
    }
}

fn kill(pid: u32, signal: &str) {
    Command::new("kill").args([&format!("-{signal}"), &pid.to_string()]).status().unwrap();
}

/// Sends one request on a new connection and checks that the whole response arrives.
fn request(address: SocketAddr) -> std::io::Result<()> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(WATCHDOG))?;
    stream.write_all(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    match answer.starts_with("HTTP/1.1 200 OK") && answer.ends_with("Hello, World!") {
        true => Ok(()),
        false => Err(std::io::Error::other(format!("unexpected response: {answer:?}"))),
    }
}

/// Sends 1,000 requests a second while `action` runs. Returns the number of requests and the errors
/// of those that failed.
fn under_load(address: SocketAddr, action: impl FnOnce()) -> (u32, Vec<String>) {
    let is_over = &AtomicBool::new(false);
    let client = move |number: u32| {
        let begin = Instant::now() + PERIOD * number / THREADS;
        let (mut requests, mut failures) = (0, Vec::new());
        while begin.elapsed() < MIN_LOAD_TIME || !is_over.load(Ordering::Relaxed) {
            thread::sleep((begin + PERIOD * requests).saturating_duration_since(Instant::now()));
            requests += 1;
            if let Err(error) = request(address) {
                failures.push(error.to_string());
            }
        }
        (requests, failures)
    };
    thread::scope(|scope| {
        let clients: Vec<_> =
            (0..THREADS).map(|number| scope.spawn(move || client(number))).collect();
        let outcome = catch_unwind(AssertUnwindSafe(action));
        // Set after a panic too: the scope waits for the clients.
        is_over.store(true, Ordering::Relaxed);
        outcome.unwrap_or_else(|panic| resume_unwind(panic));
        let results = clients.into_iter().map(|client| client.join().unwrap());
        results.fold((0, Vec::new()), |(requests, mut failures), (more, others)| {
            failures.extend(others);
            (requests + more, failures)
        })
    })
}

/// Waits until `holds` returns true. Fails with `what` after [`WATCHDOG`].
fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !holds() {
        assert!(begin.elapsed() < WATCHDOG, "not so in time: {what}");
        thread::sleep(Duration::from_millis(5));
    }
}

// X4, X7: clients that connect while no worker lives wait in the kernel's queue
#[test]
fn the_first_client_after_all_workers_were_killed_gets_its_answer() {
    let mut server = Server::start("http_server", "--processes");
    wait_until("four workers run", || server.workers().len() == 4);
    let killed = server.workers();
    let begin = Instant::now();
    killed.iter().for_each(|pid| kill(*pid, "KILL"));
    let lives = |pid: &u32| {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat"));
        stat.is_ok_and(|stat| !stat.contains(") Z "))
    };
    wait_until("they have ended", || !killed.iter().any(lives));
    request(server.address).unwrap();
    let time = begin.elapsed();
    let _ = writeln!(std::io::stderr(), "{time:?} from the kill of all workers to an answer");
    assert!(server.workers().iter().all(|pid| !killed.contains(pid)));
    server.kill("TERM");
    assert!(server.wait_for_end().success());
}

// X7
#[test]
fn a_rolling_restart_under_load_loses_no_request() {
    replace_all_under_load("prefork", "--workers", 2);
    replace_all_under_load("http_server", "--processes", 1);
}

fn replace_all_under_load(example: &str, workers: &str, times: u32) {
    let mut server = Server::start(example, workers);
    wait_until("four workers run", || server.workers().len() == 4);
    let first = server.workers();
    let (requests, failures) = under_load(server.address, || {
        for _ in 0..times {
            let former = server.workers();
            thread::sleep(Duration::from_millis(500));
            server.kill("HUP");
            wait_until("all workers are replaced", || {
                let now = server.workers();
                now.len() == 4 && now.iter().all(|pid| !former.contains(pid))
            });
        }
    });
    assert!(server.workers().iter().all(|pid| !first.contains(pid)));
    let _ = writeln!(
        std::io::stderr(),
        "{example}: {requests} requests, {} failed during {times} rolling restarts",
        failures.len()
    );
    assert!(failures.is_empty(), "{failures:?}");
    server.kill("TERM");
    assert!(server.wait_for_end().success());
}

// X7, with a second process
#[test]
fn a_new_binary_that_takes_the_sockets_over_under_load_loses_no_request() {
    let mut server = Server::start("prefork", "--workers");
    wait_until("four workers run", || server.workers().len() == 4);
    let mut successor = 0;
    let (requests, failures) = under_load(server.address, || {
        thread::sleep(Duration::from_millis(500));
        server.kill("USR2");
        let (address, pid) = read_announcement(&mut server.lines);
        assert_eq!(address, server.address);
        successor = pid.unwrap();
        server.wait_for_end();
    });
    let _ =
        writeln!(std::io::stderr(), "a hand-over: {requests} requests, {} failed", failures.len());
    kill(successor, "TERM");
    assert!(failures.is_empty(), "{failures:?}");
    wait_until("the successor has ended", || TcpStream::connect(server.address).is_err());
}
