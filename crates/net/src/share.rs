//! A stream's share of one turn of the event loop.

use std::cell::Cell;
use std::task::{Context, Poll};

use squall_executor::{turns, wake_in_next_turn};

/// What one stream moves in one direction in one turn, so that a fast peer cannot hold the loop; twice as much in the first
/// turn in which it is fast.
const BYTES_PER_TURN: u32 = 256 << 10;
/// What a transport is shown at once: one that takes everything, as TLS and memory do, would go on beyond the share.
pub(crate) const AT_ONCE: usize = BYTES_PER_TURN as usize;

#[derive(Default)]
pub(crate) struct Share {
    /// When it was last used up. Turns are counted modulo 2³², which no stream can tell.
    turn: Cell<u32>,
    /// Bytes that were moved since.
    used: Cell<u32>,
}

impl Share {
    /// Ready while there is something left; else the stream must let the others go first, and is woken when the next turn begins.
    /// The turn is looked at only when that may be: without a loop there are no others.
    #[inline]
    pub(crate) fn poll(&self, cx: &Context<'_>) -> Poll<()> {
        if self.used.get() < BYTES_PER_TURN || self.is_new_turn() {
            return Poll::Ready(());
        }
        wake_in_next_turn(cx.waker());
        Poll::Pending
    }

    #[cold]
    fn is_new_turn(&self) -> bool {
        let turn = turns();
        let is_new = turn != Some(self.turn.get());
        if is_new {
            self.turn.set(turn.unwrap_or_default());
            self.used.set(0);
        }
        is_new
    }

    #[inline]
    pub(crate) fn count(&self, bytes: usize) {
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        self.used.set(self.used.get().saturating_add(bytes));
    }
}
