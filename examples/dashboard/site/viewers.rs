//! The open pages, and the task that asks the loops while there are any.
//!
//! A viewer that reads slowly gets the newest snapshot when it has taken the one before, and misses
//! those between: nothing is queued for it. One that takes nothing at all is cut by the server.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_lite::stream::{self, Stream, StreamExt};
use squall_net::executor::future::Future;
use squall_net::{now, sleep_until, spawn};

use crate::observed::sample::Question;
use crate::observed::watched::Roster;
use crate::site::snapshot;

/// The most pages that may be open at once.
const MAX_VIEWERS: usize = 64;

/// The first thing that a viewer gets: after a second, a browser that was disconnected tries again.
const RETRY: Bytes = Bytes::from_static(b"retry: 1000\n\n");

pub(crate) struct Viewers {
    roster: Arc<Roster>,
    interval: Duration,
    open: Cell<usize>,
    /// How many snapshots a viewer has missed, all viewers together.
    missed: Cell<u64>,
    /// The last snapshot, as an event.
    event: RefCell<Bytes>,
    /// The number of that snapshot.
    published: Cell<u64>,
    /// Done when the next snapshot is published. Replaced at that moment.
    next: RefCell<Future<()>>,
    /// Whether the task that asks the loops exists.
    is_asking: Cell<bool>,
    /// Whether the dashboard ends.
    has_ended: Cell<bool>,
}

impl Viewers {
    pub(crate) fn new(roster: Arc<Roster>, interval: Duration) -> Viewers {
        Viewers {
            roster,
            interval,
            open: Cell::new(0),
            missed: Cell::new(0),
            event: RefCell::default(),
            published: Cell::new(0),
            next: RefCell::new(Future::new()),
            is_asking: Cell::new(false),
            has_ended: Cell::new(false),
        }
    }

    /// The events for a new viewer. `None` if there are too many.
    pub(crate) fn subscribe(
        self: &Rc<Self>,
    ) -> Option<impl Stream<Item = io::Result<Bytes>> + 'static> {
        if self.open.get() >= MAX_VIEWERS {
            return None;
        }
        self.open.set(self.open.get() + 1);
        // A snapshot that is not older than the interval is shown at once.
        let seen = if self.is_asking.get() { 0 } else { self.published.get() };
        let viewer = Viewer { viewers: Rc::clone(self), seen };
        let events = stream::unfold(viewer, |mut viewer| async move {
            let event = viewer.next().await?;
            Some((Ok(event), viewer))
        });
        Some(stream::once(Ok(RETRY)).chain(events))
    }

    pub(crate) fn open(&self) -> usize {
        self.open.get()
    }

    pub(crate) fn missed(&self) -> u64 {
        self.missed.get()
    }

    /// Ends the streams of all viewers.
    pub(crate) fn end(&self) {
        self.has_ended.set(true);
        self.wake();
    }

    fn wake(&self) {
        let next = self.next.take();
        let _ = next.set_result(()); // it was never set before
    }

    /// Asks the loops and publishes what they answer, while somebody looks.
    async fn ask_while_open(self: Rc<Self>) {
        let mut tick = now();
        while self.open.get() > 0 && !self.has_ended.get() {
            let loops = self.roster.loops();
            loops.iter().for_each(|watched| watched.ask(Question::Lists));
            for watched in &loops {
                // A loop that was asked before has had its time.
                watched.is_answered_within(self.interval / 4).await;
            }
            let snapshot = snapshot::of(&loops, self.interval);
            self.event.replace(Bytes::from(format!("data: {snapshot}\n\n")));
            self.published.set(self.published.get() + 1);
            self.wake();
            tick = (tick + self.interval).max(now());
            sleep_until(tick).await;
        }
        self.is_asking.set(false);
    }
}

/// One open page. Counted until it is dropped.
struct Viewer {
    viewers: Rc<Viewers>,
    /// The number of the last snapshot that it got.
    seen: u64,
}

impl Viewer {
    /// How many snapshots were published since the one that it got last, without the newest.
    fn missed(&self) -> u64 {
        if self.seen == 0 {
            0
        } else {
            (self.viewers.published.get() - self.seen).saturating_sub(1)
        }
    }

    /// Waits for the next event. `None` at the end of the dashboard.
    async fn next(&mut self) -> Option<Bytes> {
        let viewers = &self.viewers;
        if !viewers.is_asking.replace(true) {
            drop(spawn(Rc::clone(viewers).ask_while_open()));
        }
        while !viewers.has_ended.get() {
            let published = viewers.published.get();
            if published > self.seen {
                viewers.missed.set(viewers.missed.get() + self.missed());
                self.seen = published;
                return Some(viewers.event.borrow().clone());
            }
            let next = viewers.next.borrow().clone();
            let _ = next.await; // it is never cancelled
        }
        None
    }
}

impl Drop for Viewer {
    fn drop(&mut self) {
        let viewers = &self.viewers;
        viewers.open.set(viewers.open.get() - 1);
        viewers.missed.set(viewers.missed.get() + self.missed());
    }
}

impl fmt::Debug for Viewers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Viewers").field("open", &self.open.get()).finish_non_exhaustive()
    }
}
