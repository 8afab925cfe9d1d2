//! A simulation: hosts, their network and their time, replayed from a seed.
//!
//! ```text
//!   step ──▶ is an event of the network due? ── yes ──▶ deliver it to its host
//!                          │ no
//!                          ├─▶ hosts are ready ──▶ draw one, and run one turn of its loop
//!                          └─▶ none is ──▶ move the clock to the next event or timer
//!                                            └─▶ there is none: stuck
//! ```

use std::cell::Cell;
use std::fmt::{self, Write as _};
use std::future::Future;
use std::io;
use std::net::IpAddr;
use std::pin::pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use squall_executor::{TurnByTurn, loops_woken};

use crate::sim::current::{self, Place};
use crate::sim::ended::Ended;
use crate::sim::host::Host;
use crate::sim::machine::{Machine, Main};
use crate::sim::net_config::NetConfig;
use crate::sim::process::MainEnd;
use crate::sim::trace::Trace;
use crate::sim::world::World;

/// After so many turns of hosts at one time, the time will never pass.
const MOST_TURNS_AT_ONCE: u64 = 200_000;
/// The name of the host whose code is the script of [`Simulation::block_on`].
const SCRIPT: &str = "script";

/// A network of simulated hosts, on one thread. All that happens follows from the seed.
///
/// The code of a host uses the types of this crate as it would on the real network: listeners,
/// streams, servers, datagrams, timers, tasks. Time passes only when no host has anything to do, and
/// then at once.
///
/// ```
/// use std::time::Duration;
/// use squall_net::sim::Simulation;
/// use squall_net::{IoStream, TcpServer, TcpStream, timeout};
///
/// let simulation = Simulation::new(7);
/// simulation.host("server", async || {
///     let server = TcpServer::new(async |mut stream: IoStream, _| {
///         let line = stream.read_until(b"\n").await?;
///         Ok(stream.write_all(&line).await?)
///     });
///     server.listen("0.0.0.0:80")?;
///     server.closed().await
/// });
/// simulation.block_on(async {
///     let mut stream = IoStream::new(TcpStream::connect("server:80").await?);
///     simulation.partition("script", "server");
///     stream.write("hello\n")?;
///     let answer = timeout(Duration::from_secs(60), stream.read_until(b"\n")).await;
///     assert!(answer.is_err(), "the line is cut");
///     simulation.heal("script", "server");
///     assert_eq!(stream.read_until(b"\n").await?, "hello\n");
///     Ok::<(), std::io::Error>(())
/// })?;
/// assert!(simulation.now() > Duration::from_secs(60));
/// # Ok::<(), std::io::Error>(())
/// ```
pub struct Simulation {
    pub(crate) world: Rc<World>,
    script: Place,
    /// The last value of [`loops_woken`].
    loops_woken: Cell<u64>,
}

/// What [`Simulation::step`] has done.
enum Step {
    Done,
    /// The clock stands at the limit.
    Limit,
}

impl Simulation {
    /// Makes a simulation with the default network. Equal seeds give equal runs.
    ///
    /// # Panics
    /// If a host of a simulation calls this.
    #[track_caller]
    pub fn new(seed: u64) -> Simulation {
        Simulation::with(seed, NetConfig::default())
    }

    /// Makes a simulation with this network.
    ///
    /// # Panics
    /// If a host of a simulation calls this.
    #[track_caller]
    pub fn with(seed: u64, config: NetConfig) -> Simulation {
        check_outside();
        let world = Rc::new(World::new(seed, config));
        current::set_world(&world);
        let script = add_machine(&world, SCRIPT, None);
        Simulation { world, script, loops_woken: Cell::new(loops_woken()) }
    }

    /// Adds a host and starts it. Its name resolves to its address.
    ///
    /// `main` is the whole program of the host: when it returns, the process ends, with its tasks
    /// and sockets. A [restart](Host::restart) calls it again, so it must not consume what it
    /// captures: clone it inside. What it captures, such as an `Rc`, survives a crash, and stands for
    /// the disk of the host.
    ///
    /// A `main` that fails ends the run with an error. So does a panic, also one of a task or a
    /// handler that nobody awaits.
    ///
    /// # Panics
    /// If a host has this name, or if it cannot be the name of a host: it is empty, an address,
    /// `"localhost"`, or has other characters than letters, digits, `-`, `_` and `.`.
    #[track_caller]
    pub fn host(&self, name: &str, main: impl AsyncFn() -> io::Result<()> + 'static) -> Host {
        assert!(name != SCRIPT, "{SCRIPT:?} is the name of the host of Simulation::block_on");
        assert!(self.world.machine_named(name).is_none(), "a host is named {name:?} already");
        assert!(is_name(name), "a host cannot be named {name:?}: lookups would not find it");
        let main = Rc::new(main);
        let main: Main = Rc::new(move || {
            let main = Rc::clone(&main);
            Box::pin(async move { main().await })
        });
        let place = add_machine(&self.world, name, Some(main));
        place.start();
        Host::new(&place)
    }

    /// Runs until every `main` has returned `Ok`, at most for `limit` of simulated time. A host that
    /// was crashed or killed counts as ended.
    ///
    /// # Errors
    /// See [`Ended`].
    ///
    /// # Panics
    /// If a host calls this.
    #[track_caller]
    pub fn run(&self, limit: Duration) -> Result<(), Ended> {
        check_outside();
        let limit = u64::try_from(limit.as_nanos()).unwrap_or(u64::MAX);
        let end = self.world.now().saturating_add(limit);
        while self.world.mains.get() > 0 {
            if let Step::Limit = self.step(end, None)? {
                return Err(Ended::Limit);
            }
        }
        Ok(())
    }

    /// Runs the script and returns its output. The script is the program of one more host, named
    /// `"script"`, and can use this simulation: cut links, crash hosts, look at the trace.
    ///
    /// # Panics
    /// If a host fails or panics, if nothing will ever happen, or if a host calls this.
    #[track_caller]
    pub fn block_on<F: Future>(&self, script: F) -> F::Output {
        check_outside();
        self.script.start();
        let Some(event_loop) = self.script.machine.event_loop() else {
            unreachable!("nobody can end the process of the scripts")
        };
        let (mut script, mut output) = (pin!(Some(script)), None);
        let mut poll = |cx: &mut Context<'_>| {
            let Some(polled) = script.as_mut().as_pin_mut().map(|script| script.poll(cx)) else {
                return Poll::Ready(());
            };
            polled.map(|value| {
                output = Some(value);
                script.set(None); // here, because its sockets are those of this host
            })
        };
        let mut root = event_loop.root(&mut poll);
        self.script.touch();
        while !root.is_done() {
            match self.step(u64::MAX, Some(&mut root)) {
                Ok(Step::Done) => {}
                Ok(Step::Limit) => panic!("the simulated time is over"),
                Err(ended) => panic!("{ended}"),
            }
        }
        self.script.enter(|| drop(root));
        match output {
            Some(output) => output,
            None => unreachable!("the script is done"),
        }
    }

    /// Delivers what is due, or runs a turn of a host, or moves the clock, but not beyond `end`.
    fn step(&self, end: u64, script: Option<&mut TurnByTurn<'_>>) -> Result<Step, Ended> {
        let panicked = self.world.panicked.take();
        if let Some((number, message)) = panicked {
            let host = self.world.machine(number).name.clone();
            return Err(Ended::Panicked { host, message });
        }
        if self.world.run_due() {
            return Ok(Step::Done);
        }
        self.update_agenda();
        let agenda = self.world.agenda.borrow();
        let ready = agenda.ready();
        if !ready.is_empty() {
            let drawn = self.world.place(ready[self.world.random_below(ready.len())]);
            drop(agenda);
            self.count_turn(&drawn)?;
            let is_script = drawn.machine.number == self.script.machine.number;
            return run_turn(&drawn, script.filter(|_| is_script));
        }
        let next = agenda.next().into_iter().chain(self.world.next_event()).min();
        drop(agenda);
        match next {
            None => {
                let why = "every task waits, no timer is armed, and nothing is under way";
                Err(Ended::Stuck(format!("{why}:\n{}", self.report())))
            }
            Some(time) => {
                self.world.move_to(time.min(end));
                Ok(if time > end { Step::Limit } else { Step::Done })
            }
        }
    }

    /// Counts a turn of a host.
    ///
    /// # Errors
    /// After so many turns without time passing that time will never pass.
    fn count_turn(&self, place: &Place) -> Result<(), Ended> {
        let turns = self.world.turns_at_once.get() + 1;
        self.world.turns_at_once.set(turns);
        if turns < MOST_TURNS_AT_ONCE {
            return Ok(());
        }
        let name = &place.machine.name;
        Err(Ended::Stuck(format!(
            "{MOST_TURNS_AT_ONCE} turns have run, and no time has passed. A task of the host {name} \
             is always ready: does it loop without a wait?\n{}",
            self.report()
        )))
    }

    /// Asks the hosts whose code has run when they have something to do.
    fn update_agenda(&self) {
        let mut agenda = self.world.agenda.borrow_mut();
        // Code has woken a task of another host, or of one while none ran: it may be any.
        if self.loops_woken.replace(loops_woken()) != loops_woken() {
            agenda.touch_all();
        }
        let machines = self.world.machines.borrow();
        agenda.update(self.world.now(), |host| {
            machines[host].next_deadline().map(|time| self.world.nanos(time))
        });
    }

    fn places(&self) -> impl Iterator<Item = Place> {
        let count = self.world.machines.borrow().len();
        (0..count).map(|number| self.world.place(number))
    }

    /// Lists who waits where.
    fn report(&self) -> String {
        let mut report = String::new();
        for place in self.places() {
            let (name, ip) = (&place.machine.name, place.machine.ip);
            // A String takes everything, so no write fails.
            let _ = match place.machine.event_loop() {
                None if place.machine.main.is_none() => Ok(()), // there was no script
                None if !place.machine.power.is_on() => writeln!(report, "{name} ({ip}): crashed"),
                None => writeln!(report, "{name} ({ip}): ended"),
                Some(event_loop) => writeln!(report, "{name} ({ip}): {}", event_loop.dump()),
            };
        }
        report
    }

    /// Returns the simulated time since the start.
    pub fn now(&self) -> Duration {
        Duration::from_nanos(self.world.now())
    }

    /// Returns what has happened so far.
    pub fn trace(&self) -> Trace {
        self.world.trace.borrow().clone()
    }
}

/// Whether a lookup would find a host of this name.
fn is_name(name: &str) -> bool {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    let is_address = name.parse::<IpAddr>().is_ok();
    !name.is_empty() && name.chars().all(is_plain) && !is_address && name != "localhost"
}

fn add_machine(world: &Rc<World>, name: &str, main: Option<Main>) -> Place {
    let number = world.machines.borrow().len();
    let machine = Rc::new(Machine::new(number, name, main));
    world.machines.borrow_mut().push(Rc::clone(&machine));
    world.trace.borrow_mut().add_host(name);
    world.agenda.borrow_mut().add_host();
    Place { world: Rc::clone(world), machine }
}

fn run_turn(place: &Place, script: Option<&mut TurnByTurn<'_>>) -> Result<Step, Ended> {
    let host = || place.machine.name.clone();
    match place.run_turn(script) {
        None | Some(MainEnd::Ok) => Ok(Step::Done),
        Some(MainEnd::Failed(error)) => Err(Ended::Failed { host: host(), error }),
        Some(MainEnd::Panicked(message)) => Err(Ended::Panicked { host: host(), message }),
    }
}

#[track_caller]
fn check_outside() {
    if let Some(place) = current::place() {
        panic!(
            "the host {} is simulated, and cannot have a simulation of its own",
            place.machine.name
        );
    }
}

impl Drop for Simulation {
    /// Ends every process. Nobody hears of it.
    fn drop(&mut self) {
        for place in self.places() {
            place.end_process();
        }
        self.world.forget_events();
        #[cfg(feature = "sim-std")]
        crate::sim::standard::end();
    }
}

impl fmt::Debug for Simulation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let machines = self.world.machines.borrow();
        let hosts: Vec<_> = machines.iter().map(|machine| &machine.name).collect();
        f.debug_struct("Simulation")
            .field("now", &self.now())
            .field("hosts", &hosts)
            .finish_non_exhaustive()
    }
}
