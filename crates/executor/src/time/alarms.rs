//! The timers of a loop, each with its action: wake a task or call a callback.
//!
//! [`Timers`] keeps them in order. This file also records which timers have fired. The turn, sleeps
//! and the timer functions use it. Foreign code, such as the clone or drop of a waker, runs while
//! no borrow is held.

use std::cell::{Cell, RefCell};
use std::task::Waker;

use crate::insight::origin::Origin;
use crate::insight::panics::shield;
use crate::task::scheduler::Scheduler;
use crate::task::task::TaskKey;
use crate::time::timers::{TimerId, Timers};

pub(crate) struct Alarms {
    first_sequence: u64,
    timers: RefCell<Timers<Armed>>,
    /// A deadline and a sequence number. Every timer that has at most this deadline and a lower
    /// sequence number has fired or was removed.
    fired: Cell<(u64, u64)>,
    /// The time up to which due timers were last taken.
    taken_until: Cell<u64>,
}

/// A timer's alarm, and the code that armed it.
pub(crate) struct Armed {
    pub(crate) alarm: Alarm,
    pub(crate) origin: Origin,
}

/// The action of a timer at its deadline.
pub(crate) enum Alarm {
    /// Wakes a task of the timer's own loop. As a descriptor's, the key is not counted as a waker.
    Task(TaskKey),
    Wake(Waker),
    Call(Box<dyn FnOnce()>),
}

impl Alarm {
    /// Wakes the task of a waker, on the loop of this scheduler.
    #[inline]
    pub(crate) fn wake(waker: &Waker, scheduler: &Scheduler) -> Alarm {
        match scheduler.key_of(waker) {
            Some(key) => Alarm::Task(key),
            None => Alarm::Wake(waker.clone()),
        }
    }
}

impl Alarms {
    /// Sequence numbers begin at `first_sequence`. Those of two loops begin so far apart that an id
    /// of one loop is not mistaken for an id of the other.
    pub(crate) fn new(first_sequence: u64) -> Alarms {
        Alarms {
            first_sequence,
            timers: RefCell::new(Timers::new(first_sequence)),
            fired: Cell::new((0, 0)),
            taken_until: Cell::new(0),
        }
    }

    /// Whether a timer of this loop has this id.
    pub(crate) fn has_armed(&self, timer: TimerId) -> bool {
        (self.first_sequence..self.next_sequence()).contains(&timer.sequence())
    }

    pub(crate) fn len(&self) -> usize {
        self.timers.borrow().len()
    }

    /// Arms a timer for `deadline`, in nanoseconds of the loop's clock.
    pub(crate) fn arm(&self, deadline: u64, armed: Armed) -> TimerId {
        self.timers.borrow_mut().insert(deadline, armed)
    }

    /// As [`arm`](Self::arm), with an alarm that wakes a task.
    #[inline]
    pub(crate) fn arm_for_task(&self, deadline: u64, task: TaskKey, origin: Origin) -> TimerId {
        let armed = || Armed { alarm: Alarm::Task(task), origin };
        self.timers.borrow_mut().insert_with(deadline, armed)
    }

    /// Removes a timer. Returns it unless its alarm is a task's. The caller must drop it while it
    /// holds no borrow.
    #[inline]
    pub(crate) fn disarm(&self, timer: TimerId) -> Option<Armed> {
        let mut timers = self.timers.borrow_mut();
        match timers.get_mut(timer)?.alarm {
            Alarm::Task(_) => {
                timers.discard(timer);
                None
            }
            Alarm::Wake(_) | Alarm::Call(_) => timers.remove(timer),
        }
    }

    /// Whether a timer is known to be armed and to wake this task. If false, it may still be so.
    #[inline]
    pub(crate) fn wakes_task(&self, timer: TimerId, task: TaskKey) -> bool {
        let mut timers = self.timers.borrow_mut();
        let alarm = timers.get_mut(timer).map(|armed| &armed.alarm);
        matches!(alarm, Some(Alarm::Task(armed)) if *armed == task)
    }

    /// Makes a timer wake the task of `waker`. Returns false if the timer is no longer armed.
    pub(crate) fn set_waker(&self, timer: TimerId, waker: &Waker, scheduler: &Scheduler) -> bool {
        match self.timers.borrow_mut().get_mut(timer).map(|armed| &armed.alarm) {
            None => return false,
            Some(Alarm::Wake(armed)) if armed.will_wake(waker) => return true,
            Some(_) => {}
        }
        // The clone, like the drop of the former waker, runs foreign code: no borrow is held.
        let alarm = Alarm::wake(waker, scheduler);
        let former = match self.timers.borrow_mut().get_mut(timer) {
            Some(armed) => std::mem::replace(&mut armed.alarm, alarm),
            None => return false,
        };
        drop(former);
        true
    }

    /// Moves a timer that has not fired yet and returns its id after the move. Returns `None` if it
    /// has fired.
    ///
    /// If timers were already taken up to the new deadline, the timer is armed anew. Its new
    /// sequence number places it among the timers that have not fired.
    #[inline]
    pub(crate) fn move_to(&self, timer: TimerId, deadline: u64) -> Option<TimerId> {
        if deadline <= self.taken_until.get() {
            return self.arm_anew(timer, deadline);
        }
        self.timers.borrow_mut().postpone(timer, deadline).then_some(timer)
    }

    #[inline(never)] // keeps `move_to` small
    fn arm_anew(&self, timer: TimerId, deadline: u64) -> Option<TimerId> {
        let mut timers = self.timers.borrow_mut();
        let armed = timers.remove(timer)?;
        Some(timers.insert(deadline, armed))
    }

    /// Whether a timer is known to have fired, from its place in the order and without looking it
    /// up. If false, it may still have fired.
    pub(crate) fn has_fired(&self, timer: TimerId, deadline: u64) -> bool {
        let (until, before) = self.fired.get();
        timer.sequence() < before && deadline <= until
    }

    /// The deadline of the next timer. A postponed timer may make this too early, never too late.
    pub(crate) fn next_deadline(&self) -> Option<u64> {
        self.timers.borrow().next_deadline()
    }

    /// The sequence number of the timer that will be armed next.
    pub(crate) fn next_sequence(&self) -> u64 {
        self.timers.borrow().next_sequence()
    }

    /// Takes the timers that are due at `now` and have a sequence number below `sequence`.
    /// [`next_due`](Self::next_due) returns them.
    pub(crate) fn take_due(&self, now: u64, sequence: u64) {
        self.timers.borrow_mut().take_due(now, sequence);
        self.taken_until.set(now);
    }

    /// Returns the next taken timer that was neither removed nor moved meanwhile.
    pub(crate) fn next_due(&self) -> Option<Armed> {
        self.timers.borrow_mut().next_due()
    }

    /// The number of taken timers that are left, removed ones included.
    pub(crate) fn due_len(&self) -> usize {
        self.timers.borrow().due_len()
    }

    /// Records that every timer taken with [`take_due(now, sequence)`](Self::take_due) has fired.
    pub(crate) fn all_fired(&self, now: u64, sequence: u64) {
        self.fired.set((now, sequence));
    }

    /// Calls `f` with the deadline of every armed timer and the timer, the next one first. Returns
    /// the results.
    pub(crate) fn in_order<T>(&self, mut f: impl FnMut(u64, &Armed) -> T) -> Vec<T> {
        let timers = self.timers.borrow();
        let mut timers: Vec<_> = timers.iter().collect();
        timers.sort_unstable_by_key(|(order, _)| *order);
        timers.into_iter().map(|((deadline, _), armed)| f(deadline, armed)).collect()
    }

    /// Removes all timers. Wakes the sleeping tasks, which find the loop closed, and drops the
    /// callbacks.
    pub(crate) fn close(&self) {
        let alarms = self.timers.borrow_mut().drain();
        for armed in alarms {
            match armed.alarm {
                Alarm::Task(_) => {} // the loop has no tasks any more
                Alarm::Wake(waker) => shield("a waker", || waker.wake()),
                call => shield("the destructor of a timer's callback", || drop(call)),
            }
        }
    }
}
