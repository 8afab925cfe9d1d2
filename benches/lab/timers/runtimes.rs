//! The timers of each runtime.

use std::future::Future;
use std::num::NonZero;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::Duration;

use super::armed::{self, Costs};
use super::lateness;
use crate::plan::Plan;

pub(super) trait Timers {
    /// Makes a runtime with one thread, and runs a future on it.
    fn block_on<F: Future>(future: F) -> F::Output;

    /// A sleep on the runtime that runs.
    fn sleep(duration: Duration) -> impl Future<Output = ()>;
}

pub(super) struct Runtime {
    pub(super) name: &'static str,
    /// The server that is built on it. A plan without that server is without this runtime.
    server: &'static str,
    /// Sleeps again and again, and returns how late each sleep has ended.
    pub(super) lateness: fn(Duration, Duration) -> Vec<Duration>,
    /// What one of many timers costs. `None` if the runtime cannot have many.
    pub(super) armed: Option<fn(u32) -> Costs>,
}

impl Runtime {
    const fn new<T: Timers>(name: &'static str) -> Runtime {
        Runtime {
            name,
            server: name,
            lateness: lateness::measure::<T>,
            armed: Some(armed::measure::<T>),
        }
    }

    /// A runtime that is shown for the lateness of its timers only.
    const fn only_late<T: Timers>(name: &'static str) -> Runtime {
        Runtime { armed: None, ..Runtime::new::<T>(name) }
    }

    const fn variant_of(self, server: &'static str) -> Runtime {
        Runtime { server, ..self }
    }

    pub(super) fn is_wanted(&self, plan: &Plan) -> bool {
        plan.servers.iter().any(|server| server.name == self.server)
    }
}

/// All runtimes in this build, named as their servers. On io_uring, monoio has the timers that it
/// has on epoll, but waits in another way.
pub(super) static RUNTIMES: &[Runtime] = &[
    Runtime::only_late::<Raw>("raw"),
    Runtime::new::<Squall>("squall"),
    Runtime::only_late::<SquallWithoutSlack>("squall, 1 ns slack").variant_of("squall"),
    #[cfg(feature = "peers")]
    Runtime::new::<peers::Tokio>("tokio"),
    #[cfg(feature = "peers")]
    Runtime::new::<peers::Smol>("smol"),
    #[cfg(feature = "peers")]
    Runtime::new::<peers::MonoioOnEpoll>("monoio-epoll"),
    #[cfg(feature = "peers")]
    Runtime::only_late::<peers::MonoioOnUring>("monoio-uring"),
    #[cfg(feature = "peers")]
    Runtime::new::<peers::Compio>("compio"),
];

pub(super) fn named(name: &str) -> Result<&'static Runtime, String> {
    let found = RUNTIMES.iter().find(|runtime| runtime.name == name);
    found.ok_or_else(|| format!("no runtime is called {name:?}"))
}

/// No runtime: the thread itself sleeps.
struct Raw;

impl Timers for Raw {
    fn block_on<F: Future>(future: F) -> F::Output {
        match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(output) => output,
            Poll::Pending => unreachable!("a thread that sleeps is never pending"),
        }
    }

    async fn sleep(duration: Duration) {
        thread::sleep(duration);
    }
}

struct Squall;

impl Timers for Squall {
    fn block_on<F: Future>(future: F) -> F::Output {
        squall_net::block_on(future)
    }

    fn sleep(duration: Duration) -> impl Future<Output = ()> {
        squall_net::sleep(duration)
    }
}

/// squall on a thread whose waits the kernel may not prolong. By default it lets a wait end up to
/// 50 µs late, so that it can serve several timers at once.
struct SquallWithoutSlack;

impl Timers for SquallWithoutSlack {
    fn block_on<F: Future>(future: F) -> F::Output {
        let slack = NonZero::new(1);
        rustix::thread::set_current_timer_slack(slack).expect("a thread may set its slack");
        squall_net::block_on(future)
    }

    fn sleep(duration: Duration) -> impl Future<Output = ()> {
        squall_net::sleep(duration)
    }
}

#[cfg(feature = "peers")]
mod peers {
    use std::future::Future;
    use std::time::Duration;

    use monoio::{IoUringDriver, LegacyDriver, RuntimeBuilder};

    use super::Timers;

    pub(super) struct Tokio;

    impl Timers for Tokio {
        fn block_on<F: Future>(future: F) -> F::Output {
            let mut builder = tokio::runtime::Builder::new_current_thread();
            builder.enable_all().build().expect("a runtime").block_on(future)
        }

        fn sleep(duration: Duration) -> impl Future<Output = ()> {
            tokio::time::sleep(duration)
        }
    }

    /// async-io has one reactor for the whole process, and a thread that runs it while its other
    /// threads do not.
    pub(super) struct Smol;

    impl Timers for Smol {
        fn block_on<F: Future>(future: F) -> F::Output {
            async_io::block_on(future)
        }

        async fn sleep(duration: Duration) {
            async_io::Timer::after(duration).await;
        }
    }

    pub(super) struct MonoioOnEpoll;

    impl Timers for MonoioOnEpoll {
        fn block_on<F: Future>(future: F) -> F::Output {
            let builder = RuntimeBuilder::<LegacyDriver>::new().enable_timer();
            builder.build().expect("a runtime").block_on(future)
        }

        fn sleep(duration: Duration) -> impl Future<Output = ()> {
            monoio::time::sleep(duration)
        }
    }

    pub(super) struct MonoioOnUring;

    impl Timers for MonoioOnUring {
        fn block_on<F: Future>(future: F) -> F::Output {
            let builder = RuntimeBuilder::<IoUringDriver>::new().enable_timer();
            builder.build().expect("a runtime").block_on(future)
        }

        fn sleep(duration: Duration) -> impl Future<Output = ()> {
            monoio::time::sleep(duration)
        }
    }

    pub(super) struct Compio;

    impl Timers for Compio {
        fn block_on<F: Future>(future: F) -> F::Output {
            compio_runtime::Runtime::new().expect("a runtime").block_on(future)
        }

        fn sleep(duration: Duration) -> impl Future<Output = ()> {
            compio_runtime::time::sleep(duration)
        }
    }
}
