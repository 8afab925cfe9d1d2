//! What a runtime must say of itself to be measured.

use std::future::Future;
use std::time::Duration;

/// Does so many operations on a runtime: what criterion measures.
pub(crate) type Round<R> = fn(&mut R, u32);

/// A single-threaded runtime.
pub(crate) trait Runtime: Sized {
    const NAME: &'static str;

    /// Runs so many plain closures on the loop, if the runtime has any.
    const CALLBACKS: Option<Round<Self>> = None;

    /// Runs so many closures that another thread sends, if the runtime has a door for them.
    const REMOTE_CLOSURES: Option<Round<Self>> = None;

    fn new() -> Self;

    fn block_on<F: Future>(&mut self, future: F) -> F::Output;

    /// Spawns on the runtime that runs, and returns a future of the output.
    fn spawn<F>(future: F) -> impl Future<Output = F::Output> + 'static
    where
        F: Future + 'static,
        F::Output: 'static;

    /// Spawns all of them: for a runtime with a verb of its own for it.
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
