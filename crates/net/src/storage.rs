//! Boxes of bytes for what is read and written.
//!
//! Most are chunks of one size, of which each thread keeps some: a busy stream takes one and gives it back as soon as it holds
//! no bytes, so a stream at rest owns none.

use std::cell::{Cell, RefCell};

use crate::searched::Searched;

/// The size of a chunk: the default of `read_chunk_size`.
pub(crate) const CHUNK_SIZE: usize = 64 << 10;

/// Chunks that are kept for later, 8 MiB; more are freed. Fewer than the connections that are busy in one batch would be
/// given to the allocator and taken from it again and again, with a `brk` each time.
const KEPT: usize = 128;

/// Chunks travel in their boxes.
type Pool = Vec<Box<Storage>>;

thread_local! {
    /// The chunk that was given back last: most are taken again at once.
    static LAST: Cell<Option<Box<Storage>>> = const { Cell::new(None) };
    static POOL: RefCell<Pool> = const { RefCell::new(Vec::new()) };
}

/// ```text
///   bytes   ├── consumed ──┼── data ──┼── spare ──┤
///           0            start       end        len
/// ```
pub(crate) struct Storage {
    bytes: Box<[u8]>,
    /// Always ≤ `end`.
    start: usize,
    /// Always ≤ `bytes.len()`.
    end: usize,
    /// How far in the data a read has looked for its end.
    pub(crate) searched: Searched,
}

impl Storage {
    /// An empty chunk, with whatever bytes its last owner left in it.
    pub(crate) fn chunk() -> Box<Storage> {
        match LAST.try_with(Cell::take) {
            Ok(Some(last)) => last,
            _ => Storage::pooled().unwrap_or_else(|| Storage::sized(CHUNK_SIZE)),
        }
    }

    #[cold]
    fn pooled() -> Option<Box<Storage>> {
        POOL.try_with(|pool| pool.borrow_mut().pop()).ok().flatten()
    }

    /// An empty box of any size.
    pub(crate) fn sized(size: usize) -> Box<Storage> {
        let bytes = vec![0; size].into_boxed_slice();
        Box::new(Storage { bytes, start: 0, end: 0, searched: Searched::default() })
    }

    /// Takes a chunk back for the next; a box of any other size is freed.
    pub(crate) fn give_back(mut self: Box<Storage>) {
        if self.bytes.len() == CHUNK_SIZE {
            (self.start, self.end, self.searched) = (0, 0, Searched::default());
            // At the end of the thread the pool is gone, and the chunk with it.
            if let Ok(Some(former)) = LAST.try_with(|last| last.replace(Some(self))) {
                former.pool();
            }
        }
    }

    #[cold]
    fn pool(self: Box<Storage>) {
        let _ = POOL.try_with(|pool| {
            let mut pool = pool.borrow_mut();
            if pool.len() < KEPT {
                pool.push(self);
            }
        });
    }

    /// How much it could hold.
    pub(crate) fn size(&self) -> usize {
        self.bytes.len()
    }

    pub(crate) fn data(&self) -> &[u8] {
        &self.bytes[self.start..self.end]
    }

    pub(crate) fn len(&self) -> usize {
        self.end - self.start
    }

    /// How much fits behind the data.
    pub(crate) fn room(&self) -> usize {
        self.bytes.len() - self.end
    }

    /// How much was consumed, which [`move_to_front`](Self::move_to_front) would win.
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

    /// Puts as much as fits behind the data, and returns how much.
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
        self.searched.forget(n);
    }

    pub(crate) fn move_to_front(&mut self) {
        self.bytes.copy_within(self.start..self.end, 0);
        self.end -= self.start;
        self.start = 0;
    }

    /// Moves the data to the front of another box, which is empty and large enough.
    pub(crate) fn move_into(self: Box<Storage>, other: &mut Storage) {
        other.push(self.data());
        other.searched = self.searched;
        self.give_back();
    }

    /// The data, in the box as it is, if nothing was consumed of it.
    pub(crate) fn into_bytes(self) -> Vec<u8> {
        let mut bytes = self.bytes.into_vec();
        bytes.truncate(self.end);
        bytes.drain(..self.start);
        bytes
    }
}
