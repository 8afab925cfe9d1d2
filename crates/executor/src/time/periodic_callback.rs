//! A callback that runs every so often: Tornado's PeriodicCallback.

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
use crate::time::periodic_times::PeriodicTimes;
use crate::time::timers::TimerId;
use crate::time::turn_clock::whole_nanos;

/// Calls a function every `period`, from [`start`](Self::start) to [`stop`](Self::stop). Tornado: `PeriodicCallback`.
///
/// The first call comes one period after the start. Periods are counted from start to start and stay on their grid: a call that
/// takes longer than a period makes those that it covers be skipped. Calls never overlap, async ones neither: the next is
/// scheduled when the last has ended. A panic is reported, and the next call comes all the same.
///
/// Clones are handles to the same callback, and dropping them all does not stop it.
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
    /// Away while it runs.
    call: RefCell<Option<Call>>,
    running: Cell<bool>,
    /// Where it was started.
    event_loop: RefCell<Weak<Core>>,
    /// The next call, while one is scheduled.
    timer: Cell<Option<TimerId>>,
    times: Cell<PeriodicTimes>,
    /// The source of the jitter.
    chance: RandomState,
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
    /// A callback that does not run yet.
    ///
    /// # Panics
    /// If `period` is zero.
    #[track_caller]
    pub fn new(period: Duration, f: impl FnMut() + 'static) -> PeriodicCallback {
        PeriodicCallback::with_call(period, Call::Sync(Box::new(f)))
    }

    /// As [`new`](Self::new), for an async function; each call is a task. [`stop`](Self::stop) lets one that is under way end.
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
                chance: RandomState::new(),
                draws: Cell::new(0),
                location: Location::caller(),
            }),
        }
    }

    /// Makes each period longer or shorter by chance, by at most half of this share of it: 0.1 spreads the calls of many
    /// programs by 5 % each way, so that they do not all come at once.
    ///
    /// # Panics
    /// If it is not between 0 and 1.
    #[track_caller]
    pub fn jitter(self, jitter: f64) -> PeriodicCallback {
        assert!((0.0..=1.0).contains(&jitter), "jitter is a share between 0 and 1, not {jitter}");
        self.state.jitter.set(jitter);
        self
    }

    /// Begins; does nothing if it runs already. The calls come on the loop of this thread.
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

    /// Ends: no call begins any more, until the next [`start`](Self::start).
    pub fn stop(&self) {
        self.state.running.set(false);
        if let (Some(timer), Some(core)) = (self.state.timer.take(), self.state.event_loop()) {
            drop(core.alarms.disarm(timer));
        }
    }

    /// Tells whether it was started and neither stopped since, nor left by its loop.
    pub fn is_running(&self) -> bool {
        self.state.running.get() && self.state.event_loop().is_some()
    }
}

impl State {
    /// The loop on which it was started, unless that is gone.
    fn event_loop(&self) -> Option<Rc<Core>> {
        self.event_loop.borrow().upgrade().filter(|core| !core.scheduler.is_closed())
    }

    fn schedule_next(self: &Rc<Self>, core: &Rc<Core>) {
        let now = core.clock.nanos(core.clock.time());
        let mut times = self.times.get();
        if self.jitter.get() > 0.0 {
            times.advance_with_jitter(now, self.jitter.get(), self.draw());
        } else {
            times.advance(now);
        }
        self.times.set(times);
        let this = Rc::clone(self);
        let alarm = Alarm::Call(Box::new(move || this.begin_call()));
        let timer = core.arm(core.clock.instant(times.next()), alarm, self.location);
        self.timer.set(Some(timer));
    }

    /// A number between 0 and 1.
    fn draw(&self) -> f64 {
        self.draws.set(self.draws.get() + 1);
        // The process, because std's keys are inherited: the children of one parent would draw the same.
        let bits = self.chance.hash_one((std::process::id(), self.draws.get())) >> 32;
        f64::from(u32::try_from(bits).expect("32 bits are left")) / f64::from(u32::MAX)
    }

    fn begin_call(self: Rc<Self>) {
        self.timer.set(None);
        // An async call that a stop and a start have left under way: its end schedules the next.
        let Some(call) = self.call.take() else { return };
        let location = self.location;
        let mut under_way = UnderWay { state: self, call: Some(call) };
        match &mut under_way.call {
            Some(Call::Sync(f)) => shield("a periodic callback", f),
            _ => drop(current::get().spawn(under_way.run(), location)),
        }
    }
}

/// One call. Its end, in whatever way, gives the function back and schedules the next.
struct UnderWay {
    state: Rc<State>,
    call: Option<Call>,
}

impl UnderWay {
    async fn run(mut self) {
        if let Some(Call::Async(f)) = &mut self.call {
            f.call().await;
        }
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        *self.state.call.borrow_mut() = self.call.take();
        let is_scheduled = self.state.timer.take();
        if self.state.running.get()
            && is_scheduled.is_none()
            && let Some(core) = self.state.event_loop()
        {
            self.state.schedule_next(&core);
        } else {
            self.state.timer.set(is_scheduled);
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
