//! The scenarios that are swept. Each runs a small program, notes its steps and its errors in the
//! [journal](crate::journal), and ends by itself whatever its system calls return.

mod accept;
mod child;
mod connect;
mod echo;
mod faulty;
mod local;
mod on_a_loop;
mod prefork;
mod served;
mod shutdown;
mod timers;
mod tls;
mod wakes;

use squall_net::Stats;

/// A program to sweep.
#[derive(Debug)]
pub(crate) struct Scenario {
    pub(crate) name: &'static str,
    /// Runs once, and returns the last counters of its loop.
    pub(crate) run: fn() -> Stats,
    /// Whether it forks, which a process with a second thread must not do.
    pub(crate) forks: bool,
    /// The most steps that may be lost if one system call fails, unless the scenario cannot begin.
    /// `None` if its steps depend on each other.
    pub(crate) steps_at_stake: Option<usize>,
}

const fn scenario(name: &'static str, run: fn() -> Stats) -> Scenario {
    Scenario { name, run, forks: false, steps_at_stake: None }
}

pub(crate) static SCENARIOS: [Scenario; 10] = [
    // A step is a connection. A fault of epoll or of the listener may hit both that are under way.
    Scenario { steps_at_stake: Some(2), ..scenario("accept", accept::run) },
    // A step is a request, and a client has ten.
    Scenario { steps_at_stake: Some(echo::REQUESTS as usize), ..scenario("echo", echo::run) },
    scenario("timers", timers::run),
    scenario("remote wakes", wakes::run),
    scenario("connect", connect::run),
    scenario("TLS", tls::run),
    scenario("shutdown", shutdown::run),
    Scenario { forks: true, ..scenario("pre-fork", prefork::run) },
    scenario("local sockets", local::run),
    scenario("child", child::run),
];

/// Not swept, but by the tests of the sweep.
static FAULTY: [Scenario; 4] = [
    scenario("faulty: a leak", faulty::leaks),
    scenario("faulty: a panic", faulty::panics),
    scenario("faulty: a hang", faulty::hangs),
    scenario("faulty: a silent loss", faulty::is_silent),
];

impl Scenario {
    pub(crate) fn named(name: &str) -> Option<&'static Scenario> {
        SCENARIOS.iter().chain(&FAULTY).find(|scenario| scenario.name == name)
    }
}
