//! How the simulated network behaves.

use std::ops::Range;
use std::time::Duration;

/// How one link carries packets: its latency, bandwidth and loss.
///
/// ```
/// use std::time::Duration;
/// use squall_net::sim::LinkConfig;
///
/// let satellite = LinkConfig::default()
///     .latency(Duration::from_millis(500)..Duration::from_millis(700))
///     .bandwidth(128 << 10)
///     .loss(0.02);
/// # let _ = satellite;
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct LinkConfig {
    pub(crate) latency: Range<Duration>,
    pub(crate) bandwidth: Option<u64>,
    pub(crate) loss: f64,
}

impl Default for LinkConfig {
    /// A latency of 0.5 to 2 ms, no limit of bandwidth, no loss.
    fn default() -> LinkConfig {
        LinkConfig {
            latency: Duration::from_micros(500)..Duration::from_millis(2),
            bandwidth: None,
            loss: 0.0,
        }
    }
}

impl LinkConfig {
    /// Sets the range from which the latency of each packet is drawn, in one direction. An empty
    /// range stands for its start. Packets of a TCP connection do not overtake each other;
    /// datagrams do.
    pub fn latency(mut self, range: Range<Duration>) -> LinkConfig {
        self.latency = range;
        self
    }

    /// Sets how many bytes a second the link carries in each direction.
    ///
    /// # Panics
    /// If it is 0.
    #[track_caller]
    pub fn bandwidth(mut self, bytes_per_second: u64) -> LinkConfig {
        assert!(bytes_per_second > 0, "a link without bandwidth is a partition");
        self.bandwidth = Some(bytes_per_second);
        self
    }

    /// Sets the probability that a packet is lost. A lost datagram never comes. A lost part of a TCP
    /// stream comes later, after it was sent again.
    ///
    /// # Panics
    /// If it is not between 0 and 1, or is 1.
    #[track_caller]
    pub fn loss(mut self, probability: f64) -> LinkConfig {
        check_probability(probability);
        self.loss = probability;
        self
    }
}

/// # Panics
/// If it is no probability below 1.
#[track_caller]
fn check_probability(probability: f64) {
    assert!(
        (0.0..1.0).contains(&probability),
        "a probability is at least 0 and below 1, not {probability}: for a dead link, use partition"
    );
}

/// How the network of a simulation behaves: its links and the limits of its hosts.
///
/// ```
/// use std::time::Duration;
/// use squall_net::sim::{NetConfig, Simulation};
///
/// let net = NetConfig::default().latency(Duration::from_millis(10)..Duration::from_millis(90));
/// let simulation = Simulation::with(7, net);
/// # drop(simulation);
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct NetConfig {
    pub(crate) link: LinkConfig,
    pub(crate) max_sockets: usize,
    pub(crate) buffer: usize,
    pub(crate) backlog: usize,
    pub(crate) lookup_latency: Range<Duration>,
    pub(crate) lookup_failures: f64,
}

impl Default for NetConfig {
    fn default() -> NetConfig {
        NetConfig {
            link: LinkConfig::default(),
            max_sockets: 1 << 20,
            buffer: 256 << 10,
            backlog: 4096,
            lookup_latency: Duration::from_micros(100)..Duration::from_millis(1),
            lookup_failures: 0.0,
        }
    }
}

impl NetConfig {
    /// Sets all links that [`Simulation::link`](super::Simulation::link) does not set by themselves.
    pub fn link(mut self, link: LinkConfig) -> NetConfig {
        self.link = link;
        self
    }

    /// As [`LinkConfig::latency`], of all links.
    pub fn latency(mut self, range: Range<Duration>) -> NetConfig {
        self.link = self.link.latency(range);
        self
    }

    /// As [`LinkConfig::bandwidth`], of all links.
    ///
    /// # Panics
    /// As there.
    #[track_caller]
    pub fn bandwidth(mut self, bytes_per_second: u64) -> NetConfig {
        self.link = self.link.bandwidth(bytes_per_second);
        self
    }

    /// As [`LinkConfig::loss`], of all links.
    ///
    /// # Panics
    /// As there.
    #[track_caller]
    pub fn loss(mut self, probability: f64) -> NetConfig {
        self.link = self.link.loss(probability);
        self
    }

    /// Sets how many sockets a host may have open. A call that needs one more fails with `EMFILE`.
    /// By default 1,048,576.
    pub fn max_sockets(mut self, most: usize) -> NetConfig {
        self.max_sockets = most;
        self
    }

    /// Sets how many bytes of a TCP connection may be under way or unread, in each direction. A
    /// write of more waits. By default 256 KiB.
    ///
    /// # Panics
    /// If it is 0.
    #[track_caller]
    pub fn buffer(mut self, bytes: usize) -> NetConfig {
        assert!(bytes > 0, "a connection without a buffer carries nothing");
        self.buffer = bytes;
        self
    }

    /// Sets the longest queue of connections that wait to be accepted, as `net.core.somaxconn` does.
    /// By default 4,096.
    pub fn backlog(mut self, connections: usize) -> NetConfig {
        self.backlog = connections;
        self
    }

    /// Sets the range from which the time of each lookup of a name is drawn. By default 0.1 to 1 ms.
    pub fn lookup_latency(mut self, range: Range<Duration>) -> NetConfig {
        self.lookup_latency = range;
        self
    }

    /// Sets the probability that the name service fails a lookup.
    ///
    /// # Panics
    /// If it is not at least 0 and below 1.
    #[track_caller]
    pub fn lookup_failures(mut self, probability: f64) -> NetConfig {
        check_probability(probability);
        self.lookup_failures = probability;
        self
    }
}
