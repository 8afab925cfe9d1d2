//! The connections that wait for their next request.
//!
//! An idle connection has no task and no timer of its own. One timer closes the oldest; whether the
//! server has closed a connection is looked up when a request wants it.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::net::IpAddr;
use std::rc::Rc;
use std::task::{Context, Waker};
use std::time::{Duration, Instant};

use squall_net::{TimerGuard, call_at, now, sleep};

use crate::byte_stream::ByteStream;
use crate::url::Origin;

/// What two requests must have in common to share a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PoolKey {
    pub(crate) origin: Origin,
    pub(crate) source: Option<IpAddr>,
}

/// Idle connections.
pub(crate) struct Pool {
    /// The connections, in the order in which they became idle. At most `max_idle`.
    idle: RefCell<VecDeque<Idle>>,
    max_idle: usize,
    idle_timeout: Duration,
    /// Fires when the oldest connection has been idle for `idle_timeout`.
    timer: RefCell<Option<TimerGuard>>,
}

struct Idle {
    key: PoolKey,
    stream: Box<dyn ByteStream>,
    /// `None` if the timeout is too long to ever pass.
    expiry: Option<Instant>,
}

impl Pool {
    pub(crate) fn new(max_idle: usize, idle_timeout: Duration) -> Rc<Pool> {
        let (idle, timer) = (RefCell::default(), RefCell::default());
        Rc::new(Pool { idle, max_idle, idle_timeout, timer })
    }

    /// Takes the connection that was used last. Closes those that the server has closed, and those
    /// on which it has sent bytes unasked: they could be taken for the next answer.
    pub(crate) async fn take(&self, key: &PoolKey) -> Option<Box<dyn ByteStream>> {
        loop {
            let mut stream = self.remove_newest(key)?.stream;
            // A stream knows only what the kernel told the loop at the end of the last turn. After one
            // more turn, it also knows of a close in this one. Else a request would find that out.
            sleep(Duration::ZERO).await;
            if stream.poll_fill(&mut Context::from_waker(Waker::noop())).is_pending() {
                return Some(stream);
            }
            stream.close();
        }
    }

    fn remove_newest(&self, key: &PoolKey) -> Option<Idle> {
        self.close_expired();
        let mut idle = self.idle.borrow_mut();
        let at = idle.iter().rposition(|idle| idle.key == *key)?;
        idle.remove(at)
    }

    /// Keeps a connection. If there are too many, closes the oldest.
    pub(crate) fn put(self: &Rc<Self>, key: PoolKey, stream: Box<dyn ByteStream>) {
        let expiry = now().checked_add(self.idle_timeout);
        self.idle.borrow_mut().push_back(Idle { key, stream, expiry });
        self.close_oldest_if(|idle| idle.len() > self.max_idle);
        self.arm();
    }

    /// Sets the timer for the oldest connection. It is set anew each time, because the loop that has
    /// set it before may have ended.
    fn arm(self: &Rc<Self>) {
        let expiry = self.idle.borrow().front().and_then(|oldest| oldest.expiry);
        let timer = expiry.map(|expiry| {
            let pool = Rc::downgrade(self);
            let close = move || {
                if let Some(pool) = pool.upgrade() {
                    pool.close_expired();
                    pool.arm();
                }
            };
            call_at(expiry, close).cancel_on_drop()
        });
        drop(self.timer.replace(timer));
    }

    fn close_expired(&self) {
        let now = now();
        let is_expired = |oldest: &Idle| oldest.expiry.is_some_and(|expiry| expiry <= now);
        while self.close_oldest_if(|idle| idle.front().is_some_and(is_expired)) {}
    }

    /// Closes the oldest connection if the condition holds. Returns false if it does not.
    fn close_oldest_if(&self, condition: impl FnOnce(&VecDeque<Idle>) -> bool) -> bool {
        let mut idle = self.idle.borrow_mut();
        let oldest = if condition(&idle) { idle.pop_front() } else { None };
        drop(idle); // a close wakes tasks
        let Some(mut oldest) = oldest else { return false };
        oldest.stream.close();
        true
    }
}
