//! The trace of a run: what happened on the network and to the hosts, in order.

use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

/// What happened on the network and to the hosts of a simulation, in order.
///
/// Displayed, it is a line an event. Two runs of one seed have equal traces, so `diff` shows where
/// two runs part.
///
/// ```
/// use squall_net::sim::Simulation;
///
/// let simulation = Simulation::new(1);
/// simulation.host("server", async || Ok(()));
/// simulation.run(std::time::Duration::from_secs(1))?;
/// let trace = simulation.trace();
/// assert_eq!(trace.to_string(), "   0.000000000 server starts\n   0.000000000 server ends\n");
/// # Ok::<(), squall_net::sim::Ended>(())
/// ```
#[derive(Clone)]
pub struct Trace {
    entries: Vec<Entry>,
    names: Vec<Rc<str>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Entry {
    /// In nanoseconds since the simulation began.
    time: u64,
    what: What,
}

/// The number of a host.
type Number = usize;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum What {
    Starts(Number),
    Ends(Number),
    Fails(Number),
    Panics(Number),
    TaskPanics(Number),
    Crashes(Number),
    IsKilled(Number),
    Signal(Number, i32),
    Connects(Number, SocketAddr),
    Carried(Packet),
    Lost(Packet),
    Cut(Number, Number),
    Healed(Number, Number),
    Job(Number),
}

/// A packet, and the hosts that it travels between.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Packet {
    pub(crate) from: Number,
    pub(crate) to: Number,
    /// The ports.
    pub(crate) ports: (u16, u16),
    pub(crate) content: Content,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Content {
    Request,
    Acceptance,
    Established,
    Data(usize),
    Window(usize),
    End,
    Reset,
    Datagram(usize),
    Unreachable,
}

impl Trace {
    pub(crate) fn new() -> Trace {
        Trace { entries: Vec::new(), names: Vec::new() }
    }

    pub(crate) fn add_host(&mut self, name: &str) {
        self.names.push(name.into());
    }

    pub(crate) fn record(&mut self, time: u64, what: What) {
        self.entries.push(Entry { time, what });
    }

    /// Returns a number that is the same for equal traces, and almost surely differs for others.
    pub fn hash(&self) -> u64 {
        let mut hasher = DefaultHasher::new(); // its keys are constant
        self.entries.hash(&mut hasher);
        self.names.hash(&mut hasher);
        hasher.finish()
    }

    /// Returns the number of events.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether nothing has happened.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Returns the last `n` events alone.
    pub fn tail(&self, n: usize) -> Trace {
        let first = self.entries.len().saturating_sub(n);
        Trace { entries: self.entries[first..].to_vec(), names: self.names.clone() }
    }
}

impl PartialEq for Trace {
    fn eq(&self, other: &Trace) -> bool {
        (&self.entries, &self.names) == (&other.entries, &other.names)
    }
}

impl Eq for Trace {}

impl fmt::Display for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = |number: Number| &*self.names[number];
        for Entry { time, what } in &self.entries {
            let time = Duration::from_nanos(*time);
            write!(f, "{:>4}.{:09} ", time.as_secs(), time.subsec_nanos())?;
            match *what {
                What::Starts(host) => writeln!(f, "{} starts", name(host)),
                What::Ends(host) => writeln!(f, "{} ends", name(host)),
                What::Fails(host) => writeln!(f, "{} fails", name(host)),
                What::Panics(host) => writeln!(f, "{} panics", name(host)),
                What::TaskPanics(host) => writeln!(f, "{} has a task that panics", name(host)),
                What::Crashes(host) => writeln!(f, "{} crashes", name(host)),
                What::IsKilled(host) => writeln!(f, "{} is killed", name(host)),
                What::Signal(host, signal) => writeln!(f, "{} gets signal {signal}", name(host)),
                What::Connects(host, to) => writeln!(f, "{} connects to {to}", name(host)),
                What::Job(host) => writeln!(f, "{} runs a blocking job", name(host)),
                What::Cut(from, to) => writeln!(f, "{} > {} is cut", name(from), name(to)),
                What::Healed(from, to) => writeln!(f, "{} = {} is healed", name(from), name(to)),
                What::Carried(packet) => writeln!(f, "{}", Line(packet, name)),
                What::Lost(packet) => writeln!(f, "{} is lost", Line(packet, name)),
            }?;
        }
        Ok(())
    }
}

/// A packet and the names of the hosts.
struct Line<F>(Packet, F);

impl<'a, F: Fn(Number) -> &'a str> fmt::Display for Line<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Packet { from, to, ports, content } = self.0;
        write!(f, "{}:{} > {}:{} ", (self.1)(from), ports.0, (self.1)(to), ports.1)?;
        match content {
            Content::Request => f.write_str("connect"),
            Content::Acceptance => f.write_str("accept"),
            Content::Established => f.write_str("established"),
            Content::Data(bytes) => write!(f, "{bytes} bytes"),
            Content::Window(bytes) => write!(f, "room for {bytes} bytes"),
            Content::End => f.write_str("end"),
            Content::Reset => f.write_str("reset"),
            Content::Datagram(bytes) => write!(f, "datagram of {bytes} bytes"),
            Content::Unreachable => f.write_str("port unreachable"),
        }
    }
}

impl fmt::Debug for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Trace").field("events", &self.entries.len()).finish_non_exhaustive()
    }
}
