//! All rooms of a process.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use async_tungstenite::tungstenite::Utf8Bytes;

use crate::limits::Limits;
use crate::room::room::Room;
use crate::wire::send_queue::Totals;

/// The most characters of a room's name.
const NAME_CHARS: usize = 32;

/// The rooms of this process, by name.
#[derive(Debug)]
pub(crate) struct Rooms {
    pub(crate) limits: Limits,
    pub(crate) totals: Rc<Totals>,
    map: RefCell<HashMap<Rc<str>, Rc<Room>>>,
}

impl Rooms {
    pub(crate) fn new(limits: Limits) -> Rooms {
        Rooms { limits, totals: Rc::default(), map: RefCell::default() }
    }

    /// The room with this name. Makes it if there is none. Returns `None` if there are too many
    /// rooms and none of them is empty.
    pub(crate) fn open(&self, name: &str) -> Option<Rc<Room>> {
        if let Some(room) = self.get(name) {
            return Some(room);
        }
        if self.map.borrow().len() >= self.limits.rooms {
            self.remove_an_empty_room()?;
        }
        let room = Rc::new(Room::new(name, &self.limits));
        self.map.borrow_mut().insert(Rc::clone(&room.name), Rc::clone(&room));
        Some(room)
    }

    pub(crate) fn get(&self, name: &str) -> Option<Rc<Room>> {
        self.map.borrow().get(name).cloned()
    }

    /// Forgets a room. A client that joins it later makes a new one with its name.
    pub(crate) fn remove(&self, room: &Rc<Room>) {
        let mut map = self.map.borrow_mut();
        // Clients of a room that was forgotten before may leave while there is another one.
        if map.get(&room.name).is_some_and(|known| Rc::ptr_eq(known, room)) {
            map.remove(&room.name);
        }
    }

    pub(crate) fn all(&self) -> Vec<Rc<Room>> {
        self.map.borrow().values().cloned().collect()
    }

    /// Sends a frame to the clients of all rooms.
    pub(crate) fn broadcast(&self, frame: &Utf8Bytes) {
        self.all().iter().for_each(|room| room.broadcast(frame));
    }

    /// Forgets the empty room in which nothing was said for the longest time.
    fn remove_an_empty_room(&self) -> Option<()> {
        let rooms = self.all();
        let empty = rooms.iter().filter(|room| room.clients() == 0);
        let oldest = empty.min_by_key(|room| room.last_number())?;
        self.remove(oldest);
        Some(())
    }
}

/// Whether a room can have this name: small letters, digits and dashes, which need no escape in a
/// path.
pub(crate) fn is_room_name(name: &str) -> bool {
    let is_allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=NAME_CHARS).contains(&name.len()) && name.bytes().all(is_allowed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::person::Person;
    use crate::room::room::Member;
    use crate::wire::send_queue::SendQueue;

    #[test]
    fn only_an_empty_room_makes_place_for_another() {
        let rooms = Rooms::new(Limits { rooms: 2, ..Limits::default() });
        let busy = rooms.open("busy").unwrap();
        let key = busy.join(Member {
            person: Person { tag: "1".into(), name: "Ada".into() },
            queue: Rc::new(SendQueue::new(9, Rc::clone(&rooms.totals))),
            known: None,
            is_welcome: false,
        });
        rooms.open("empty").unwrap();
        assert!(rooms.open("third").is_some() && rooms.get("empty").is_none());
        assert!(rooms.get("busy").is_some());
        rooms.remove(&rooms.get("third").unwrap());
        rooms.open("busy").unwrap().leave(key);
        rooms.open("third").unwrap();
        assert!(rooms.open("fourth").is_some());
    }

    #[test]
    fn names_of_rooms_need_no_escape() {
        for good in ["lobby", "a", "r-2", &"x".repeat(32)] {
            assert!(is_room_name(good), "{good}");
        }
        for bad in ["", "A", "a b", "a/b", "..", "ä", "a_b", &"x".repeat(33)] {
            assert!(!is_room_name(bad), "{bad}");
        }
    }
}
