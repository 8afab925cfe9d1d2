//! The accept loop: a task for each listening socket, which starts the connections.
//!
//! The loop survives every error of a single connection. It pauses when descriptors run out, and
//! while the limit of open connections is reached. When the server stops, it first accepts the
//! connections that the kernel has completed already: closing the socket would reset them.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::io;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use squall_executor::future::Future;
use squall_executor::{JoinHandle, sleep, spawn_boxed, yield_now};

use crate::server::accept_error::AcceptError;
use crate::server::connections::Connections;
use crate::server::draining::Draining;
use crate::server::handler::Handler;
use crate::socket::listener::{BACKLOG, Listener};
use crate::stream::served_stream::ServedStream;
use crate::stream::stream_config::StreamConfig;
use crate::stream::stream_state::StreamState;

/// How many times an accept loop calls accept before it yields to the loop's other tasks.
const ACCEPTS_PER_TURN: i32 = 64;
/// How many connections may fail in a row before accepting pauses. A packet filter may refuse all.
const FAILURES_IN_A_ROW: u32 = 64;
/// How long accepting pauses when descriptors or memory have run out.
const PAUSE: Duration = Duration::from_millis(100);
/// One of so many pauses is logged: about one line a second.
const PAUSES_PER_LINE: u64 = 10;

pub(crate) struct ServerState<L: Listener> {
    pub(crate) handler: Rc<dyn Handler<L>>,
    config: RefCell<Option<Rc<StreamConfig>>>,
    /// The tasks that accept, one for each listening socket. Also those that have ended.
    accepting: RefCell<Vec<JoinHandle<()>>>,
    /// True when the accept loops must end. A server that listens again has a new one.
    must_stop: RefCell<Rc<Cell<bool>>>,
    /// The error of a listening socket that has failed, until [`failure`](Self::failure) takes it.
    failure: Cell<Option<io::Error>>,
    /// Done when an accept loop ends. `Some` while a task waits for that.
    loop_ended: RefCell<Option<Future<()>>>,
    pub(crate) connections: Rc<Connections<L::Peer>>,
    pub(crate) accepted: Cell<u64>,
    pub(crate) pauses: Cell<u64>,
    pub(crate) draining: Draining,
}

impl<L: Listener> ServerState<L> {
    pub(crate) fn new(handler: Rc<dyn Handler<L>>, draining: Draining) -> ServerState<L> {
        ServerState {
            handler,
            config: RefCell::default(),
            accepting: RefCell::default(),
            must_stop: RefCell::default(),
            failure: Cell::default(),
            loop_ended: RefCell::default(),
            connections: Connections::new(),
            accepted: Cell::new(0),
            pauses: Cell::new(0),
            draining,
        }
    }

    /// The limits of the streams that are accepted from now on.
    pub(crate) fn config(&self) -> StreamConfig {
        self.config.borrow().as_deref().copied().unwrap_or_default()
    }

    pub(crate) fn set_config(&self, config: StreamConfig) {
        *self.config.borrow_mut() = config.shared();
    }

    /// Spawns the accept loop of a listening socket.
    #[track_caller]
    pub(crate) fn accept_from(self: &Rc<Self>, listener: L) {
        let state = Rc::clone(self);
        let must_stop = Rc::clone(&self.must_stop.borrow());
        let accepting = spawn_boxed(Box::pin(async move {
            let _ended = EndsLoop(&state);
            state.accept_loop(&listener, &must_stop).await;
        }));
        let mut tasks = self.accepting.borrow_mut();
        tasks.retain(|task| !task.is_finished());
        tasks.push(accepting);
    }

    /// Makes the accept loops accept what is queued now, and end.
    pub(crate) fn stop(&self) {
        self.must_stop.take().set(true);
        self.accepting.borrow().iter().for_each(JoinHandle::nudge);
    }

    /// Ends the accept loops at once. Queued connections are reset.
    pub(crate) fn abort_accepting(&self) {
        self.accepting.take().iter().for_each(JoinHandle::abort);
    }

    /// Whether an accept loop runs.
    pub(crate) fn is_accepting(&self) -> bool {
        self.accepting.borrow().iter().any(|task| !task.is_finished())
    }

    /// Waits until an accept loop ends.
    pub(crate) async fn wait_until_a_loop_ends(&self) {
        let ended = self.loop_ended.borrow_mut().get_or_insert_default().clone();
        let _ = ended.await; // this future is never cancelled
        yield_now().await; // the task that has set it counts as finished now
    }

    pub(crate) fn take_failure(&self) -> Option<io::Error> {
        self.failure.take()
    }

    /// Accepts connections until the server stops, and then those that are queued.
    async fn accept_loop(&self, listener: &L, must_stop: &Cell<bool>) {
        let mut failures = 0;
        let mut left = BACKLOG; // peers that connect after the stop must not keep the socket open
        while left > 0 {
            let mut calls = ACCEPTS_PER_TURN;
            while calls > 0 {
                let accept = |cx: &mut Context<'_>| {
                    self.poll_accept(cx, listener, must_stop, &mut calls, &mut failures)
                };
                match poll_fn(accept).await {
                    Ok(()) => {}
                    Err(error) => match AcceptError::of(&error) {
                        AcceptError::NoneQueued => return,
                        AcceptError::Connection if failures < FAILURES_IN_A_ROW => {
                            failures += 1;
                            log::debug!("a connection failed before it was accepted: {error}");
                        }
                        AcceptError::Connection | AcceptError::Resources => {
                            self.pause(listener, &error).await;
                        }
                        AcceptError::Listener => return self.fail(listener, &error),
                    },
                }
                while self.connections.is_full() {
                    listener.rest();
                    self.connections.wait_until_connection_ends().await;
                }
            }
            if must_stop.get() {
                left -= ACCEPTS_PER_TURN;
            }
            yield_now().await;
        }
    }

    /// Accepts and starts connections, at most `calls`, until the limit of open connections is
    /// reached. Fails with the error of an accept, and with `WouldBlock` if the server has stopped and
    /// no connection is queued.
    fn poll_accept(
        &self,
        cx: &mut Context<'_>,
        listener: &L,
        must_stop: &Cell<bool>,
        calls: &mut i32,
        failures: &mut u32,
    ) -> Poll<io::Result<()>> {
        // While this listener waits, another listener of the server may reach the limit.
        while *calls > 0 && !self.connections.is_full() {
            let accepted = if must_stop.get() {
                listener.try_accept()
            } else {
                ready!(listener.poll_accept(cx))
            };
            *calls -= 1;
            let (stream, peer) = accepted?;
            *failures = 0;
            self.start(stream, peer);
        }
        Poll::Ready(Ok(()))
    }

    fn fail(&self, listener: &L, error: &io::Error) {
        let text = format!("cannot accept any more on {}: {error}", listener.describe());
        log::error!("{text}");
        self.failure.set(Some(io::Error::new(error.kind(), text)));
    }

    fn start(&self, stream: L::Stream, peer: L::Peer) {
        self.accepted.set(self.accepted.get() + 1);
        let stream = StreamState::new(stream, self.config.borrow().clone());
        let stream = ServedStream::new(stream);
        self.connections.add(|guard| Rc::clone(&self.handler).start(stream, peer, guard));
    }

    /// Stops accepting for [`PAUSE`]. The connection stays in the kernel's queue. The descriptor
    /// that it needs may be free afterwards.
    async fn pause(&self, listener: &L, error: &io::Error) {
        if self.pauses.get().is_multiple_of(PAUSES_PER_LINE) {
            log::warn!("accepting pauses for {PAUSE:?} at a time: {error}");
        }
        self.pauses.set(self.pauses.get() + 1);
        listener.rest();
        sleep(PAUSE).await;
    }
}

/// Wakes the tasks that wait for the end of an accept loop, when it is dropped.
struct EndsLoop<'a, L: Listener>(&'a ServerState<L>);

impl<L: Listener> Drop for EndsLoop<'_, L> {
    fn drop(&mut self) {
        if let Some(ended) = self.0.loop_ended.take() {
            let _ = ended.set_result(()); // it was never set before
        }
    }
}
