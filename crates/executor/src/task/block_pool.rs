//! Memory for tasks and callbacks, kept by its thread for the next of about the same size.
//!
//! A program that spawns keeps asking the allocator for blocks of a few sizes, and a thousand tasks at once are more than an
//! allocator's own cache holds: half of a spawn was malloc and free. Here both are a few instructions.
//!
//! Blocks come in classes of [`STEP`] bytes; each class has a list of free ones, which a thread frees when it ends. A block belongs
//! to nobody while it is in a list, so it does not matter on which thread it was allocated. Builds with debug assertions keep
//! none, so that AddressSanitizer sees every end of a task.

#![allow(unsafe_code, reason = "it is an allocator")]

use std::alloc::{Layout, alloc, dealloc, handle_alloc_error};
use std::cell::Cell;
use std::ptr::{self, NonNull};

/// Blocks differ by this many bytes, and every block is aligned to [`ALIGN`].
const STEP: usize = 32;
const ALIGN: usize = 16;
/// Larger values go to the allocator.
const CLASSES: usize = 16;
/// How many bytes of a class a thread keeps.
const KEPT_BYTES: usize = if cfg!(debug_assertions) { 0 } else { 256 * 1024 };

thread_local! {
    static CACHE: Cache = const { Cache::new(KEPT_BYTES) };
}

/// Memory for one `T`, uninitialised.
///
/// Ask for it before you make the value: then the value is made in its place, and not copied there from the stack while its
/// parts are still on their way to the first-level cache.
#[inline]
pub(crate) fn allocate<T>() -> NonNull<T> {
    const { assert!(layout_of::<T>().size() > 0, "an allocation needs a size") };
    let block = match class_of::<T>() {
        Some(class) => CACHE.try_with(|cache| cache.take(class)).ok().flatten(),
        None => None,
    };
    block.unwrap_or_else(|| allocate_block(layout_of::<T>())).cast()
}

/// Frees the memory of a value, which it does not drop.
///
/// # Safety
/// `place` is from [`allocate`], its value was dropped or moved out, and it is not used any more.
#[inline]
pub(crate) unsafe fn release<T>(place: NonNull<T>) {
    let block = place.cast::<Free>();
    let is_kept = match class_of::<T>() {
        // SAFETY: the caller gives the block up, which is of this class because it is of the same `T`.
        Some(class) => CACHE.try_with(|cache| unsafe { cache.keep(class, block) }).unwrap_or(false),
        None => false,
    };
    if !is_kept {
        // SAFETY: allocated with this layout, and free.
        unsafe { dealloc(block.as_ptr().cast(), layout_of::<T>()) };
    }
}

/// The list that a `T` is from; `None` if it is too large.
const fn class_of<T>() -> Option<usize> {
    let class = size_of::<T>().saturating_sub(1) / STEP;
    if class < CLASSES && align_of::<T>() <= ALIGN { Some(class) } else { None }
}

const fn layout_of<T>() -> Layout {
    match class_of::<T>() {
        Some(class) => block_layout(class),
        None => Layout::new::<T>(),
    }
}

const fn block_layout(class: usize) -> Layout {
    match Layout::from_size_align((class + 1) * STEP, ALIGN) {
        Ok(layout) => layout,
        Err(_) => unreachable!(),
    }
}

#[cold]
fn allocate_block(layout: Layout) -> NonNull<Free> {
    // SAFETY: the size is not zero: a block's is at least STEP, and `allocate` asserts it for all others.
    let block = unsafe { alloc(layout) };
    NonNull::new(block.cast()).unwrap_or_else(|| handle_alloc_error(layout))
}

/// A free block, which holds the way to the next one.
struct Free {
    next: Option<NonNull<Free>>,
}

/// The free blocks of a thread.
struct Cache {
    lists: [List; CLASSES],
    kept_bytes: usize,
}

struct List {
    first: Cell<Option<NonNull<Free>>>,
    len: Cell<usize>,
}

impl List {
    const fn new() -> List {
        List { first: Cell::new(None), len: Cell::new(0) }
    }
}

impl Cache {
    const fn new(kept_bytes: usize) -> Cache {
        Cache { lists: [const { List::new() }; CLASSES], kept_bytes }
    }

    fn take(&self, class: usize) -> Option<NonNull<Free>> {
        let list = &self.lists[class];
        let block = list.first.get()?;
        // SAFETY: blocks in a list are free and hold a `Free`, which `keep` wrote.
        let next = unsafe { ptr::read(block.as_ptr()) }.next;
        list.first.set(next);
        list.len.set(list.len.get() - 1);
        Some(block)
    }

    /// `false`: there are enough, the block stays the caller's.
    ///
    /// # Safety
    /// `block` is free, was allocated with this class's layout and belongs to the caller.
    unsafe fn keep(&self, class: usize, block: NonNull<Free>) -> bool {
        let list = &self.lists[class];
        if list.len.get() >= self.kept_bytes / ((class + 1) * STEP) {
            return false;
        }
        // SAFETY: the block is free and has room for a pointer.
        unsafe { block.write(Free { next: list.first.get() }) };
        list.first.set(Some(block));
        list.len.set(list.len.get() + 1);
        true
    }
}

impl Drop for Cache {
    fn drop(&mut self) {
        for class in 0..CLASSES {
            while let Some(block) = self.take(class) {
                // SAFETY: blocks in this list are free and were allocated with this layout.
                unsafe { dealloc(block.as_ptr().cast(), block_layout(class)) };
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_comes_back_to_its_own_class_and_the_list_has_an_end() {
        let cache = Cache::new(3 * STEP);
        let blocks: Vec<_> = (0..4).map(|_| allocate_block(block_layout(0))).collect();
        // SAFETY: the blocks are free and of this class.
        let kept: Vec<_> = blocks.iter().map(|block| unsafe { cache.keep(0, *block) }).collect();
        assert_eq!(kept, [true, true, true, false]);
        assert!(cache.take(1).is_none(), "another class");
        assert_eq!(cache.take(0), Some(blocks[2]), "the last is the warmest");
        for block in &blocks[2..] {
            // SAFETY: the third was taken out and the fourth never kept.
            unsafe { dealloc(block.as_ptr().cast(), block_layout(0)) };
        }
        // The drop of the cache frees the other two: a leak is seen by LeakSanitizer.
    }

    #[test]
    fn values_of_every_size_and_alignment_are_stored_whole() {
        #[repr(align(64))]
        struct Aligned([u8; 64]);
        fn round_trip<T>(value: T, check: impl Fn(&T) -> bool) {
            let place = allocate::<T>();
            assert!(place.is_aligned());
            // SAFETY: the place is for a `T`.
            unsafe { place.write(value) };
            // SAFETY: `place` holds a `T`, which is moved out once and then released.
            let value = unsafe { place.read() };
            assert!(check(&value));
            // SAFETY: as above.
            unsafe { release(place) };
        }
        round_trip((), |()| true);
        round_trip([7_u8; 32], |bytes| bytes == &[7; 32]);
        round_trip([8_u8; 33], |bytes| bytes == &[8; 33]);
        round_trip([9_u8; 512], |bytes| bytes == &[9; 512]);
        round_trip([1_u8; 4096], |bytes| bytes == &[1; 4096]);
        round_trip(Aligned([2; 64]), |aligned| aligned.0 == [2; 64]);
        assert_eq!((class_of::<[u8; 32]>(), class_of::<[u8; 33]>()), (Some(0), Some(1)));
        assert_eq!((class_of::<[u8; 513]>(), class_of::<Aligned>()), (None, None));
    }
}
