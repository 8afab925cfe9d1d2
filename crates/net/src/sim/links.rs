//! The links between hosts: when a packet arrives, and whether it does.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::time::Duration;

use fastrand::Rng;

use crate::sim::net_config::LinkConfig;

/// The latency of packets that a host sends to itself.
const LOOPBACK: Range<Duration> = Duration::from_micros(5)..Duration::from_micros(20);

/// The number of a host.
type Number = usize;

#[derive(Default)]
pub(crate) struct Links {
    default: LinkConfig,
    /// By the numbers of the hosts, in both directions.
    set: BTreeMap<(Number, Number), LinkConfig>,
    /// The directions that carry nothing.
    cut: BTreeSet<(Number, Number)>,
    /// When the last bit of what was sent leaves, for links with limited bandwidth.
    busy_until: BTreeMap<(Number, Number), u64>,
}

/// The times of a packet, in nanoseconds since the simulation began.
pub(crate) struct Transit {
    /// When its last bit is on the wire.
    pub(crate) leaves: u64,
    pub(crate) arrives: u64,
}

impl Links {
    pub(crate) fn new(default: LinkConfig) -> Links {
        Links { default, ..Links::default() }
    }

    pub(crate) fn set(&mut self, a: Number, b: Number, link: &LinkConfig) {
        self.set.insert((a, b), link.clone());
        self.set.insert((b, a), link.clone());
    }

    pub(crate) fn cut(&mut self, from: Number, to: Number) {
        self.cut.insert((from, to));
    }

    pub(crate) fn heal(&mut self, a: Number, b: Number) {
        self.cut.remove(&(a, b));
        self.cut.remove(&(b, a));
    }

    /// Draws whether a packet that arrives now has come through.
    pub(crate) fn carries(&self, from: Number, to: Number, random: &mut Rng) -> bool {
        if from == to {
            return true;
        }
        let loss = self.set.get(&(from, to)).unwrap_or(&self.default).loss;
        !self.cut.contains(&(from, to)) && (loss == 0.0 || random.f64() >= loss)
    }

    /// Draws the times of a packet that is sent now.
    pub(crate) fn send(
        &mut self,
        from: Number,
        to: Number,
        bytes: usize,
        now: u64,
        random: &mut Rng,
    ) -> Transit {
        if from == to {
            return Transit { leaves: now, arrives: now + draw(&LOOPBACK, random) };
        }
        let link = self.set.get(&(from, to)).unwrap_or(&self.default);
        let leaves = match link.bandwidth {
            None => now,
            Some(bandwidth) => {
                let busy_until = self.busy_until.entry((from, to)).or_default();
                let takes = u128::from(bytes as u64) * 1_000_000_000 / u128::from(bandwidth);
                let takes = u64::try_from(takes).unwrap_or(u64::MAX);
                *busy_until = (*busy_until).max(now).saturating_add(takes);
                *busy_until
            }
        };
        Transit { leaves, arrives: leaves.saturating_add(draw(&link.latency, random)) }
    }
}

/// Draws a number of nanoseconds from a range.
pub(crate) fn draw(range: &Range<Duration>, random: &mut Rng) -> u64 {
    let nanos = |time: Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
    let (start, end) = (nanos(range.start), nanos(range.end));
    if start < end { random.u64(start..end) } else { start }
}
