//! Where a script runs: two ends, "here" and "there", and a link between them.

use std::cell::RefCell;
use std::time::Duration;

use futures_lite::future::zip;
use squall_net::sleep;

use super::actor::Actor;
use super::kernel::Lab;
use super::simulated::Hosts;

/// Longer than any packet is under way.
const SETTLING: Duration = Duration::from_millis(30);

/// What carries the sockets of a script.
pub(crate) enum World {
    Kernel(Lab),
    Simulated(Hosts),
}

pub(crate) struct Stage {
    world: World,
    here: Actor,
    log: RefCell<Vec<String>>,
}

impl Stage {
    pub(crate) fn new(world: World, here: Actor) -> Stage {
        Stage { world, here, log: RefCell::default() }
    }

    /// Acts at this end, and logs the outcome.
    pub(crate) async fn here(&self, line: &str) {
        let outcome = self.here.act(line).await;
        self.log("here", line, &outcome);
    }

    /// Acts at the other end, and logs the outcome.
    pub(crate) async fn there(&self, line: &str) {
        let outcome = self.ask(line).await;
        self.log("there", line, &outcome);
    }

    /// Acts at both ends at once.
    pub(crate) async fn both(&self, here: &str, there: &str) {
        let (ours, theirs) = zip(self.here.act(here), self.ask(there)).await;
        self.log("here", here, &ours);
        self.log("there", there, &theirs);
    }

    async fn ask(&self, line: &str) -> String {
        match &self.world {
            World::Kernel(lab) => lab.ask(line).await,
            World::Simulated(hosts) => hosts.ask(line).await,
        }
    }

    fn log(&self, end: &str, line: &str, outcome: &str) {
        self.log.borrow_mut().push(format!("{end} {line}: {outcome}"));
    }

    /// Connects a stream with the name `name` at both ends, with a listening socket that is there
    /// no longer.
    pub(crate) async fn connect(&self, name: &str) {
        self.there("listen listener there:80").await;
        self.both(&format!("connect {name} there:80"), &format!("accept listener {name}")).await;
        self.there("drop listener").await;
    }

    /// Waits until what was sent has arrived.
    pub(crate) async fn settle(&self) {
        sleep(SETTLING).await;
    }

    /// Cuts the link.
    pub(crate) fn cut(&self) {
        match &self.world {
            World::Kernel(lab) => lab.set_link("down"),
            World::Simulated(hosts) => hosts.cut(),
        }
    }

    pub(crate) fn heal(&self) {
        match &self.world {
            World::Kernel(lab) => lab.set_link("up"),
            World::Simulated(hosts) => hosts.heal(),
        }
    }

    /// Ends the process of the other end, by `SIGKILL`.
    pub(crate) fn kill(&self) {
        match &self.world {
            World::Kernel(lab) => lab.kill(),
            World::Simulated(hosts) => hosts.kill(),
        }
    }

    /// Takes the power of the other end away.
    pub(crate) async fn crash(&self) {
        match &self.world {
            World::Kernel(lab) => lab.crash().await,
            World::Simulated(hosts) => hosts.crash(),
        }
    }

    /// Starts a process at the other end after the first one has ended.
    pub(crate) fn restart(&self) {
        match &self.world {
            World::Kernel(lab) => lab.restart(),
            World::Simulated(hosts) => hosts.restart(),
        }
    }

    pub(crate) fn into_log(self) -> Vec<String> {
        self.log.into_inner()
    }
}
