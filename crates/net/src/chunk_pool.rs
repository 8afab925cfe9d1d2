//! Buffers belong to busy connections: the chunks that idle ones gave back.
//!
//! One pool per thread, so per loop. A chunk is handed out while a stream holds bytes and comes back as soon as it holds
//! none; an idle stream holds no chunk at all.

use std::cell::RefCell;

/// The size of every chunk in the pool: the default of `read_chunk_size`.
pub(crate) const CHUNK_SIZE: usize = 64 << 10;

/// Chunks that are kept for later, 8 MiB; more are freed. Fewer than the connections that are busy in one batch would be
/// given to the allocator and taken from it again and again, with a `brk` each time.
const KEPT: usize = 128;

thread_local! {
    static POOL: RefCell<Vec<Box<[u8]>>> = const { RefCell::new(Vec::new()) };
}

/// A chunk with whatever bytes its last owner left in it.
pub(crate) fn take() -> Box<[u8]> {
    let pooled = POOL.try_with(|pool| pool.borrow_mut().pop()).ok().flatten();
    pooled.unwrap_or_else(|| vec![0; CHUNK_SIZE].into_boxed_slice())
}

/// Takes a chunk back; a box of any other size is freed.
pub(crate) fn give_back(chunk: Box<[u8]>) {
    if chunk.len() != CHUNK_SIZE {
        return;
    }
    // At the end of the thread the pool is gone, and the chunk with it.
    let _ = POOL.try_with(|pool| {
        let mut pool = pool.borrow_mut();
        if pool.len() < KEPT {
            pool.push(chunk);
        }
    });
}
