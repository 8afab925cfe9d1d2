//! When a future or closure is moved to the heap before it passes through several functions.
//!
//! A build without optimisations copies a value in each function that takes it. A future of half a
//! megabyte would overflow the stack of a thread that way. So the public functions box what is
//! large, in a branch on a constant: the branch that is not taken needs no room on the stack, and
//! costs nothing.

use std::pin::Pin;

/// Larger values are boxed, in bytes. An allocation is cheap beside copies of so many bytes.
const LIMIT: usize = if cfg!(debug_assertions) { 2 << 10 } else { 16 << 10 };

pub(crate) const fn is_large<T>() -> bool {
    size_of::<T>() > LIMIT
}

/// A large future on the heap. Its type does not depend on the future's, so that the functions which
/// take it are compiled once for each output.
pub(crate) type LargeFuture<'a, T> = Pin<Box<dyn Future<Output = T> + 'a>>;
