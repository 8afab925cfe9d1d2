//! `/health`, and a dashboard that starts, ends and shows several loops.

mod support;

use std::time::{Duration, Instant};

use dashboard::Options;
use squall_net::{EventLoop, add_callback, stats};
use support::{Program, WATCHDOG};

const LIMIT: Duration = Duration::from_millis(100);

#[test]
fn a_loop_that_is_stuck_is_unhealthy_within_the_limit_and_recovers() {
    let program = Program::start(Options::default().health_limit(LIMIT));
    assert_eq!(program.get("/health"), (200, "ok\n".to_owned()));
    let stuck = program.stick();
    let (status, why) = program.get("/health");
    assert_eq!(status, 503);
    assert!(why.starts_with("main: no answer for 0."), "{why}");
    // The question is on its way for longer than the limit, so the next answer comes at once.
    let begin = Instant::now();
    assert_eq!(program.get("/health").0, 503);
    assert!(begin.elapsed() < WATCHDOG);
    drop(stuck);
    program.wait_until("healthy again", |program| program.get("/health").0 == 200);
}

#[test]
fn probes_of_a_stuck_loop_leave_one_message() {
    let program = Program::start(Options::default().health_limit(Duration::from_millis(1)));
    let before = program.on_loop(stats).messages;
    let stuck = program.stick();
    for _ in 0..20 {
        assert_eq!(program.get("/health").0, 503);
    }
    drop(stuck);
    // What stuck the loop, the probes, and this look.
    assert_eq!(program.on_loop(stats).messages, before + 3);
}

#[test]
fn a_loop_that_works_without_pause_is_healthy() {
    fn work() {
        add_callback(work);
    }
    let program = Program::start(Options::default());
    program.on_loop(work);
    for _ in 0..10 {
        assert_eq!(program.get("/health"), (200, "ok\n".to_owned()));
    }
}

#[test]
fn a_loop_that_has_ended_does_not_count_unless_it_was_the_last() {
    let program = Program::start(Options::default().health_limit(LIMIT));
    let other = EventLoop::new().unwrap();
    program.dashboard.watch("other", other.handle());
    let (status, why) = program.get("/health"); // the other loop does not run
    assert_eq!(status, 503);
    assert!(why.starts_with("other: no answer for "), "{why}");
    drop(other);
    assert_eq!(program.get("/health").0, 200);
    program.handle.stop();
    program.wait_until("the loop has ended", |program| program.handle.is_closed());
    assert_eq!(program.get("/health"), (503, "every loop has ended\n".to_owned()));
    assert_eq!(program.metric("squall_loop_up{loop=\"main\"}"), 0.0);
}

#[test]
fn a_dashboard_that_is_stopped_ends_its_streams_and_frees_its_address() {
    let program = Program::start(Options::default().record_always());
    let address = program.address();
    let mut events = program.events();
    events.next();
    program.dashboard.stop();
    program.dashboard.stop(); // changes nothing
    let rest = events.rest();
    assert!(rest.ends_with(b"0\r\n\r\n"), "the stream ends in order");
    assert!(std::net::TcpStream::connect(address).is_err());
    let listener = std::net::TcpListener::bind(address).unwrap();
    drop(listener);
    program.on_loop(|| ()); // the program goes on
}

#[test]
fn an_address_that_is_in_use_is_an_error() {
    let program = Program::start(Options::default());
    let address = program.address();
    let error = program.on_loop(move || dashboard::serve(address).map(|_| ()).unwrap_err());
    assert_eq!(error.kind(), std::io::ErrorKind::AddrInUse);
}
