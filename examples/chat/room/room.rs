//! A room: what is said in it goes to all who are there.

use std::cell::RefCell;
use std::rc::Rc;

use async_tungstenite::tungstenite::Utf8Bytes;
use slab::Slab;

use crate::limits::Limits;
use crate::person::Person;
use crate::room::people::{Names, People};
use crate::room::recent::{Recent, RecentMessage};
use crate::wire::ending::Ending;
use crate::wire::protocol::{SentMessage, ToClient};
use crate::wire::send_queue::SendQueue;

/// A room of this process.
///
/// All its clients get the same messages in the same order, because [`publish`](Self::publish) puts
/// each message into all queues at once.
#[derive(Debug)]
pub(crate) struct Room {
    pub(crate) name: Rc<str>,
    /// The limit that clients are told.
    text_bytes: usize,
    members: RefCell<Slab<Member>>,
    /// `None` until the database has been asked. Until then, clients wait for their welcome.
    history: RefCell<Option<History>>,
    people: RefCell<People>,
}

#[derive(Debug)]
struct History {
    name: Rc<str>,
    recent: Recent,
}

/// The messages that a client has already: the name of their history and the last number.
#[derive(Clone, Debug)]
pub(crate) struct Known {
    pub(crate) history: String,
    pub(crate) since: u64,
}

/// One client in the room.
#[derive(Debug)]
pub(crate) struct Member {
    pub(crate) person: Person,
    pub(crate) queue: Rc<SendQueue>,
    pub(crate) known: Option<Known>,
    /// Whether the client was sent its welcome. It gets nothing before.
    pub(crate) is_welcome: bool,
}

impl Room {
    pub(crate) fn new(name: &str, limits: &Limits) -> Room {
        Room {
            name: name.into(),
            text_bytes: limits.text_bytes,
            members: RefCell::default(),
            history: RefCell::default(),
            people: RefCell::default(),
        }
    }

    /// Sets what was said before, and welcomes the waiting clients.
    pub(crate) fn set_history(&self, name: Rc<str>, recent: Recent) {
        self.history.replace(Some(History { name, recent }));
        let waiting: Vec<_> = self.members.borrow().iter().map(|(key, _)| key).collect();
        waiting.into_iter().for_each(|key| self.welcome(key));
    }

    pub(crate) fn has_history(&self) -> bool {
        self.history.borrow().is_some()
    }

    /// Adds a client. Returns the key for [`leave`](Self::leave).
    pub(crate) fn join(&self, member: Member) -> usize {
        self.people.borrow_mut().join(&member.person);
        self.tell_changes();
        let key = self.members.borrow_mut().insert(member);
        self.welcome(key);
        key
    }

    /// Removes a client.
    pub(crate) fn leave(&self, key: usize) {
        let member = self.members.borrow_mut().remove(key);
        self.people.borrow_mut().leave(&member.person);
        self.tell_changes();
    }

    pub(crate) fn set_people_elsewhere(&self, elsewhere: Names) {
        self.people.borrow_mut().set_elsewhere(elsewhere);
        self.tell_changes();
    }

    /// The people of this process.
    pub(crate) fn people_here(&self) -> Vec<Person> {
        self.people.borrow().here()
    }

    pub(crate) fn clients(&self) -> usize {
        self.members.borrow().len()
    }

    /// Keeps a message and sends it to all clients. Does nothing if the room has no history yet: the
    /// message will be part of it.
    pub(crate) fn publish(&self, message: &SentMessage<'_>) {
        let frame = ToClient::Message(*message).frame();
        {
            let mut history = self.history.borrow_mut();
            let Some(history) = &mut *history else { return };
            history.recent.push(RecentMessage {
                number: message.number,
                tag: message.tag.into(),
                id: message.id.into(),
                frame: frame.clone(),
            });
        }
        self.broadcast(&frame);
    }

    /// Whether the message with this id is among the recent ones.
    pub(crate) fn has_recent(&self, tag: &str, id: &str) -> bool {
        self.history.borrow().as_ref().is_some_and(|history| history.recent.contains(tag, id))
    }

    /// The number of the newest message.
    pub(crate) fn last_number(&self) -> u64 {
        self.history.borrow().as_ref().map_or(0, |history| history.recent.last_number())
    }

    /// Sends a frame to all clients.
    pub(crate) fn broadcast(&self, frame: &Utf8Bytes) {
        // A push wakes a task, so the members must not be borrowed meanwhile.
        self.welcome_queues().iter().for_each(|queue| queue.push(frame.clone()));
    }

    /// Ends the sessions of all clients.
    pub(crate) fn end_all(&self, ending: Ending) {
        let members = self.members.borrow();
        let queues: Vec<_> = members.iter().map(|(_, member)| Rc::clone(&member.queue)).collect();
        drop(members);
        queues.iter().for_each(|queue| queue.end(ending));
    }

    fn welcome_queues(&self) -> Vec<Rc<SendQueue>> {
        let members = self.members.borrow();
        let welcome = members.iter().filter(|(_, member)| member.is_welcome);
        welcome.map(|(_, member)| Rc::clone(&member.queue)).collect()
    }

    fn tell_changes(&self) {
        let frames = self.people.borrow_mut().changes();
        frames.iter().for_each(|frame| self.broadcast(frame));
    }

    /// Sends a client its welcome and what it has missed, if the room has its history.
    fn welcome(&self, key: usize) {
        let (queue, frames) = {
            let history = self.history.borrow();
            let Some(history) = &*history else { return };
            let mut members = self.members.borrow_mut();
            let Some(member) = members.get_mut(key).filter(|member| !member.is_welcome) else {
                return;
            };
            member.is_welcome = true;
            let people = self.people.borrow();
            let known = member.known.take().filter(|known| *known.history == *history.name);
            let backlog = history.recent.backlog(known.map(|known| known.since));
            let welcome = ToClient::Welcome {
                room: &self.name,
                tag: &member.person.tag,
                name: &member.person.name,
                history: &history.name,
                continues: backlog.continues,
                has_older: backlog.has_older,
                messages: backlog.frames.len(),
                text_bytes: self.text_bytes,
                people: people.told(),
            };
            let frames = [welcome.frame()].into_iter().chain(backlog.frames);
            (Rc::clone(&member.queue), frames.collect::<Vec<_>>())
        };
        queue.push_backlog(frames);
    }
}
