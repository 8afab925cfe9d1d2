//! The position up to which the data was searched for a delimiter.

use memchr::memmem::Finder;

/// The longest delimiter whose position is kept, in bytes. Every search for a longer one starts
/// at 0.
const MAX_DELIMITER: usize = 8;

/// The position up to which a read has searched the data without finding its delimiter. If that
/// read is dropped or fails, the next read for the same delimiter continues here: no byte is
/// searched twice for a delimiter of at most [`MAX_DELIMITER`] bytes.
#[derive(Clone, Copy, Default)]
pub(crate) struct SearchPosition {
    /// The first `length` bytes are the delimiter. `length` is 0 if nothing was searched.
    delimiter: [u8; MAX_DELIMITER],
    length: u8,
    /// No delimiter begins before this index of the data.
    start: usize,
}

impl SearchPosition {
    /// Returns the end of the first delimiter in `data`.
    pub(crate) fn find(&mut self, finder: &Finder<'_>, data: &[u8]) -> Option<usize> {
        let delimiter = finder.needle();
        let from = if self.is_for(delimiter) { self.start } else { 0 };
        if let Some(at) = data.get(from..).and_then(|rest| finder.find(rest)) {
            return Some(from + at + delimiter.len());
        }
        self.remember(delimiter, from.max((data.len() + 1).saturating_sub(delimiter.len())));
        None
    }

    /// Moves the position because the first `n` bytes of the data were consumed.
    pub(crate) fn consume(&mut self, n: usize) {
        self.start = self.start.saturating_sub(n);
    }

    fn is_for(&self, delimiter: &[u8]) -> bool {
        self.delimiter.get(..self.length.into()) == Some(delimiter)
    }

    fn remember(&mut self, delimiter: &[u8], start: usize) {
        let Some(stored) = self.delimiter.get_mut(..delimiter.len()) else { return };
        stored.copy_from_slice(delimiter);
        self.length = u8::try_from(delimiter.len()).expect("at most 8");
        self.start = start;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // I7: also across reads that were dropped
    #[test]
    fn searched_bytes_are_not_searched_again() {
        let (finder, mut position) = (Finder::new(b"\r\n"), SearchPosition::default());
        assert_eq!(position.find(&finder, b"abcd\r"), None);
        // The second search misses a delimiter that is placed in the searched bytes: it skips them.
        assert_eq!(position.find(&finder, b"\r\ncd\r"), None);
        assert_eq!(position.find(&finder, b"\r\ncd\r\n"), Some(6));
        position.consume(3);
        assert_eq!(position.find(&finder, b"\r\n"), None, "the search starts at 1");
        assert_eq!(position.find(&Finder::new(b"\n"), b"\r\n"), Some(2), "another delimiter");
    }
}
