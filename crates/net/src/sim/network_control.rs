//! What a script does to the network: it cuts and heals links, and changes how they carry.

use crate::sim::net_config::LinkConfig;
use crate::sim::simulation::Simulation;
use crate::sim::trace::What;

impl Simulation {
    /// Cuts the link between two hosts, in both directions. A connection is silent, and what it
    /// carries comes after the link is [healed](Self::heal); datagrams are lost.
    ///
    /// # Panics
    /// If no host has one of the names.
    #[track_caller]
    pub fn partition(&self, a: &str, b: &str) {
        self.partition_oneway(a, b);
        self.partition_oneway(b, a);
    }

    /// Cuts the link for what `from` sends to `to`.
    ///
    /// # Panics
    /// If no host has one of the names, or if both are one host.
    #[track_caller]
    pub fn partition_oneway(&self, from: &str, to: &str) {
        let (from, to) = (self.number(from), self.number(to));
        assert_ne!(from, to, "a host has no link to itself");
        self.world.links.borrow_mut().cut(from, to);
        self.world.record(What::Cut(from, to));
    }

    /// Makes the link between two hosts carry again, in both directions. TCP sends lost packets
    /// again after some time, as by the kernel.
    ///
    /// # Panics
    /// If no host has one of the names.
    #[track_caller]
    pub fn heal(&self, a: &str, b: &str) {
        let (a, b) = (self.number(a), self.number(b));
        self.world.links.borrow_mut().heal(a, b);
        self.world.record(What::Healed(a, b));
    }

    /// Sets how the link between two hosts carries packets, in both directions, from now on.
    ///
    /// # Panics
    /// If no host has one of the names.
    #[track_caller]
    pub fn link(&self, a: &str, b: &str, config: LinkConfig) {
        let (a, b) = (self.number(a), self.number(b));
        self.world.links.borrow_mut().set(a, b, &config);
    }

    /// The number of a host.
    #[track_caller]
    fn number(&self, name: &str) -> usize {
        match self.world.machine_named(name) {
            Some(machine) => machine.number,
            None => {
                let machines = self.world.machines.borrow();
                let names: Vec<_> = machines.iter().map(|machine| &*machine.name).collect();
                panic!("no host is named {name:?}; there are {}", names.join(", "));
            }
        }
    }
}
