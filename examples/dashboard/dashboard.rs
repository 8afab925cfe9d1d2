//! The dashboard: a thread with a loop and a server of its own.

use std::fmt;
use std::io;
use std::net::{SocketAddr, TcpListener, ToSocketAddrs};
use std::rc::Rc;
use std::sync::mpsc;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use squall_net::{EventLoop, Handle};
use tiny_http::{Config, HttpServer};

use crate::observed::watched::{Roster, Watched};
use crate::options::Options;
use crate::site::routes;
use crate::site::viewers::Viewers;

/// How long [`Dashboard::stop`] waits for running requests.
const GRACE: Duration = Duration::from_millis(200);

/// A running dashboard. Returned by [`serve`](crate::serve).
///
/// Dropping it changes nothing: the dashboard runs until [`stop`](Self::stop), or the process ends.
/// Other threads may use it through a reference, to add their loops.
pub struct Dashboard {
    address: SocketAddr,
    options: Arc<Options>,
    roster: Arc<Roster>,
    /// The dashboard's own loop.
    handle: Handle,
    /// `None` once it is stopped.
    thread: Mutex<Option<JoinHandle<()>>>,
}

const _: () = {
    const fn is_send_and_sync<T: Send + Sync>() {}
    is_send_and_sync::<Dashboard>();
};

impl Options {
    /// Serves the dashboard of this thread's loop at `address`, where port 0 lets the kernel choose.
    ///
    /// The dashboard goes on when the returned value is dropped; [`Dashboard::stop`] ends it.
    ///
    /// # Errors
    /// The address cannot be resolved or is in use, the thread cannot be started, or no descriptor
    /// number is free.
    ///
    /// # Panics
    /// If there is no loop on this thread.
    #[track_caller]
    pub fn serve(self, address: impl ToSocketAddrs) -> io::Result<Dashboard> {
        let handle = Handle::current();
        let dashboard = Dashboard::start(self, address)?;
        dashboard.watch("main", handle);
        Ok(dashboard)
    }
}

impl Dashboard {
    /// Starts a dashboard that watches no loop yet.
    ///
    /// # Errors
    /// As [`Options::serve`].
    pub(crate) fn start(options: Options, address: impl ToSocketAddrs) -> io::Result<Dashboard> {
        let listener = TcpListener::bind(address)?;
        let address = listener.local_addr()?;
        let (options, roster) = (Arc::new(options), Arc::new(Roster::default()));
        let (sender, started) = mpsc::channel();
        let site = (Arc::clone(&options), Arc::clone(&roster));
        let run = move || match Server::new(listener, address, site) {
            Ok(server) => {
                let _ = sender.send(Ok(server.event_loop.handle())); // `recv` below waits
                server.run();
            }
            Err(error) => drop(sender.send(Err(error))),
        };
        let thread = thread::Builder::new().name("dashboard".to_owned()).spawn(run)?;
        let handle = started.recv().map_err(io::Error::other)??;
        Ok(Dashboard { address, options, roster, handle, thread: Mutex::new(Some(thread)) })
    }

    /// The address that the dashboard listens on, with the port that the kernel chose.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Adds another loop, to be shown under `name`. A loop that ended under the same name makes room
    /// for it.
    ///
    /// ```
    /// use squall_net::{Handle, block_on, run_workers};
    ///
    /// block_on(async {
    ///     let dashboard = dashboard::serve("127.0.0.1:0")?;
    ///     // On a thread of its own, because this one would be held up.
    ///     squall_net::spawn_blocking(move || {
    ///         run_workers(2, async |number| {
    ///             dashboard.watch(format!("worker {number}"), Handle::current());
    ///             Ok(())
    ///         })
    ///     })
    ///     .await?
    /// })?;
    /// # std::io::Result::Ok(())
    /// ```
    pub fn watch(&self, name: impl Into<String>, handle: Handle) {
        let watched = Watched::new(name.into(), handle, &self.options);
        self.roster.add(Arc::new(watched));
    }

    /// Ends the dashboard and closes its socket. Open pages are disconnected. A second call does
    /// nothing.
    ///
    /// # Cost
    /// Blocks this thread until the dashboard's has ended: for a moment, at most for a fifth of a
    /// second if a client has not got its response yet.
    pub fn stop(&self) {
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread {
            self.handle.stop();
            if thread.join().is_err() {
                log::error!("the dashboard's thread has panicked");
            }
            self.roster.stop_recording();
        }
    }
}

impl fmt::Debug for Dashboard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dashboard").field("address", &self.address).finish_non_exhaustive()
    }
}

/// What the dashboard's thread owns.
struct Server {
    event_loop: EventLoop,
    http: HttpServer,
    viewers: Rc<Viewers>,
}

impl Server {
    fn new(
        listener: TcpListener,
        address: SocketAddr,
        (options, roster): (Arc<Options>, Arc<Roster>),
    ) -> io::Result<Server> {
        let event_loop = EventLoop::new()?;
        let entered = event_loop.enter();
        let config = Config { write_timeout: options.viewer_timeout, ..Config::default() };
        let viewers = Rc::new(Viewers::new(Arc::clone(&roster), options.interval));
        let site = routes::site(address, &options, &roster, &viewers);
        let http = HttpServer::new(config, site);
        http.add_sockets(vec![listener])?;
        drop(entered);
        Ok(Server { event_loop, http, viewers })
    }

    /// Serves until the loop is stopped.
    fn run(self) {
        let http = self.http.clone();
        self.event_loop.add_future(async move { http.closed().await }, |closed| {
            if let Err(error) = closed {
                log::error!("the dashboard cannot be reached any more: {error}");
            }
        });
        if let Err(error) = self.event_loop.run() {
            log::error!("the dashboard's loop has failed: {error}");
        }
        self.viewers.end();
        self.event_loop.block_on(self.http.shut_down(GRACE));
    }
}
