//! Bytes that came and were not taken yet.
//!
//! ```text
//!   storage   ├── consumed ──┼── data ──┼── spare ──┤
//!             0            start       end        len
//! ```

use bytes::Bytes;

use crate::chunk_pool::{self, CHUNK_SIZE};

/// Below this much spare room a read would not be worth its system call.
const WORTH_READING: usize = 4 << 10;
/// Leftovers up to this size are moved out of their chunk while the stream waits.
const SMALL: usize = 4 << 10;

#[derive(Default)]
pub(crate) struct ReadBuffer {
    /// Nothing, a pooled chunk, or a box of its own size.
    storage: Box<[u8]>,
    /// Always ≤ `end`.
    start: usize,
    /// Always ≤ `storage.len()`.
    end: usize,
}

impl ReadBuffer {
    pub(crate) fn data(&self) -> &[u8] {
        &self.storage[self.start..self.end]
    }

    pub(crate) fn len(&self) -> usize {
        self.end - self.start
    }

    /// Room for at least one and at most `most` bytes, behind the data; [`commit`](Self::commit) tells how many came.
    pub(crate) fn spare(&mut self, most: usize) -> &mut [u8] {
        if self.storage.len() - self.end < most.min(WORTH_READING) {
            self.make_room(most);
        }
        let end = self.storage.len().min(self.end + most);
        &mut self.storage[self.end..end]
    }

    fn make_room(&mut self, most: usize) {
        let len = self.len();
        let needed = len + most.min(WORTH_READING);
        if self.start >= self.storage.len() / 2 && self.storage.len() >= needed {
            // At least half of the storage was consumed: what moves is paid for by that.
            self.storage.copy_within(self.start..self.end, 0);
        } else {
            // Doubling, so that a long read moves each byte about once.
            let size = match self.storage.len() {
                0 => most,
                held => needed.max(2 * held),
            };
            let mut larger =
                if size <= CHUNK_SIZE { chunk_pool::take() } else { vec![0; size].into() };
            larger[..len].copy_from_slice(self.data());
            chunk_pool::give_back(std::mem::replace(&mut self.storage, larger));
        }
        self.start = 0;
        self.end = len;
    }

    /// Counts `n` bytes of the spare room as data.
    pub(crate) fn commit(&mut self, n: usize) {
        assert!(n <= self.storage.len() - self.end, "a transport read more than it had room for");
        self.end += n;
    }

    /// Drops the first `n` bytes of the data.
    pub(crate) fn consume(&mut self, n: usize) {
        assert!(n <= self.len(), "consumed {n} of {} bytes", self.len());
        self.start += n;
        if self.start == self.end {
            self.start = 0;
            self.end = 0;
        }
    }

    /// Takes the first `n` bytes out. They never pin a chunk: small ones are copied, a storage of their own goes whole.
    pub(crate) fn take(&mut self, n: usize) -> Bytes {
        if n == self.len() && self.start == 0 && n > CHUNK_SIZE && n >= self.storage.len() / 2 {
            let mut whole = std::mem::take(&mut self.storage).into_vec();
            whole.truncate(n);
            self.end = 0;
            return whole.into();
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
        self.rest();
        n
    }

    /// Gives up what a stream that waits has no use for: an empty storage, or a chunk with a small rest in it.
    pub(crate) fn rest(&mut self) {
        if self.storage.is_empty() {
            return;
        }
        let len = self.len();
        if len == 0 {
            chunk_pool::give_back(std::mem::take(&mut self.storage));
        } else if len <= SMALL && self.storage.len() > 2 * SMALL {
            let small = self.data().into();
            chunk_pool::give_back(std::mem::replace(&mut self.storage, small));
            self.start = 0;
            self.end = len;
        }
    }
}

impl Drop for ReadBuffer {
    fn drop(&mut self) {
        chunk_pool::give_back(std::mem::take(&mut self.storage));
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

    #[test]
    fn room_is_never_more_than_asked_for_and_never_nothing() {
        for most in [1, 2, 100, CHUNK_SIZE, 10 * CHUNK_SIZE] {
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
            [(1, 1), (3, 2), (7, 7), (4096, 4000), (CHUNK_SIZE, 65_000), (CHUNK_SIZE, 100)]
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
                buffer.rest();
            }
            assert_eq!(received, sent[..received.len()]);
        }
    }

    #[test]
    fn an_empty_buffer_at_rest_holds_nothing_and_a_small_rest_only_itself() {
        let mut buffer = ReadBuffer::default();
        put(&mut buffer, b"hello", CHUNK_SIZE);
        assert_eq!(buffer.storage.len(), CHUNK_SIZE);
        buffer.consume(3);
        buffer.rest();
        assert_eq!((buffer.data(), buffer.storage.len()), (&b"lo"[..], 2));
        put(&mut buffer, b"!", CHUNK_SIZE);
        assert_eq!(buffer.take(3), "lo!");
        buffer.rest();
        assert_eq!(buffer.storage.len(), 0);
    }

    #[test]
    fn a_large_read_leaves_with_its_storage() {
        let mut buffer = ReadBuffer::default();
        let large = vec![7; 3 * CHUNK_SIZE];
        let mut put_in = 0;
        while put_in < large.len() {
            put_in += put(&mut buffer, &large[put_in..], CHUNK_SIZE);
        }
        let address = buffer.data().as_ptr();
        let bytes = buffer.take(large.len());
        assert_eq!(bytes, large);
        assert_eq!(bytes.as_ptr(), address, "a large read was copied");
    }
}
