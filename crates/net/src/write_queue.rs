//! Bytes that were written and not sent yet.
//!
//! Small writes are gathered in pooled chunks, large owned ones are kept by reference; one `sendmsg` takes many pieces.

use std::collections::VecDeque;
use std::io::IoSlice;

use bytes::{Buf, Bytes};

use crate::chunk::{Chunk, Kind};
use crate::chunk_pool;

/// Owned bytes up to this size are cheaper to copy than to keep.
const WORTH_KEEPING: usize = 2 << 10;
/// Room for small writes that follow a piece which is kept.
const SMALL_PIECE: usize = 512;
/// Pieces that are sent at once; more would gain nothing.
const PIECES_AT_ONCE: usize = 64;

#[derive(Default)]
pub(crate) struct WriteQueue {
    /// None is empty.
    pieces: VecDeque<Piece>,
    /// The sum over the pieces.
    len: usize,
}

enum Piece {
    /// `storage[start..end]` is to be sent; what follows `end` is room for more.
    Gathered {
        storage: Box<[u8]>,
        start: usize,
        end: usize,
    },
    Kept(Bytes),
}

impl Piece {
    fn bytes(&self) -> &[u8] {
        match self {
            Piece::Gathered { storage, start, end } => &storage[*start..*end],
            Piece::Kept(bytes) => bytes,
        }
    }
}

impl WriteQueue {
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len == 0
    }

    pub(crate) fn push(&mut self, chunk: Chunk<'_>) {
        self.len += chunk.len();
        match chunk.0 {
            Kind::Owned(bytes) if bytes.len() > WORTH_KEEPING => {
                self.pieces.push_back(Piece::Kept(bytes));
            }
            Kind::Owned(bytes) => self.gather(&bytes),
            Kind::Borrowed(bytes) => self.gather(bytes),
        }
    }

    fn gather(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            if let Some(Piece::Gathered { storage, end, .. }) = self.pieces.back_mut() {
                let n = bytes.len().min(storage.len() - *end);
                storage[*end..*end + n].copy_from_slice(&bytes[..n]);
                *end += n;
                bytes = &bytes[n..];
                if bytes.is_empty() {
                    return;
                }
            }
            // Between pieces that are kept, as the framing of chunks is, a whole chunk would be a waste.
            let storage = match self.pieces.back() {
                Some(Piece::Kept(_)) => vec![0; bytes.len().max(SMALL_PIECE)].into(),
                _ => chunk_pool::take(),
            };
            self.pieces.push_back(Piece::Gathered { storage, start: 0, end: 0 });
        }
    }

    /// The bytes at the head, when they are all in one piece.
    pub(crate) fn single(&self) -> Option<&[u8]> {
        match self.pieces.len() {
            1 => self.pieces.front().map(Piece::bytes),
            _ => None,
        }
    }

    /// Shows the first pieces to `send`.
    pub(crate) fn with_slices<R>(&self, send: impl FnOnce(&[IoSlice<'_>]) -> R) -> R {
        let mut slices = [IoSlice::new(&[]); PIECES_AT_ONCE];
        let mut count = 0;
        for (slice, piece) in slices.iter_mut().zip(&self.pieces) {
            *slice = IoSlice::new(piece.bytes());
            count += 1;
        }
        send(&slices[..count])
    }

    /// Drops the first `n` bytes, which were sent.
    pub(crate) fn advance(&mut self, mut n: usize) {
        assert!(n <= self.len, "a transport sent more than it was given");
        self.len -= n;
        while n > 0 {
            let Some(piece) = self.pieces.front_mut() else { return };
            let sent = n.min(piece.bytes().len());
            match piece {
                Piece::Gathered { start, .. } => *start += sent,
                Piece::Kept(bytes) => bytes.advance(sent),
            }
            n -= sent;
            if piece.bytes().is_empty() {
                self.pop();
            }
        }
        if self.is_empty() {
            self.pieces = VecDeque::new(); // an idle stream holds no memory
        }
    }

    /// Forgets everything.
    pub(crate) fn clear(&mut self) {
        while !self.pieces.is_empty() {
            self.pop();
        }
        self.pieces = VecDeque::new();
        self.len = 0;
    }

    fn pop(&mut self) {
        if let Some(Piece::Gathered { storage, .. }) = self.pieces.pop_front() {
            chunk_pool::give_back(storage);
        }
    }
}

impl Drop for WriteQueue {
    fn drop(&mut self) {
        self.clear();
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
                if next(2) == 0 {
                    queue.push(bytes.into())
                } else {
                    queue.push((&bytes).into())
                }
                let n = next(queue.len() + 1).min(next(100_000) + 1).min(queue.len());
                let visible = match queue.single() {
                    Some(bytes) => bytes.to_vec(),
                    None => queue.with_slices(|slices| slices.concat_bytes()),
                };
                let n = n.min(visible.len());
                sent.extend_from_slice(&visible[..n]);
                queue.advance(n);
                assert_eq!(queue.len(), expected.len() - sent.len());
            }
            while !queue.is_empty() {
                let visible = queue.with_slices(|slices| slices.concat_bytes());
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
            queue.push("tiny".into());
        }
        assert_eq!((queue.pieces.len(), queue.single().unwrap().len()), (1, 4000));
        queue.advance(4000);
        assert_eq!(queue.pieces.capacity(), 0);
    }
}
