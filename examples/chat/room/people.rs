//! The people in a room: those of this process, and those of others that share the database.

use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;

use async_tungstenite::tungstenite::Utf8Bytes;

use crate::person::Person;
use crate::wire::protocol::{PersonHere, ToClient};

/// Names by tag.
pub(crate) type Names = BTreeMap<Rc<str>, Rc<str>>;

/// The people in a room. A person counts once, however many windows it has.
#[derive(Debug, Default)]
pub(crate) struct People {
    here: HashMap<Rc<str>, Here>,
    /// Those in other processes. Someone can be here too.
    elsewhere: Names,
    /// What the clients have been told.
    told: Names,
}

#[derive(Debug)]
struct Here {
    /// The name in the window that was opened last.
    name: Rc<str>,
    /// At least 1.
    windows: usize,
}

impl People {
    pub(crate) fn join(&mut self, person: &Person) {
        let here = self.here.entry(Rc::clone(&person.tag));
        let here = here.or_insert_with(|| Here { name: Rc::clone(&person.name), windows: 0 });
        here.name = Rc::clone(&person.name);
        here.windows += 1;
    }

    pub(crate) fn leave(&mut self, person: &Person) {
        let Some(here) = self.here.get_mut(&person.tag) else { return };
        here.windows -= 1;
        if here.windows == 0 {
            self.here.remove(&person.tag);
        }
    }

    /// Replaces the people in other processes.
    pub(crate) fn set_elsewhere(&mut self, elsewhere: Names) {
        self.elsewhere = elsewhere;
    }

    /// The people of this process.
    pub(crate) fn here(&self) -> Vec<Person> {
        let people = self.here.iter();
        people
            .map(|(tag, here)| Person { tag: Rc::clone(tag), name: Rc::clone(&here.name) })
            .collect()
    }

    /// What the clients have been told.
    pub(crate) fn told(&self) -> Vec<PersonHere<'_>> {
        self.told.iter().map(|(tag, name)| PersonHere { tag, name }).collect()
    }

    /// Returns the frames that tell of all changes since the last call.
    pub(crate) fn changes(&mut self) -> Vec<Utf8Bytes> {
        let mut now = self.elsewhere.clone();
        now.extend(self.here.iter().map(|(tag, here)| (Rc::clone(tag), Rc::clone(&here.name))));
        let left = self.told.keys().filter(|tag| !now.contains_key(*tag));
        let left = left.map(|tag| ToClient::Left { tag }.frame());
        let joined = now.iter().filter(|(tag, name)| self.told.get(*tag) != Some(*name));
        let joined = joined.map(|(tag, name)| ToClient::Joined(PersonHere { tag, name }).frame());
        let frames = left.chain(joined).collect();
        self.told = now;
        frames
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn person(tag: &str, name: &str) -> Person {
        Person { tag: tag.into(), name: name.into() }
    }

    fn changes(people: &mut People) -> String {
        people.changes().iter().map(|frame| frame.as_str()).collect::<Vec<_>>().join(" ")
    }

    const ADA: &str = r#"{"type":"joined","tag":"1","name":"Ada"}"#;
    const GONE: &str = r#"{"type":"left","tag":"1"}"#;

    #[test]
    fn a_person_with_two_windows_joins_and_leaves_once() {
        let mut people = People::default();
        people.join(&person("1", "Ada"));
        assert_eq!(changes(&mut people), ADA);
        people.join(&person("1", "Ada"));
        people.leave(&person("1", "Ada"));
        assert_eq!(changes(&mut people), "");
        people.leave(&person("1", "Ada"));
        assert_eq!(changes(&mut people), GONE);
        people.leave(&person("1", "Ada"));
        assert_eq!(changes(&mut people), "");
    }

    #[test]
    fn a_person_in_two_processes_leaves_when_both_are_left() {
        let mut people = People::default();
        people.set_elsewhere(Names::from([("1".into(), "Ada".into())]));
        assert_eq!(changes(&mut people), ADA);
        people.join(&person("1", "Ada"));
        assert_eq!(changes(&mut people), "");
        people.set_elsewhere(Names::new());
        assert_eq!(changes(&mut people), "");
        people.leave(&person("1", "Ada"));
        assert_eq!(changes(&mut people), GONE);
    }

    #[test]
    fn a_new_name_is_told_and_people_with_one_name_are_two() {
        let mut people = People::default();
        people.join(&person("1", "Ada"));
        people.join(&person("2", "Ada"));
        people.changes();
        assert_eq!((people.told().len(), people.here().len()), (2, 2));
        people.join(&person("1", "Eve"));
        assert_eq!(changes(&mut people), r#"{"type":"joined","tag":"1","name":"Eve"}"#);
    }
}
