//! Connecting: resolves the name, races the addresses, and keeps the first socket that connects.

use std::collections::BTreeSet;
use std::fmt;
use std::future::{Future, poll_fn};
use std::io;
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use squall_executor::{AsyncFd, Sleep, sleep, timeout, yield_now};

use crate::connect::connect_error::{ConnectError, Progress};
use crate::connect::happy_eyeballs::{HappyEyeballs, Step};
use crate::connect::resolver::{Resolver, SystemResolver};
use crate::connect::target::{Kind, Target};
use crate::sys;

/// Options of [`TcpStream::connect_with`](crate::TcpStream::connect_with).
///
/// ```
/// use std::time::Duration;
/// use squall_net::ConnectOptions;
///
/// let options = ConnectOptions::default().deadline(Duration::from_secs(5)).source([127, 0, 0, 1]);
/// ```
#[derive(Clone)]
pub struct ConnectOptions {
    source: Option<SocketAddr>,
    deadline: Option<Duration>,
    attempt_delay: Duration,
    resolver: Rc<dyn Resolver>,
}

impl Default for ConnectOptions {
    fn default() -> ConnectOptions {
        ConnectOptions {
            source: None,
            deadline: None,
            attempt_delay: Duration::from_millis(250),
            resolver: Rc::new(SystemResolver),
        }
    }
}

impl ConnectOptions {
    /// Sets the local address to connect from; the kernel chooses a free port. Addresses of the
    /// other family are not tried.
    pub fn source(self, ip: impl Into<IpAddr>) -> ConnectOptions {
        self.source_address(SocketAddr::new(ip.into(), 0))
    }

    /// Sets the local address and port to connect from. Addresses of the other family are not
    /// tried. From one port, at most one connection to each peer address is possible.
    pub fn source_address(mut self, address: SocketAddr) -> ConnectOptions {
        self.source = Some(address);
        self
    }

    /// Sets the longest time for the lookup and all attempts together. By default only the kernel's
    /// limit applies: about two minutes for an attempt.
    pub fn deadline(mut self, time: Duration) -> ConnectOptions {
        self.deadline = Some(time);
        self
    }

    /// Sets how long an attempt may go unanswered before the attempt for the next address starts
    /// beside it. The default is 250 ms. `time` is clamped to 10 ms to 2 s (RFC 8305).
    pub fn attempt_delay(mut self, time: Duration) -> ConnectOptions {
        self.attempt_delay = time.clamp(Duration::from_millis(10), Duration::from_secs(2));
        self
    }

    /// Sets the resolver that looks names up. The default is [`SystemResolver`].
    pub fn resolver(mut self, resolver: impl Resolver + 'static) -> ConnectOptions {
        self.resolver = Rc::new(resolver);
        self
    }
}

impl fmt::Debug for ConnectOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConnectOptions")
            .field("source", &self.source)
            .field("deadline", &self.deadline)
            .field("attempt_delay", &self.attempt_delay)
            .finish_non_exhaustive()
    }
}

/// A connected socket. [`TcpStream`](crate::TcpStream) wraps it.
#[cfg(not(feature = "sim"))]
pub(crate) type Connected = AsyncFd<TcpStream>;
#[cfg(feature = "sim")]
pub(crate) use super::simulated::{Connected, connect_to};
#[cfg(not(feature = "sim"))]
pub(crate) use connect_by_kernel as connect_to;

/// Connects to one address. A connection of the socket to itself is refused.
pub(crate) async fn connect_by_kernel(
    to: SocketAddr,
    from: Option<SocketAddr>,
) -> io::Result<AsyncFd<TcpStream>> {
    let fd = AsyncFd::from_nonblocking(sys::connect(to, from)?);
    // The socket becomes writable when the connect succeeds or fails. A socket that is still
    // connecting has no peer address.
    let check = |socket: &TcpStream| match socket.take_error()? {
        Some(error) => Err(error),
        None => socket.peer_addr().map_err(not_connected_to_would_block),
    };
    let peer = fd.write_with(check).await?;
    let local = fd.get_ref().local_addr()?;
    // If nothing listens on a port of this machine and the kernel chooses this very port for the
    // socket, then TCP's simultaneous open connects the socket to itself.
    if (local.ip(), local.port()) == (peer.ip(), peer.port()) {
        let text = format!("the socket connected to itself: nothing listens on {peer}");
        return Err(io::Error::new(io::ErrorKind::ConnectionRefused, text));
    }
    Ok(fd)
}

/// Turns `ENOTCONN` into `WouldBlock`, since the socket is still connecting.
fn not_connected_to_would_block(error: io::Error) -> io::Error {
    match error.kind() {
        io::ErrorKind::NotConnected => io::ErrorKind::WouldBlock.into(),
        _ => error,
    }
}

/// Connects to a target before the deadline of the options.
pub(crate) async fn connect(target: Target, options: ConnectOptions) -> io::Result<Connected> {
    target.check()?;
    let mut progress = Progress::default();
    let Some(deadline) = options.deadline else {
        return connect_any(&target, &options, &mut progress).await;
    };
    match timeout(deadline, connect_any(&target, &options, &mut progress)).await {
        Ok(outcome) => outcome,
        Err(_) => Err(ConnectError::timed_out(target, progress)),
    }
}

/// Connects to any address of the target, without a deadline. Keeps `progress` up to date, for an
/// error if the caller drops this future.
async fn connect_any(
    target: &Target,
    options: &ConnectOptions,
    progress: &mut Progress,
) -> io::Result<Connected> {
    let mut addresses = match &target.0 {
        Kind::Name { host, port } => {
            progress.is_lookup = true;
            let found = options.resolver.resolve(host, *port).await;
            let found = found.map_err(|error| ConnectError::lookup(target, Some(error)))?;
            if found.is_empty() {
                return Err(ConnectError::lookup(target, None));
            }
            progress.is_lookup = false;
            found
        }
        Kind::Address(address) => vec![*address],
        Kind::Invalid(_) => Vec::new(), // `check` has returned an error for it
    };
    let mut seen = BTreeSet::new();
    // Each address is tried once: a second attempt would fail like the first.
    addresses.retain(|address| seen.insert(*address));
    if let Some(source) = options.source {
        addresses.retain(|address| address.is_ipv4() == source.is_ipv4());
    }
    if let [address] = addresses[..] {
        return connect_to(address, options.source).await;
    }
    let mut race = Race {
        machine: HappyEyeballs::new(addresses),
        attempts: Vec::new(),
        delay: None,
        options,
        failures: &mut progress.failures,
    };
    match race.run().await {
        Some(socket) => Ok(socket),
        None => Err(ConnectError::all_failed(target, std::mem::take(race.failures))),
    }
}

type Attempt<'a> = Pin<Box<dyn Future<Output = io::Result<Connected>> + 'a>>;

/// Connection attempts side by side. Dropping the race closes the sockets of all attempts that
/// have not won.
struct Race<'a> {
    /// Decides which attempt starts when.
    machine: HappyEyeballs,
    attempts: Vec<(SocketAddr, Attempt<'a>)>,
    /// Ends when the next attempt starts even though no attempt has failed.
    delay: Option<Pin<Box<Sleep>>>,
    options: &'a ConnectOptions,
    failures: &'a mut Vec<(SocketAddr, io::Error)>,
}

impl Race<'_> {
    /// Returns the first socket that connects, or `None` if every attempt has failed.
    async fn run(&mut self) -> Option<Connected> {
        let mut step = self.machine.next();
        loop {
            match step {
                Step::AllFailed => return None,
                Step::Wait => {}
                Step::Start(address) => {
                    let attempt = connect_to(address, self.options.source);
                    self.attempts.push((address, Box::pin(attempt)));
                    let delay = self.options.attempt_delay;
                    self.delay = self.machine.has_more().then(|| Box::pin(sleep(delay)));
                }
            }
            step = match poll_fn(|cx| self.poll_event(cx)).await {
                RaceEvent::Connected(socket) => return Some(socket),
                RaceEvent::Failed(address, error) => {
                    self.failures.push((address, error));
                    yield_now().await; // thousands may fail at once, and other tasks must run too
                    self.machine.failed()
                }
                RaceEvent::DelayPassed => self.machine.next(),
            };
        }
    }

    fn poll_event(&mut self, cx: &mut Context<'_>) -> Poll<RaceEvent> {
        for n in 0..self.attempts.len() {
            let (address, attempt) = &mut self.attempts[n];
            let address = *address;
            if let Poll::Ready(outcome) = attempt.as_mut().poll(cx) {
                drop(self.attempts.remove(n));
                return Poll::Ready(match outcome {
                    Ok(socket) => RaceEvent::Connected(socket),
                    Err(error) => RaceEvent::Failed(address, error),
                });
            }
        }
        if let Some(delay) = &mut self.delay
            && delay.as_mut().poll(cx).is_ready()
        {
            self.delay = None;
            return Poll::Ready(RaceEvent::DelayPassed);
        }
        Poll::Pending
    }
}

enum RaceEvent {
    Connected(Connected),
    Failed(SocketAddr, io::Error),
    DelayPassed,
}
