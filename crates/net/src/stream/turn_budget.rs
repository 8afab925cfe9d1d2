//! A stream's byte budget for one turn of the event loop.

use std::cell::Cell;
use std::task::{Context, Poll};

use squall_executor::{turns, wake_in_next_turn};

/// The bytes that one stream may move in one direction in one turn, so that a fast peer cannot
/// occupy the loop. A stream that was slow before may move up to twice as much in its first fast
/// turn.
const BYTES_PER_TURN: u32 = 256 << 10;
/// The most bytes that a stream passes to its transport at once. A transport that accepts
/// everything, such as TLS or memory, would otherwise exceed the budget.
pub(crate) const MAX_BYTES_AT_ONCE: usize = BYTES_PER_TURN as usize;

#[derive(Default)]
pub(crate) struct TurnBudget {
    /// The turn in which the budget was last renewed. The counter wraps; a stream that idles for
    /// exactly 2³² turns would get one turn's budget late, which is harmless.
    turn: Cell<u32>,
    /// The bytes moved since then.
    used: Cell<u32>,
}

impl TurnBudget {
    /// Ready while some of the budget is left; otherwise wakes the task when the next turn begins.
    /// Looks up the turn only when the budget is used up. Always ready without a loop, because
    /// there are no other tasks to let run.
    #[inline]
    pub(crate) fn poll(&self, cx: &Context<'_>) -> Poll<()> {
        if self.is_left() || self.renew() {
            return Poll::Ready(());
        }
        wake_in_next_turn(cx.waker());
        Poll::Pending
    }

    /// Whether some of the budget is left, as far as is known without looking up the turn.
    #[inline]
    pub(crate) fn is_left(&self) -> bool {
        self.used.get() < BYTES_PER_TURN
    }

    /// Renews the budget if a new turn has begun. Returns false if the turn is still the same.
    #[cold]
    fn renew(&self) -> bool {
        let turn = turns();
        let is_new = turn != Some(self.turn.get());
        if is_new {
            self.turn.set(turn.unwrap_or_default());
            self.used.set(0);
        }
        is_new
    }

    /// Whether bytes were ever moved.
    pub(crate) fn was_used(&self) -> bool {
        self.used.get() > 0 || self.turn.get() > 0
    }

    #[inline]
    pub(crate) fn spend(&self, bytes: usize) {
        // Nothing moves 4 GiB at once. The sum stays small, since it is looked at before bytes are
        // moved; only the last attempt of a closing stream does not.
        let bytes = u32::try_from(bytes & 0xffff_ffff).unwrap_or_default();
        self.used.set(self.used.get().wrapping_add(bytes));
    }
}
