//! A host of a simulation, seen from outside.

use std::fmt;
use std::net::IpAddr;
use std::rc::{Rc, Weak};

use squall_executor::{Dump, EventLoop, Stats, signal};

use crate::sim::current::Place;
use crate::sim::trace::What;
use crate::sim::world::World;

/// A host of a [`Simulation`](super::Simulation): a machine with an address and a name, and the
/// process that runs on it.
///
/// ```
/// use std::time::Duration;
/// use squall_net::sim::Simulation;
/// use squall_net::{IoStream, TcpServer, TcpStream, sleep};
///
/// let simulation = Simulation::new(1);
/// let server = simulation.host("server", async || {
///     let server = TcpServer::new(async |mut stream: IoStream, _| {
///         stream.write("hello\n")?;
///         Ok(())
///     });
///     server.listen("0.0.0.0:80")?;
///     server.closed().await
/// });
/// simulation.block_on(async {
///     sleep(Duration::from_secs(1)).await;
///     server.kill();
///     let refused = TcpStream::connect("server:80").await.unwrap_err();
///     assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused);
///     server.restart();
///     sleep(Duration::from_secs(1)).await;
///     let mut stream = IoStream::new(TcpStream::connect("server:80").await?);
///     assert_eq!(stream.read_until(b"\n").await?, "hello\n");
///     Ok::<(), std::io::Error>(())
/// })?;
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone)]
pub struct Host {
    /// Weak, so that a `main` may keep the handle of its own host.
    world: Weak<World>,
    number: usize,
    name: Rc<str>,
    ip: IpAddr,
}

impl Host {
    pub(crate) fn new(place: &Place) -> Host {
        let Place { world, machine } = place;
        let (number, ip) = (machine.number, machine.ip);
        Host { world: Rc::downgrade(world), number, name: machine.name.as_str().into(), ip }
    }

    /// `None` after the simulation has ended.
    fn place(&self) -> Option<Place> {
        Some(self.world.upgrade()?.place(self.number))
    }

    /// The loop of the process, if it runs.
    fn event_loop(&self) -> Option<Rc<EventLoop>> {
        self.place()?.machine.event_loop()
    }

    /// Takes the power away. The process is gone, and so is what it has not sent. Nobody is told:
    /// peers hear nothing until the host runs again and answers them with a reset.
    pub fn crash(&self) {
        if let Some(place) = self.place() {
            place.crash();
        }
    }

    /// Ends the process, as `SIGKILL` does. The kernel of the host closes the sockets, so the peers
    /// hear of it at once.
    pub fn kill(&self) {
        if let Some(place) = self.place() {
            place.kill();
        }
    }

    /// Starts the process again, with the power if it is off. Does nothing if it runs.
    pub fn restart(&self) {
        if let Some(place) = self.place() {
            place.start();
        }
    }

    /// Sends a signal to the process. It reaches each stream of [`signal::Signals`] that listens to
    /// it. If none does, the signal does what it does by default: most end the process.
    ///
    /// # Panics
    /// If the number is not between 1 and 64.
    #[track_caller]
    pub fn signal(&self, signal: i32) {
        assert!((1..=64).contains(&signal), "there is no signal {signal}");
        let Some(place) = self.place() else { return };
        let Some(event_loop) = self.event_loop() else { return };
        place.world.record(What::Signal(self.number, signal));
        let is_taken = signal != libc::SIGKILL && place.enter(|| event_loop.raise(signal));
        drop(event_loop);
        let is_harmless = [signal::SIGCHLD, signal::SIGCONT, signal::SIGURG, signal::SIGWINCH];
        if !is_taken && !is_harmless.contains(&signal) {
            place.kill();
        }
    }

    /// Whether the process runs. It ends when its `main` has returned.
    pub fn is_running(&self) -> bool {
        self.event_loop().is_some()
    }

    /// Returns the address of the host.
    pub fn ip(&self) -> IpAddr {
        self.ip
    }

    /// Returns the name of the host.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the counters of the process's loop; all 0 if none runs.
    pub fn stats(&self) -> Stats {
        self.event_loop().map(|event_loop| event_loop.stats()).unwrap_or_default()
    }

    /// Lists the tasks and timers of the process; empty if none runs.
    pub fn dump(&self) -> Dump {
        self.event_loop().map(|event_loop| event_loop.dump()).unwrap_or_default()
    }
}

impl fmt::Debug for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Host")
            .field("name", &self.name())
            .field("ip", &self.ip())
            .field("is_running", &self.is_running())
            .finish_non_exhaustive()
    }
}
