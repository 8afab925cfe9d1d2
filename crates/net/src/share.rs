//! A stream's share of one turn of the event loop.

use std::cell::Cell;

use squall_executor::turns;

/// What one stream moves in one direction in one turn, so that a fast peer cannot hold the loop.
const BYTES_PER_TURN: usize = 256 << 10;

#[derive(Default)]
pub(crate) struct Share {
    /// The turn in which something was last asked for.
    turn: Cell<u64>,
    /// Bytes that were moved in it.
    used: Cell<usize>,
}

impl Share {
    /// Tells whether the stream must let the others go first. Without a loop there are no others.
    pub(crate) fn is_used_up(&self) -> bool {
        match turns() {
            Some(turn) if turn == self.turn.get() => self.used.get() >= BYTES_PER_TURN,
            turn => {
                self.turn.set(turn.unwrap_or_default());
                self.used.set(0);
                false
            }
        }
    }

    pub(crate) fn count(&self, bytes: usize) {
        self.used.set(self.used.get().saturating_add(bytes));
    }
}
