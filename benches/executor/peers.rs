//! The peers.

use std::future::Future;
use std::time::Duration;

use crate::runtime::Runtime;

/// tokio's current-thread runtime. Futures that stay on their thread need its `LocalSet`.
pub(crate) struct Tokio {
    runtime: tokio::runtime::Runtime,
    local: tokio::task::LocalSet,
}

impl Runtime for Tokio {
    const NAME: &'static str = "tokio (LocalSet)";

    fn new() -> Tokio {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
        Tokio { runtime: runtime.expect("a runtime"), local: tokio::task::LocalSet::new() }
    }

    fn block_on<F: Future>(&mut self, future: F) -> F::Output {
        self.local.block_on(&self.runtime, future)
    }

    fn spawn<F>(future: F) -> impl Future<Output = F::Output> + 'static
    where
        F: Future + 'static,
        F::Output: 'static,
    {
        let task = tokio::task::spawn_local(future);
        async { task.await.expect("no panic") }
    }

    fn sleep(duration: Duration) -> impl Future + 'static {
        tokio::time::sleep(duration)
    }

    fn remote_closures(&mut self, count: u32) -> bool {
        let handle = self.runtime.handle().clone();
        self.runtime.block_on(async move {
            let (done, end) = tokio::sync::oneshot::channel();
            let sender = std::thread::spawn(move || {
                for n in 0..count {
                    drop(handle.spawn(async move { std::hint::black_box(n) }));
                }
                drop(handle.spawn(async move { done.send(()) }));
            });
            end.await.expect("an end");
            sender.join().expect("no panic");
        });
        true
    }
}

/// async-executor's local executor with async-io's timers: smol without its thread pool.
pub(crate) struct AsyncExecutor;

thread_local! {
    /// `LocalExecutor` knows no current one by itself.
    static SMOL: async_executor::LocalExecutor<'static> =
        const { async_executor::LocalExecutor::new() };
}

impl Runtime for AsyncExecutor {
    const NAME: &'static str = "async-executor (LocalExecutor)";

    fn new() -> AsyncExecutor {
        AsyncExecutor
    }

    fn block_on<F: Future>(&mut self, future: F) -> F::Output {
        SMOL.with(|executor| async_io::block_on(executor.run(future)))
    }

    fn spawn<F>(future: F) -> impl Future<Output = F::Output> + 'static
    where
        F: Future + 'static,
        F::Output: 'static,
    {
        SMOL.with(|executor| executor.spawn(future))
    }

    fn sleep(duration: Duration) -> impl Future + 'static {
        async_io::Timer::after(duration)
    }
}

/// monoio on epoll.
pub(crate) struct Monoio(monoio::Runtime<monoio::time::TimeDriver<monoio::LegacyDriver>>);

impl Runtime for Monoio {
    const NAME: &'static str = "monoio (legacy)";

    fn new() -> Monoio {
        let builder = monoio::RuntimeBuilder::<monoio::LegacyDriver>::new();
        Monoio(builder.enable_timer().build().expect("a runtime"))
    }

    fn block_on<F: Future>(&mut self, future: F) -> F::Output {
        self.0.block_on(future)
    }

    fn spawn<F>(future: F) -> impl Future<Output = F::Output> + 'static
    where
        F: Future + 'static,
        F::Output: 'static,
    {
        monoio::spawn(future)
    }

    fn sleep(duration: Duration) -> impl Future + 'static {
        monoio::time::sleep(duration)
    }
}
