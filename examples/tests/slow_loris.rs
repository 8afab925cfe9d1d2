//! 2,000 clients that hold their connections as long as they can, and one that wants to be served.

mod support;

use std::thread;
use std::time::{Duration, Instant};

use support::{Client, LocalServer, may_open, say};
use tiny_http::{Config, Request, Response};

/// The clients, a third of each kind.
const CLIENTS: usize = 2_000;
/// The deadline of a head and of an idle connection.
const DEADLINE: Duration = Duration::from_secs(2);

// H8
#[test]
fn slow_clients_are_cut_at_their_deadline_while_another_is_served() {
    if !may_open(2 * CLIENTS as u64 + 100) {
        return;
    }
    let linger_timeout = Duration::from_millis(500);
    let config = Config {
        head_timeout: DEADLINE,
        idle_timeout: DEADLINE,
        linger_timeout,
        ..Config::default()
    };
    let server =
        LocalServer::start(config, async |_: &mut Request<'_>| Ok(Response::text("hello")));
    let mut clients: Vec<Client> = (0..CLIENTS).map(|_| server.connect()).collect();
    for (number, client) in clients.iter_mut().enumerate() {
        match number % 3 {
            0 => {}                                                               // silent
            1 => drop(client.send("GET / HTTP/1.1\r\nX")), // in the middle of a head
            _ => drop(client.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n").answer()), // idle
        }
    }
    server.wait_until("all are connected", |stats| stats.live_tasks > CLIENTS);
    // The probe asks until all of them are cut. Half of them send a byte now and then.
    let (mut probe, mut times) = (server.connect(), Vec::new());
    let begin = Instant::now();
    while server.stats().live_tasks > 2 {
        assert!(begin.elapsed() < 4 * DEADLINE, "{} tasks are left", server.stats().live_tasks);
        let asked = Instant::now();
        probe.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n").answer();
        times.push(asked.elapsed());
        for client in clients.iter_mut().skip(times.len() % 100).step_by(300) {
            let _ = std::io::Write::write_all(&mut client.0, b"x"); // it may be cut already
        }
        thread::sleep(Duration::from_millis(5));
    }
    times.sort_unstable();
    let (p50, p99) = (times[times.len() / 2], times[times.len() * 99 / 100]);
    say(&format!(
        "{CLIENTS} slow clients cut after {:?}; {} answers meanwhile, p50 {p50:?}, p99 {p99:?}",
        begin.elapsed(),
        times.len(),
    ));
    // Ten times what a loaded machine needs.
    assert!(p99 < Duration::from_millis(500), "p99 {p99:?}");
}
