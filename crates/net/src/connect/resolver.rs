//! Resolvers: find the addresses of a host by its name.

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

use crate::sys;

/// The future that [`Resolver::resolve`] returns.
pub type Resolving = Pin<Box<dyn StdFuture<Output = io::Result<Vec<SocketAddr>>>>>;

/// Finds the addresses of a host. Tornado: `Resolver`.
///
/// ```
/// use squall_net::{ConnectOptions, Resolver, Resolving, TcpListener, TcpStream, block_on};
///
/// /// Resolves every name to this machine.
/// struct Localhost;
///
/// impl Resolver for Localhost {
///     fn resolve(&self, _host: &str, port: u16) -> Resolving {
///         Box::pin(async move { Ok(vec![([127, 0, 0, 1], port).into()]) })
///     }
/// }
///
/// block_on(async {
///     let listener = TcpListener::bind("127.0.0.1:0")?;
///     let port = listener.local_addr()?.port();
///     let options = ConnectOptions::default().resolver(Localhost);
///     TcpStream::connect_with(("anywhere", port), options).await?;
///     std::io::Result::Ok(())
/// })?;
/// # std::io::Result::Ok(())
/// ```
pub trait Resolver {
    /// Looks up the addresses of `host`. The list may be empty: then the connect fails with
    /// `NotFound`. If the lookup fails, the connect fails with an error of the same kind.
    fn resolve(&self, host: &str, port: u16) -> Resolving;
}

/// The system's resolver: `getaddrinfo(3)`, on a thread of the loop's blocking pool.
///
/// Per thread, at most 16 lookups run at a time, for all its loops together. Further lookups wait
/// in order. So a name server that does not answer cannot occupy the whole pool. Nothing can end a
/// running lookup: if its future is dropped, the lookup still counts until it has finished.
///
/// A lookup stops counting when its loop runs after the lookup has finished. If a thread has
/// several loops and one of them stops running during its lookups, those of the other loops may
/// wait for it. Run that loop now and then, or drop it.
///
/// An error is `NotFound` if the name does not exist or has no address, and `HostUnreachable` if
/// the name service fails.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemResolver;

/// How many lookups a thread's loops may run at a time.
const MAX_LOOKUPS: usize = 16;

thread_local! {
    static LIMIT: Rc<LookupLimit> = Rc::default();
}

/// Limits the lookups that run at a time. Waiting lookups get their permits in order.
#[derive(Default)]
struct LookupLimit {
    /// The number of permits in use, always ≤ [`MAX_LOOKUPS`].
    in_use: Cell<usize>,
    /// The requests that wait, oldest first. Setting a result grants a permit. A request that was
    /// dropped is cancelled, and may still be in the queue.
    waiting: RefCell<VecDeque<Future<()>>>,
}

impl LookupLimit {
    /// Waits for a permit. Cancel safe: dropping the future withdraws the request.
    async fn acquire(self: &Rc<Self>) -> Permit {
        if self.in_use.get() < MAX_LOOKUPS {
            self.in_use.set(self.in_use.get() + 1);
        } else {
            let limit = Rc::clone(self);
            let request = PermitRequest { limit, granted: Future::new(), is_received: false };
            self.waiting.borrow_mut().push_back(request.granted.clone());
            request.wait().await;
        }
        Permit { limit: Rc::clone(self) }
    }

    /// Hands a permit to the first request that still waits, or returns it if none does.
    fn release(&self) {
        loop {
            let next = self.waiting.borrow_mut().pop_front();
            match next {
                Some(next) if next.set_result(()).is_ok() => return,
                Some(_) => {} // this request was dropped
                None => return self.in_use.set(self.in_use.get() - 1),
            }
        }
    }

    /// Removes cancelled requests from both ends of the queue. Otherwise, while a name server does
    /// not answer, the requests of connects that gave up would pile up.
    fn remove_cancelled(&self) {
        let mut waiting = self.waiting.borrow_mut();
        while waiting.front().is_some_and(Future::done) {
            waiting.pop_front();
        }
        while waiting.back().is_some_and(Future::done) {
            waiting.pop_back();
        }
    }
}

/// A request that waits for a permit. A request that is dropped passes its permit on.
struct PermitRequest {
    limit: Rc<LookupLimit>,
    /// Done once the permit is granted or the request is cancelled.
    granted: Future<()>,
    is_received: bool,
}

impl PermitRequest {
    async fn wait(mut self) {
        let _ = self.granted.ready().await; // no error: only the drop of this request cancels it
        self.is_received = true;
    }
}

impl Drop for PermitRequest {
    fn drop(&mut self) {
        if self.is_received {
            return;
        }
        if self.granted.cancel() {
            self.limit.remove_cancelled();
        } else {
            self.limit.release(); // the permit was granted, but this request did not receive it
        }
    }
}

/// Permission to run one lookup. Dropping the permit releases it.
struct Permit {
    limit: Rc<LookupLimit>,
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.limit.release();
    }
}

impl Resolver for SystemResolver {
    fn resolve(&self, host: &str, port: u16) -> Resolving {
        let host = host.to_owned();
        #[cfg(feature = "sim")]
        if let Some(place) = crate::sim::current::place() {
            return Box::pin(crate::sim::names::look_up(place, host, port));
        }
        run_with_permit(move || {
            let found = (host.as_str(), port).to_socket_addrs().map_err(sys::name_lookup_error)?;
            Ok(found.collect())
        })
    }
}

/// Waits for a permit, then runs a lookup on the pool.
fn run_with_permit(
    look_up: impl FnOnce() -> io::Result<Vec<SocketAddr>> + Send + 'static,
) -> Resolving {
    Box::pin(async move {
        let permit = LIMIT.with(Rc::clone).acquire().await;
        let lookup = async move {
            // Held until the thread has finished, even if the caller drops the future.
            let _permit = permit;
            spawn_blocking(look_up).await
        };
        spawn(lookup).await.map_err(io::Error::from)?.map_err(io::Error::from)?
    })
}

/// Resolves hosts from its own table, and passes all others to another resolver. Tornado:
/// `OverrideResolver`.
///
/// As in the domain name system, the case of ASCII letters does not matter, and `db.internal.` is
/// the same host as `db.internal`.
///
/// ```
/// use squall_net::{OverrideResolver, SystemResolver};
///
/// let resolver = OverrideResolver::new(SystemResolver)
///     .host("db.internal", ["10.0.0.7".parse()?])
///     // This entry is more specific, so port 5432 uses it and not the entry above.
///     .host_and_port("db.internal", 5432, ["10.0.0.8:15432".parse()?]);
/// # Ok::<(), std::net::AddrParseError>(())
/// ```
pub struct OverrideResolver {
    /// The keys are canonical names, here and in `ports`.
    hosts: HashMap<String, Vec<IpAddr>>,
    ports: HashMap<(String, u16), Vec<SocketAddr>>,
    fallback: Rc<dyn Resolver>,
}

impl OverrideResolver {
    /// Makes a resolver with an empty table, which passes every host to `fallback`.
    pub fn new(fallback: impl Resolver + 'static) -> OverrideResolver {
        let fallback = Rc::new(fallback);
        OverrideResolver { hosts: HashMap::new(), ports: HashMap::new(), fallback }
    }

    /// Sets the addresses of a host for every port.
    pub fn host(mut self, host: &str, to: impl IntoIterator<Item = IpAddr>) -> OverrideResolver {
        self.hosts.insert(canonical(host), to.into_iter().collect());
        self
    }

    /// Sets the addresses of one port of a host. They take precedence over those of
    /// [`host`](Self::host).
    pub fn host_and_port(
        mut self,
        host: &str,
        port: u16,
        to: impl IntoIterator<Item = SocketAddr>,
    ) -> OverrideResolver {
        self.ports.insert((canonical(host), port), to.into_iter().collect());
        self
    }
}

/// Returns the one spelling of a host that stands for all: in lower case, without a final dot.
fn canonical(host: &str) -> String {
    host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase()
}

impl Resolver for OverrideResolver {
    fn resolve(&self, host: &str, port: u16) -> Resolving {
        let name = canonical(host);
        let ips = self.hosts.get(&name);
        let known = match (self.ports.get(&(name, port)), ips) {
            (Some(addresses), _) => addresses.clone(),
            (None, Some(ips)) => ips.iter().map(|ip| SocketAddr::new(*ip, port)).collect(),
            (None, None) => return self.fallback.resolve(host, port),
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

    // X11: a name server that does not answer blocks lookups only, not other jobs of the pool
    #[test]
    fn stuck_lookups_leave_the_pool_to_others_and_are_let_through_in_order() {
        block_on(async {
            let (release, stuck) = mpsc::channel::<()>();
            let stuck = std::sync::Arc::new(std::sync::Mutex::new(stuck));
            let finished = Rc::new(RefCell::new(Vec::new()));
            let look_up = |n: usize| {
                let (stuck, finished) = (std::sync::Arc::clone(&stuck), Rc::clone(&finished));
                let answer = run_with_permit(move || {
                    let _ = stuck.lock().unwrap().recv();
                    Ok(Vec::new())
                });
                spawn(async move {
                    answer.await.unwrap();
                    finished.borrow_mut().push(n);
                })
            };
            let mut lookups: Vec<_> = (0..200).map(look_up).collect();
            let job = timeout(Duration::from_secs(10), spawn_blocking(|| 42)).await;
            assert_eq!(job.expect("the pool is full of lookups").unwrap(), 42);
            assert_eq!(LIMIT.with(|limit| limit.in_use.get()), MAX_LOOKUPS);
            // Some lookups are dropped while they wait, some while they run: no permit is lost.
            lookups.drain(MAX_LOOKUPS..100).for_each(|lookup| lookup.abort());
            lookups.drain(..4).for_each(|lookup| lookup.abort());
            squall_executor::yield_now().await;
            assert_eq!(LIMIT.with(|limit| limit.waiting.borrow().len()), 100, "waiting lookups");
            drop(release); // now the name server answers
            for lookup in lookups {
                lookup.await.unwrap();
            }
            assert_eq!(finished.borrow().len(), MAX_LOOKUPS - 4 + 100);
            squall_executor::sleep(Duration::from_millis(1)).await;
            assert_eq!(LIMIT.with(|limit| limit.in_use.get()), 0);
        });
    }
}
