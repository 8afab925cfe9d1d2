//! The trait that a runtime implements to be measured.

use std::future::Future;
use std::time::Duration;

/// Does the given number of operations on a runtime. Criterion measures this function.
pub(crate) type Round<R> = fn(&mut R, u32);

/// A single-threaded runtime.
pub(crate) trait Runtime: Sized {
    const NAME: &'static str;

    /// Runs the given number of plain closures on the loop. `None` if the runtime cannot.
    const CALLBACKS: Option<Round<Self>> = None;

    /// Runs the given number of closures that another thread sends. `None` if the runtime cannot.
    const REMOTE_CLOSURES: Option<Round<Self>> = None;

    fn new() -> Self;

    fn block_on<F: Future>(&mut self, future: F) -> F::Output;

    /// Spawns on the current runtime, and returns a future of the output.
    fn spawn<F>(future: F) -> impl Future<Output = F::Output> + 'static
    where
        F: Future + 'static,
        F::Output: 'static;

    /// Spawns all futures. Overridden for a runtime that has a function of its own for this.
    fn spawn_many<F>(
        futures: impl Iterator<Item = F>,
    ) -> Vec<impl Future<Output = F::Output> + 'static>
    where
        F: Future + 'static,
        F::Output: 'static,
    {
        futures.map(Self::spawn).collect()
    }

    fn sleep(duration: Duration) -> impl Future + 'static;
}
