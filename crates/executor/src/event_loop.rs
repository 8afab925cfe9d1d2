//! The event loop. Open this page first.
//!
//! Everything that wants to run is an entry of one ready queue: a task that was woken, a callback, a handler with news.
//! A *batch* is what is queued when it begins; what its entries queue runs in the next one. A *turn* is one round of this:
//!
//! ```text
//!      ┌──▶ run batches   until 61 entries ran or nothing is ready      tasks are polled, callbacks called
//!      │    run timers    those that are due now, in order              they call, or queue whom they wake
//!      │    ask kernel    sleep only if nothing is ready                ready descriptors queue their waiters
//!      └─── collect mail  at most 1024 messages                         other threads queue theirs
//! ```
//!
//! Hence the promises. A callback that adds itself again, and a task that wakes itself, cost no system call and no clock
//! read of their own, and keep neither timers nor descriptors waiting: a descriptor that is ready is queued within 61 entries or
//! timers, because a batch that is larger asks the kernel inside itself, and short runs add up. A loop that watches no
//! descriptor asks only before it sleeps. A timer that is due waits for the end of a batch; one that is armed by a callback or
//! a timer, even in the past, waits for the next turn.
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

use squall_reactor::{Events, Reactor};

use crate::current;
use crate::entered::{Entered, Running};
use crate::error::RunError;
use crate::loop_core::{Alarm, Armed, Core};
use crate::options::Options;
use crate::panics::shield;
use crate::root::Root;
use crate::shared::Entry;
use crate::slow::{SlowCallback, Work};
use crate::source::Registered;
use crate::stats::Stats;
use crate::timeout::Timeout;
use crate::turn_clock::NEVER;

/// Entries after which the kernel is asked, whatever is still queued. A prime, as in tokio, so that it keeps no step with
/// loops in users' programs.
const ENTRIES_PER_TURN: usize = 61;
/// Messages from other threads that are taken at once.
const MAIL_PER_TURN: usize = 1024;
/// Events that the kernel may report at once.
const EVENTS_PER_WAIT: usize = 1024;

/// One thread's event loop: callbacks, timers, descriptors and tasks, each in its turn.
///
/// It stays on the thread that made it; a [`Handle`](crate::Handle) is its door for other threads. Dropping it drops every task and
/// callback that is left, each once, on this thread. Tornado: `IOLoop`.
///
/// It belongs to the process that made it: in a child that `fork` made it refuses to run ([`RunError::Forked`]), and dropping
/// it there closes epoll's descriptor and nothing else. Tasks and callbacks are not dropped in the child, since their
/// destructors could act on what the parent still uses; a child that goes on makes a loop of its own.
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
    /// Epoll's descriptor, to be lent out; the reactor itself is in a cell.
    epoll: Arc<OwnedFd>,
}

/// What one call of `run`, `block_on` or `run_once` waits for.
struct Run<'a> {
    root: Option<Root<'a>>,
    heeds_stop: bool,
    /// Whether each turn asks the kernel, even if there is no descriptor to hear of: a loop around this one watches epoll's own,
    /// which is readable until then.
    is_embedded: bool,
}

impl Run<'_> {
    fn is_over(&self, core: &Core) -> bool {
        self.root.as_ref().is_some_and(Root::is_done) || (self.heeds_stop && core.stopping.get())
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

    /// One turn; returns how many entries, timers, events and messages it had. `longest` is told how many of the first two ran and
    /// answers how long it may sleep.
    fn turn(
        &self,
        run: &mut Run<'_>,
        longest: impl FnOnce(usize) -> Option<Duration>,
    ) -> Result<usize, RunError> {
        self.turns.set(self.turns.get() + 1);
        self.time.begin_turn();
        let armed_before = self.timers.borrow().next_sequence();
        let mut ran = 0;
        // After many short runs, which ended before they came to timers and descriptors, it is the turn of those.
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
        let timeout = match (self.until_next(), longest(ran)) {
            (Some(next), Some(longest)) => Some(next.min(longest)),
            (next, longest) => next.or(longest),
        };
        let heard = self.ask_kernel(timeout, run.is_embedded)?;
        self.scheduler.take_next_turn().into_iter().for_each(|waker| self.wake(waker));
        Ok(ran + heard)
    }

    /// Runs whole batches until enough entries ran, nothing is ready or the run is over. `stop` lets a batch finish.
    fn run_batches(&self, run: &mut Run<'_>) -> Result<usize, RunError> {
        let mut ran = 0;
        while ran < ENTRIES_PER_TURN && !run.is_over(self) {
            let batch = self.scheduler.ready_len();
            for left in (0..batch).rev() {
                match &self.slow_hook {
                    None => self.run_next(run),
                    Some(hook) => {
                        let root = run.root.as_ref().map(Root::location);
                        let who = self.scheduler.describe_next(root);
                        hook.time(&self.time, who, || self.run_next(run));
                    }
                }
                self.stay_at_home()?;
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

    fn run_next(&self, run: &mut Run<'_>) {
        self.scheduler.run_next(&mut |number| {
            if let Some(root) = &mut run.root {
                root.poll(number);
            }
        });
    }

    /// Runs the timers that are due, alive and not armed in this turn, in (deadline, sequence) order.
    fn run_timers(&self, armed_before: u64) -> Result<usize, RunError> {
        self.time.worked();
        let now = self.time.now();
        self.timers.borrow_mut().take_due(now, armed_before);
        self.taken_until.set(now);
        let mut fired = 0;
        loop {
            let armed = self.timers.borrow_mut().next_due(); // ends the borrow before foreign code runs
            let Some(Armed { alarm, birth }) = armed else { break };
            match (alarm, &self.slow_hook) {
                (Alarm::Wake(waker), _) => self.wake(waker),
                (Alarm::Call(callback), None) => shield("a timer's callback", callback),
                (Alarm::Call(callback), Some(hook)) => {
                    let who = SlowCallback::new(Work::Timer, Some(birth.location));
                    hook.time(&self.time, Some(who), || shield("a timer's callback", callback));
                }
            }
            fired += 1;
            self.stay_at_home()?;
            let left = self.timers.borrow().due_len();
            self.ask_in_between(left)?; // only appends: these timers were taken before
        }
        self.fired.set((now, armed_before));
        if fired > 0 {
            self.timers_fired.set(self.timers_fired.get() + fired as u64);
            self.scheduler.end_batch();
            self.time.worked(); // or the callbacks' time would lengthen the sleep
        }
        Ok(fired)
    }

    /// Counts what has run, and asks the kernel if that was enough for a turn and something is left before the turn does.
    #[inline]
    fn ask_in_between(&self, left: usize) -> Result<usize, RunError> {
        self.since_asked.set(self.since_asked.get() + 1);
        let is_enough = self.since_asked.get() >= ENTRIES_PER_TURN && left > 0;
        if is_enough { self.ask_kernel(Some(Duration::ZERO), false) } else { Ok(0) }
    }

    /// Makes this the thread's loop again if an entry has entered another one and kept the guard.
    ///
    /// # Errors
    /// [`RunError::Forked`], if an entry has forked and this is the child: nothing more runs there.
    #[inline]
    fn stay_at_home(&self) -> Result<(), RunError> {
        if !self.scheduler.home().is_entered() {
            self.come_home();
        }
        self.check_process()
    }

    #[cold]
    fn come_home(&self) {
        drop(current::replace(self.own.upgrade()));
    }

    /// How long the kernel may let us sleep: not at all if something is ready, for ever if nothing is awaited.
    fn until_next(&self) -> Option<Duration> {
        if self.scheduler.is_ready() {
            return Some(Duration::ZERO);
        }
        let deadline = self.timers.borrow().next_deadline().filter(|deadline| *deadline < NEVER)?;
        let left = deadline.saturating_sub(self.time.now());
        if self.time.is_manual() && left > 0 {
            return None; // sleeping would not move that clock
        }
        Some(Duration::from_nanos(left))
    }

    /// Waits for events at most that long, queues those that they concern, and collects the mail. `in_any_case`: also if there is
    /// nothing to hear of.
    fn ask_kernel(&self, timeout: Option<Duration>, in_any_case: bool) -> Result<usize, RunError> {
        self.since_asked.set(0);
        let inbox = self.scheduler.inbox();
        let sleeps = timeout != Some(Duration::ZERO) && inbox.fall_asleep();
        let timeout = if sleeps { timeout } else { Some(Duration::ZERO) };
        // Without a descriptor there is nothing to hear of: mail is told by the inbox.
        let watches = || self.reactor.borrow().as_ref().is_some_and(|reactor| !reactor.is_empty());
        let is_asked = sleeps || in_any_case || watches();
        let events = is_asked.then(|| self.wait_for_events(timeout));
        if sleeps {
            inbox.wake_up();
            self.time.slept();
        }
        let count = match events {
            Some(events) => self.deliver(events?),
            None => 0,
        };
        let mail = self.scheduler.collect_mail(MAIL_PER_TURN) + self.tell_of_signals();
        if sleeps && count + mail == 0 && self.until_next() != Some(Duration::ZERO) {
            self.empty_wakeups.set(self.empty_wakeups.get() + 1);
        }
        Ok(count + mail)
    }

    fn wait_for_events(&self, timeout: Option<Duration>) -> io::Result<Events> {
        let mut events =
            self.events.take().unwrap_or_else(|| Events::with_capacity(EVENTS_PER_WAIT));
        match &mut *self.reactor.borrow_mut() {
            Some(reactor) => reactor.wait(&mut events, timeout)?,
            None => unreachable!("a closed loop does not run"),
        };
        Ok(events)
    }

    fn deliver(&self, events: Events) -> usize {
        // Delivering only queues, so the borrow meets no foreign code.
        let reactor = self.reactor.borrow();
        for event in &events {
            match reactor.as_ref().and_then(|reactor| reactor.get(event.token())) {
                Some(Registered::Source(source)) => source.deliver(event),
                Some(Registered::Handler(handler)) => {
                    if handler.deliver(event) {
                        self.scheduler.push(Entry::Handler(Rc::clone(handler)));
                    }
                }
                None => self.stale_events.set(self.stale_events.get() + 1),
            }
        }
        let count = events.len();
        self.events.set(Some(events));
        count
    }
}

impl EventLoop {
    /// Makes a loop with the default options; it does not become the thread's loop until it runs or is
    /// [entered](Self::enter).
    ///
    /// # Errors
    /// Those of `epoll_create1(2)` and `eventfd(2)`: no descriptor is left.
    pub fn new() -> io::Result<EventLoop> {
        EventLoop::with_options(Options::default())
    }

    pub(crate) fn with_options(options: Options) -> io::Result<EventLoop> {
        let reactor = Reactor::new()?;
        let epoll = reactor.epoll();
        Ok(EventLoop { core: Core::new(reactor, options), epoll })
    }

    /// Runs the loop until `future` is done and returns its output. It need be neither `Send` nor `'static`.
    ///
    /// The future is an entry of the ready queue like any other: what was queued before runs before it. Tasks that it
    /// leaves behind stay in the loop for the next run. [`stop`](Self::stop) does not end it.
    ///
    /// # Panics
    /// If a loop runs on this thread already (use [`run_sync`](Self::run_sync) to be told instead), if the kernel
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

    /// Runs the loop until `future` is done, it is stopped or `limit` has passed. Tornado: `IOLoop.run_sync`.
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
                let deadline = self.core.time.time().checked_add(limit);
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
    /// A stop that came before lets it return at once, with nothing run; the next call runs normally.
    ///
    /// # Errors
    /// [`RunError::AlreadyRunning`], [`RunError::Forked`], [`RunError::Io`].
    #[doc(alias = "start")]
    pub fn run(&self) -> Result<(), RunError> {
        let _running = Running::begin(&self.core)?;
        self.core.run_until_over(&mut Run { root: None, heeds_stop: true, is_embedded: false })?;
        self.core.stopping.set(false);
        Ok(())
    }

    /// Runs one turn and returns how many entries, timers, events and messages it had; sleeps, at most `timeout`, only if there
    /// was nothing to run.
    ///
    /// With [`AsFd`] and [`next_deadline`](Self::next_deadline) this embeds the loop in any other.
    ///
    /// # Errors
    /// [`RunError::AlreadyRunning`], [`RunError::Forked`], [`RunError::Io`].
    pub fn run_once(&self, timeout: Option<Duration>) -> Result<usize, RunError> {
        let _running = Running::begin(&self.core)?;
        let mut run = Run { root: None, heeds_stop: false, is_embedded: true };
        let longest = |ran| if ran > 0 { Some(Duration::ZERO) } else { timeout };
        self.core.turn(&mut run, longest)
    }

    /// Makes this the thread's loop while the guard lives, so that the free functions find it.
    ///
    /// A guard that is held across an `.await` covers only the poll that made it: a loop that runs takes its place back after
    /// every entry of its queue.
    pub fn enter(&self) -> Entered<'_> {
        Entered::new(&self.core)
    }

    /// When [`run_once`](Self::run_once) has to be called at the latest; a time in the past if something is ready, `None`
    /// if only a descriptor or another thread can cause more.
    pub fn next_deadline(&self) -> Option<Instant> {
        let core = &*self.core;
        if core.scheduler.is_ready() {
            return Some(core.time.origin());
        }
        let deadline = core.timers.borrow().next_deadline().filter(|deadline| *deadline < NEVER)?;
        core.time.instant(deadline)
    }

    /// What was counted.
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
            let number = core.roots.get() + 1;
            core.roots.set(number);
            let shared = core.scheduler.shared().clone();
            let root = Some(Root::new(number, shared, &mut poll, Location::caller()));
            core.run_until_over(&mut Run { root, heeds_stop, is_embedded: false })?;
            if heeds_stop {
                core.stopping.set(false);
            }
            // The future is dropped here, while the loop is still the thread's.
        }
        drop(running);
        Ok(output)
    }
}

impl Drop for EventLoop {
    fn drop(&mut self) {
        if self.core.check_process().is_err() {
            return self.core.abandon();
        }
        let _entered = self.enter(); // wakes from destructors are wakes at home
        self.core.close();
    }
}

impl AsFd for EventLoop {
    /// Epoll's descriptor: readable when [`run_once`](EventLoop::run_once) would find an event or a message.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.epoll.as_fd()
    }
}

impl fmt::Debug for EventLoop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventLoop").field("stats", &self.stats()).finish_non_exhaustive()
    }
}
