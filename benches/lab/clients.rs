//! The clients. Each fetches with a pool of kept connections on one thread, written as its users
//! would.

#[cfg(feature = "peers")]
mod hyper;
#[cfg(feature = "peers")]
mod reqwest;
mod squall;

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use crate::load::Until;
use crate::round::Ask;

/// A client makes its loop and its pool once, and uses them in every phase of a round.
pub(crate) struct Client {
    pub(crate) name: &'static str,
    pub(crate) open: fn(Target) -> io::Result<Ask>,
}

/// All clients in this build.
pub(crate) static CLIENTS: &[Client] = &[
    Client { name: "squall", open: squall::open },
    #[cfg(feature = "peers")]
    Client { name: "hyper-util", open: hyper::open },
    #[cfg(feature = "peers")]
    Client { name: "reqwest", open: reqwest::open },
];

pub(crate) fn named(name: &str) -> Result<&'static Client, String> {
    let found = CLIENTS.iter().find(|client| client.name == name);
    found.ok_or_else(|| format!("no client is called {name:?}"))
}

/// What a client fetches.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Target {
    /// The server's port on the loopback address.
    pub(crate) port: u16,
    /// The size of every answer's body, in bytes.
    pub(crate) body_len: usize,
    /// How many requests run at the same time.
    pub(crate) at_once: usize,
}

impl Target {
    fn url(&self) -> String {
        format!("http://127.0.0.1:{}/", self.port)
    }
}

/// Counts the requests of all tasks in a phase.
#[derive(Debug)]
struct Tally {
    until: Until,
    since: Instant,
    begun: AtomicU64,
    body_len: usize,
}

impl Tally {
    fn new(target: Target, until: Until) -> Tally {
        let Target { body_len, .. } = target;
        Tally { until, since: Instant::now(), begun: AtomicU64::new(0), body_len }
    }

    /// Returns false if no other request may begin; else counts it.
    fn begin(&self) -> bool {
        let begun = self.begun.load(Ordering::Relaxed); // only one thread counts
        let is_allowed = self.until.allows(begun, self.since);
        self.begun.store(begun + u64::from(is_allowed), Ordering::Relaxed);
        is_allowed
    }

    /// Checks an answer.
    fn check(&self, status: u16, body: &[u8]) -> io::Result<()> {
        match (status, body.len() == self.body_len) {
            (200, true) => Ok(()),
            _ => Err(io::Error::other(format!("{status} with {} bytes", body.len()))),
        }
    }

    /// The number of answers after all tasks have ended without an error.
    fn answered(&self) -> u64 {
        self.begun.load(Ordering::Relaxed)
    }
}
