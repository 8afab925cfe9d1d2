//! Allocates the memory of tasks and callbacks. Each thread caches freed blocks and uses them
//! again.
//!
//! A program that spawns tasks keeps asking the allocator for blocks of a few sizes. A thousand
//! tasks at once exceed what an allocator's own cache holds: `malloc` and `free` took half of the
//! time of a spawn. Here, each takes a few instructions.
//!
//! Block sizes are multiples of [`STEP`] bytes, and each size is a class. For each class, a thread
//! has a free list, which it frees when it ends. The lists follow what the program uses: they may
//! grow to [`MAX_KEPT_BYTES`] each while the thread runs a loop. [`trim`], which the loop calls before
//! it sleeps, frees blocks that were not needed since the last call, down to [`MIN_KEPT_BYTES`]. So a
//! loop that sleeps for ever right after a burst keeps what the burst used. A block in a free list has no owner, so it does
//! not matter which thread allocated it. Builds with debug assertions cache no blocks, so that
//! AddressSanitizer sees the end of every task.

#![allow(unsafe_code, reason = "it is an allocator")]

use std::alloc::{Layout, alloc, dealloc, handle_alloc_error};
use std::cell::Cell;
use std::ptr::{self, NonNull};

/// The size difference between two neighbouring classes, in bytes.
const STEP: usize = 32;
/// The alignment of every block. Values that need more go to the allocator.
const ALIGN: usize = 16;
/// The number of classes. Values larger than `CLASSES * STEP` bytes go to the allocator.
const CLASSES: usize = 16;
/// The most bytes in free blocks that a thread keeps for each class.
const MAX_KEPT_BYTES: usize = if cfg!(debug_assertions) { 0 } else { 16 << 20 };
/// The bytes of a class that are kept even if they are not needed.
const MIN_KEPT_BYTES: usize = 256 << 10;
/// As [`MAX_KEPT_BYTES`], between two runs of a loop.
const KEPT_BYTES_WITHOUT_LOOP: usize = if cfg!(debug_assertions) { 0 } else { MIN_KEPT_BYTES };
/// The most blocks of a class that one [`trim`] frees, so that it is short.
const MAX_TRIMMED: usize = 1024;

thread_local! {
    /// Keeps nothing before the thread runs its first loop. Such a thread gets the blocks of tasks whose
    /// last waker it drops, and spawns none: it would never use them again.
    static CACHE: Cache = const { Cache::new(0) };
}

/// Allocates uninitialised memory for one `T`.
///
/// Call this before you build the value. Then the compiler builds the value in place. Otherwise it
/// copies the value from the stack, while the stores that built it are still on their way to the
/// first-level cache.
#[inline]
pub(crate) fn allocate<T>() -> NonNull<T> {
    const { assert!(layout_of::<T>().size() > 0, "an allocation needs a size") };
    let block = match class_of::<T>() {
        Some(class) => CACHE.try_with(|cache| cache.take(class)).ok().flatten(),
        None => None,
    };
    block.unwrap_or_else(|| allocate_block(layout_of::<T>())).cast()
}

/// Frees the memory of a value without dropping the value.
///
/// # Safety
/// `place` is from [`allocate`], its value was dropped or moved out, and the caller does not use it
/// any more.
#[inline]
pub(crate) unsafe fn release<T>(place: NonNull<T>) {
    let block = place.cast::<FreeBlock>();
    let is_kept = match class_of::<T>() {
        // SAFETY: the caller gives up the block. It is of this class, because `allocate` chose the
        // class by the same `T`.
        Some(class) => CACHE.try_with(|cache| unsafe { cache.keep(class, block) }).unwrap_or(false),
        None => false,
    };
    if !is_kept {
        // SAFETY: the block was allocated with this layout, and it is free.
        unsafe { dealloc(block.as_ptr().cast(), layout_of::<T>()) };
    }
}

/// Frees blocks that this thread has not needed since the last call, a part of them at a time.
#[inline]
pub(crate) fn trim() {
    let _ = CACHE.try_with(|cache| {
        if cache.is_large.get() {
            cache.trim();
        }
    });
}

/// Lets this thread's lists grow, because it runs a loop, which trims them.
pub(crate) fn loop_runs() {
    let _ = CACHE.try_with(|cache| cache.max_kept_bytes.set(MAX_KEPT_BYTES));
}

/// Ends what [`loop_runs`] has begun. Trims.
pub(crate) fn loop_pauses() {
    let _ = CACHE.try_with(|cache| cache.max_kept_bytes.set(KEPT_BYTES_WITHOUT_LOOP));
    trim();
}

/// Frees all blocks beyond [`MIN_KEPT_BYTES`] of each class, because a loop has ended.
pub(crate) fn shrink() {
    let _ = CACHE.try_with(|cache| {
        for (class, list) in cache.lists.iter().enumerate() {
            while list.len.get() > min_kept(class) {
                cache.free_one(class);
            }
        }
    });
}

/// The number of blocks of a class that are kept even if they are not needed.
const fn min_kept(class: usize) -> usize {
    MIN_KEPT_BYTES / ((class + 1) * STEP)
}

/// The class of a `T`. `None` if `T` is too large or its alignment is too strict.
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
fn allocate_block(layout: Layout) -> NonNull<FreeBlock> {
    // SAFETY: the size is not zero. The blocks of a class have at least STEP bytes, and `allocate`
    // asserts it for all other values.
    let block = unsafe { alloc(layout) };
    NonNull::new(block.cast()).unwrap_or_else(|| handle_alloc_error(layout))
}

/// A free block. It stores the pointer to the next block of its list.
struct FreeBlock {
    next: Option<NonNull<FreeBlock>>,
}

/// The free blocks of a thread, one list for each class.
struct Cache {
    lists: [FreeList; CLASSES],
    max_kept_bytes: Cell<usize>,
    /// Whether a list may hold more than [`MIN_KEPT_BYTES`].
    is_large: Cell<bool>,
}

struct FreeList {
    first: Cell<Option<NonNull<FreeBlock>>>,
    len: Cell<usize>,
    /// The least `len` since the last [`trim`]: so many blocks were not needed.
    unneeded: Cell<usize>,
}

impl FreeList {
    const fn new() -> FreeList {
        FreeList { first: Cell::new(None), len: Cell::new(0), unneeded: Cell::new(0) }
    }
}

impl Cache {
    const fn new(max_kept_bytes: usize) -> Cache {
        let lists = [const { FreeList::new() }; CLASSES];
        Cache { lists, max_kept_bytes: Cell::new(max_kept_bytes), is_large: Cell::new(false) }
    }

    fn take(&self, class: usize) -> Option<NonNull<FreeBlock>> {
        let list = &self.lists[class];
        let block = list.first.get()?;
        // SAFETY: blocks in a list are free and hold the `FreeBlock` that `keep` wrote.
        let next = unsafe { ptr::read(block.as_ptr()) }.next;
        list.first.set(next);
        let len = list.len.get() - 1;
        list.len.set(len);
        list.unneeded.set(list.unneeded.get().min(len));
        Some(block)
    }

    /// Puts a block into the free list of its class. Returns false if the list is full; the caller
    /// then still owns the block.
    ///
    /// # Safety
    /// `block` is free, was allocated with this class's layout, and is owned by the caller.
    unsafe fn keep(&self, class: usize, block: NonNull<FreeBlock>) -> bool {
        let list = &self.lists[class];
        let bytes = list.len.get() * (class + 1) * STEP;
        if bytes >= MIN_KEPT_BYTES.min(self.max_kept_bytes.get()) {
            if bytes >= self.max_kept_bytes.get() {
                return false;
            }
            self.is_large.set(true);
        }
        // SAFETY: the block is free and has room for a pointer.
        unsafe { block.write(FreeBlock { next: list.first.get() }) };
        list.first.set(Some(block));
        list.len.set(list.len.get() + 1);
        true
    }

    /// Frees half of the blocks of each class that were not needed since the last call, at most
    /// [`MAX_TRIMMED`], and none of the last [`MIN_KEPT_BYTES`].
    #[cold]
    fn trim(&self) {
        let mut is_large = false;
        for (class, list) in self.lists.iter().enumerate() {
            let surplus = list.len.get().saturating_sub(min_kept(class));
            let freed = surplus.min(list.unneeded.get().div_ceil(2)).min(MAX_TRIMMED);
            for _ in 0..freed {
                self.free_one(class);
            }
            list.unneeded.set(list.len.get());
            is_large |= surplus > freed;
        }
        self.is_large.set(is_large);
    }

    /// Frees a block. Returns false if there is none.
    fn free_one(&self, class: usize) -> bool {
        let Some(block) = self.take(class) else { return false };
        // SAFETY: blocks in this list are free and were allocated with this layout.
        unsafe { dealloc(block.as_ptr().cast(), block_layout(class)) };
        true
    }
}

impl Drop for Cache {
    fn drop(&mut self) {
        for class in 0..CLASSES {
            while self.free_one(class) {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Puts back a block that a test has taken or allocated, of the same class.
    fn keep(cache: &Cache, class: usize, block: NonNull<FreeBlock>) -> bool {
        // SAFETY: the callers give up free blocks of this class.
        unsafe { cache.keep(class, block) }
    }

    #[test]
    fn a_block_comes_back_to_its_own_class_and_the_list_has_an_end() {
        let cache = Cache::new(3 * STEP);
        let blocks: Vec<_> = (0..4).map(|_| allocate_block(block_layout(0))).collect();
        let kept: Vec<_> = blocks.iter().map(|block| keep(&cache, 0, *block)).collect();
        assert_eq!(kept, [true, true, true, false]);
        assert!(cache.take(1).is_none(), "another class");
        assert_eq!(cache.take(0), Some(blocks[2]), "the last is the warmest");
        for block in &blocks[2..] {
            // SAFETY: the third block was taken out again, and the fourth was never kept.
            unsafe { dealloc(block.as_ptr().cast(), block_layout(0)) };
        }
        // The drop of the cache frees the other two. LeakSanitizer reports a leak.
    }

    /// Allocates and frees a block. Returns how many blocks of its class the thread has kept.
    fn kept_of_one() -> usize {
        let place = allocate::<[u8; 128]>();
        // SAFETY: the place was just allocated, and holds no value.
        unsafe { release(place) };
        CACHE.with(|cache| cache.lists[128 / STEP - 1].len.get())
    }

    #[test]
    fn a_thread_keeps_no_block_before_it_has_run_a_loop() {
        let kept = std::thread::spawn(|| {
            let before = kept_of_one();
            loop_runs();
            loop_pauses();
            (before, kept_of_one())
        });
        let after = usize::from(!cfg!(debug_assertions)); // with them, no block is ever kept
        assert_eq!(kept.join().unwrap(), (0, after));
    }

    #[test]
    fn blocks_that_are_not_needed_are_freed_step_by_step_and_needed_ones_stay() {
        let class = CLASSES - 1;
        let cache = Cache::new(4 << 20);
        let blocks = 4 * MIN_KEPT_BYTES / (CLASSES * STEP);
        let use_all = || {
            let taken: Vec<_> = (0..blocks)
                .map(|_| cache.take(class).unwrap_or_else(|| allocate_block(block_layout(class))))
                .collect();
            taken.into_iter().for_each(|block| assert!(keep(&cache, class, block)));
        };
        let len = || cache.lists[class].len.get();
        for _ in 0..3 {
            use_all();
            cache.trim();
            assert_eq!(len(), blocks, "all were needed since the last trim");
        }
        cache.trim();
        assert_eq!(len(), blocks / 2);
        assert!(cache.is_large.get());
        (0..4).for_each(|_| cache.trim());
        assert_eq!(len(), blocks / 4, "so many are kept");
        assert!(!cache.is_large.get());
    }

    #[test]
    fn values_of_every_size_and_alignment_are_stored_whole() {
        #[repr(align(64))]
        struct Aligned([u8; 64]);
        fn round_trip<T>(value: T, check: impl Fn(&T) -> bool) {
            let place = allocate::<T>();
            assert!(place.is_aligned());
            // SAFETY: the place was allocated for a `T`.
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
