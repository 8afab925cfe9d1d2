//! Where messages are safe: in this process, or in a database.

use std::rc::Rc;

use crate::database::database::Database;
use crate::limits::Limits;
use crate::memory::Memory;
use crate::room::room::Room;
use crate::room::submission::Submission;

/// Numbers messages, publishes them and acknowledges them.
#[derive(Debug)]
pub(crate) enum Store {
    Memory(Memory),
    Database(Database),
}

impl Store {
    /// Makes a message safe, now or later. The sender is told when it is.
    pub(crate) fn submit(&self, submission: Submission) {
        match self {
            Store::Memory(memory) => memory.submit(&submission),
            Store::Database(database) => database.submit(submission),
        }
    }

    /// Called when a client has joined a room, or left it.
    pub(crate) fn people_changed(&self, room: &Rc<Room>, limits: &Limits) {
        match self {
            Store::Memory(memory) => memory.begin(room, limits),
            Store::Database(database) => database.people_changed(room),
        }
    }

    /// Whether messages can become safe now.
    pub(crate) fn is_available(&self) -> bool {
        match self {
            Store::Memory(_) => true,
            Store::Database(database) => database.is_available(),
        }
    }
}
