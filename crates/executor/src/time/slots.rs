//! The slots of timers: an array whose free slots form a list.
//!
//! It is not a `Slab`, because a value leaves a `Slab` only by a copy. A timer that is cancelled
//! would wait for the stores that armed it, although only a few words of it are needed.

use std::mem;

pub(crate) struct Slots<T> {
    entries: Vec<Entry<T>>,
    /// The free entry that was freed last, or the end of the array.
    next: u32,
    len: usize,
}

struct Entry<T> {
    value: Option<T>,
    /// While the entry is free: the value of `Slots::next` once this entry is used.
    next: u32,
}

impl<T> Slots<T> {
    pub(crate) fn new() -> Slots<T> {
        Slots { entries: Vec::new(), next: 0, len: 0 }
    }

    /// The number of values.
    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Inserts the value that `make` returns, and returns its index.
    ///
    /// Nothing can panic between `make` and the store, so the value needs no other place to be
    /// dropped from, and is built where it stays. A copy would wait for the stores that built it.
    ///
    /// # Panics
    /// If there are 2³² values.
    #[inline(always)] // otherwise the value is built elsewhere and copied
    pub(crate) fn insert_with(&mut self, make: impl FnOnce() -> T) -> u32 {
        let index = self.next;
        if index as usize == self.entries.len() {
            self.add_free_entry();
        }
        let entry = &mut self.entries[index as usize];
        mem::forget(entry.value.replace(make())); // it was `None`, so nothing is dropped
        self.next = entry.next;
        self.len += 1;
        index
    }

    #[cold]
    fn add_free_entry(&mut self) {
        let next = self.next.checked_add(1).expect("fewer than 2^32 timers");
        let len = self.entries.len();
        if len == self.entries.capacity() {
            self.entries.reserve_exact(len / 4 + 16); // a list that doubles is half empty
        }
        self.entries.push(Entry { value: None, next });
    }

    #[inline]
    pub(crate) fn get(&self, index: u32) -> Option<&T> {
        self.entries.get(index as usize)?.value.as_ref()
    }

    #[inline]
    pub(crate) fn get_mut(&mut self, index: u32) -> Option<&mut T> {
        self.entries.get_mut(index as usize)?.value.as_mut()
    }

    /// Removes a value and returns it.
    pub(crate) fn remove(&mut self, index: u32) -> Option<T> {
        let value = self.entries.get_mut(index as usize)?.value.take()?;
        self.freed(index);
        Some(value)
    }

    /// Drops a value where it is. There must be one.
    #[inline]
    pub(crate) fn discard(&mut self, index: u32) {
        self.entries[index as usize].value = None;
        self.freed(index);
    }

    #[inline]
    fn freed(&mut self, index: u32) {
        self.entries[index as usize].next = self.next;
        self.next = index;
        self.len -= 1;
    }

    /// Places the next values at the begin of the array again, side by side. All values must have
    /// been removed.
    pub(crate) fn start_over(&mut self) {
        debug_assert!(self.len == 0);
        self.entries.clear();
        self.next = 0;
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        self.entries.iter().filter_map(|entry| entry.value.as_ref())
    }

    /// Removes all values and returns them.
    pub(crate) fn drain(&mut self) -> impl Iterator<Item = T> {
        let entries = mem::take(&mut self.entries);
        (self.next, self.len) = (0, 0);
        entries.into_iter().filter_map(|entry| entry.value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn free_slots_are_used_again_the_last_one_first() {
        let mut slots = Slots::new();
        let indices: Vec<_> = ["a", "b", "c"].map(|value| slots.insert_with(|| value)).into();
        assert_eq!(indices, [0, 1, 2]);
        assert_eq!(
            (slots.remove(1), slots.remove(0), slots.remove(1)),
            (Some("b"), Some("a"), None)
        );
        assert_eq!((slots.get(0), slots.get(2), slots.get(3)), (None, Some(&"c"), None));
        assert_eq!(["d", "e", "f"].map(|value| slots.insert_with(|| value)), [0, 1, 3]);
        assert_eq!(slots.len(), 4);
        assert_eq!(slots.iter().copied().collect::<Vec<_>>(), ["d", "e", "c", "f"]);
        assert_eq!(slots.drain().collect::<Vec<_>>(), ["d", "e", "c", "f"]);
        assert_eq!((slots.len(), slots.insert_with(|| "g")), (0, 0));
    }
}
