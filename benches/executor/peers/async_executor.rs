//! async-executor's local executor with async-io's timers: smol without its thread pool.

use std::cell::RefCell;
use std::future::Future;
use std::rc::Rc;
use std::time::Duration;

use async_executor::LocalExecutor;

use crate::runtime::Runtime;

/// Contains no reactor: async-io has one for the whole process, so `create` does not pay for one.
pub(crate) struct AsyncExecutor(Rc<LocalExecutor<'static>>);

thread_local! {
    /// The executor that runs or ran last. `LocalExecutor` does not keep track of the current one.
    static CURRENT: RefCell<Rc<LocalExecutor<'static>>> = RefCell::default();
}

impl Runtime for AsyncExecutor {
    const NAME: &'static str = "async-executor (LocalExecutor)";

    fn new() -> AsyncExecutor {
        AsyncExecutor(Rc::default())
    }

    fn block_on<F: Future>(&mut self, future: F) -> F::Output {
        CURRENT.set(self.0.clone());
        async_io::block_on(self.0.run(future))
    }

    fn spawn<F>(future: F) -> impl Future<Output = F::Output> + 'static
    where
        F: Future + 'static,
        F::Output: 'static,
    {
        CURRENT.with_borrow(|executor| executor.spawn(future))
    }

    fn spawn_many<F>(
        futures: impl Iterator<Item = F>,
    ) -> Vec<impl Future<Output = F::Output> + 'static>
    where
        F: Future + 'static,
        F::Output: 'static,
    {
        let mut tasks = Vec::with_capacity(futures.size_hint().0);
        CURRENT.with_borrow(|executor| executor.spawn_many(futures, &mut tasks));
        tasks
    }

    fn sleep(duration: Duration) -> impl Future + 'static {
        async_io::Timer::after(duration)
    }
}
