//! Segments: blocks of bytes for the buffers of streams.
//!
//! Most segments have the same size, and each thread keeps some of those in a pool. A busy stream
//! takes a segment and returns it as soon as the segment holds no bytes. An idle stream owns none.

use std::cell::Cell;

use crate::buffer::search_position::SearchPosition;

/// The size of a pooled segment in bytes, which is also the default of `read_chunk_size`.
pub(crate) const SEGMENT_SIZE: usize = 64 << 10;

/// How many segments a thread keeps (8 MiB); the pool frees the others. If the pool held fewer
/// segments than connections are busy in one batch, each batch would free and allocate segments
/// again, with a `brk` each time.
const MAX_POOLED: usize = 128;

thread_local! {
    static POOL: Pool = const { Pool::new() };
}

/// Empty segments of [`SEGMENT_SIZE`].
struct Pool {
    /// The segment that was returned last, if it was not taken since. Most reads take it and return
    /// it at once.
    last: Cell<Option<Box<Segment>>>,
    /// The others, as a stack.
    stack: Cell<Option<Box<Segment>>>,
    stack_len: Cell<usize>,
}

impl Pool {
    const fn new() -> Pool {
        Pool { last: Cell::new(None), stack: Cell::new(None), stack_len: Cell::new(0) }
    }

    #[inline(always)]
    fn take(&self) -> Option<Box<Segment>> {
        self.last.take().or_else(|| self.pop())
    }

    /// Keeps a segment, or frees it if the pool is full.
    #[inline(always)]
    fn put(&self, segment: Box<Segment>) {
        if let Some(former) = self.last.replace(Some(segment)) {
            self.push(former);
        }
    }

    #[inline(never)] // keeps the road of a read small
    fn pop(&self) -> Option<Box<Segment>> {
        let mut segment = self.stack.take()?;
        self.stack.set(segment.next.take());
        self.stack_len.set(self.stack_len.get() - 1);
        Some(segment)
    }

    #[inline(never)]
    fn push(&self, mut segment: Box<Segment>) {
        if self.stack_len.get() < MAX_POOLED {
            segment.next = self.stack.take();
            self.stack.set(Some(segment));
            self.stack_len.set(self.stack_len.get() + 1);
        }
    }
}

/// A block of bytes: consumed bytes, then data, then spare room.
///
/// ```text
///   bytes   ├── consumed ──┼── data ──┼── spare ──┤
///           0            start       end        len
/// ```
pub(crate) struct Segment {
    bytes: Box<[u8]>,
    /// Always ≤ `end`.
    start: usize,
    /// Always ≤ `bytes.len()`.
    end: usize,
    /// The position up to which the data was searched for a delimiter.
    pub(crate) search_position: SearchPosition,
    /// The next segment of the pool. `None` outside of it.
    next: Option<Box<Segment>>,
}

impl Segment {
    /// Returns an empty segment of [`SEGMENT_SIZE`], from the pool if possible. The spare room may
    /// still hold bytes of the previous owner.
    #[inline]
    pub(crate) fn pooled() -> Box<Segment> {
        let pooled = POOL.try_with(Pool::take).ok().flatten();
        pooled.unwrap_or_else(|| Segment::sized(SEGMENT_SIZE))
    }

    /// As [`pooled`](Self::pooled), with a copy of `bytes` as its data, which must fit.
    #[inline]
    pub(crate) fn pooled_with(bytes: &[u8]) -> Box<Segment> {
        let mut segment = Segment::pooled();
        segment.bytes[..bytes.len()].copy_from_slice(bytes);
        segment.end = bytes.len();
        segment
    }

    /// Returns an empty segment for at least one and at most `max` bytes.
    #[inline]
    pub(crate) fn for_up_to(max: usize) -> Box<Segment> {
        if max <= SEGMENT_SIZE { Segment::pooled() } else { Segment::sized(max) }
    }

    /// Allocates an empty segment of any size.
    #[inline]
    #[cold]
    pub(crate) fn sized(size: usize) -> Box<Segment> {
        let bytes = vec![0; size].into_boxed_slice();
        let search_position = SearchPosition::default();
        Box::new(Segment { bytes, start: 0, end: 0, search_position, next: None })
    }

    /// Returns the segment to the pool. Frees a segment whose size is not [`SEGMENT_SIZE`].
    #[inline]
    pub(crate) fn give_back(mut self: Box<Segment>) {
        if self.bytes.len() == SEGMENT_SIZE {
            (self.start, self.end) = (0, 0);
            self.search_position.clear();
            let _ = POOL.try_with(|pool| pool.put(self)); // at the thread's end, it is freed
        }
    }

    /// The size of the whole block, in bytes.
    pub(crate) fn size(&self) -> usize {
        self.bytes.len()
    }

    #[inline]
    pub(crate) fn data(&self) -> &[u8] {
        &self.bytes[self.start..self.end]
    }

    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.end - self.start
    }

    /// How many bytes fit behind the data.
    #[inline]
    pub(crate) fn room(&self) -> usize {
        self.bytes.len() - self.end
    }

    /// How many bytes were consumed. [`move_to_front`](Self::move_to_front) would add their room
    /// to the spare room.
    pub(crate) fn consumed(&self) -> usize {
        self.start
    }

    /// Returns the first `max` bytes of the spare room, or all of it if it is smaller.
    #[inline]
    pub(crate) fn spare(&mut self, max: usize) -> &mut [u8] {
        let end = self.bytes.len().min(self.end.saturating_add(max));
        &mut self.bytes[self.end..end]
    }

    /// The whole block of an empty segment.
    #[inline]
    pub(crate) fn whole(&mut self) -> &mut [u8] {
        &mut self.bytes
    }

    /// Makes the first `n` bytes of the block the data of an empty segment.
    #[inline]
    pub(crate) fn fill(&mut self, n: usize) {
        assert!(n <= self.bytes.len(), "a transport has read more bytes than it had room for");
        self.end = n;
    }

    /// As [`ReadBuffer::find`](super::read_buffer::ReadBuffer::find).
    #[inline]
    pub(crate) fn find(
        &mut self,
        delimiter: &[u8],
        max: usize,
        searched: &mut usize,
    ) -> Option<usize> {
        let data = &self.bytes[self.start..self.end];
        self.search_position.find(delimiter, &data[..max.min(data.len())], searched)
    }

    /// Appends the first `n` bytes of the spare room to the data.
    #[inline]
    pub(crate) fn commit(&mut self, n: usize) {
        assert!(n <= self.room(), "a transport has read more bytes than it had room for");
        self.end += n;
    }

    /// Copies as many bytes as fit behind the data, and returns their number.
    #[inline]
    pub(crate) fn push(&mut self, from: &[u8]) -> usize {
        let n = from.len().min(self.room());
        self.spare(n).copy_from_slice(&from[..n]);
        self.end += n;
        n
    }

    /// Copies all of `from` behind the data. Returns false, and does nothing, if it does not fit.
    #[inline]
    pub(crate) fn push_all(&mut self, from: &[u8]) -> bool {
        let spare = self.bytes.get_mut(self.end..).and_then(|spare| spare.get_mut(..from.len()));
        let Some(spare) = spare else { return false };
        spare.copy_from_slice(from);
        self.end += from.len();
        true
    }

    /// Removes the first `n` bytes of the data.
    #[inline]
    #[track_caller]
    pub(crate) fn consume(&mut self, n: usize) {
        assert!(n <= self.len(), "consumed {n} of {} bytes", self.len());
        self.start += n;
        self.search_position.consume(n);
    }

    pub(crate) fn move_to_front(&mut self) {
        self.bytes.copy_within(self.start..self.end, 0);
        self.end -= self.start;
        self.start = 0;
    }

    /// Moves the data into `other`, which must be empty and large enough, and returns this segment
    /// to the pool.
    pub(crate) fn move_into(self: Box<Segment>, other: &mut Segment) {
        other.push(self.data());
        other.search_position = self.search_position;
        self.give_back();
    }

    /// Returns the data, without a copy if no byte was consumed.
    pub(crate) fn into_bytes(self) -> Vec<u8> {
        let mut bytes = self.bytes.into_vec();
        bytes.truncate(self.end);
        bytes.drain(..self.start);
        bytes
    }
}
