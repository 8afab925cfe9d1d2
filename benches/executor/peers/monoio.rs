//! monoio on epoll.

use std::future::Future;
use std::time::Duration;

use monoio::time::TimeDriver;
use monoio::{LegacyDriver, RuntimeBuilder};

use crate::runtime::Runtime;

pub(crate) struct Monoio(monoio::Runtime<TimeDriver<LegacyDriver>>);

impl Runtime for Monoio {
    const NAME: &'static str = "monoio (legacy)";

    fn new() -> Monoio {
        let builder = RuntimeBuilder::<LegacyDriver>::new();
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
