//! The read buffer: bytes that were received and are not consumed yet.

use std::mem;

use bytes::Bytes;

use crate::buffer::segment::{SEGMENT_SIZE, Segment};

/// If the spare room is smaller, a read would not be worth its system call.
const MIN_SPARE: usize = 4 << 10;

/// Owns a segment while it holds bytes or while a read is about to fill it. Otherwise it owns no
/// memory.
#[derive(Default)]
pub(crate) struct ReadBuffer {
    segment: Option<Box<Segment>>,
}

impl ReadBuffer {
    #[inline]
    pub(crate) fn data(&self) -> &[u8] {
        self.segment.as_ref().map_or(&[], |segment| segment.data())
    }

    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.segment.as_ref().map_or(0, |segment| segment.len())
    }

    /// Returns the end of the first delimiter in the first `max` bytes. A read passes the same
    /// `searched`, 0 at first, in all its calls: then no byte is searched twice.
    #[inline]
    pub(crate) fn find(
        &mut self,
        delimiter: &[u8],
        max: usize,
        searched: &mut usize,
    ) -> Option<usize> {
        self.segment.as_mut()?.find(delimiter, max, searched)
    }

    /// Calls `read` with spare room behind the data: at least 1 and at most `max` bytes. `read`
    /// returns how many bytes it has written there, and its result. If it has written none, frees
    /// the memory that a waiting stream does not need.
    ///
    /// An empty buffer lends a segment of the thread's pool for the call, and owns it only if bytes
    /// were read.
    #[inline]
    pub(crate) fn receive<R>(
        &mut self,
        max: usize,
        read: impl FnOnce(&mut [u8]) -> (usize, R),
    ) -> R {
        let mut lent = None;
        let room = if self.segment.is_some() {
            self.spare(max)
        } else {
            lent.insert(Segment::for_up_to(max)).spare(max)
        };
        let (n, result) = read(room);
        match lent {
            Some(mut segment) if n > 0 => {
                segment.commit(n);
                self.segment = Some(segment);
            }
            Some(segment) => segment.give_back(),
            None if n > 0 => self.commit(n),
            None => self.shrink(),
        }
        result
    }

    /// Takes over a segment with bytes. The buffer must [own no memory](Self::is_unallocated).
    #[inline]
    pub(crate) fn adopt(&mut self, segment: Box<Segment>) {
        debug_assert!(self.is_unallocated());
        mem::forget(self.segment.replace(segment)); // it was `None`, so there is nothing to drop
    }

    /// Whether the buffer owns no memory, and so is empty.
    #[inline]
    pub(crate) fn is_unallocated(&self) -> bool {
        self.segment.is_none()
    }

    /// Returns the spare room behind the data: at least 1 and at most `max` bytes.
    #[inline(never)] // keeps a read into an empty buffer small
    fn spare(&mut self, max: usize) -> &mut [u8] {
        let segment = match self.segment.take() {
            None => Segment::for_up_to(max),
            Some(segment) if segment.room() >= max.min(MIN_SPARE) => segment,
            Some(segment) => with_more_room(segment, max.min(MIN_SPARE)),
        };
        self.segment.insert(segment).spare(max)
    }

    /// Appends the first `n` bytes of the spare room to the data.
    fn commit(&mut self, n: usize) {
        self.segment.as_mut().expect("spare was called before commit").commit(n);
    }

    /// Removes the first `n` bytes of the data.
    #[inline(always)]
    #[track_caller]
    pub(crate) fn consume(&mut self, n: usize) {
        if n == self.len() {
            self.clear();
        } else {
            match &mut self.segment {
                Some(segment) => segment.consume(n),
                None => panic!("consumed {n} of 0 bytes"),
            }
        }
    }

    /// Removes the first `n` bytes and returns them. The result never keeps a pooled segment alive:
    /// small reads are copied, and a large read takes over its own segment.
    #[inline]
    pub(crate) fn take(&mut self, n: usize) -> Bytes {
        if n > SEGMENT_SIZE {
            return self.take_large(n);
        }
        let data = self.data();
        let is_all = n == data.len();
        let bytes = Bytes::copy_from_slice(&data[..n]);
        if is_all {
            self.clear()
        } else {
            self.consume(n)
        }
        bytes
    }

    #[cold]
    fn take_large(&mut self, n: usize) -> Bytes {
        let is_mostly_data = |segment: &mut Box<Segment>| {
            segment.consumed() == 0 && n == segment.len() && n >= segment.size() / 2
        };
        if let Some(whole) = self.segment.take_if(is_mostly_data) {
            return whole.into_bytes().into();
        }
        let bytes = Bytes::copy_from_slice(&self.data()[..n]);
        self.consume(n);
        bytes
    }

    /// Removes all data.
    #[inline(always)]
    pub(crate) fn clear(&mut self) {
        if let Some(segment) = self.segment.take() {
            segment.give_back();
        }
    }

    /// Moves at most `max` bytes to the end of `other`, and returns their number.
    pub(crate) fn move_to(&mut self, other: &mut ReadBuffer, max: usize) -> usize {
        let max = max.min(self.len());
        if max == 0 {
            return 0;
        }
        let spare = other.spare(max);
        let n = spare.len();
        spare.copy_from_slice(&self.data()[..n]);
        other.commit(n);
        self.consume(n);
        n
    }

    /// Puts `bytes` in front of the data.
    pub(crate) fn put_in_front(&mut self, bytes: &[u8]) {
        let behind = mem::take(self);
        self.append(bytes);
        self.append(behind.data());
    }

    /// Appends `bytes` to the data.
    fn append(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let spare = self.spare(bytes.len());
            let (first, rest) = bytes.split_at(spare.len());
            spare.copy_from_slice(first);
            self.commit(first.len());
            bytes = rest;
        }
    }

    /// Frees memory that a waiting stream does not need: an empty segment, or the unused part of a
    /// segment that is at most a quarter full.
    pub(crate) fn shrink(&mut self) {
        self.give_back_if_empty();
        if let Some(segment) = self.segment.take_if(|segment| segment.len() <= segment.size() / 4) {
            let mut small = Segment::sized(segment.len());
            segment.move_into(&mut small);
            self.segment = Some(small);
        }
    }

    #[inline]
    fn give_back_if_empty(&mut self) {
        if let Some(segment) = self.segment.take_if(|segment| segment.len() == 0) {
            segment.give_back();
        }
    }
}

/// Makes room for `wanted` more bytes behind the data.
fn with_more_room(mut segment: Box<Segment>, wanted: usize) -> Box<Segment> {
    let needed = segment.len() + wanted;
    if segment.consumed() >= segment.size() / 2 && segment.size() >= needed {
        // At least half of the segment was consumed, so no more bytes move than were consumed: the
        // cost per received byte stays constant.
        segment.move_to_front();
        return segment;
    }
    // The size doubles, so that a long read moves each byte about once.
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

    fn put(buffer: &mut ReadBuffer, bytes: &[u8], max: usize) -> usize {
        let spare = buffer.spare(max);
        let n = spare.len().min(bytes.len());
        spare[..n].copy_from_slice(&bytes[..n]);
        buffer.commit(n);
        n
    }

    fn size(buffer: &ReadBuffer) -> usize {
        buffer.segment.as_ref().map_or(0, |segment| segment.size())
    }

    #[test]
    fn spare_room_is_never_empty_and_never_more_than_asked_for() {
        for max in [1, 2, 100, SEGMENT_SIZE, 10 * SEGMENT_SIZE] {
            let mut buffer = ReadBuffer::default();
            for _ in 0..50 {
                let room = buffer.spare(max).len();
                assert!((1..=max).contains(&room));
                buffer.commit(1);
            }
        }
    }

    #[test]
    fn bytes_stay_in_order_for_every_size_of_reads_and_takes() {
        let sent: Vec<u8> = (0..200_000_u32).map(|n| u8::try_from(n % 251).unwrap()).collect();
        for (max, step) in
            [(1, 1), (3, 2), (7, 7), (4096, 4000), (SEGMENT_SIZE, 65_000), (SEGMENT_SIZE, 100)]
        {
            let mut buffer = ReadBuffer::default();
            let (mut written, mut received) = (0, Vec::new());
            while received.len() < sent.len().min(max * 20_000) {
                for _ in 0..3 {
                    let upto = sent.len().min(written + max);
                    written += put(&mut buffer, &sent[written..upto], max);
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
    fn an_empty_buffer_owns_no_memory_and_a_shrunk_one_only_its_bytes() {
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
    fn bytes_that_are_put_in_front_are_read_first() {
        for (front, behind) in
            [(0, 0), (5, 0), (0, 5), (3, 4), (SEGMENT_SIZE, 1), (100_000, 70_000)]
        {
            let mut buffer = ReadBuffer::default();
            buffer.append(&vec![2; behind + 1]);
            buffer.consume(1);
            buffer.put_in_front(&vec![1; front]);
            assert_eq!(buffer.take(front), vec![1; front]);
            assert_eq!(buffer.take(buffer.len()), vec![2; behind]);
        }
    }

    #[test]
    fn a_large_read_takes_over_its_segment() {
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

    // I7
    #[test]
    fn a_search_goes_on_where_the_last_one_for_the_same_delimiter_ended() {
        let find = |buffer: &mut ReadBuffer, delimiter: &[u8]| {
            let found = buffer.find(delimiter, usize::MAX, &mut 0);
            (found, buffer.segment.as_ref().unwrap().search_position)
        };
        let mut buffer = ReadBuffer::default();
        put(&mut buffer, b"abc\r", 4);
        assert!(find(&mut buffer, b"\r\n").0.is_none());
        put(&mut buffer, b"\nrest", 5);
        assert_eq!(find(&mut buffer, b"\r\n").0, Some(5));
        assert_eq!(find(&mut buffer, b"c").0, Some(3), "another delimiter starts from 0");
        assert_eq!(buffer.find(b"\r\n", 4, &mut 0), None, "it ends past the limit");
        assert_eq!(find(&mut buffer, b"\r\n").0, Some(5));
        buffer.consume(2);
        assert_eq!(find(&mut buffer, b"\r\n").0, Some(3));
        assert_eq!(find(&mut buffer, b"longer than eight").0, None);
        assert_eq!(find(&mut buffer, b"rest").0, Some(7));
    }
}
