//! The event loop. Start reading here.
//!
//! A loop has one ready queue, first in, first out. Its entries are woken tasks, callbacks, and
//! handlers whose descriptors are ready. The loop runs the queue in batches. A *batch* is all
//! entries that are queued when it begins; entries that these add run in the next batch. A *turn*
//! is one round of four steps:
//!
//! ```text
//!   ┌──▶ run batches        until 61 entries ran or none is left   polls tasks, calls callbacks
//!   │    run timers         those that are due, in order           calls callbacks, wakes tasks
//!   │    ask the kernel     sleeps only if nothing is ready        wakes tasks, queues handlers
//!   └─── collect messages   at most 1024 from other threads        wakes tasks, queues callbacks
//! ```
//!
//! This order guarantees:
//! - A callback that adds itself again, or a task that wakes itself, causes no system call and no
//!   clock reading of its own, and starves neither timers nor descriptors.
//! - A ready descriptor is noticed within 61 entries or timers: a larger batch asks the kernel in
//!   between, and short runs, such as `block_on` in a loop, are counted together.
//! - A loop without registered descriptors asks the kernel only before it sleeps.
//! - A due timer waits for the end of the batch. A timer that a callback or another timer arms
//!   waits for the next turn, even if its deadline has passed.
//!
//! Tornado: this is `PollIOLoop.start` of version 4.5.

use std::fmt;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use squall_reactor::Reactor;

use crate::builder::Builder;
use crate::current::{self, Entered, Running};
use crate::error::RunError;
use crate::insight::observer::{ObservedEntry, Work};
use crate::insight::panics::shield;
use crate::loop_core::Core;
use crate::task::block_pool;
use crate::task::budget;
use crate::task::root_future::RootFuture;
use crate::time::alarms::{Alarm, Armed};
use crate::time::turn_clock::NEVER;

/// The number of entries or timers after which the loop asks the kernel, even if more are ready. A
/// prime number, as in tokio, so that it does not fall into step with loops in users' programs.
const ENTRIES_PER_TURN: usize = 61;
/// The maximum number of messages from other threads that the loop collects at once.
const MESSAGES_PER_TURN: usize = 1024;

/// An event loop for one thread. It runs tasks, callbacks, timers and descriptor handlers.
///
/// The loop stays on the thread that made it. Other threads reach it through a
/// [`Handle`](crate::Handle). Dropping the loop drops all remaining tasks and callbacks, each once,
/// on this thread. Tornado: `IOLoop`.
///
/// The loop belongs to the process that made it. In a forked child, it refuses to run
/// ([`RunError::Forked`]). Dropping it there only closes epoll's descriptor. Tasks and callbacks
/// are leaked, because their destructors could act on what the parent still uses. A child that
/// needs a loop must make a new one.
///
/// ```
/// use std::time::Duration;
/// use squall_executor::{EventLoop, add_callback, call_later, stop};
///
/// let event_loop = EventLoop::new()?;
/// event_loop.add_callback(|| println!("first"));
/// event_loop.call_later(Duration::from_millis(1), || {
///     println!("a millisecond later");
///     stop();
/// });
/// event_loop.run()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// ```compile_fail
/// fn is_send<T: Send>() {}
/// is_send::<squall_executor::EventLoop>();
/// ```
#[doc(alias = "IOLoop")]
pub struct EventLoop {
    pub(crate) core: Rc<Core>,
    /// Epoll's descriptor, for [`AsFd`], which cannot borrow from the reactor in its cell.
    epoll: Arc<OwnedFd>,
}

/// One call of `run`, `run_sync`, `block_on` or `run_once`.
pub(crate) struct Run<'a> {
    /// The future of `block_on` or `run_sync`, whose completion ends the run.
    pub(crate) root: Option<RootFuture<'a>>,
    /// Whether `stop` ends this run.
    pub(crate) ends_on_stop: bool,
    /// True for `run_once`. A turn that has run something does not sleep then. And each turn asks
    /// the kernel, even if no descriptor is registered: an outer loop may watch epoll's own
    /// descriptor, which stays readable until the kernel is asked.
    pub(crate) is_embedded: bool,
}

impl Run<'_> {
    #[inline]
    fn is_over(&self, core: &Core) -> bool {
        self.root.as_ref().is_some_and(RootFuture::is_done)
            || (self.ends_on_stop && core.is_stopping.get())
    }
}

/// The turn.
impl Core {
    pub(crate) fn run_until_over(&self, run: &mut Run<'_>) -> Result<(), RunError> {
        while !run.is_over(self) {
            self.turn(run, None)?;
        }
        Ok(())
    }

    /// Runs one turn and returns the number of entries, timers, events and messages in it. Sleeps
    /// at most for `sleep_limit`, which `None` leaves open.
    pub(crate) fn turn(
        &self,
        run: &mut Run<'_>,
        sleep_limit: Option<Duration>,
    ) -> Result<usize, RunError> {
        self.turns.set(self.turns.get() + 1);
        self.clock.begin_turn();
        let sequence_limit = self.alarms.next_sequence();
        let mut ran = 0;
        // Short runs may end before they reach the timers and the kernel. After enough of them,
        // timers and descriptors go first.
        if !self.must_ask_kernel() {
            ran += self.run_batches(run)?;
            if run.is_over(self) {
                return Ok(ran);
            }
        }
        ran += self.run_timers(sequence_limit)?;
        if run.is_over(self) {
            return Ok(ran);
        }
        let limit = if run.is_embedded && ran > 0 { Some(Duration::ZERO) } else { sleep_limit };
        let timeout = match (self.max_sleep(), limit) {
            (Some(max), Some(limit)) => Some(max.min(limit)),
            (max, limit) => max.or(limit),
        };
        let received = match timeout {
            Some(time) if !time.is_zero() && self.may_jump() => self.ask_kernel_or_jump(time)?,
            _ => self.ask_kernel(timeout, run.is_embedded)?,
        };
        self.scheduler.wake_for_next_turn();
        Ok(ran + received)
    }

    /// Runs whole batches until the kernel must be asked, a task has used up its budget of
    /// operations, nothing is ready or the run is over. `stop` lets the current batch finish.
    fn run_batches(&self, run: &mut Run<'_>) -> Result<usize, RunError> {
        let mut ran = 0;
        let mut is_enough = false;
        while !is_enough && !run.is_over(self) {
            let batch = self.scheduler.ready_len();
            for remaining in (0..batch).rev() {
                self.count_ran(); // before it runs, because it may panic
                if self.observers.is_empty() {
                    self.run_next(run);
                } else {
                    self.run_next_observed(run);
                }
                self.check_entered()?;
                if self.must_ask_kernel() {
                    is_enough = true;
                    ran += self.ask_kernel_between(remaining)?; // only appends: the batch does not grow
                }
            }
            self.scheduler.end_batch();
            ran += batch;
            if batch == 0 || budget::take_exhausted() {
                break;
            }
        }
        Ok(ran)
    }

    #[inline]
    fn run_next(&self, run: &mut Run<'_>) {
        if self.scheduler.run_next()
            && let Some(root) = &mut run.root
        {
            root.poll();
        }
    }

    #[cold]
    fn run_next_observed(&self, run: &mut Run<'_>) {
        if let Some(entry) = self.scheduler.describe_next() {
            self.observers.observe(&self.clock, &entry, || self.run_next(run));
        }
    }

    /// Runs the due timers in order of deadline and sequence number. Skips timers that were armed
    /// in this turn, which are those from `sequence_limit` on, and timers that are removed
    /// meanwhile.
    fn run_timers(&self, sequence_limit: u64) -> Result<usize, RunError> {
        self.clock.count_busy();
        let now = self.clock.last_reading();
        self.alarms.take_due(now, sequence_limit);
        let mut fired = 0;
        while let Some(Armed { alarm, origin }) = self.alarms.next_due() {
            budget::renew();
            match alarm {
                Alarm::Task(key) => self.scheduler.wakes().wake_task(key),
                Alarm::Wake(waker) => self.scheduler.wake(waker),
                Alarm::Call(callback) if self.observers.is_empty() => {
                    shield("a timer's callback", callback);
                }
                Alarm::Call(callback) => {
                    let timer = ObservedEntry::new(Work::Timer, Some(origin.location));
                    let call = || shield("a timer's callback", callback);
                    self.observers.observe(&self.clock, &timer, call);
                }
            }
            fired += 1;
            self.check_entered()?;
            self.count_ran();
            if self.must_ask_kernel() {
                self.ask_kernel_between(self.alarms.due_len())?; // only appends to the ready queue
            }
        }
        self.alarms.all_fired(now, sequence_limit);
        if fired > 0 {
            self.timers_fired.set(self.timers_fired.get() + fired as u64);
            self.scheduler.end_batch();
            self.clock.count_busy(); // otherwise the callbacks' time would lengthen the sleep
        }
        Ok(fired)
    }

    /// Counts an entry or timer that runs before the kernel is asked again.
    #[inline]
    fn count_ran(&self) {
        self.ran_since_asked.set(self.ran_since_asked.get() + 1);
    }

    /// Whether [`ENTRIES_PER_TURN`] entries and timers ran since the kernel was asked.
    #[inline]
    fn must_ask_kernel(&self) -> bool {
        self.ran_since_asked.get() >= ENTRIES_PER_TURN
    }

    /// Asks the kernel if the batch or the list of due timers has more `remaining`. Otherwise the turn
    /// asks it soon anyway.
    #[cold]
    fn ask_kernel_between(&self, remaining: usize) -> Result<usize, RunError> {
        if remaining > 0 { self.ask_kernel(Some(Duration::ZERO), false) } else { Ok(0) }
    }

    /// Makes this the thread's loop again, if the entry that just ran has entered another loop and
    /// kept the guard.
    ///
    /// # Errors
    /// [`RunError::Forked`] if that entry has forked and this is the child. Nothing more runs
    /// there.
    #[inline]
    fn check_entered(&self) -> Result<(), RunError> {
        if !self.scheduler.owner().is_entered() {
            self.enter_again();
        }
        self.check_process()
    }

    #[cold]
    fn enter_again(&self) {
        drop(current::replace(self.weak_self.upgrade()));
    }

    /// The time that the loop may sleep at most: zero if something is ready, `None` (for ever) if
    /// no timer is armed.
    fn max_sleep(&self) -> Option<Duration> {
        if self.scheduler.is_ready() {
            return Some(Duration::ZERO);
        }
        let deadline = self.alarms.next_deadline().filter(|deadline| *deadline < NEVER)?;
        let remaining = deadline.saturating_sub(self.clock.last_reading());
        if remaining > 0 && self.clock.clock().is_simulated() && !self.may_jump() {
            return None; // a sleep does not move the clock
        }
        Some(Duration::from_nanos(remaining))
    }

    /// Waits for events, at most for `timeout`, delivers them, and collects messages. Returns the
    /// number of both. Skips the system call if the loop need not sleep, no descriptor is
    /// registered and `must_ask` is false.
    pub(crate) fn ask_kernel(
        &self,
        timeout: Option<Duration>,
        must_ask: bool,
    ) -> Result<usize, RunError> {
        self.ran_since_asked.set(0);
        if timeout.is_none() && self.clock.clock().is_simulated() {
            self.check_can_be_woken();
        }
        let inbox = self.scheduler.inbox();
        let sleeps = timeout != Some(Duration::ZERO) && inbox.prepare_to_sleep();
        if sleeps {
            block_pool::trim();
        }
        let timeout = if sleeps { timeout } else { Some(Duration::ZERO) };
        // Without a registered descriptor there are no events, and messages are in the inbox.
        let is_asked = sleeps || must_ask || self.driver.is_watching();
        let events = is_asked.then(|| self.driver.wait(timeout));
        if sleeps {
            inbox.mark_awake();
            self.clock.count_idle();
        }
        let count = match events {
            Some(events) => self.driver.deliver(events?, &self.scheduler),
            None => 0,
        };
        let messages = self.scheduler.collect_messages(MESSAGES_PER_TURN) + self.wake_for_signals();
        if sleeps && count + messages == 0 && self.max_sleep() != Some(Duration::ZERO) {
            self.empty_wakeups.set(self.empty_wakeups.get() + 1);
        }
        Ok(count + messages)
    }
}

impl EventLoop {
    /// Makes a loop with the default options. It becomes the thread's loop only when it runs or is
    /// [entered](Self::enter).
    ///
    /// # Errors
    /// Those of `epoll_create1(2)` and `eventfd(2)`, for example that no descriptor number is free.
    pub fn new() -> io::Result<EventLoop> {
        EventLoop::builder().build()
    }

    /// Returns a builder, to set options for a new loop.
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// Runs the loop until [`stop`](Self::stop) is called. Tornado: `IOLoop.start`.
    ///
    /// If the loop was stopped before this call, the call returns at once and runs nothing. The
    /// next call runs normally.
    ///
    /// # Errors
    /// [`RunError::AlreadyRunning`], [`RunError::Forked`], [`RunError::Io`].
    #[doc(alias = "start")]
    pub fn run(&self) -> Result<(), RunError> {
        let _running = Running::begin(&self.core)?;
        let mut run = Run { root: None, ends_on_stop: true, is_embedded: false };
        self.core.run_until_over(&mut run)?;
        self.core.is_stopping.set(false);
        Ok(())
    }

    /// Runs one turn and returns the number of entries, timers, events and messages in it. If there
    /// was nothing to run, sleeps, at most for `timeout`.
    ///
    /// Together with [`AsFd`] and [`next_deadline`](Self::next_deadline), this embeds the loop in
    /// any other event loop.
    ///
    /// # Errors
    /// [`RunError::AlreadyRunning`], [`RunError::Forked`], [`RunError::Io`].
    pub fn run_once(&self, timeout: Option<Duration>) -> Result<usize, RunError> {
        let _running = Running::begin(&self.core)?;
        let mut run = Run { root: None, ends_on_stop: false, is_embedded: true };
        self.core.turn(&mut run, timeout)
    }

    /// Makes this the thread's loop while the guard lives, so that the free functions find it.
    ///
    /// A guard that is held across an `.await` covers only the poll that made it: a running loop
    /// becomes the thread's loop again after every entry of its queue.
    pub fn enter(&self) -> Entered<'_> {
        Entered::new(&self.core)
    }

    /// The latest time for the next call of [`run_once`](Self::run_once). A time in the past if
    /// something is ready. `None` if only a descriptor or another thread can cause more work.
    pub fn next_deadline(&self) -> Option<Instant> {
        let core = &*self.core;
        if core.scheduler.is_ready() {
            return Some(core.clock.origin());
        }
        let deadline = core.alarms.next_deadline().filter(|deadline| *deadline < NEVER)?;
        core.clock.instant(deadline)
    }
}

impl Builder {
    /// Makes a loop with these options.
    ///
    /// # Errors
    /// As [`EventLoop::new`].
    pub fn build(self) -> io::Result<EventLoop> {
        let reactor = Reactor::new()?;
        let epoll = reactor.epoll();
        let core = Core::new(reactor, self.options);
        current::add(&core);
        Ok(EventLoop { core, epoll })
    }
}

impl Drop for EventLoop {
    fn drop(&mut self) {
        if self.core.check_process().is_err() {
            return self.core.abandon();
        }
        let _entered = self.enter(); // so that destructors find the loop and wake its tasks locally
        self.core.close();
        block_pool::shrink();
    }
}

impl AsFd for EventLoop {
    /// Epoll's descriptor. It is readable when [`run_once`](EventLoop::run_once) would find an
    /// event or a message.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.epoll.as_fd()
    }
}

impl fmt::Debug for EventLoop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventLoop").field("stats", &self.stats()).finish_non_exhaustive()
    }
}
