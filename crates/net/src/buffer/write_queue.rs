//! The write queue: bytes that were written and are not sent yet.
//!
//! The queue copies small writes into pooled segments and keeps large owned bytes without a copy.
//! One `sendmsg` sends many pieces.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io::IoSlice;
use std::mem;

use bytes::{Buf, Bytes};

use crate::buffer::chunk::{Chunk, Kind};
use crate::buffer::segment::Segment;

/// Owned bytes up to this size are cheaper to copy than to queue as a piece of their own.
const MAX_COPIED: usize = 2 << 10;
/// The smallest segment for copied writes that follow an owned piece, in bytes.
const MIN_SEGMENT: usize = 512;
/// The most pieces that one call sends. More would gain nothing.
const MAX_SLICES: usize = 64;
/// How many empty lists a thread keeps.
const MAX_POOLED: usize = 128;
/// The largest capacity of a list that a thread keeps, in pieces.
const MAX_POOLED_CAPACITY: usize = 64;

/// The pool holds boxes, so that taking or returning a list moves only a pointer.
type Pool = Vec<Box<Pieces>>;

thread_local! {
    static POOL: RefCell<Pool> = const { RefCell::new(Vec::new()) };
}

/// Bytes to send, in order. An empty queue owns no memory.
#[derive(Default)]
pub(crate) struct WriteQueue(Content);

#[derive(Default)]
enum Content {
    #[default]
    Nothing,
    /// Copies of small writes, in a segment that may have room for more. Never empty. Most queues
    /// hold no more than this before they are sent.
    Copied(Box<Segment>),
    Pieces(Box<Pieces>),
}

/// Pieces of both kinds, in order.
#[derive(Default)]
struct Pieces {
    /// No piece is empty.
    list: VecDeque<Piece>,
    /// The number of bytes in all pieces.
    len: usize,
}

enum Piece {
    /// Copies of small writes. The segment may have room for more.
    Copied(Box<Segment>),
    /// Large owned bytes, not copied.
    Owned(Bytes),
}

impl Piece {
    fn bytes(&self) -> &[u8] {
        match self {
            Piece::Copied(segment) => segment.data(),
            Piece::Owned(bytes) => bytes,
        }
    }
}

impl WriteQueue {
    #[inline]
    pub(crate) fn len(&self) -> usize {
        match &self.0 {
            Content::Nothing => 0,
            Content::Copied(segment) => segment.len(),
            Content::Pieces(pieces) => pieces.len,
        }
    }

    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        matches!(self.0, Content::Nothing)
    }

    /// Queues a copy of a few bytes. Returns false, and does nothing, if they are not few or need a
    /// piece of their own.
    #[inline(always)] // the road of every small write
    pub(crate) fn push_copy(&mut self, bytes: &[u8]) -> bool {
        if bytes.len().wrapping_sub(1) >= MAX_COPIED {
            return false;
        }
        match &mut self.0 {
            Content::Nothing => {
                self.0 = Content::Copied(Segment::pooled_with(bytes));
                true
            }
            Content::Copied(segment) => segment.push_all(bytes),
            Content::Pieces(_) => false,
        }
    }

    /// Queues any bytes. Returns the chunk if it is empty or its bytes were copied. Its destructor
    /// may run user code, so the caller must drop it while nothing is borrowed.
    #[must_use = "drop the chunk while nothing is borrowed"]
    pub(crate) fn push_piece<'a>(&mut self, chunk: Chunk<'a>) -> Option<Chunk<'a>> {
        if chunk.len() == 0 {
            return Some(chunk);
        }
        let pieces = self.make_pieces();
        pieces.len += chunk.len();
        match chunk.0 {
            Kind::Owned(bytes) if bytes.len() > MAX_COPIED => {
                pieces.list.push_back(Piece::Owned(bytes));
                None
            }
            _ => {
                pieces.push_copy(chunk.bytes());
                Some(chunk)
            }
        }
    }

    fn make_pieces(&mut self) -> &mut Pieces {
        if !matches!(self.0, Content::Pieces(_)) {
            let mut pieces = Pieces::empty();
            if let Content::Copied(segment) = mem::take(&mut self.0) {
                pieces.len = segment.len();
                pieces.list.push_back(Piece::Copied(segment));
            }
            self.0 = Content::Pieces(pieces);
        }
        match &mut self.0 {
            Content::Pieces(pieces) => pieces,
            _ => unreachable!("it was just made of pieces"),
        }
    }

    /// Returns the next bytes to send, at most `max`, if they all are in one piece.
    #[inline]
    pub(crate) fn single(&self, max: usize) -> Option<&[u8]> {
        match &self.0 {
            Content::Nothing => None,
            Content::Copied(segment) => Some(&segment.data()[..segment.len().min(max)]),
            Content::Pieces(pieces) => pieces.single(max),
        }
    }

    /// Calls `send` with the first pieces, at most `max` bytes and [`MAX_SLICES`] pieces.
    pub(crate) fn with_slices<R>(&self, max: usize, send: impl FnOnce(&[IoSlice<'_>]) -> R) -> R {
        let (copied, pieces) = match &self.0 {
            Content::Nothing => (None, None),
            Content::Copied(segment) => (Some(segment.data()), None),
            Content::Pieces(pieces) => (None, Some(pieces.list.iter().map(Piece::bytes))),
        };
        with_slices(copied.into_iter().chain(pieces.into_iter().flatten()), max, send)
    }

    /// Appends the pieces of another queue.
    pub(crate) fn append(&mut self, mut other: WriteQueue) {
        if self.is_empty() {
            mem::swap(self, &mut other);
        } else if !other.is_empty() {
            let theirs = other.make_pieces();
            let ours = self.make_pieces();
            ours.len += theirs.len;
            ours.list.append(&mut theirs.list);
        }
    }

    /// Removes the first `n` bytes, which were sent.
    #[inline]
    pub(crate) fn advance(&mut self, n: usize) {
        debug_assert!(n <= self.len(), "{n} of {} bytes", self.len());
        match &mut self.0 {
            Content::Nothing => return,
            Content::Copied(segment) => segment.consume(n),
            Content::Pieces(pieces) => pieces.advance(n),
        }
        let left = self.len();
        if left == 0 {
            mem::take(&mut self.0).give_back();
        }
    }
}

impl Content {
    #[inline]
    fn give_back(self) {
        match self {
            Content::Nothing => {}
            Content::Copied(segment) => segment.give_back(),
            Content::Pieces(pieces) => pieces.give_back(),
        }
    }
}

impl Pieces {
    fn empty() -> Box<Pieces> {
        let pooled = POOL.try_with(|pool| pool.borrow_mut().pop()).ok().flatten();
        pooled.unwrap_or_default()
    }

    /// Returns the pieces to their pool, with their segments.
    #[inline(never)]
    fn give_back(mut self: Box<Pieces>) {
        while !self.list.is_empty() {
            self.pop_front();
        }
        self.len = 0;
        if self.list.capacity() > MAX_POOLED_CAPACITY {
            return;
        }
        // When the thread ends, the pool is gone, and the list is freed.
        let _ = POOL.try_with(|pool| {
            let mut pool = pool.borrow_mut();
            if pool.len() < MAX_POOLED {
                pool.push(self);
            }
        });
    }

    fn single(&self, max: usize) -> Option<&[u8]> {
        let first = self.list.front()?.bytes();
        (self.list.len() == 1 || first.len() >= max).then(|| &first[..first.len().min(max)])
    }

    /// Copies `bytes` behind the last piece.
    fn push_copy(&mut self, mut bytes: &[u8]) {
        loop {
            if let Some(Piece::Copied(segment)) = self.list.back_mut() {
                bytes = &bytes[segment.push(bytes)..];
            }
            if bytes.is_empty() {
                return;
            }
            // Between owned pieces, a pooled segment would waste memory: the framing of an HTTP
            // body in chunks needs only a few bytes there.
            let segment = match self.list.back() {
                Some(Piece::Owned(_)) => Segment::sized(bytes.len().max(MIN_SEGMENT)),
                _ => Segment::pooled(),
            };
            self.list.push_back(Piece::Copied(segment));
        }
    }

    fn advance(&mut self, mut n: usize) {
        self.len -= n;
        while n > 0 {
            let Some(piece) = self.list.front_mut() else { return };
            let sent = n.min(piece.bytes().len());
            match piece {
                Piece::Copied(segment) => segment.consume(sent),
                Piece::Owned(bytes) => bytes.advance(sent),
            }
            n -= sent;
            if piece.bytes().is_empty() {
                self.pop_front();
            }
        }
    }

    fn pop_front(&mut self) {
        if let Some(Piece::Copied(segment)) = self.list.pop_front() {
            segment.give_back();
        }
    }
}

impl Drop for WriteQueue {
    #[inline]
    fn drop(&mut self) {
        mem::take(&mut self.0).give_back();
    }
}

/// Calls `send` with the first of `pieces`, at most `max` bytes and [`MAX_SLICES`] pieces.
pub(crate) fn with_slices<'a, R>(
    pieces: impl Iterator<Item = &'a [u8]>,
    max: usize,
    send: impl FnOnce(&[IoSlice<'_>]) -> R,
) -> R {
    let mut slices = [IoSlice::new(&[]); MAX_SLICES];
    let (mut count, mut left) = (0, max);
    for (slice, bytes) in slices.iter_mut().zip(pieces) {
        if left == 0 {
            break;
        }
        *slice = IoSlice::new(&bytes[..bytes.len().min(left)]);
        left -= slice.len();
        count += 1;
    }
    send(&slices[..count])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn push(queue: &mut WriteQueue, chunk: Chunk<'_>) {
        if !queue.push_copy(chunk.bytes()) {
            drop(queue.push_piece(chunk));
        }
    }

    #[test]
    fn small_writes_share_a_piece_and_an_empty_queue_owns_no_memory() {
        let mut queue = WriteQueue::default();
        for _ in 0..1000 {
            push(&mut queue, "tiny".into());
        }
        assert_eq!(queue.single(usize::MAX).unwrap().len(), 4000);
        queue.advance(4000);
        assert!(queue.is_empty());
    }
}
