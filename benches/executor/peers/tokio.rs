//! tokio on its current-thread runtime: with `tokio::spawn`, as in most programs, and with the
//! `LocalSet` that futures need if they are not `Send`.

#![allow(unsafe_code, reason = "tokio::spawn asks for Send of futures that never leave the thread")]

use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::runtime::Builder;
use tokio::task::LocalSet;

use crate::runtime::{Round, Runtime};

fn current_thread() -> tokio::runtime::Runtime {
    Builder::new_current_thread().enable_time().build().expect("a runtime")
}

/// `Runtime::block_on` and `tokio::spawn`.
pub(crate) struct Tokio {
    runtime: tokio::runtime::Runtime,
    /// Makes this type `!Send`, unlike tokio's runtime. [`AssertSend`] depends on that.
    _stays: PhantomData<*const ()>,
}

impl Runtime for Tokio {
    const NAME: &'static str = "tokio (current_thread)";
    const REMOTE_CLOSURES: Option<Round<Tokio>> = Some(Tokio::remote_closures);

    fn new() -> Tokio {
        Tokio { runtime: current_thread(), _stays: PhantomData }
    }

    fn block_on<F: Future>(&mut self, future: F) -> F::Output {
        self.runtime.block_on(future)
    }

    fn spawn<F>(future: F) -> impl Future<Output = F::Output> + 'static
    where
        F: Future + 'static,
        F::Output: 'static,
    {
        let task = tokio::spawn(AssertSend(future));
        async { task.await.expect("no panic").0 }
    }

    fn sleep(duration: Duration) -> impl Future + 'static {
        tokio::time::sleep(duration)
    }
}

impl Tokio {
    fn remote_closures(&mut self, count: u32) {
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
    }
}

/// A future of [`Tokio::spawn`], or its output. Claims to be `Send`, but is never sent.
struct AssertSend<T>(T);

// SAFETY: a value that is `Send` may be used and dropped on another thread. An `AssertSend` never
// gets there. Only `Tokio::spawn` makes one, and the scenarios call it only within
// `Tokio::block_on`. A current-thread runtime polls its tasks in `block_on`, and drops the
// remaining tasks when it is dropped. `Tokio` is not `Send`, so both happen on the thread that made
// it. The handle of a task, the only way to its output, stays in the futures that the scenarios
// give to `block_on` and `spawn`. In `remote_closures`, another thread spawns, but its futures are
// `Send` by themselves, without an `AssertSend`.
unsafe impl<T> Send for AssertSend<T> {}

impl<F: Future> Future for AssertSend<F> {
    type Output = AssertSend<F::Output>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        // SAFETY: the field of a pinned wrapper may be pinned if it never moves again. Nothing
        // moves it: there is no `Drop`, `Unpin` is implemented only automatically, and `spawn`
        // takes the field only out of an output, which was never pinned.
        let future = unsafe { self.map_unchecked_mut(|wrapper| &mut wrapper.0) };
        future.poll(cx).map(AssertSend)
    }
}

/// The same runtime under a `LocalSet`, with `spawn_local`.
pub(crate) struct TokioLocalSet {
    runtime: tokio::runtime::Runtime,
    local: LocalSet,
}

impl Runtime for TokioLocalSet {
    const NAME: &'static str = "tokio (LocalSet)";

    fn new() -> TokioLocalSet {
        TokioLocalSet { runtime: current_thread(), local: LocalSet::new() }
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
}
