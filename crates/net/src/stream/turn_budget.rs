//! A stream's byte budget for one turn of the event loop.

use std::cell::Cell;
use std::task::{Context, Poll};

use squall_executor::{turns, wake_in_next_turn};

/// How much one stream moves in one direction in one turn, so that a fast peer cannot hold the loop. In the first turn in which a
/// stream is fast, it may move twice as much.
const BYTES_PER_TURN: u32 = 256 << 10;
/// The most bytes that a transport is given at once. One that takes everything, as TLS and memory do, would exceed the budget otherwise.
pub(crate) const MAX_BYTES_AT_ONCE: usize = BYTES_PER_TURN as usize;

#[derive(Default)]
pub(crate) struct TurnBudget {
    /// The turn in which the budget was last renewed. The counter wraps; a stream that idles for exactly 2³² turns would get one turn's
    /// budget late, which is harmless.
    turn: Cell<u32>,
    /// Bytes that were moved since then.
    used: Cell<u32>,
}

impl TurnBudget {
    /// Ready while some of the budget is left; otherwise the task is woken when the next turn begins. The turn is looked up only
    /// when the budget is used up. Without a loop there are no other tasks to wait for, and it is always ready.
    #[inline]
    pub(crate) fn poll(&self, cx: &Context<'_>) -> Poll<()> {
        if self.used.get() < BYTES_PER_TURN || self.renew() {
            return Poll::Ready(());
        }
        wake_in_next_turn(cx.waker());
        Poll::Pending
    }

    /// Renews the budget in a new turn. Returns false if it is still the same turn.
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

    #[inline]
    pub(crate) fn spend(&self, bytes: usize) {
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        self.used.set(self.used.get().saturating_add(bytes));
    }
}
