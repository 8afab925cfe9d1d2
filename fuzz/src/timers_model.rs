//! What timers must do, from a list of them that is obviously in order.

use std::collections::VecDeque;
use std::time::Instant;

/// A timer that has not fired.
#[derive(Clone, Copy, Debug)]
struct Armed {
    number: usize,
    kind: Kind,
    /// `None` for never.
    deadline: Option<Instant>,
    /// The place among timers of one deadline.
    sequence: u64,
    /// The turn of the loop in which the timer got its place. It fires in a later one.
    turn: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Its callback runs when it fires.
    Callback,
    /// Its waker is queued when it fires, and woken in the next turn.
    Sleep,
}

/// A callback runs, or a waker is woken.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Event {
    pub(crate) number: usize,
    pub(crate) kind: Kind,
    pub(crate) time: Instant,
    pub(crate) turn: u64,
}

/// The timers of a loop whose clock stands still while its code runs.
#[derive(Debug)]
pub(crate) struct Model {
    armed: Vec<Armed>,
    next_sequence: u64,
    /// The time of the last event.
    time: Instant,
    /// The sleeps that have fired and whose wakers were not woken yet.
    queued: VecDeque<usize>,
    /// The sleeps that have fired since [`take_fired`](Self::take_fired).
    fired: Vec<usize>,
}

impl Model {
    pub(crate) fn new(time: Instant) -> Model {
        let (queued, fired) = (VecDeque::new(), Vec::new());
        Model { armed: Vec::new(), next_sequence: 0, time, queued, fired }
    }

    pub(crate) fn arm(&mut self, number: usize, kind: Kind, deadline: Option<Instant>, turn: u64) {
        let sequence = self.next_sequence;
        self.next_sequence += 1;
        self.armed.push(Armed { number, kind, deadline, sequence, turn });
    }

    /// Removes a timer. Returns false if it is not armed.
    pub(crate) fn disarm(&mut self, number: usize) -> bool {
        let position = self.armed.iter().position(|armed| armed.number == number);
        position.map(|at| self.armed.swap_remove(at)).is_some()
    }

    /// Moves an armed sleep. One that is due at once gets a new place; any other keeps its own.
    pub(crate) fn move_to(&mut self, number: usize, deadline: Option<Instant>, turn: u64) {
        if deadline.is_some_and(|deadline| deadline <= self.time) {
            self.disarm(number);
            return self.arm(number, Kind::Sleep, deadline, turn);
        }
        let moved = self.armed.iter_mut().find(|armed| armed.number == number);
        moved.expect("it is armed").deadline = deadline;
    }

    /// Something has happened.
    ///
    /// # Panics
    /// If it is not what must happen next.
    pub(crate) fn on(&mut self, event: Event) {
        let Event { number, kind, time, turn } = event;
        match kind {
            Kind::Callback => {
                self.fire_sleeps(time, turn);
                let next = self.next(time, turn);
                assert_eq!(next.map(|next| next.number), Some(number), "{event:?}: {self:?}");
                self.fire_next(time, turn);
            }
            Kind::Sleep => {
                if self.queued.is_empty() {
                    self.fire_sleeps(time, turn - 1);
                }
                assert_eq!(self.queued.pop_front(), Some(number), "{event:?}: {self:?}");
            }
        }
    }

    /// The code of a task runs, in this turn.
    ///
    /// # Panics
    /// If a callback should have run in an earlier turn.
    pub(crate) fn run(&mut self, time: Instant, turn: u64) {
        self.fire_sleeps(time, turn.saturating_sub(1));
        let late = self.next(time, turn.saturating_sub(1));
        assert!(late.is_none(), "{late:?} has not fired, it is {time:?} in turn {turn}: {self:?}");
        self.time = time; // the clock may have jumped to the end of a sleep of the task itself
    }

    /// The sleeps that have fired since the last call.
    pub(crate) fn take_fired(&mut self) -> Vec<usize> {
        std::mem::take(&mut self.fired)
    }

    /// Whether no timer is left but those that never fire.
    pub(crate) fn is_at_rest(&self) -> bool {
        self.queued.is_empty() && self.armed.iter().all(|armed| armed.deadline.is_none())
    }

    /// The timer that is to fire next in this turn, at this time.
    fn next(&self, time: Instant, turn: u64) -> Option<Armed> {
        let is_due = |armed: &&Armed| {
            armed.turn < turn && armed.deadline.is_some_and(|deadline| deadline <= time)
        };
        self.armed
            .iter()
            .filter(is_due)
            .min_by_key(|armed| (armed.deadline, armed.sequence))
            .copied()
    }

    /// Fires the sleeps before the next callback.
    fn fire_sleeps(&mut self, time: Instant, turn: u64) {
        while self.next(time, turn).is_some_and(|next| next.kind == Kind::Sleep) {
            self.fire_next(time, turn);
        }
    }

    fn fire_next(&mut self, time: Instant, turn: u64) {
        let Some(next) = self.next(time, turn) else { return };
        // The clock jumps to the next deadline, or stands still if that has passed.
        assert_eq!(Some(time), next.deadline.max(Some(self.time)), "{next:?}: {self:?}");
        self.time = time;
        self.disarm(next.number);
        if next.kind == Kind::Sleep {
            self.queued.push_back(next.number);
            self.fired.push(next.number);
        }
    }
}
