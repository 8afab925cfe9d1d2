//! What a runtime must say of itself to be measured.

use std::future::Future;
use std::time::Duration;

/// A single-threaded runtime.
pub(crate) trait Runtime {
    const NAME: &'static str;

    fn new() -> Self;

    fn block_on<F: Future>(&mut self, future: F) -> F::Output;

    /// Spawns on the runtime that runs, and returns a future of the output.
    fn spawn<F>(future: F) -> impl Future<Output = F::Output> + 'static
    where
        F: Future + 'static,
        F::Output: 'static;

    fn sleep(duration: Duration) -> impl Future + 'static;

    /// Runs so many plain closures on the loop; `false` if the runtime has none.
    fn callbacks(&mut self, _count: u32) -> bool {
        false
    }

    /// Runs so many closures that another thread sends; `false` if the runtime has no door for them.
    fn remote_closures(&mut self, _count: u32) -> bool {
        false
    }
}
