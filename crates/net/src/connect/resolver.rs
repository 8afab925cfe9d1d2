//! From a host's name to its addresses.

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::future::Future as StdFuture;
use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::pin::Pin;
use std::rc::Rc;

use squall_executor::future::Future;
use squall_executor::{spawn, spawn_blocking};

/// The future of [`Resolver::resolve`].
pub type Resolving = Pin<Box<dyn StdFuture<Output = io::Result<Vec<SocketAddr>>>>>;

/// Finds the addresses of a host. Tornado: `Resolver`.
///
/// ```
/// use squall_net::{ConnectOptions, Resolver, Resolving, TcpListener, TcpStream, block_on};
///
/// /// Every name is this machine.
/// struct Home;
///
/// impl Resolver for Home {
///     fn resolve(&self, _host: &str, port: u16) -> Resolving {
///         Box::pin(async move { Ok(vec![([127, 0, 0, 1], port).into()]) })
///     }
/// }
///
/// block_on(async {
///     let listener = TcpListener::bind("127.0.0.1:0")?;
///     let port = listener.local_addr()?.port();
///     TcpStream::connect_with(("anywhere", port), ConnectOptions::default().resolver(Home)).await?;
///     std::io::Result::Ok(())
/// })?;
/// # std::io::Result::Ok(())
/// ```
pub trait Resolver {
    /// Looks the host up. No address at all is an error of the caller's making.
    fn resolve(&self, host: &str, port: u16) -> Resolving;
}

/// The system's own: `getaddrinfo(3)`, on a thread of the loop's blocking pool.
///
/// At most 16 lookups of one thread's loops run at a time, the others wait in order: a name server that does not answer cannot
/// take the whole pool. A lookup that is dropped goes on, since nothing ends it, and keeps its place until it is through.
///
/// A place comes back when the lookup's loop runs. Of several loops on one thread, one that rests with lookups under way keeps
/// the others' waiting: run it now and then, or drop it.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemResolver;

/// Lookups that run at a time.
const LOOKUPS: usize = 16;

thread_local! {
    static GATE: Rc<Gate> = Rc::default();
}

/// Places for lookups, given out in order.
#[derive(Default)]
struct Gate {
    taken: Cell<usize>,
    waiting: RefCell<VecDeque<Future<()>>>,
}

impl Gate {
    /// Waits for a place. Dropped, it waits for none.
    async fn enter(self: &Rc<Self>) -> Place {
        if self.taken.get() < LOOKUPS {
            self.taken.set(self.taken.get() + 1);
        } else {
            let turn = Turn { gate: Rc::clone(self), future: Future::new(), is_taken: false };
            self.waiting.borrow_mut().push_back(turn.future.clone());
            turn.wait().await;
        }
        Place { gate: Rc::clone(self) }
    }

    /// Hands a place to the next who still waits.
    fn leave(&self) {
        loop {
            let next = self.waiting.borrow_mut().pop_front();
            match next {
                Some(next) if next.set_result(()).is_ok() => return,
                Some(_) => {} // it was dropped
                None => return self.taken.set(self.taken.get() - 1),
            }
        }
    }
}

impl Gate {
    /// Forgets those at either end of the line who wait no more, so that a name server that does not answer gathers no memory of
    /// connects that gave up.
    fn forget_gone(&self) {
        let mut waiting = self.waiting.borrow_mut();
        while waiting.front().is_some_and(Future::done) {
            waiting.pop_front();
        }
        while waiting.back().is_some_and(Future::done) {
            waiting.pop_back();
        }
    }
}

/// Somebody's turn, which goes on to the next if it comes to nobody.
struct Turn {
    gate: Rc<Gate>,
    future: Future<()>,
    is_taken: bool,
}

impl Turn {
    async fn wait(mut self) {
        let _ = self.future.ready().await; // only its own drop cancels it
        self.is_taken = true;
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if self.is_taken {
            return;
        }
        if self.future.cancel() {
            self.gate.forget_gone();
        } else {
            self.gate.leave(); // the place was given, and nobody is here to use it
        }
    }
}

struct Place {
    gate: Rc<Gate>,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.gate.leave();
    }
}

impl Resolver for SystemResolver {
    fn resolve(&self, host: &str, port: u16) -> Resolving {
        let host = host.to_owned();
        gated(move || Ok((host.as_str(), port).to_socket_addrs()?.collect()))
    }
}

/// Runs a lookup on the pool, in its turn.
fn gated(look_up: impl FnOnce() -> io::Result<Vec<SocketAddr>> + Send + 'static) -> Resolving {
    Box::pin(async move {
        let place = GATE.with(Rc::clone).enter().await;
        let looking = async move {
            let _place = place; // kept until the thread is through, whoever still waits for it
            spawn_blocking(look_up).await
        };
        spawn(looking).await.map_err(io::Error::from)?.map_err(io::Error::from)?
    })
}

/// Answers for the hosts that it knows, and asks another resolver for the rest. Tornado: `OverrideResolver`.
///
/// ```
/// use squall_net::{OverrideResolver, SystemResolver};
///
/// let resolver = OverrideResolver::new(SystemResolver)
///     .host("db.internal", ["10.0.0.7".parse()?])
///     .host_and_port("db.internal", 5432, ["10.0.0.8:15432".parse()?]); // more specific, so it goes first
/// # Ok::<(), std::net::AddrParseError>(())
/// ```
pub struct OverrideResolver {
    hosts: HashMap<String, Vec<IpAddr>>,
    ports: HashMap<(String, u16), Vec<SocketAddr>>,
    rest: Rc<dyn Resolver>,
}

impl OverrideResolver {
    /// Knows no host yet.
    pub fn new(rest: impl Resolver + 'static) -> OverrideResolver {
        OverrideResolver { hosts: HashMap::new(), ports: HashMap::new(), rest: Rc::new(rest) }
    }

    /// A host's addresses, whatever the port.
    pub fn host(mut self, host: &str, to: impl IntoIterator<Item = IpAddr>) -> OverrideResolver {
        self.hosts.insert(host.to_owned(), to.into_iter().collect());
        self
    }

    /// Where one port of a host is found.
    pub fn host_and_port(
        mut self,
        host: &str,
        port: u16,
        to: impl IntoIterator<Item = SocketAddr>,
    ) -> OverrideResolver {
        self.ports.insert((host.to_owned(), port), to.into_iter().collect());
        self
    }
}

impl Resolver for OverrideResolver {
    fn resolve(&self, host: &str, port: u16) -> Resolving {
        let known = match (self.ports.get(&(host.to_owned(), port)), self.hosts.get(host)) {
            (Some(addresses), _) => addresses.clone(),
            (None, Some(ips)) => ips.iter().map(|ip| SocketAddr::new(*ip, port)).collect(),
            (None, None) => return self.rest.resolve(host, port),
        };
        Box::pin(std::future::ready(Ok(known)))
    }
}

impl fmt::Debug for OverrideResolver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OverrideResolver")
            .field("hosts", &self.hosts)
            .field("ports", &self.ports)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::time::Duration;

    use squall_executor::{block_on, timeout};

    use super::*;

    // X11: a stuck name server holds the places of lookups, and nobody else's
    #[test]
    fn stuck_lookups_leave_the_pool_to_others_and_are_let_through_in_order() {
        block_on(async {
            let (release, stuck) = mpsc::channel::<()>();
            let stuck = std::sync::Arc::new(std::sync::Mutex::new(stuck));
            let order = Rc::new(RefCell::new(Vec::new()));
            let look_up = |n: usize| {
                let (stuck, order) = (std::sync::Arc::clone(&stuck), Rc::clone(&order));
                let answer = gated(move || {
                    let _ = stuck.lock().unwrap().recv();
                    Ok(Vec::new())
                });
                spawn(async move {
                    answer.await.unwrap();
                    order.borrow_mut().push(n);
                })
            };
            let mut lookups: Vec<_> = (0..200).map(look_up).collect();
            let job = timeout(Duration::from_secs(10), spawn_blocking(|| 42)).await;
            assert_eq!(job.expect("the pool is full of lookups").unwrap(), 42);
            assert_eq!(GATE.with(|gate| gate.taken.get()), LOOKUPS);
            // Dropped while they wait, and while they run: the places go on.
            lookups.drain(LOOKUPS..100).for_each(|lookup| lookup.abort());
            lookups.drain(..4).for_each(|lookup| lookup.abort());
            squall_executor::yield_now().await;
            assert_eq!(GATE.with(|gate| gate.waiting.borrow().len()), 100, "those who wait still");
            drop(release); // the name server answers at last
            for lookup in lookups {
                lookup.await.unwrap();
            }
            assert_eq!(order.borrow().len(), LOOKUPS - 4 + 100);
            squall_executor::sleep(Duration::from_millis(1)).await;
            assert_eq!(GATE.with(|gate| gate.taken.get()), 0);
        });
    }
}
