//! Bytes that came and were not taken yet.

use bytes::Bytes;
use memchr::memmem::Finder;

use crate::storage::{CHUNK_SIZE, Storage};

/// Below this much spare room a read would not be worth its system call.
const WORTH_READING: usize = 4 << 10;

/// A storage while there are bytes, and while there could be at the next moment; nothing else.
#[derive(Default)]
pub(crate) struct ReadBuffer {
    storage: Option<Box<Storage>>,
}

impl ReadBuffer {
    pub(crate) fn data(&self) -> &[u8] {
        self.storage.as_ref().map_or(&[], |storage| storage.data())
    }

    pub(crate) fn len(&self) -> usize {
        self.storage.as_ref().map_or(0, |storage| storage.len())
    }

    /// Where the first delimiter in the first `most` bytes ends. Bytes that were looked at in vain are not looked at again.
    pub(crate) fn find(&mut self, finder: &Finder<'_>, most: usize) -> Option<usize> {
        let storage = self.storage.as_mut()?;
        let mut searched = storage.searched;
        let found = searched.find(finder, &storage.data()[..most.min(storage.len())]);
        storage.searched = searched;
        found
    }

    /// Room for at least one and at most `most` bytes, behind the data; [`commit`](Self::commit) tells how many came.
    pub(crate) fn spare(&mut self, most: usize) -> &mut [u8] {
        let storage = match self.storage.take() {
            None if most <= CHUNK_SIZE => Storage::chunk(),
            None => Storage::sized(most),
            Some(storage) if storage.room() >= most.min(WORTH_READING) => storage,
            Some(storage) => with_more_room(storage, most.min(WORTH_READING)),
        };
        self.storage.insert(storage).spare(most)
    }

    /// Counts `n` bytes of the spare room as data.
    pub(crate) fn commit(&mut self, n: usize) {
        self.storage.as_mut().expect("there was room in it").commit(n);
    }

    /// Drops the first `n` bytes of the data.
    #[track_caller]
    pub(crate) fn consume(&mut self, n: usize) {
        match &mut self.storage {
            Some(storage) => storage.consume(n),
            None => assert!(n == 0, "consumed {n} of 0 bytes"),
        }
        self.give_back_if_empty();
    }

    /// Takes the first `n` bytes out. They never pin a chunk: small ones are copied, a storage of their own goes whole.
    pub(crate) fn take(&mut self, n: usize) -> Bytes {
        if n > CHUNK_SIZE
            && n == self.len()
            && let Some(whole) =
                self.storage.take_if(|storage| storage.consumed() == 0 && n >= storage.size() / 2)
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

    /// Gives up what a stream that waits has no use for: an empty storage, or most of a large one.
    pub(crate) fn rest(&mut self) {
        self.give_back_if_empty();
        if let Some(storage) = self.storage.take_if(|storage| storage.len() <= storage.size() / 4) {
            let mut small = Storage::sized(storage.len());
            storage.move_into(&mut small);
            self.storage = Some(small);
        }
    }

    fn give_back_if_empty(&mut self) {
        if let Some(storage) = self.storage.take_if(|storage| storage.len() == 0) {
            storage.give_back();
        }
    }
}

/// Makes room for `wanted` bytes more.
fn with_more_room(mut storage: Box<Storage>, wanted: usize) -> Box<Storage> {
    let needed = storage.len() + wanted;
    if storage.consumed() >= storage.size() / 2 && storage.size() >= needed {
        // At least half of the storage was consumed: what moves is paid for by that.
        storage.move_to_front();
        return storage;
    }
    // Doubling, so that a long read moves each byte about once.
    let size = needed.max(storage.size().saturating_mul(2));
    let mut larger = if size <= CHUNK_SIZE { Storage::chunk() } else { Storage::sized(size) };
    storage.move_into(&mut larger);
    larger
}

impl Drop for ReadBuffer {
    fn drop(&mut self) {
        if let Some(storage) = self.storage.take() {
            storage.give_back();
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
        buffer.storage.as_ref().map_or(0, |storage| storage.size())
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

    // I9
    #[test]
    fn an_empty_buffer_holds_nothing_and_a_small_rest_only_itself() {
        let mut buffer = ReadBuffer::default();
        put(&mut buffer, b"hello", CHUNK_SIZE);
        assert_eq!(size(&buffer), CHUNK_SIZE);
        buffer.consume(3);
        buffer.rest();
        assert_eq!((buffer.data(), size(&buffer)), (&b"lo"[..], 2));
        put(&mut buffer, b"!", CHUNK_SIZE);
        assert_eq!(buffer.take(3), "lo!");
        assert_eq!(size(&buffer), 0);

        while buffer.len() < 1 << 20 {
            put(&mut buffer, &[7; CHUNK_SIZE], CHUNK_SIZE);
        }
        buffer.consume(buffer.len() - 5000);
        buffer.rest();
        assert_eq!((buffer.len(), size(&buffer)), (5000, 5000));
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

    #[test]
    fn a_search_goes_on_where_the_last_one_for_the_same_delimiter_ended() {
        let searched = |buffer: &mut ReadBuffer, delimiter: &[u8]| {
            let found = buffer.find(&Finder::new(delimiter), usize::MAX);
            (found, buffer.storage.as_ref().unwrap().searched)
        };
        let mut buffer = ReadBuffer::default();
        put(&mut buffer, b"abc\r", 4);
        assert!(searched(&mut buffer, b"\r\n").0.is_none());
        put(&mut buffer, b"\nrest", 5);
        assert_eq!(searched(&mut buffer, b"\r\n").0, Some(5));
        assert_eq!(searched(&mut buffer, b"c").0, Some(3), "another delimiter begins anew");
        assert_eq!(buffer.find(&Finder::new(b"\r\n"), 4), None, "it ends behind the limit");
        assert_eq!(searched(&mut buffer, b"\r\n").0, Some(5));
        buffer.consume(2);
        assert_eq!(searched(&mut buffer, b"\r\n").0, Some(3));
        assert_eq!(searched(&mut buffer, b"longer than eight").0, None);
        assert_eq!(searched(&mut buffer, b"rest").0, Some(7));
    }
}
