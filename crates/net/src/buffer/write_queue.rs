//! The write queue: bytes that were written and not sent yet.
//!
//! Small writes are gathered in pooled segments, large owned ones are kept without a copy. One `sendmsg` sends many pieces.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io::IoSlice;

use bytes::{Buf, Bytes};

use crate::buffer::chunk::{Chunk, Kind};
use crate::buffer::segment::Segment;

/// Owned bytes up to this size are cheaper to copy than to keep.
const WORTH_KEEPING: usize = 2 << 10;
/// Room for small writes that follow a piece which is kept.
const SMALL_PIECE: usize = 512;
/// Pieces that are sent in one call; more would gain nothing.
const PIECES_AT_ONCE: usize = 64;
/// How many empty lists a thread keeps, and the capacity that one of them may have.
const MAX_POOLED: usize = 128;
const MAX_POOLED_CAPACITY: usize = 64;

/// Lists move between queues and the pool in their boxes.
type Pool = Vec<Box<Pieces>>;

thread_local! {
    static POOL: RefCell<Pool> = const { RefCell::new(Vec::new()) };
}

/// Owns no memory while it is empty.
#[derive(Default)]
pub(crate) struct WriteQueue {
    pieces: Option<Box<Pieces>>,
}

#[derive(Default)]
struct Pieces {
    /// No piece is empty.
    list: VecDeque<Piece>,
    /// The sum over the pieces.
    len: usize,
}

enum Piece {
    /// Small writes, with room for more behind them.
    Gathered(Box<Segment>),
    Kept(Bytes),
}

impl Piece {
    fn bytes(&self) -> &[u8] {
        match self {
            Piece::Gathered(segment) => segment.data(),
            Piece::Kept(bytes) => bytes,
        }
    }
}

impl WriteQueue {
    pub(crate) fn len(&self) -> usize {
        self.pieces.as_ref().map_or(0, |pieces| pieces.len)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.pieces.is_none()
    }

    /// Queues bytes. Returns the chunk if its bytes were copied: its destructor is foreign code.
    #[must_use = "it is to be dropped while nothing is borrowed"]
    pub(crate) fn push<'a>(&mut self, chunk: Chunk<'a>) -> Option<Chunk<'a>> {
        if chunk.len() == 0 {
            return Some(chunk);
        }
        let pieces = self.pieces.get_or_insert_with(Pieces::empty);
        pieces.len += chunk.len();
        match chunk.0 {
            Kind::Owned(bytes) if bytes.len() > WORTH_KEEPING => {
                pieces.list.push_back(Piece::Kept(bytes));
                None
            }
            _ => {
                pieces.gather(chunk.bytes());
                Some(chunk)
            }
        }
    }

    /// The bytes to be sent next, at most `most`, if they are all in one piece.
    pub(crate) fn single(&self, most: usize) -> Option<&[u8]> {
        let pieces = self.pieces.as_ref()?;
        let first = pieces.list.front()?.bytes();
        (pieces.list.len() == 1 || first.len() >= most).then(|| &first[..first.len().min(most)])
    }

    /// Shows the first pieces to `send`, at most `most` bytes.
    pub(crate) fn with_slices<R>(&self, most: usize, send: impl FnOnce(&[IoSlice<'_>]) -> R) -> R {
        let mut slices = [IoSlice::new(&[]); PIECES_AT_ONCE];
        let (mut count, mut left) = (0, most);
        let pieces = self.pieces.iter().flat_map(|pieces| &pieces.list);
        for (slice, piece) in slices.iter_mut().zip(pieces) {
            if left == 0 {
                break;
            }
            let bytes = piece.bytes();
            *slice = IoSlice::new(&bytes[..bytes.len().min(left)]);
            left -= slice.len();
            count += 1;
        }
        send(&slices[..count])
    }

    /// Appends the pieces of another queue.
    pub(crate) fn append(&mut self, mut other: WriteQueue) {
        let Some(mut theirs) = other.pieces.take() else { return };
        match &mut self.pieces {
            None => self.pieces = Some(theirs),
            Some(ours) => {
                ours.len += theirs.len;
                ours.list.append(&mut theirs.list);
            }
        }
    }

    /// Drops the first `n` bytes, which were sent.
    pub(crate) fn advance(&mut self, n: usize) {
        assert!(n <= self.len(), "a transport sent more than it was given");
        if let Some(pieces) = &mut self.pieces {
            pieces.advance(n);
        }
        if let Some(empty) = self.pieces.take_if(|pieces| pieces.len == 0) {
            empty.give_back();
        }
    }
}

impl Pieces {
    fn empty() -> Box<Pieces> {
        let pooled = POOL.try_with(|pool| pool.borrow_mut().pop()).ok().flatten();
        pooled.unwrap_or_default()
    }

    fn give_back(self: Box<Pieces>) {
        if self.list.capacity() > MAX_POOLED_CAPACITY {
            return;
        }
        // At the end of the thread the pool is gone, and the list is freed.
        let _ = POOL.try_with(|pool| {
            let mut pool = pool.borrow_mut();
            if pool.len() < MAX_POOLED {
                pool.push(self);
            }
        });
    }

    fn gather(&mut self, mut bytes: &[u8]) {
        loop {
            if let Some(Piece::Gathered(segment)) = self.list.back_mut() {
                bytes = &bytes[segment.push(bytes)..];
            }
            if bytes.is_empty() {
                return;
            }
            // Between kept pieces, as with the framing of chunked bodies, a pooled segment would be a waste.
            let segment = match self.list.back() {
                Some(Piece::Kept(_)) => Segment::sized(bytes.len().max(SMALL_PIECE)),
                _ => Segment::pooled(),
            };
            self.list.push_back(Piece::Gathered(segment));
        }
    }

    fn advance(&mut self, mut n: usize) {
        self.len -= n;
        while n > 0 {
            let Some(piece) = self.list.front_mut() else { return };
            let sent = n.min(piece.bytes().len());
            match piece {
                Piece::Gathered(segment) => segment.consume(sent),
                Piece::Kept(bytes) => bytes.advance(sent),
            }
            n -= sent;
            if piece.bytes().is_empty() {
                self.pop();
            }
        }
    }

    fn pop(&mut self) {
        if let Some(Piece::Gathered(segment)) = self.list.pop_front() {
            segment.give_back();
        }
    }
}

impl Drop for WriteQueue {
    fn drop(&mut self) {
        if let Some(mut pieces) = self.pieces.take() {
            while !pieces.list.is_empty() {
                pieces.pop();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // IOS-36
    #[test]
    fn bytes_leave_in_order_for_every_mix_of_pieces_and_advances() {
        for seed in 1..50_u64 {
            let mut random = seed;
            let mut next = |bound: usize| {
                random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                usize::try_from(random >> 33).unwrap() % bound
            };
            let (mut queue, mut expected, mut sent) =
                (WriteQueue::default(), Vec::new(), Vec::new());
            for _ in 0..40 {
                let size = [0, 1, 5, 300, 2048, 2049, 70_000][next(7)];
                let bytes: Vec<u8> = (0..size).map(|_| u8::try_from(next(256)).unwrap()).collect();
                expected.extend_from_slice(&bytes);
                drop(if next(2) == 0 {
                    queue.push(bytes.into())
                } else {
                    queue.push((&bytes).into()).map(|_| "".into())
                });
                let n = next(queue.len() + 1).min(next(100_000) + 1).min(queue.len());
                let most = [1, 1000, usize::MAX][next(3)];
                let visible = match queue.single(most) {
                    Some(bytes) => bytes.to_vec(),
                    None => queue.with_slices(most, |slices| slices.concat_bytes()),
                };
                assert!(visible.len() <= most);
                let n = n.min(visible.len());
                sent.extend_from_slice(&visible[..n]);
                queue.advance(n);
                assert_eq!(queue.len(), expected.len() - sent.len());
            }
            while !queue.is_empty() {
                let visible = queue.with_slices(usize::MAX, |slices| slices.concat_bytes());
                sent.extend_from_slice(&visible);
                queue.advance(visible.len());
            }
            assert!(sent == expected, "seed {seed}");
        }
    }

    trait ConcatBytes {
        fn concat_bytes(&self) -> Vec<u8>;
    }

    impl ConcatBytes for [IoSlice<'_>] {
        fn concat_bytes(&self) -> Vec<u8> {
            self.iter().flat_map(|slice| slice.iter().copied()).collect()
        }
    }

    #[test]
    fn small_writes_share_a_piece_and_an_empty_queue_holds_nothing() {
        let mut queue = WriteQueue::default();
        for _ in 0..1000 {
            drop(queue.push("tiny".into()));
        }
        assert_eq!(queue.single(usize::MAX).unwrap().len(), 4000);
        queue.advance(4000);
        assert!(queue.is_empty() && queue.pieces.is_none());
    }
}
