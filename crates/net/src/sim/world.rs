//! What the hosts of a simulation share: time, randomness, the links, and the trace.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::ops::Range;
use std::rc::Rc;
use std::time::{Duration, Instant};

use fastrand::Rng;
use squall_executor::Clock;

use crate::sim::agenda::Agenda;
use crate::sim::connection::{Connection, Side};
use crate::sim::links::{Links, Transit, draw};
use crate::sim::machine::Machine;
use crate::sim::net_config::NetConfig;
use crate::sim::trace::{Packet, Trace, What};

pub(crate) struct World {
    pub(crate) clock: Clock,
    started: Instant,
    /// The time of the clock, in nanoseconds since the simulation began.
    now: Cell<u64>,
    random: RefCell<Rng>,
    pub(crate) config: NetConfig,
    pub(crate) machines: RefCell<Vec<Rc<Machine>>>,
    pub(crate) agenda: RefCell<Agenda>,
    /// How many hosts have a `main` that runs.
    pub(crate) mains: Cell<usize>,
    pub(crate) links: RefCell<Links>,
    /// What will happen, by time, and in the order of scheduling within one nanosecond.
    events: RefCell<BTreeMap<(u64, u64), Event>>,
    scheduled: Cell<u64>,
    pub(crate) trace: RefCell<Trace>,
    /// The host and the message of the first panic that nobody awaits.
    pub(crate) panicked: RefCell<Option<(usize, String)>>,
    /// How many turns have run since time has passed.
    pub(crate) turns_at_once: Cell<u64>,
}

type Call = Box<dyn FnOnce(&Rc<World>)>;

/// Something that will happen at a known time.
pub(crate) enum Event {
    /// The first packet from this end of a connection arrives. By far the most frequent.
    Arrival(Rc<Connection>, Side),
    Call(Call),
}

impl World {
    pub(crate) fn new(seed: u64, config: NetConfig) -> World {
        #[cfg(feature = "sim-std")]
        crate::sim::standard::begin(seed); // before the clock is made, which asks the system's
        let clock = Clock::manual();
        World {
            started: clock.now(),
            clock,
            now: Cell::new(0),
            random: RefCell::new(Rng::with_seed(seed)),
            links: RefCell::new(Links::new(config.link.clone())),
            config,
            machines: RefCell::default(),
            agenda: RefCell::default(),
            mains: Cell::new(0),
            events: RefCell::default(),
            scheduled: Cell::new(0),
            trace: RefCell::new(Trace::new()),
            panicked: RefCell::default(),
            turns_at_once: Cell::new(0),
        }
    }

    /// The time since the simulation began, in nanoseconds.
    pub(crate) fn now(&self) -> u64 {
        self.now.get()
    }

    pub(crate) fn nanos(&self, time: Instant) -> u64 {
        let passed = time.saturating_duration_since(self.started);
        u64::try_from(passed.as_nanos()).unwrap_or(u64::MAX)
    }

    /// Moves the clock to a time that is not in the past.
    pub(crate) fn move_to(&self, time: u64) {
        self.turns_at_once.set(0);
        self.clock.advance(Duration::from_nanos(time.saturating_sub(self.now())));
        self.now.set(time.max(self.now()));
        self.agenda.borrow_mut().move_to(self.now());
        #[cfg(feature = "sim-std")]
        crate::sim::standard::set_time(self.now());
    }

    pub(crate) fn random(&self) -> u64 {
        self.random.borrow_mut().u64(..)
    }

    /// Draws a number below `limit`, which is not 0.
    pub(crate) fn random_below(&self, limit: usize) -> usize {
        self.random.borrow_mut().usize(..limit)
    }

    pub(crate) fn random_duration(&self, range: &Range<Duration>) -> Duration {
        Duration::from_nanos(draw(range, &mut self.random.borrow_mut()))
    }

    /// Draws whether something happens that has this probability.
    pub(crate) fn random_bool(&self, probability: f64) -> bool {
        probability > 0.0 && self.random.borrow_mut().f64() < probability
    }

    pub(crate) fn schedule(&self, time: u64, event: impl FnOnce(&Rc<World>) + 'static) {
        self.schedule_event(time, Event::Call(Box::new(event)));
    }

    pub(crate) fn schedule_event(&self, time: u64, event: Event) {
        let number = self.scheduled.get();
        self.scheduled.set(number + 1);
        self.events.borrow_mut().insert((time, number), event);
    }

    /// The time of the next event.
    pub(crate) fn next_event(&self) -> Option<u64> {
        self.events.borrow().first_key_value().map(|((time, _), _)| *time)
    }

    /// Makes the next event happen if it is due. Returns whether it is.
    pub(crate) fn run_due(self: &Rc<Self>) -> bool {
        match self.take_due() {
            None => return false,
            Some(Event::Arrival(connection, from)) => self.arrive(&connection, from),
            Some(Event::Call(event)) => event(self),
        }
        true
    }

    fn take_due(&self) -> Option<Event> {
        let now = self.now();
        let mut events = self.events.borrow_mut();
        let first = events.first_entry()?;
        if first.key().0 <= now { Some(first.remove()) } else { None }
    }

    /// Drops everything that was to happen.
    pub(crate) fn forget_events(&self) {
        let events = self.events.take();
        drop(events);
    }

    pub(crate) fn record(&self, what: What) {
        self.trace.borrow_mut().record(self.now(), what);
    }

    /// Draws the times of a packet that is sent now between hosts with these numbers.
    pub(crate) fn transit(&self, from: usize, to: usize, bytes: usize) -> Transit {
        let mut links = self.links.borrow_mut();
        links.send(from, to, bytes, self.now(), &mut self.random.borrow_mut())
    }

    /// Whether a packet that arrives now is received. Records it.
    pub(crate) fn carries(&self, packet: Packet) -> bool {
        let is_up = self.machine(packet.to).power.is_on();
        let random = &mut self.random.borrow_mut();
        let is_carried = is_up && self.links.borrow().carries(packet.from, packet.to, random);
        self.record(if is_carried { What::Carried(packet) } else { What::Lost(packet) });
        is_carried
    }

    pub(crate) fn machine(&self, number: usize) -> Rc<Machine> {
        Rc::clone(&self.machines.borrow()[number])
    }

    /// The host with this address, seen from a host.
    pub(crate) fn machine_at(&self, ip: IpAddr, from: &Rc<Machine>) -> Option<Rc<Machine>> {
        if from.is_local(ip) {
            return Some(Rc::clone(from));
        }
        self.machines.borrow().iter().find(|machine| machine.ip == ip).cloned()
    }

    pub(crate) fn machine_named(&self, name: &str) -> Option<Rc<Machine>> {
        self.machines
            .borrow()
            .iter()
            .find(|machine| machine.name.eq_ignore_ascii_case(name))
            .cloned()
    }
}
