//! The position up to which the data was searched for a delimiter.

use memchr::{memchr, memmem};

/// The longest delimiter whose position is kept from one read to the next, in bytes. A read for a
/// longer one keeps the position itself, and a repeated read starts at 0.
const MAX_DELIMITER: usize = 8;

/// The position up to which a read has searched the data without finding its delimiter. If that
/// read is dropped or fails, the next read for the same delimiter of at most [`MAX_DELIMITER`] bytes
/// continues here: no byte is searched twice.
#[derive(Clone, Copy, Default)]
pub(crate) struct SearchPosition {
    /// The first `length` bytes are the delimiter. `length` is 0 if nothing was searched.
    delimiter: [u8; MAX_DELIMITER],
    length: u8,
    /// No delimiter begins before this index of the data.
    start: usize,
}

impl SearchPosition {
    /// Returns the end of the first delimiter in `data`. No delimiter begins before `searched`,
    /// which this moves on if it finds none.
    #[inline]
    pub(crate) fn find(
        &mut self,
        delimiter: &[u8],
        data: &[u8],
        searched: &mut usize,
    ) -> Option<usize> {
        let from = if self.is_for(delimiter) { self.start.max(*searched) } else { *searched };
        if let Some(at) = data.get(from..).and_then(|rest| find(delimiter, rest)) {
            return Some(from + at + delimiter.len());
        }
        *searched = from.max((data.len() + 1).saturating_sub(delimiter.len()));
        self.remember(delimiter, *searched);
        None
    }

    /// Forgets what was searched.
    #[inline]
    pub(crate) fn clear(&mut self) {
        self.length = 0;
    }

    /// Moves the position because the first `n` bytes of the data were consumed.
    pub(crate) fn consume(&mut self, n: usize) {
        self.start = self.start.saturating_sub(n);
    }

    fn is_for(&self, delimiter: &[u8]) -> bool {
        self.length > 0 && self.delimiter.get(..self.length.into()) == Some(delimiter)
    }

    fn remember(&mut self, delimiter: &[u8], start: usize) {
        let Some(stored) = self.delimiter.get_mut(..delimiter.len()) else { return };
        stored.copy_from_slice(delimiter);
        self.length = u8::try_from(delimiter.len()).expect("at most 8");
        self.start = start;
    }
}

#[inline]
fn find(delimiter: &[u8], data: &[u8]) -> Option<usize> {
    match delimiter {
        [byte] => memchr(*byte, data),
        _ => find_longer(delimiter, data),
    }
}

#[inline(never)] // keeps the search for one byte small
fn find_longer(delimiter: &[u8], data: &[u8]) -> Option<usize> {
    memmem::find(data, delimiter)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find(position: &mut SearchPosition, delimiter: &[u8], data: &[u8]) -> Option<usize> {
        position.find(delimiter, data, &mut 0)
    }

    // I7: also across reads that were dropped
    #[test]
    fn searched_bytes_are_not_searched_again() {
        let mut position = SearchPosition::default();
        assert_eq!(find(&mut position, b"\r\n", b"abcd\r"), None);
        // The second search misses a delimiter that is placed in the searched bytes: it skips them.
        assert_eq!(find(&mut position, b"\r\n", b"\r\ncd\r"), None);
        assert_eq!(find(&mut position, b"\r\n", b"\r\ncd\r\n"), Some(6));
        position.consume(3);
        assert_eq!(find(&mut position, b"\r\n", b"\r\n"), None, "the search starts at 1");
        assert_eq!(find(&mut position, b"\n", b"\r\n"), Some(2), "another delimiter");
    }

    // I7: a delimiter that is too long to be kept, as the boundary of a multipart body is
    #[test]
    fn a_read_for_a_long_delimiter_searches_no_byte_twice() {
        let boundary = b"--a-long-boundary";
        let (mut position, mut searched) = (SearchPosition::default(), 0);
        assert_eq!(position.find(boundary, &[b'-'; 100], &mut searched), None);
        assert_eq!(searched, 100 + 1 - boundary.len());
        let mut data = [b'-'; 200];
        data[..17].copy_from_slice(boundary); // in the searched bytes
        data[150..167].copy_from_slice(boundary);
        assert_eq!(position.find(boundary, &data, &mut searched), Some(167));
    }
}
