//! The timers of a loop and what each does when its time comes: wakes a task or calls a callback.
//!
//! [`Timers`] keeps them in order; this file adds what the loop and its sleeps must know of the order. Used by the turn, by sleeps and
//! by the timer functions. Foreign code, such as the clone or drop of a waker, runs while no borrow is held.

use std::cell::{Cell, RefCell};
use std::task::Waker;

use crate::insight::origin::Origin;
use crate::insight::panics::shield;
use crate::time::timers::{TimerId, Timers};

pub(crate) struct Alarms {
    timers: RefCell<Timers<Armed>>,
    /// A deadline and a sequence number. Every timer with at most this deadline that was armed before this number has fired, or
    /// was removed.
    fired: Cell<(u64, u64)>,
    /// The deadline up to which timers were last taken to run.
    taken_until: Cell<u64>,
}

/// A timer's alarm, and the line that armed it.
pub(crate) struct Armed {
    pub(crate) alarm: Alarm,
    pub(crate) origin: Origin,
}

/// What a timer does when its time comes.
pub(crate) enum Alarm {
    Wake(Waker),
    Call(Box<dyn FnOnce()>),
}

impl Alarms {
    /// Sequence numbers begin at `first_sequence`, which differs by so much from loop to loop that ids are not mistaken.
    pub(crate) fn new(first_sequence: u64) -> Alarms {
        Alarms {
            timers: RefCell::new(Timers::new(first_sequence)),
            fired: Cell::new((0, 0)),
            taken_until: Cell::new(0),
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.timers.borrow().len()
    }

    /// Arms a timer for `deadline`, in nanoseconds of the loop's clock.
    #[inline]
    pub(crate) fn arm(&self, deadline: u64, armed: Armed) -> TimerId {
        self.timers.borrow_mut().insert(deadline, armed)
    }

    /// Removes a timer. The caller drops the alarm when no borrow is held.
    pub(crate) fn disarm(&self, timer: TimerId) -> Option<Armed> {
        self.timers.borrow_mut().remove(timer)
    }

    /// Makes a timer wake `waker` instead of the former one. Returns false if it is not armed any more.
    pub(crate) fn set_waker(&self, timer: TimerId, waker: &Waker) -> bool {
        match self.timers.borrow_mut().get_mut(timer).map(|armed| &armed.alarm) {
            None => return false,
            Some(Alarm::Wake(armed)) if armed.will_wake(waker) => return true,
            Some(_) => {}
        }
        let waker = waker.clone(); // foreign code, like the drop of the former one: no borrow is held
        let former = match self.timers.borrow_mut().get_mut(timer) {
            Some(armed) => std::mem::replace(&mut armed.alarm, Alarm::Wake(waker)),
            None => return false,
        };
        drop(former);
        true
    }

    /// Moves a timer that has not fired yet, and returns its id from now on; `None` if it has fired.
    ///
    /// A timer that is moved to a time up to which timers were already taken is armed anew, so that its place in the order is among
    /// those that have not fired.
    pub(crate) fn move_to(&self, timer: TimerId, deadline: u64) -> Option<TimerId> {
        let mut timers = self.timers.borrow_mut();
        if deadline > self.taken_until.get() {
            return timers.postpone(timer, deadline).then_some(timer);
        }
        let armed = timers.remove(timer)?;
        Some(timers.insert(deadline, armed))
    }

    /// Whether a timer has fired, judged by its place in the order and without looking it up. False does not mean that it has not.
    pub(crate) fn has_fired(&self, timer: TimerId, deadline: u64) -> bool {
        let (until, before) = self.fired.get();
        timer.sequence() < before && deadline <= until
    }

    /// The time of the next timer; a postponed one may make this too early, never too late.
    pub(crate) fn next_deadline(&self) -> Option<u64> {
        self.timers.borrow().next_deadline()
    }

    /// The sequence number of the timer that will be armed next.
    pub(crate) fn next_sequence(&self) -> u64 {
        self.timers.borrow().next_sequence()
    }

    /// Takes the timers that are due at `now` and were armed before `sequence`, for [`next_due`](Self::next_due).
    pub(crate) fn take_due(&self, now: u64, sequence: u64) {
        self.timers.borrow_mut().take_due(now, sequence);
        self.taken_until.set(now);
    }

    /// The next taken timer that was neither removed nor moved meanwhile.
    pub(crate) fn next_due(&self) -> Option<Armed> {
        self.timers.borrow_mut().next_due()
    }

    /// How many taken timers are left, removed ones included.
    pub(crate) fn due_len(&self) -> usize {
        self.timers.borrow().due_len()
    }

    /// Notes that every taken timer has fired.
    pub(crate) fn all_fired(&self, now: u64, sequence: u64) {
        self.fired.set((now, sequence));
    }

    /// Shows every armed timer to `f`, the next one first, with its deadline.
    pub(crate) fn in_order<T>(&self, mut f: impl FnMut(u64, &Armed) -> T) -> Vec<T> {
        let timers = self.timers.borrow();
        let mut timers: Vec<_> = timers.iter().collect();
        timers.sort_by_key(|(order, _)| *order);
        timers.into_iter().map(|((deadline, _), armed)| f(deadline, armed)).collect()
    }

    /// Ends all timers: wakes the sleeping tasks, which find the loop gone, and drops the callbacks.
    pub(crate) fn close(&self) {
        let alarms = self.timers.borrow_mut().drain();
        for armed in alarms {
            match armed.alarm {
                Alarm::Wake(waker) => shield("a waker", || waker.wake()),
                call => shield("the destructor of a timer's callback", || drop(call)),
            }
        }
    }
}
