//! A callback that runs once every period: Tornado's `PeriodicCallback`.
//!
//! It arms one timer of the loop for the next call. `periodic_times.rs` computes the time of that
//! call.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::panic::Location;
use std::pin::Pin;
use std::rc::{Rc, Weak};
use std::time::Duration;

use crate::current;
use crate::insight::panics::shield;
use crate::loop_core::Core;
use crate::time::alarms::Alarm;
use crate::time::clock::whole_nanos;
use crate::time::periodic_times::PeriodicTimes;
use crate::time::timers::TimerId;

/// Calls a function every `period`, from [`start`](Self::start) to [`stop`](Self::stop). Tornado:
/// `PeriodicCallback`.
///
/// The first call comes one period after the start. Periods are counted from the begin of one call
/// to the begin of the next, and stay on a fixed grid. If a call takes longer than a period, the
/// calls that are due meanwhile are skipped. Calls never overlap, not even async ones: the next
/// call is scheduled when the last one has ended. A panic is reported, and does not prevent the
/// next call.
///
/// Clones are handles to the same callback. Dropping all of them does not stop it.
///
/// ```
/// use std::time::Duration;
/// use squall_executor::{EventLoop, PeriodicCallback, stop};
///
/// let event_loop = EventLoop::new()?;
/// let _entered = event_loop.enter();
/// let mut ticks = 0;
/// PeriodicCallback::new(Duration::from_millis(1), move || {
///     ticks += 1;
///     if ticks == 3 {
///         stop();
///     }
/// })
/// .start();
/// event_loop.run()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct PeriodicCallback {
    state: Rc<State>,
}

struct State {
    period: Duration,
    jitter: Cell<f64>,
    /// The function. `None` while it runs.
    call: RefCell<Option<Call>>,
    running: Cell<bool>,
    /// The loop on which it was started.
    event_loop: RefCell<Weak<Core>>,
    /// The timer of the next call, while one is scheduled.
    timer: Cell<Option<TimerId>>,
    times: Cell<PeriodicTimes>,
    /// The source of randomness for the jitter.
    random_state: RandomState,
    /// The number of random numbers that were drawn.
    draws: Cell<u64>,
    location: &'static Location<'static>,
}

enum Call {
    Sync(Box<dyn FnMut()>),
    Async(Box<dyn AsyncCall>),
}

/// An `AsyncFnMut()` that can be boxed.
trait AsyncCall {
    fn call(&mut self) -> Pin<Box<dyn Future<Output = ()> + '_>>;
}

impl<F: AsyncFnMut()> AsyncCall for F {
    fn call(&mut self) -> Pin<Box<dyn Future<Output = ()> + '_>> {
        Box::pin(self())
    }
}

impl PeriodicCallback {
    /// Makes a callback that is not started yet.
    ///
    /// # Panics
    /// If `period` is zero.
    #[track_caller]
    pub fn new(period: Duration, f: impl FnMut() + 'static) -> PeriodicCallback {
        PeriodicCallback::with_call(period, Call::Sync(Box::new(f)))
    }

    /// As [`new`](Self::new), for an async function. Each call is a task. [`stop`](Self::stop) does
    /// not interrupt a call that has begun.
    ///
    /// # Panics
    /// If `period` is zero.
    #[track_caller]
    pub fn new_async(period: Duration, f: impl AsyncFnMut() + 'static) -> PeriodicCallback {
        PeriodicCallback::with_call(period, Call::Async(Box::new(f)))
    }

    #[track_caller]
    fn with_call(period: Duration, call: Call) -> PeriodicCallback {
        assert!(!period.is_zero(), "the period of a PeriodicCallback must be longer than zero");
        PeriodicCallback {
            state: Rc::new(State {
                period,
                jitter: Cell::new(0.0),
                call: RefCell::new(Some(call)),
                running: Cell::new(false),
                event_loop: RefCell::new(Weak::new()),
                timer: Cell::new(None),
                times: Cell::new(PeriodicTimes::starting_at(0, whole_nanos(period))),
                random_state: RandomState::new(),
                draws: Cell::new(0),
                location: Location::caller(),
            }),
        }
    }

    /// Makes each period randomly longer or shorter, by at most `jitter / 2` of the period.
    ///
    /// With 0.1, a period varies by up to 5 % each way, so that the calls of many programs do not
    /// all come at the same time.
    ///
    /// # Panics
    /// If `jitter` is not between 0 and 1.
    #[track_caller]
    pub fn jitter(self, jitter: f64) -> PeriodicCallback {
        assert!((0.0..=1.0).contains(&jitter), "jitter is a share between 0 and 1, not {jitter}");
        self.state.jitter.set(jitter);
        self
    }

    /// Starts the calls, on the loop of this thread. Does nothing if they are started already.
    ///
    /// # Panics
    /// If there is no loop on this thread.
    #[track_caller]
    pub fn start(&self) {
        let core = current::get();
        if self.is_running() {
            return;
        }
        self.state.running.set(true);
        *self.state.event_loop.borrow_mut() = Rc::downgrade(&core);
        let now = core.clock.nanos(core.clock.time());
        self.state.times.set(PeriodicTimes::starting_at(now, whole_nanos(self.state.period)));
        self.state.schedule_next(&core);
    }

    /// Stops the calls: none begins until the next [`start`](Self::start).
    pub fn stop(&self) {
        self.state.running.set(false);
        if let (Some(timer), Some(core)) = (self.state.timer.take(), self.state.event_loop()) {
            drop(core.alarms.disarm(timer));
        }
    }

    /// Whether the callback was started, was not stopped since, and its loop is not closed.
    pub fn is_running(&self) -> bool {
        self.state.running.get() && self.state.event_loop().is_some()
    }
}

impl State {
    /// The loop on which it was started. `None` if that loop is closed.
    fn event_loop(&self) -> Option<Rc<Core>> {
        self.event_loop.borrow().upgrade().filter(|core| !core.scheduler.is_closed())
    }

    fn schedule_next(self: &Rc<Self>, core: &Rc<Core>) {
        let now = core.clock.nanos(core.clock.time());
        let mut times = self.times.get();
        if self.jitter.get() > 0.0 {
            times.advance_with_jitter(now, self.jitter.get(), self.draw(core));
        } else {
            times.advance(now);
        }
        self.times.set(times);
        let this = Rc::clone(self);
        let alarm = Alarm::Call(Box::new(move || this.begin_call()));
        let timer = core.arm(core.clock.instant(times.next()), alarm, self.location);
        self.timer.set(Some(timer));
    }

    /// Draws a random number between 0 and 1.
    fn draw(&self, core: &Core) -> f64 {
        let bits = core
            .isolation
            .as_ref()
            .map_or_else(|| self.draw_of_process(), |isolation| (isolation.random)());
        f64::from(u32::try_from(bits >> 32).expect("32 bits are left")) / f64::from(u32::MAX)
    }

    fn draw_of_process(&self) -> u64 {
        self.draws.set(self.draws.get() + 1);
        // The process id is hashed too, because forked children inherit std's random keys. Without
        // it, the children of one parent would draw the same numbers.
        self.random_state.hash_one((std::process::id(), self.draws.get()))
    }

    fn begin_call(self: Rc<Self>) {
        self.timer.set(None);
        // `None` if an async call still runs after a stop and a new start. The end of that call
        // schedules the next one.
        let Some(call) = self.call.take() else { return };
        let location = self.location;
        let mut running_call = RunningCall { state: self, call: Some(call) };
        match &mut running_call.call {
            Some(Call::Sync(f)) => shield("a periodic callback", f),
            _ => drop(current::get().spawn(running_call.run(), location)),
        }
    }
}

/// A call that has begun. However it ends, its drop gives the function back and schedules the next
/// call.
struct RunningCall {
    state: Rc<State>,
    call: Option<Call>,
}

impl RunningCall {
    async fn run(mut self) {
        if let Some(Call::Async(f)) = &mut self.call {
            f.call().await;
        }
    }
}

impl Drop for RunningCall {
    fn drop(&mut self) {
        *self.state.call.borrow_mut() = self.call.take();
        let scheduled = self.state.timer.take();
        if self.state.running.get()
            && scheduled.is_none()
            && let Some(core) = self.state.event_loop()
        {
            self.state.schedule_next(&core);
        } else {
            self.state.timer.set(scheduled);
        }
    }
}

impl fmt::Debug for PeriodicCallback {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PeriodicCallback")
            .field("period", &self.state.period)
            .field("is_running", &self.is_running())
            .finish_non_exhaustive()
    }
}
