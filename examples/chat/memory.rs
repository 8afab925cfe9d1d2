//! Messages that end with the process.

use std::cell::Cell;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::limits::Limits;
use crate::room::recent::Recent;
use crate::room::room::Room;
use crate::room::submission::Submission;
use crate::wire::protocol::SentMessage;

/// The store of a chat in one process. A message is safe at once, as long as the process lives.
///
/// A message that comes again is recognised while the room still has the first one, which is at
/// least as long as the sender could miss that one.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    last_number: Cell<u64>,
}

impl Memory {
    /// Gives a new room its empty history. The name of that differs from those of former rooms with
    /// this name, also in a former run of the program.
    pub(crate) fn begin(&self, room: &Room, limits: &Limits) {
        if !room.has_history() {
            let name = format!("{:016x}", fastrand::u64(..));
            room.set_history(name.into(), Recent::new(limits, 0));
        }
    }

    pub(crate) fn submit(&self, submission: &Submission) {
        let Submission { room, person, id, text, .. } = submission;
        if !room.has_recent(&person.tag, id) {
            let number = self.last_number.get() + 1;
            self.last_number.set(number);
            let (tag, name) = (&*person.tag, &*person.name);
            room.publish(&SentMessage { number, id, tag, name, text, time: milliseconds() });
        }
        submission.acknowledge();
    }
}

/// Milliseconds since 1970.
fn milliseconds() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
