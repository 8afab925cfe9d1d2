//! Two simulated hosts.

use std::cell::RefCell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use squall_net::sim::{Host, NetConfig, Simulation};
use squall_net::{TcpListener, sleep};

use super::actor::Actor;
use super::scripts;
use super::stage::{Stage, World};

/// How often an end looks for words of the other. They do not come by the simulated network.
const LOOKS: Duration = Duration::from_millis(1);

pub(crate) struct Hosts {
    simulation: Rc<Simulation>,
    there: Host,
    wire: Rc<Wire>,
}

/// Carries a command to the other end, and the answer back.
#[derive(Default)]
struct Wire {
    command: RefCell<Option<String>>,
    answer: RefCell<Option<String>>,
}

/// Runs a script on simulated hosts, and returns its log.
pub(crate) fn run(script: &str, seed: u64) -> Vec<String> {
    let net = NetConfig::default().backlog(1);
    let simulation = Rc::new(Simulation::with(seed, net));
    let wire = Rc::<Wire>::default();
    let commands = Rc::clone(&wire);
    let there = simulation.host("there", async move || {
        let actor = Actor::new(listen);
        loop {
            let command = take(&commands.command).await;
            let answer = actor.act(&command).await;
            commands.answer.replace(Some(answer));
        }
    });
    let hosts = Hosts { simulation: Rc::clone(&simulation), there, wire };
    let stage = Stage::new(World::Simulated(hosts), Actor::new(listen));
    simulation.block_on(async {
        scripts::run(script, &stage).await;
        stage.into_log()
    })
}

fn listen(on: SocketAddr) -> std::io::Result<TcpListener> {
    TcpListener::bind(on)
}

async fn take(text: &RefCell<Option<String>>) -> String {
    loop {
        if let Some(text) = text.take() {
            return text;
        }
        sleep(LOOKS).await;
    }
}

impl Hosts {
    pub(crate) async fn ask(&self, line: &str) -> String {
        self.wire.command.replace(Some(line.to_owned()));
        take(&self.wire.answer).await
    }

    pub(crate) fn cut(&self) {
        self.simulation.partition("script", "there");
    }

    pub(crate) fn heal(&self) {
        self.simulation.heal("script", "there");
    }

    pub(crate) fn kill(&self) {
        self.there.kill();
    }

    pub(crate) fn crash(&self) {
        self.there.crash();
    }

    pub(crate) fn restart(&self) {
        self.there.restart();
    }
}
