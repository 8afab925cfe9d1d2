//! The chat: what all sessions of a process share.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use async_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use serde::Serialize;
use slab::Slab;
use tokio_postgres::Config;

use crate::database::database::Database;
use crate::limits::Limits;
use crate::memory::Memory;
use crate::person::Person;
use crate::room::room::{Known, Member, Room};
use crate::room::rooms::Rooms;
use crate::room::submission::Submission;
use crate::store::Store;
use crate::wire::ending::Ending;
use crate::wire::protocol::ToClient;
use crate::wire::send_queue::SendQueue;

/// What a client is told when the server ends.
const GOING_AWAY: Ending = Ending::Close(CloseCode::Away, "the server ends");
/// What a client is told when there is no room for it.
const FULL: Ending = Ending::Close(CloseCode::Again, "the room is full");

/// A chat, on the loop of this thread. Clones are the same chat.
#[derive(Clone, Debug)]
pub struct Chat(Rc<Shared>);

#[derive(Debug)]
struct Shared {
    rooms: Rc<Rooms>,
    store: Store,
    /// The queues of all sessions, also of those that are not in a room yet.
    sessions: RefCell<Slab<Rc<SendQueue>>>,
    is_ending: Cell<bool>,
}

/// The state of a chat, for its operator.
#[derive(Clone, Copy, Debug, Serialize)]
#[non_exhaustive]
pub struct Status {
    /// The open WebSockets.
    pub clients: usize,
    /// The rooms that are in memory.
    pub rooms: usize,
    /// The bytes that wait for clients that have not read them. A frame counts for each of them.
    pub queued_bytes: usize,
    /// The most that [`queued_bytes`](Self::queued_bytes) ever was.
    pub most_queued_bytes: usize,
    /// The clients that were cut off because they read too slowly.
    pub cut_off: u64,
    /// Whether messages can be stored now. Always true without a database.
    pub is_storing: bool,
}

impl Chat {
    /// A chat in this process alone. Its messages end with the process.
    pub fn in_memory(limits: Limits) -> Chat {
        Chat::new(Rc::new(Rooms::new(limits)), Store::Memory(Memory::default()))
    }

    /// A chat that shares its rooms with all processes that use the same database. Connects in a
    /// task of its own; until then, and whenever the connection is lost, messages are not accepted.
    ///
    /// # Panics
    /// If there is no loop on this thread.
    pub fn with_database(limits: Limits, config: Config) -> Chat {
        let rooms = Rc::new(Rooms::new(limits));
        let database = Database::start(config, Rc::clone(&rooms));
        Chat::new(rooms, Store::Database(database))
    }

    fn new(rooms: Rc<Rooms>, store: Store) -> Chat {
        let (sessions, is_ending) = (RefCell::default(), Cell::new(false));
        Chat(Rc::new(Shared { rooms, store, sessions, is_ending }))
    }

    /// The state of this chat.
    pub fn status(&self) -> Status {
        let totals = &self.0.rooms.totals;
        Status {
            clients: self.clients(),
            rooms: self.0.rooms.all().len(),
            queued_bytes: totals.queued_bytes.get(),
            most_queued_bytes: totals.most_queued_bytes.get(),
            cut_off: totals.cut_off.get(),
            is_storing: self.0.store.is_available(),
        }
    }

    /// Ends the chat: closes all WebSockets with code 1001, also those that are opened from now on,
    /// and leaves the database. Waits for that at most for `limit`.
    pub async fn shut_down(&self, limit: Duration) {
        self.0.is_ending.set(true);
        self.queues().iter().for_each(|queue| queue.end(GOING_AWAY));
        if let Store::Database(database) = &self.0.store {
            database.shut_down(limit).await;
        }
    }

    /// The queues of all sessions.
    fn queues(&self) -> Vec<Rc<SendQueue>> {
        self.0.sessions.borrow().iter().map(|(_, queue)| Rc::clone(queue)).collect()
    }

    pub(crate) fn limits(&self) -> &Limits {
        &self.0.rooms.limits
    }

    /// The open WebSockets.
    pub(crate) fn clients(&self) -> usize {
        self.0.sessions.borrow().len()
    }

    /// Counts a session as long as the returned value lives.
    pub(crate) fn enter(&self) -> Entry {
        let totals = Rc::clone(&self.0.rooms.totals);
        let queue = Rc::new(SendQueue::new(self.limits().queued_bytes, totals));
        if self.0.is_ending.get() {
            queue.end(GOING_AWAY);
        }
        let key = self.0.sessions.borrow_mut().insert(Rc::clone(&queue));
        Entry { chat: self.clone(), key, queue }
    }

    /// Puts a client into a room.
    ///
    /// # Errors
    /// There are too many rooms, or too many clients in the room.
    pub(crate) fn join(
        &self,
        room: &str,
        person: Person,
        queue: &Rc<SendQueue>,
        known: Option<Known>,
    ) -> Result<Membership, Ending> {
        let room = self.0.rooms.open(room).ok_or(FULL)?;
        if room.clients() >= self.limits().room_clients {
            return Err(FULL);
        }
        let queue = Rc::clone(queue);
        let member =
            Member { person: person.clone(), queue: Rc::clone(&queue), known, is_welcome: false };
        let key = room.join(member);
        self.0.store.people_changed(&room, self.limits());
        if !self.0.store.is_available() {
            queue.push(ToClient::Storage { available: false }.frame());
        }
        Ok(Membership { chat: self.clone(), room, key, person, queue })
    }
}

/// A session that is counted.
#[derive(Debug)]
pub(crate) struct Entry {
    chat: Chat,
    key: usize,
    queue: Rc<SendQueue>,
}

impl Entry {
    pub(crate) fn queue(&self) -> &Rc<SendQueue> {
        &self.queue
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        let queue = self.chat.0.sessions.borrow_mut().remove(self.key);
        drop(queue);
    }
}

/// A client's place in a room. Dropping it leaves the room.
#[derive(Debug)]
pub(crate) struct Membership {
    chat: Chat,
    room: Rc<Room>,
    key: usize,
    person: Person,
    queue: Rc<SendQueue>,
}

impl Membership {
    /// Submits a message of this client.
    pub(crate) fn submit(&self, id: String, text: String) {
        self.chat.0.store.submit(Submission {
            room: Rc::clone(&self.room),
            person: self.person.clone(),
            id,
            text,
            sender: Rc::clone(&self.queue),
        });
    }
}

impl Drop for Membership {
    fn drop(&mut self) {
        self.room.leave(self.key);
        self.chat.0.store.people_changed(&self.room, self.chat.limits());
    }
}
