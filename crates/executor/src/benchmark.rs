//! Lets criterion run async benchmarks on a loop: `bencher.to_async(&event_loop)`.

use std::future::Future;

use criterion::async_executor::AsyncExecutor;

use crate::event_loop::EventLoop;

/// Requires the feature `criterion`.
///
/// ```
/// use criterion::Criterion;
/// use squall_executor::{EventLoop, yield_now};
///
/// # use std::time::Duration;
/// # let mut criterion = Criterion::default().without_plots().sample_size(10)
/// #     .warm_up_time(Duration::from_millis(1)).measurement_time(Duration::from_millis(10));
/// let event_loop = EventLoop::new()?;
/// criterion.bench_function("yield_now", |bencher| bencher.to_async(&event_loop).iter(yield_now));
/// # std::io::Result::Ok(())
/// ```
impl AsyncExecutor for &EventLoop {
    fn block_on<T>(&self, future: impl Future<Output = T>) -> T {
        EventLoop::block_on(self, future)
    }
}
