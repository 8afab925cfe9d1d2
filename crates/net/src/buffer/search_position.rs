//! How far the data was searched for a delimiter.

use memchr::memmem::Finder;

/// Delimiters up to this length are remembered from one read to the next.
const REMEMBERED: usize = 8;

/// How far a read has searched the data without finding its delimiter. If that read is dropped or fails, the next one for the same
/// delimiter goes on from here, so no byte is searched twice.
#[derive(Clone, Copy, Default)]
pub(crate) struct SearchPosition {
    /// The first `length` bytes are the delimiter; `length` is 0 if nothing was searched.
    delimiter: [u8; REMEMBERED],
    length: u8,
    /// No delimiter begins before this index of the data.
    start: usize,
}

impl SearchPosition {
    /// The end of the first delimiter in `data`.
    pub(crate) fn find(&mut self, finder: &Finder<'_>, data: &[u8]) -> Option<usize> {
        let delimiter = finder.needle();
        let from = if self.is_for(delimiter) { self.start } else { 0 };
        if let Some(at) = data.get(from..).and_then(|rest| finder.find(rest)) {
            return Some(from + at + delimiter.len());
        }
        self.remember(delimiter, from.max((data.len() + 1).saturating_sub(delimiter.len())));
        None
    }

    /// Moves the position after the first `n` bytes were consumed.
    pub(crate) fn consume(&mut self, n: usize) {
        self.start = self.start.saturating_sub(n);
    }

    fn is_for(&self, delimiter: &[u8]) -> bool {
        self.delimiter.get(..self.length.into()) == Some(delimiter)
    }

    fn remember(&mut self, delimiter: &[u8], start: usize) {
        let Some(place) = self.delimiter.get_mut(..delimiter.len()) else { return };
        place.copy_from_slice(delimiter);
        self.length = u8::try_from(delimiter.len()).expect("at most 8");
        self.start = start;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // I7: across reads that were dropped
    #[test]
    fn searched_bytes_are_not_searched_again() {
        let (finder, mut position) = (Finder::new(b"\r\n"), SearchPosition::default());
        assert_eq!(position.find(&finder, b"abcd\r"), None);
        // A delimiter where there was none proves that it was not searched.
        assert_eq!(position.find(&finder, b"\r\ncd\r"), None);
        assert_eq!(position.find(&finder, b"\r\ncd\r\n"), Some(6));
        position.consume(3);
        assert_eq!(position.find(&finder, b"\r\n"), None, "one byte of it was seen");
        assert_eq!(position.find(&Finder::new(b"\n"), b"\r\n"), Some(2), "another one begins anew");
    }
}
