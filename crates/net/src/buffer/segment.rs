//! Segments: boxes of bytes for what is read and written.
//!
//! Most have one size, and each thread keeps some of those in a pool. A busy stream takes one and gives it back as soon as it holds
//! no bytes, so an idle stream owns none.

use std::cell::{Cell, RefCell};

use crate::buffer::search_position::SearchPosition;

/// The size of a pooled segment: the default of `read_chunk_size`.
pub(crate) const SEGMENT_SIZE: usize = 64 << 10;

/// How many segments a thread keeps, 8 MiB; more are freed. If the pool were smaller than the number of connections that are busy in
/// one batch, segments would be freed and allocated again and again, with a `brk` each time.
const MAX_POOLED: usize = 128;

/// Segments move between streams and the pool in their boxes.
type Pool = Vec<Box<Segment>>;

thread_local! {
    /// The segment that was given back last. Most are taken again at once.
    static LAST: Cell<Option<Box<Segment>>> = const { Cell::new(None) };
    static POOL: RefCell<Pool> = const { RefCell::new(Vec::new()) };
}

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
    /// How far the data was searched for a delimiter.
    pub(crate) search_position: SearchPosition,
}

impl Segment {
    /// An empty segment of [`SEGMENT_SIZE`], from the pool if possible. Its spare room holds whatever bytes its last owner left there.
    pub(crate) fn pooled() -> Box<Segment> {
        match LAST.try_with(Cell::take) {
            Ok(Some(last)) => last,
            _ => Segment::take_pooled().unwrap_or_else(|| Segment::sized(SEGMENT_SIZE)),
        }
    }

    #[cold]
    fn take_pooled() -> Option<Box<Segment>> {
        POOL.try_with(|pool| pool.borrow_mut().pop()).ok().flatten()
    }

    /// An empty segment of any size.
    pub(crate) fn sized(size: usize) -> Box<Segment> {
        let bytes = vec![0; size].into_boxed_slice();
        Box::new(Segment { bytes, start: 0, end: 0, search_position: SearchPosition::default() })
    }

    /// Returns a segment to the pool. One of any other size than the pool's is freed.
    pub(crate) fn give_back(mut self: Box<Segment>) {
        if self.bytes.len() == SEGMENT_SIZE {
            (self.start, self.end, self.search_position) = (0, 0, SearchPosition::default());
            // At the end of the thread the pool is gone, and the segment is freed.
            if let Ok(Some(former)) = LAST.try_with(|last| last.replace(Some(self))) {
                former.keep();
            }
        }
    }

    #[cold]
    fn keep(self: Box<Segment>) {
        let _ = POOL.try_with(|pool| {
            let mut pool = pool.borrow_mut();
            if pool.len() < MAX_POOLED {
                pool.push(self);
            }
        });
    }

    /// The size of the whole box, in bytes.
    pub(crate) fn size(&self) -> usize {
        self.bytes.len()
    }

    pub(crate) fn data(&self) -> &[u8] {
        &self.bytes[self.start..self.end]
    }

    pub(crate) fn len(&self) -> usize {
        self.end - self.start
    }

    /// How many bytes fit behind the data.
    pub(crate) fn room(&self) -> usize {
        self.bytes.len() - self.end
    }

    /// How many bytes were consumed, which is the room that [`move_to_front`](Self::move_to_front) would gain.
    pub(crate) fn consumed(&self) -> usize {
        self.start
    }

    /// The room behind the data, at most `most` bytes of it.
    pub(crate) fn spare(&mut self, most: usize) -> &mut [u8] {
        let end = self.bytes.len().min(self.end.saturating_add(most));
        &mut self.bytes[self.end..end]
    }

    /// Counts `n` bytes of the spare room as data.
    pub(crate) fn commit(&mut self, n: usize) {
        assert!(n <= self.room(), "a transport read more than it had room for");
        self.end += n;
    }

    /// Copies as much as fits behind the data, and returns how many bytes.
    pub(crate) fn push(&mut self, from: &[u8]) -> usize {
        let n = from.len().min(self.room());
        self.spare(n).copy_from_slice(&from[..n]);
        self.end += n;
        n
    }

    /// Drops the first `n` bytes of the data.
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

    /// Moves the data into another segment, which is empty and large enough, and returns this one to the pool.
    pub(crate) fn move_into(self: Box<Segment>, other: &mut Segment) {
        other.push(self.data());
        other.search_position = self.search_position;
        self.give_back();
    }

    /// The data, without a copy if nothing of it was consumed.
    pub(crate) fn into_bytes(self) -> Vec<u8> {
        let mut bytes = self.bytes.into_vec();
        bytes.truncate(self.end);
        bytes.drain(..self.start);
        bytes
    }
}
