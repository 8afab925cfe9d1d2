//! Simulated hosts: a script of connections and faults, run twice.
//!
//! - Both runs of a seed have the same trace, and the same outcome of each act.
//! - The bytes of a connection arrive in order, in both directions. An end in order comes after all
//!   that was sent.
//! - When the links work again, a connection whose hosts have lived on brings over what is left.
//! - No run hangs: everything that waits has a limit.

use std::io::{self, Write};
use std::rc::Rc;
use std::time::Duration;

use squall_net::sim::{Host, LinkConfig, NetConfig, Simulation};
use squall_net::{signal, sleep};

use crate::numbered_bytes::{Link, Totals, serve};
use crate::script::Script;

const HOSTS: [&str; 3] = ["a", "b", "c"];
/// The most connections at one time.
const LINKS: usize = 4;
/// The most bytes of a script, so that a byte can number its connections.
const LONGEST: usize = 300;
/// The time for an act that waits.
const PATIENCE: Duration = Duration::from_millis(100);
/// The time in which a connection must bring over what is left, when the network works again.
const RECOVERY: Duration = Duration::from_secs(3_600);

/// Checks one input: two bytes of seed, three that choose the network, and a script.
///
/// # Panics
/// If the simulation is wrong.
pub fn check(input: &[u8]) {
    let input = &input[..input.len().min(LONGEST)];
    let first = run(Script::new(input));
    let second = run(Script::new(input));
    assert_eq!(first, second, "two runs of one script");
}

/// The trace of a run as a number, its time, and the outcome of each act.
type Outcome = (u64, Duration, Vec<String>);

fn run(mut script: Script<'_>) -> Outcome {
    let seed = script.number().into();
    let buffer = script.one_of(&[256 << 10, 100, 7, 1]);
    let (backlog, max_sockets) = (script.one_of(&[4096, 1, 0]), script.one_of(&[1 << 20, 5, 2]));
    let net = NetConfig::default().buffer(buffer).backlog(backlog).max_sockets(max_sockets);
    let simulation = Simulation::with(seed, net);
    let _last_events = LastEvents(&simulation);
    let totals = Totals::default();
    let hosts = HOSTS.map(|name| {
        let totals = Rc::clone(&totals);
        simulation.host(name, move || serve(Rc::clone(&totals)))
    });
    let mut client = Client {
        simulation: &simulation,
        hosts,
        totals,
        links: Vec::new(),
        outcomes: Vec::new(),
        longest_write: 2 * buffer + 10,
        is_roomy: backlog > 1 && max_sockets > 5,
    };
    let outcomes = simulation.block_on(async move {
        while !script.is_over() {
            client.act(&mut script).await;
        }
        client.recover().await;
        client.outcomes
    });
    (simulation.trace().hash(), simulation.now(), outcomes)
}

/// Prints what has happened last, if the run panics.
struct LastEvents<'a>(&'a Simulation);

impl Drop for LastEvents<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let _ = write!(io::stderr(), "{}", self.0.trace().tail(40));
        }
    }
}

/// The script's own host, which connects to all others.
struct Client<'a> {
    simulation: &'a Simulation,
    hosts: [Host; 3],
    totals: Totals,
    links: Vec<Link>,
    outcomes: Vec<String>,
    /// In bytes. A small buffer would make a large write slow.
    longest_write: usize,
    /// No connection is kept waiting for a socket.
    is_roomy: bool,
}

impl Client<'_> {
    async fn act(&mut self, script: &mut Script<'_>) {
        let (what, host, at) = (script.below(16), script.below(HOSTS.len()), script.byte());
        let link = usize::from(at).checked_rem(self.links.len());
        let outcome = match (what, link) {
            (0..2, _) | (2..8, None) => self.connect(host).await,
            (2..8, Some(link)) => self.act_on_link(what, link, script).await,
            (8, _) => return sleep(Duration::from_micros(1 << (at % 22))).await,
            _ => return self.disturb(what, host, at),
        };
        self.outcomes.push(outcome);
    }

    async fn connect(&mut self, host: usize) -> String {
        if self.links.len() == LINKS {
            return "connect: no".to_owned();
        }
        match Link::connect(host, HOSTS[host], Rc::clone(&self.totals), PATIENCE).await {
            Ok(link) => self.links.push(link),
            Err(error) => return format!("connect: {error}"),
        }
        "connect".to_owned()
    }

    async fn act_on_link(&mut self, what: usize, at: usize, script: &mut Script<'_>) -> String {
        let link = &mut self.links[at];
        match what {
            2 | 3 => {
                let count = usize::from(script.byte()) * script.one_of(&[1, 1, 1, 60]);
                link.write(count.min(self.longest_write))
            }
            4 | 5 => link.read(PATIENCE).await,
            6 => link.shut_down(PATIENCE).await,
            _ => {
                drop(self.links.swap_remove(at));
                "drop".to_owned()
            }
        }
    }

    /// Lets something fail, or work again.
    fn disturb(&mut self, what: usize, host: usize, at: u8) {
        let name = HOSTS[host];
        match what {
            9 if at % 2 == 1 => self.simulation.partition("script", name),
            9 => self.simulation.partition_oneway(name, "script"),
            10 | 11 => self.simulation.heal("script", name),
            12 => {
                let slowest = Duration::from_micros(1 << (at % 18));
                let config = LinkConfig::default().latency(slowest / 4..slowest);
                let config = config.loss(f64::from(at % 4) / 10.0);
                self.simulation.link("script", name, config.bandwidth(1_000 << (at % 12)));
            }
            13 | 14 => {
                match at % 3 {
                    0 => self.hosts[host].crash(),
                    1 => self.hosts[host].kill(),
                    _ => self.hosts[host].signal(signal::SIGTERM),
                }
                let links = self.links.iter_mut().filter(|link| link.host == host);
                links.for_each(|link| link.is_lost = true);
            }
            _ => self.hosts[host].restart(),
        }
    }

    /// Lets everything work again, and ends the connections.
    async fn recover(&mut self) {
        for name in HOSTS {
            self.simulation.heal("script", name);
            self.simulation.link("script", name, LinkConfig::default());
        }
        for link in std::mem::take(&mut self.links) {
            if self.is_roomy && !link.is_lost {
                link.finish(RECOVERY).await;
            }
        }
    }
}
