//! The entries of the guestbook, and a page of them.

use sha2::{Digest, Sha256};

/// An entry that is not stored yet.
#[derive(Clone, Debug)]
pub(crate) struct NewEntry {
    /// The same for the same form with the same content, however often it is sent. The store keeps
    /// one entry for each key.
    pub(crate) key: String,
    pub(crate) name: String,
    pub(crate) message: String,
    /// The file name of the picture.
    pub(crate) picture: Option<String>,
    /// In seconds since 1970.
    pub(crate) posted: i64,
}

/// A stored entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    /// Later entries have larger numbers.
    pub(crate) id: i64,
    pub(crate) name: String,
    pub(crate) message: String,
    pub(crate) picture: Option<String>,
    pub(crate) posted: i64,
}

/// What became of a new entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Added {
    New(i64),
    /// An entry with the same key is there already.
    Before(i64),
}

impl Added {
    pub(crate) fn id(self) -> i64 {
        match self {
            Added::New(id) | Added::Before(id) => id,
        }
    }
}

/// The place in the list where a page begins. Entries that arrive meanwhile do not move it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Position {
    Newest,
    /// The newest entries that are older than this one.
    Before(i64),
    /// The oldest entries that are newer than this one.
    After(i64),
}

/// A part of the list, newest entry first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Page {
    pub(crate) entries: Vec<Entry>,
    pub(crate) has_newer: bool,
    pub(crate) has_older: bool,
}

/// The number of entries on a page.
const PAGE_LENGTH: usize = 10;

/// The number of rows that a query for a page asks for: one more than the page shows.
pub(crate) const ROWS: i64 = PAGE_LENGTH as i64 + 1;

impl Page {
    /// Makes a page of at most [`ROWS`] rows. The last one is not shown: it only tells that the list
    /// goes on.
    pub(crate) fn of(position: Position, mut rows: Vec<Entry>) -> Page {
        let goes_on = rows.len() > PAGE_LENGTH;
        rows.truncate(PAGE_LENGTH);
        let (has_newer, has_older) = match position {
            Position::Newest => (false, goes_on),
            Position::Before(_) => (true, goes_on),
            Position::After(_) => {
                rows.reverse();
                (goes_on, true)
            }
        };
        Page { entries: rows, has_newer, has_older }
    }
}

/// The [key](NewEntry::key) of an entry: a digest of the number of its form and of what was typed.
///
/// If a visitor goes back to a form and sends it with another text, that is another entry. Of the
/// picture only the length counts, so that its bytes need not be digested.
pub(crate) fn key(form_number: &str, name: &str, message: &str, picture_length: u64) -> String {
    let mut digest = Sha256::new();
    for part in [form_number, name, message] {
        digest.update((part.len() as u64).to_le_bytes());
        digest.update(part);
    }
    digest.update(picture_length.to_le_bytes());
    digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_changes_with_every_part_of_the_entry() {
        let key_of_ab = key("1", "a", "b", 0);
        assert_eq!(key("1", "a", "b", 0), key_of_ab);
        for other in [key("2", "a", "b", 0), key("1", "ab", "", 0), key("1", "a", "b", 1)] {
            assert_ne!(other, key_of_ab);
        }
    }

    #[test]
    fn the_entry_too_many_only_says_that_the_list_goes_on() {
        let rows = |ids: &[i64]| -> Vec<Entry> {
            let text = String::new;
            let entry = |&id| Entry { id, name: text(), message: text(), picture: None, posted: 0 };
            ids.iter().map(entry).collect()
        };
        let ids = |page: &Page| page.entries.iter().map(|entry| entry.id).collect::<Vec<_>>();
        let page = Page::of(Position::Newest, rows(&[11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1]));
        assert_eq!(ids(&page), [11, 10, 9, 8, 7, 6, 5, 4, 3, 2]);
        assert_eq!((page.has_newer, page.has_older), (false, true));
        let page = Page::of(Position::Before(2), rows(&[1]));
        assert_eq!((page.has_newer, page.has_older), (true, false));
        let page = Page::of(Position::After(1), rows(&[2, 3]));
        assert_eq!((ids(&page), page.has_newer, page.has_older), (vec![3, 2], false, true));
    }
}
