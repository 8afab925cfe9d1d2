//! The read buffer: bytes that were received and not consumed yet.

use bytes::Bytes;
use memchr::memmem::Finder;

use crate::buffer::segment::{SEGMENT_SIZE, Segment};

/// With less spare room than this, a read would not be worth its system call.
const WORTH_READING: usize = 4 << 10;

/// Owns a segment while it holds bytes, or while a read is about to fill it; otherwise it owns nothing.
#[derive(Default)]
pub(crate) struct ReadBuffer {
    segment: Option<Box<Segment>>,
}

impl ReadBuffer {
    pub(crate) fn data(&self) -> &[u8] {
        self.segment.as_ref().map_or(&[], |segment| segment.data())
    }

    pub(crate) fn len(&self) -> usize {
        self.segment.as_ref().map_or(0, |segment| segment.len())
    }

    /// The end of the first delimiter in the first `most` bytes. No byte is searched twice for the same delimiter.
    pub(crate) fn find(&mut self, finder: &Finder<'_>, most: usize) -> Option<usize> {
        let segment = self.segment.as_mut()?;
        let mut position = segment.search_position;
        let found = position.find(finder, &segment.data()[..most.min(segment.len())]);
        segment.search_position = position;
        found
    }

    /// Room for at least one and at most `most` bytes, behind the data; [`commit`](Self::commit) tells how many came.
    pub(crate) fn spare(&mut self, most: usize) -> &mut [u8] {
        let segment = match self.segment.take() {
            None if most <= SEGMENT_SIZE => Segment::pooled(),
            None => Segment::sized(most),
            Some(segment) if segment.room() >= most.min(WORTH_READING) => segment,
            Some(segment) => with_more_room(segment, most.min(WORTH_READING)),
        };
        self.segment.insert(segment).spare(most)
    }

    /// Counts `n` bytes of the spare room as data.
    pub(crate) fn commit(&mut self, n: usize) {
        self.segment.as_mut().expect("spare made a segment").commit(n);
    }

    /// Drops the first `n` bytes of the data.
    #[track_caller]
    pub(crate) fn consume(&mut self, n: usize) {
        match &mut self.segment {
            Some(segment) => segment.consume(n),
            None => assert!(n == 0, "consumed {n} of 0 bytes"),
        }
        self.give_back_if_empty();
    }

    /// Takes the first `n` bytes out. They never keep a pooled segment alive: small reads are copied, and a large one leaves with its own
    /// segment.
    pub(crate) fn take(&mut self, n: usize) -> Bytes {
        if n > SEGMENT_SIZE
            && n == self.len()
            && let Some(whole) =
                self.segment.take_if(|segment| segment.consumed() == 0 && n >= segment.size() / 2)
        {
            return whole.into_bytes().into();
        }
        let bytes = Bytes::copy_from_slice(&self.data()[..n]);
        self.consume(n);
        bytes
    }

    /// Moves at most `most` bytes to the end of `other`, and returns how many.
    pub(crate) fn move_to(&mut self, other: &mut ReadBuffer, most: usize) -> usize {
        let most = most.min(self.len());
        if most == 0 {
            return 0;
        }
        let spare = other.spare(most);
        let n = spare.len();
        spare.copy_from_slice(&self.data()[..n]);
        other.commit(n);
        self.consume(n);
        n
    }

    /// Frees the memory that a waiting stream does not need: an empty segment, or most of a large one.
    pub(crate) fn shrink(&mut self) {
        self.give_back_if_empty();
        if let Some(segment) = self.segment.take_if(|segment| segment.len() <= segment.size() / 4) {
            let mut small = Segment::sized(segment.len());
            segment.move_into(&mut small);
            self.segment = Some(small);
        }
    }

    fn give_back_if_empty(&mut self) {
        if let Some(segment) = self.segment.take_if(|segment| segment.len() == 0) {
            segment.give_back();
        }
    }
}

/// Makes room for `wanted` bytes more.
fn with_more_room(mut segment: Box<Segment>, wanted: usize) -> Box<Segment> {
    let needed = segment.len() + wanted;
    if segment.consumed() >= segment.size() / 2 && segment.size() >= needed {
        // At least half of the segment was consumed: what moves is paid for by that.
        segment.move_to_front();
        return segment;
    }
    // Doubling, so that a long read moves each byte about once.
    let size = needed.max(segment.size().saturating_mul(2));
    let mut larger = if size <= SEGMENT_SIZE { Segment::pooled() } else { Segment::sized(size) };
    segment.move_into(&mut larger);
    larger
}

impl Drop for ReadBuffer {
    fn drop(&mut self) {
        if let Some(segment) = self.segment.take() {
            segment.give_back();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(buffer: &mut ReadBuffer, bytes: &[u8], most: usize) -> usize {
        let spare = buffer.spare(most);
        let n = spare.len().min(bytes.len());
        spare[..n].copy_from_slice(&bytes[..n]);
        buffer.commit(n);
        n
    }

    fn size(buffer: &ReadBuffer) -> usize {
        buffer.segment.as_ref().map_or(0, |segment| segment.size())
    }

    #[test]
    fn room_is_never_more_than_asked_for_and_never_nothing() {
        for most in [1, 2, 100, SEGMENT_SIZE, 10 * SEGMENT_SIZE] {
            let mut buffer = ReadBuffer::default();
            for _ in 0..50 {
                let room = buffer.spare(most).len();
                assert!((1..=most).contains(&room));
                buffer.commit(1);
            }
        }
    }

    #[test]
    fn bytes_come_out_as_they_went_in_whatever_the_pieces() {
        let sent: Vec<u8> = (0..200_000_u32).map(|n| u8::try_from(n % 251).unwrap()).collect();
        for (most, step) in
            [(1, 1), (3, 2), (7, 7), (4096, 4000), (SEGMENT_SIZE, 65_000), (SEGMENT_SIZE, 100)]
        {
            let mut buffer = ReadBuffer::default();
            let (mut written, mut received) = (0, Vec::new());
            while received.len() < sent.len().min(most * 20_000) {
                for _ in 0..3 {
                    let upto = sent.len().min(written + most);
                    written += put(&mut buffer, &sent[written..upto], most);
                }
                let n = step.min(buffer.len());
                received.extend_from_slice(&buffer.take(n));
                buffer.shrink();
            }
            assert_eq!(received, sent[..received.len()]);
        }
    }

    // I9
    #[test]
    fn an_empty_buffer_holds_nothing_and_a_small_rest_only_itself() {
        let mut buffer = ReadBuffer::default();
        put(&mut buffer, b"hello", SEGMENT_SIZE);
        assert_eq!(size(&buffer), SEGMENT_SIZE);
        buffer.consume(3);
        buffer.shrink();
        assert_eq!((buffer.data(), size(&buffer)), (&b"lo"[..], 2));
        put(&mut buffer, b"!", SEGMENT_SIZE);
        assert_eq!(buffer.take(3), "lo!");
        assert_eq!(size(&buffer), 0);

        while buffer.len() < 1 << 20 {
            put(&mut buffer, &[7; SEGMENT_SIZE], SEGMENT_SIZE);
        }
        buffer.consume(buffer.len() - 5000);
        buffer.shrink();
        assert_eq!((buffer.len(), size(&buffer)), (5000, 5000));
    }

    #[test]
    fn a_large_read_leaves_with_its_storage() {
        let mut buffer = ReadBuffer::default();
        let large = vec![7; 3 * SEGMENT_SIZE];
        let mut put_in = 0;
        while put_in < large.len() {
            put_in += put(&mut buffer, &large[put_in..], SEGMENT_SIZE);
        }
        let address = buffer.data().as_ptr();
        let bytes = buffer.take(large.len());
        assert_eq!(bytes, large);
        assert_eq!(bytes.as_ptr(), address, "a large read was copied");
    }

    #[test]
    fn a_search_goes_on_where_the_last_one_for_the_same_delimiter_ended() {
        let find = |buffer: &mut ReadBuffer, delimiter: &[u8]| {
            let found = buffer.find(&Finder::new(delimiter), usize::MAX);
            (found, buffer.segment.as_ref().unwrap().search_position)
        };
        let mut buffer = ReadBuffer::default();
        put(&mut buffer, b"abc\r", 4);
        assert!(find(&mut buffer, b"\r\n").0.is_none());
        put(&mut buffer, b"\nrest", 5);
        assert_eq!(find(&mut buffer, b"\r\n").0, Some(5));
        assert_eq!(find(&mut buffer, b"c").0, Some(3), "another delimiter begins anew");
        assert_eq!(buffer.find(&Finder::new(b"\r\n"), 4), None, "it ends behind the limit");
        assert_eq!(find(&mut buffer, b"\r\n").0, Some(5));
        buffer.consume(2);
        assert_eq!(find(&mut buffer, b"\r\n").0, Some(3));
        assert_eq!(find(&mut buffer, b"longer than eight").0, None);
        assert_eq!(find(&mut buffer, b"rest").0, Some(7));
    }
}
