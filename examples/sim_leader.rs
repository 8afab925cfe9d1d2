//! Three simulated hosts elect a leader with leases: for some seed a partition shows two leaders at
//! once. Then the same with a lease that is counted from the right moment.
//!
//! ```text
//! cargo run --release --features sim --example sim_leader
//! ```
//!
//! A host that wants to lead asks the others by datagrams. One that agrees promises to agree with
//! nobody else for the time of a lease. With two of three votes, the host leads until its lease
//! ends. A lease that begins when the *answers come* ends after the promises do. It must begin when
//! the host *asks*.

use std::cell::{Cell, RefCell};
use std::io;
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use squall_net::sim::{LinkConfig, Simulation, check, random};
use squall_net::{UdpSocket, now, sleep, spawn, timeout};

const SEEDS: u64 = 1_000;
const HOSTS: usize = 3;
const LEASE: Duration = Duration::from_secs(1);
/// How long a host waits for the votes.
const PATIENCE: Duration = Duration::from_millis(200);

/// From when on a lease counts.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Lease {
    FromAnswer,
    FromQuestion,
}

/// Sees all hosts at once, as only a simulation can.
#[derive(Default)]
struct Observer {
    leads_until: [Option<Instant>; HOSTS],
    /// How often a host was elected.
    elections: u32,
    /// Two hosts that led at the same time.
    conflict: Option<(usize, usize)>,
}

impl Observer {
    fn leads(&mut self, host: usize, until: Instant) {
        self.leads_until[host] = Some(until);
        self.elections += 1;
        let other = |other: &usize| {
            *other != host && self.leads_until[*other].is_some_and(|until| until > now())
        };
        self.conflict = self.conflict.or((0..HOSTS).find(other).map(|other| (other, host)));
    }
}

/// To whom a host has promised its vote, and until when.
type Promise = Cell<Option<(usize, Instant)>>;

/// Whether the host votes for a candidate now. If so, it promises.
fn votes(promise: &Promise, candidate: usize) -> bool {
    let is_free = promise.get().is_none_or(|(to, until)| to == candidate || until <= now());
    if is_free {
        promise.set(Some((candidate, now() + LEASE)));
    }
    is_free
}

/// A host: votes, and tries to lead.
async fn host(me: usize, lease: Lease, observer: Rc<RefCell<Observer>>) -> io::Result<()> {
    let promise = Rc::new(Promise::new(None));
    let voting = spawn(vote(Rc::clone(&promise)));
    loop {
        sleep(Duration::from_millis(100 + random() % 300)).await;
        if voting.is_finished() {
            return voting.await?;
        }
        if !votes(&promise, me) {
            continue;
        }
        let asked = now();
        if is_elected(me).await? {
            let begins = if lease == Lease::FromQuestion { asked } else { now() };
            observer.borrow_mut().leads(me, begins + LEASE);
        } else {
            sleep(LEASE).await; // its own promise must end, or all would vote for themselves for ever
        }
    }
}

/// Answers the candidates.
async fn vote(promise: Rc<Promise>) -> io::Result<()> {
    let voter = UdpSocket::bind("0.0.0.0:7000")?;
    let mut question = [0; 1];
    loop {
        let (_, candidate) = voter.recv_from(&mut question).await?;
        if votes(&promise, question[0].into()) {
            voter.send_to(b"yes", candidate).await?;
        }
    }
}

/// Asks the other hosts. One more vote is the majority.
async fn is_elected(me: usize) -> io::Result<bool> {
    let candidate = UdpSocket::bind("0.0.0.0:0")?;
    for other in (0..HOSTS).filter(|other| *other != me) {
        let address = ([10, 0, 0, u8::try_from(other + 2).expect("few hosts")], 7000);
        candidate.send_to(&[u8::try_from(me).expect("few hosts")], address.into()).await?;
    }
    Ok(timeout(PATIENCE, candidate.recv_from(&mut [0; 8])).await.is_ok())
}

/// A minute of elections and partitions. Returns two hosts that led at the same time.
fn conflict(simulation: &Simulation, lease: Lease) -> Option<(usize, usize)> {
    let observer = Rc::<RefCell<Observer>>::default();
    let names = ["a", "b", "c"];
    for (me, name) in names.into_iter().enumerate() {
        let observer = Rc::clone(&observer);
        simulation.host(name, move || host(me, lease, Rc::clone(&observer)));
    }
    let slow = LinkConfig::default().latency(Duration::from_millis(1)..Duration::from_millis(90));
    for (a, b) in [("a", "b"), ("b", "c"), ("c", "a")] {
        simulation.link(a, b, slow.clone());
    }
    simulation.block_on(async {
        let end = now() + Duration::from_secs(60);
        while now() < end && observer.borrow().conflict.is_none() {
            let lonely = names[(random() % 3) as usize];
            let others = || names.into_iter().filter(|name| *name != lonely);
            others().for_each(|other| simulation.partition(lonely, other));
            sleep(Duration::from_millis(random() % 3_000)).await;
            others().for_each(|other| simulation.heal(lonely, other));
            sleep(Duration::from_millis(random() % 3_000)).await;
        }
    });
    let Observer { elections, conflict, .. } = observer.take();
    assert!(elections > 10 || conflict.is_some(), "hardly anybody leads");
    conflict
}

fn main() {
    let has_two = |seed: &u64| conflict(&Simulation::new(*seed), Lease::FromAnswer).is_some();
    match (0..SEEDS).find(has_two) {
        None => println!("no seed below {SEEDS} has two leaders"),
        Some(seed) => {
            let simulation = Simulation::new(seed);
            let hosts = conflict(&simulation, Lease::FromAnswer);
            println!(
                "seed {seed}: two leaders at once, {hosts:?}\n{}",
                simulation.trace().tail(30)
            );
        }
    }
    let hashes = AtomicU64::new(0);
    check(0..SEEDS, |simulation| {
        assert_eq!(conflict(simulation, Lease::FromQuestion), None);
        hashes.fetch_add(simulation.trace().hash(), Ordering::Relaxed);
    });
    println!("{SEEDS} seeds: never two leaders if a lease begins with the question");
    println!("the sum of the hashes of their traces, in every run: {:x}", hashes.into_inner());
}
