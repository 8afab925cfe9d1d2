//! The event loop. Open this page first.
//!
//! Everything that wants to run is an entry of one ready queue: a woken task, a callback, a handler whose descriptor is ready.
//! A *batch* is what is queued when the batch begins; entries that it adds run in the next batch. A *turn* is one round of this:
//!
//! ```text
//!      ┌──▶ run batches        until 61 entries ran or nothing is ready      polls tasks, calls callbacks
//!      │    run timers         those that are due now, in order              calls callbacks, wakes sleeping tasks
//!      │    ask the kernel     sleep only if nothing is ready                wakes the tasks of ready descriptors
//!      └─── collect messages   at most 1024 from other threads               wakes tasks, queues callbacks
//! ```
//!
//! Hence the promises:
//! - A callback that adds itself again, and a task that wakes itself, cost no system call and no clock reading of their own, and
//!   starve neither timers nor descriptors.
//! - A ready descriptor is noticed within 61 entries or timers: a larger batch asks the kernel inside itself, and short runs add up.
//! - A loop that watches no descriptor asks the kernel only before it sleeps.
//! - A timer that is due waits for the end of a batch. One that a callback or a timer arms, even in the past, waits for the next turn.
//!
//! Tornado: this is `PollIOLoop.start` of version 4.5.

use std::fmt;
use std::future::Future;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::panic::Location;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Context;
use std::time::{Duration, Instant};

use squall_reactor::Reactor;

use crate::builder::Builder;
use crate::current::{self, Entered, Running};
use crate::error::RunError;
use crate::insight::panics::shield;
use crate::insight::slow_callback::{SlowCallback, Work};
use crate::insight::stats::Stats;
use crate::loop_core::Core;
use crate::task::root_future::RootFuture;
use crate::time::alarms::{Alarm, Armed};
use crate::time::timeout::Timeout;
use crate::time::turn_clock::NEVER;

/// Entries after which the kernel is asked, whatever is still queued. A prime, as in tokio, so that it does not fall into step with
/// loops in users' programs.
const ENTRIES_PER_TURN: usize = 61;
/// Messages from other threads that are collected at once.
const MESSAGES_PER_TURN: usize = 1024;

/// One thread's event loop, which runs callbacks, timers, descriptors and tasks.
///
/// It stays on the thread that made it; other threads reach it through a [`Handle`](crate::Handle). Dropping it drops every task and
/// callback that is left, each once, on this thread. Tornado: `IOLoop`.
///
/// It belongs to the process that made it. In a child of `fork` it refuses to run ([`RunError::Forked`]), and dropping
/// it there closes epoll's descriptor and nothing else: tasks and callbacks are leaked, since their destructors could act on what the
/// parent still uses. A child that goes on makes a loop of its own.
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
    /// Epoll's descriptor, for [`AsFd`]; the reactor itself is in a cell.
    epoll: Arc<OwnedFd>,
}

/// What one call of `run`, `block_on` or `run_once` waits for.
struct Run<'a> {
    root: Option<RootFuture<'a>>,
    /// Whether `stop` ends this run.
    heeds_stop: bool,
    /// Whether each turn asks the kernel, even if no descriptor is registered: an outer loop watches epoll's own descriptor,
    /// which stays readable until then.
    is_embedded: bool,
}

impl Run<'_> {
    #[inline]
    fn is_over(&self, core: &Core) -> bool {
        self.root.as_ref().is_some_and(RootFuture::is_done)
            || (self.heeds_stop && core.is_stopping.get())
    }
}

/// The turn.
impl Core {
    fn run_until_over(&self, run: &mut Run<'_>) -> Result<(), RunError> {
        while !run.is_over(self) {
            self.turn(run, |_| None)?;
        }
        Ok(())
    }

    /// Runs one turn and returns how many entries, timers, events and messages it had. `longest_sleep` is given the number of entries
    /// and timers that ran, and limits the sleep.
    fn turn(
        &self,
        run: &mut Run<'_>,
        longest_sleep: impl FnOnce(usize) -> Option<Duration>,
    ) -> Result<usize, RunError> {
        self.turns.set(self.turns.get() + 1);
        self.clock.begin_turn();
        let armed_before = self.alarms.next_sequence();
        let mut ran = 0;
        // Many short runs may have ended before they came to timers and descriptors. Then those go first.
        if self.since_asked.get() < ENTRIES_PER_TURN {
            ran += self.run_batches(run)?;
            if run.is_over(self) {
                return Ok(ran);
            }
        }
        ran += self.run_timers(armed_before)?;
        if run.is_over(self) {
            return Ok(ran);
        }
        let timeout = match (self.until_next(), longest_sleep(ran)) {
            (Some(next), Some(longest)) => Some(next.min(longest)),
            (next, longest) => next.or(longest),
        };
        let received = self.ask_kernel(timeout, run.is_embedded)?;
        self.scheduler.wake_for_next_turn();
        Ok(ran + received)
    }

    /// Runs whole batches until enough entries ran, nothing is ready or the run is over. `stop` lets a batch finish.
    fn run_batches(&self, run: &mut Run<'_>) -> Result<usize, RunError> {
        let mut ran = 0;
        while ran < ENTRIES_PER_TURN && !run.is_over(self) {
            let batch = self.scheduler.ready_len();
            for left in (0..batch).rev() {
                match &self.slow_callback_hook {
                    None => self.run_next(run),
                    Some(hook) => {
                        let next = self.scheduler.describe_next();
                        hook.time(&self.clock, next, || self.run_next(run));
                    }
                }
                self.check_entered()?;
                ran += self.ask_in_between(left)?; // only appends: the batch keeps its end
            }
            self.scheduler.end_batch();
            if batch == 0 {
                break;
            }
            ran += batch;
        }
        Ok(ran)
    }

    #[inline]
    fn run_next(&self, run: &mut Run<'_>) {
        self.scheduler.run_next();
        if let Some(root) = &mut run.root {
            root.poll_if_woken();
        }
    }

    /// Runs the timers that are due, alive and not armed in this turn, in (deadline, sequence) order.
    fn run_timers(&self, armed_before: u64) -> Result<usize, RunError> {
        self.clock.worked();
        let now = self.clock.now();
        self.alarms.take_due(now, armed_before);
        let mut fired = 0;
        while let Some(Armed { alarm, origin }) = self.alarms.next_due() {
            match (alarm, &self.slow_callback_hook) {
                (Alarm::Wake(waker), _) => self.scheduler.wake(waker),
                (Alarm::Call(callback), None) => shield("a timer's callback", callback),
                (Alarm::Call(callback), Some(hook)) => {
                    let timer = SlowCallback::new(Work::Timer, Some(origin.location));
                    hook.time(&self.clock, Some(timer), || shield("a timer's callback", callback));
                }
            }
            fired += 1;
            self.check_entered()?;
            self.ask_in_between(self.alarms.due_len())?; // only appends: these timers were taken before
        }
        self.alarms.all_fired(now, armed_before);
        if fired > 0 {
            self.timers_fired.set(self.timers_fired.get() + fired as u64);
            self.scheduler.end_batch();
            self.clock.worked(); // or the callbacks' time would lengthen the sleep
        }
        Ok(fired)
    }

    /// Counts one entry or timer that ran. Asks the kernel if that was the last of a turn's worth and `left` more are to run before
    /// the turn would ask.
    #[inline]
    fn ask_in_between(&self, left: usize) -> Result<usize, RunError> {
        self.since_asked.set(self.since_asked.get() + 1);
        let is_enough = self.since_asked.get() >= ENTRIES_PER_TURN && left > 0;
        if is_enough { self.ask_kernel(Some(Duration::ZERO), false) } else { Ok(0) }
    }

    /// Makes this the thread's loop again, if an entry has entered another loop and kept the guard.
    ///
    /// # Errors
    /// [`RunError::Forked`], if an entry has forked and this is the child: nothing more runs there.
    #[inline]
    fn check_entered(&self) -> Result<(), RunError> {
        if !self.scheduler.owner().is_entered() {
            self.enter_again();
        }
        self.check_process()
    }

    #[cold]
    fn enter_again(&self) {
        drop(current::replace(self.own.upgrade()));
    }

    /// How long the loop may sleep: not at all if something is ready, for ever (`None`) if no timer is armed.
    fn until_next(&self) -> Option<Duration> {
        if self.scheduler.is_ready() {
            return Some(Duration::ZERO);
        }
        let deadline = self.alarms.next_deadline().filter(|deadline| *deadline < NEVER)?;
        let left = deadline.saturating_sub(self.clock.now());
        if self.clock.is_manual() && left > 0 {
            return None; // sleeping would not move that clock
        }
        Some(Duration::from_nanos(left))
    }

    /// Waits for events, at most for `timeout`, delivers them, and collects messages. With `in_any_case` the kernel is asked even if no
    /// descriptor is registered.
    fn ask_kernel(&self, timeout: Option<Duration>, in_any_case: bool) -> Result<usize, RunError> {
        self.since_asked.set(0);
        let inbox = self.scheduler.inbox();
        let sleeps = timeout != Some(Duration::ZERO) && inbox.prepare_to_sleep();
        let timeout = if sleeps { timeout } else { Some(Duration::ZERO) };
        // Without a descriptor there can be no event. Messages are known from the inbox.
        let is_asked = sleeps || in_any_case || self.driver.is_watching();
        let events = is_asked.then(|| self.driver.wait(timeout));
        if sleeps {
            inbox.wake_up();
            self.clock.slept();
        }
        let count = match events {
            Some(events) => self.driver.deliver(events?, &self.scheduler),
            None => 0,
        };
        let messages = self.scheduler.collect_messages(MESSAGES_PER_TURN) + self.wake_for_signals();
        if sleeps && count + messages == 0 && self.until_next() != Some(Duration::ZERO) {
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
    /// Those of `epoll_create1(2)` and `eventfd(2)`: no descriptor is left.
    pub fn new() -> io::Result<EventLoop> {
        EventLoop::builder().build()
    }

    /// Options for a new loop.
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// Runs the loop until `future` is done and returns its output. The future need be neither `Send` nor `'static`.
    ///
    /// The future is an entry of the ready queue like any other: what was queued before runs before it. Tasks that it
    /// leaves behind stay in the loop for the next run. [`stop`](Self::stop) does not end this run.
    ///
    /// # Panics
    /// If a loop runs on this thread already ([`run_sync`](Self::run_sync) returns an error instead), if the kernel
    /// refuses to wait, and with the future's own panic.
    #[track_caller]
    pub fn block_on<F: Future>(&self, future: F) -> F::Output {
        match self.run_root(future, false) {
            Ok(Some(output)) => output,
            Ok(None) => unreachable!("without stop, only the future ends the run"),
            Err(RunError::AlreadyRunning) => panic!(
                "block_on was called inside a running event loop, which it would block: \
                 await the future, or spawn it"
            ),
            Err(error) => panic!("{error}"),
        }
    }

    /// Runs the loop until `future` is done, the loop is stopped or `limit` has passed. Tornado: `IOLoop.run_sync`.
    ///
    /// # Errors
    /// - [`RunError::Stopped`]: [`stop`](Self::stop) was called first; the future is dropped.
    /// - [`RunError::TimedOut`]: the future is dropped.
    /// - [`RunError::AlreadyRunning`], [`RunError::Forked`], [`RunError::Io`].
    #[track_caller]
    pub fn run_sync<F: Future>(
        &self,
        future: F,
        limit: Option<Duration>,
    ) -> Result<F::Output, RunError> {
        let output = match limit {
            None => self.run_root(future, true)?,
            Some(limit) => {
                let deadline = self.core.clock.time().checked_add(limit);
                match self.run_root(Timeout::until(deadline, future), true)? {
                    Some(outcome) => Some(outcome.map_err(|_| RunError::TimedOut)?),
                    None => None,
                }
            }
        };
        output.ok_or(RunError::Stopped)
    }

    /// Runs the loop until [`stop`](Self::stop) is called. Tornado: `IOLoop.start`.
    ///
    /// A stop before this call makes it return at once, with nothing run; the next call runs normally.
    ///
    /// # Errors
    /// [`RunError::AlreadyRunning`], [`RunError::Forked`], [`RunError::Io`].
    #[doc(alias = "start")]
    pub fn run(&self) -> Result<(), RunError> {
        let _running = Running::begin(&self.core)?;
        self.core.run_until_over(&mut Run { root: None, heeds_stop: true, is_embedded: false })?;
        self.core.is_stopping.set(false);
        Ok(())
    }

    /// Runs one turn and returns how many entries, timers, events and messages it had. Sleeps, at most for `timeout`, only if there
    /// was nothing to run.
    ///
    /// With [`AsFd`] and [`next_deadline`](Self::next_deadline) this embeds the loop in any other.
    ///
    /// # Errors
    /// [`RunError::AlreadyRunning`], [`RunError::Forked`], [`RunError::Io`].
    pub fn run_once(&self, timeout: Option<Duration>) -> Result<usize, RunError> {
        let _running = Running::begin(&self.core)?;
        let mut run = Run { root: None, heeds_stop: false, is_embedded: true };
        let longest_sleep = |ran| if ran > 0 { Some(Duration::ZERO) } else { timeout };
        self.core.turn(&mut run, longest_sleep)
    }

    /// Makes this the thread's loop while the guard lives, so that the free functions find it.
    ///
    /// A guard that is held across an `.await` covers only the poll that made it: a running loop becomes the thread's loop again after
    /// every entry of its queue.
    pub fn enter(&self) -> Entered<'_> {
        Entered::new(&self.core)
    }

    /// The time at which [`run_once`](Self::run_once) has to be called at the latest: a time in the past if something is ready, `None`
    /// if only a descriptor or another thread can cause more work.
    pub fn next_deadline(&self) -> Option<Instant> {
        let core = &*self.core;
        if core.scheduler.is_ready() {
            return Some(core.clock.origin());
        }
        let deadline = core.alarms.next_deadline().filter(|deadline| *deadline < NEVER)?;
        core.clock.instant(deadline)
    }

    /// The loop's counters.
    pub fn stats(&self) -> Stats {
        self.core.stats()
    }

    #[track_caller]
    fn run_root<F: Future>(
        &self,
        future: F,
        heeds_stop: bool,
    ) -> Result<Option<F::Output>, RunError> {
        let core = &*self.core;
        let running = Running::begin(&self.core)?;
        let mut output = None;
        {
            let mut future = pin!(future);
            let mut poll =
                |cx: &mut Context<'_>| future.as_mut().poll(cx).map(|value| output = Some(value));
            let origin = core.origin(Location::caller());
            let root = Some(RootFuture::new(&core.scheduler, origin, &mut poll));
            core.run_until_over(&mut Run { root, heeds_stop, is_embedded: false })?;
            if heeds_stop {
                core.is_stopping.set(false);
            }
            // The future is dropped here, while the loop is still the thread's.
        }
        drop(running);
        Ok(output)
    }
}

impl Builder {
    /// Makes the loop.
    ///
    /// # Errors
    /// As [`EventLoop::new`].
    pub fn build(self) -> io::Result<EventLoop> {
        let reactor = Reactor::new()?;
        let epoll = reactor.epoll();
        Ok(EventLoop { core: Core::new(reactor, self.options), epoll })
    }
}

impl Drop for EventLoop {
    fn drop(&mut self) {
        if self.core.check_process().is_err() {
            return self.core.abandon();
        }
        let _entered = self.enter(); // so that destructors find the loop, and wakes in them are local
        self.core.close();
    }
}

impl AsFd for EventLoop {
    /// Epoll's descriptor. It is readable when [`run_once`](EventLoop::run_once) would find an event or a message.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.epoll.as_fd()
    }
}

impl fmt::Debug for EventLoop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventLoop").field("stats", &self.stats()).finish_non_exhaustive()
    }
}
