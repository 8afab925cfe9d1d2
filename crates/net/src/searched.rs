//! How far a delimiter was looked for in vain.

use memchr::memmem::Finder;

/// Delimiters up to this length are remembered from one read to the next.
const REMEMBERED: usize = 8;

/// What a read that was dropped, or has failed, leaves to the next one that looks for the same delimiter: no byte is searched
/// again.
#[derive(Clone, Copy, Default)]
pub(crate) struct Searched {
    /// The first `length` of these bytes; none if nothing was searched.
    delimiter: [u8; REMEMBERED],
    length: u8,
    /// No delimiter begins before here.
    upto: usize,
}

impl Searched {
    /// Where the first delimiter in `data` ends.
    pub(crate) fn find(&mut self, finder: &Finder<'_>, data: &[u8]) -> Option<usize> {
        let delimiter = finder.needle();
        let from = if self.is_for(delimiter) { self.upto } else { 0 };
        if let Some(at) = data.get(from..).and_then(|rest| finder.find(rest)) {
            return Some(from + at + delimiter.len());
        }
        self.remember(delimiter, from.max((data.len() + 1).saturating_sub(delimiter.len())));
        None
    }

    /// The first `n` bytes have left.
    pub(crate) fn forget(&mut self, n: usize) {
        self.upto = self.upto.saturating_sub(n);
    }

    fn is_for(&self, delimiter: &[u8]) -> bool {
        self.delimiter.get(..self.length.into()) == Some(delimiter)
    }

    fn remember(&mut self, delimiter: &[u8], upto: usize) {
        let Some(place) = self.delimiter.get_mut(..delimiter.len()) else { return };
        place.copy_from_slice(delimiter);
        self.length = u8::try_from(delimiter.len()).expect("at most 8");
        self.upto = upto;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // I7: across reads that were dropped
    #[test]
    fn bytes_that_were_looked_at_in_vain_are_not_looked_at_again() {
        let (finder, mut searched) = (Finder::new(b"\r\n"), Searched::default());
        assert_eq!(searched.find(&finder, b"abcd\r"), None);
        // A delimiter where there was none proves that nobody has looked.
        assert_eq!(searched.find(&finder, b"\r\ncd\r"), None);
        assert_eq!(searched.find(&finder, b"\r\ncd\r\n"), Some(6));
        searched.forget(3);
        assert_eq!(searched.find(&finder, b"\r\n"), None, "one byte of it was seen");
        assert_eq!(searched.find(&Finder::new(b"\n"), b"\r\n"), Some(2), "another one begins anew");
    }
}
