//! Work that blocks, awaited on the loop.

use std::io;
use std::panic::{AssertUnwindSafe, Location, catch_unwind, resume_unwind};

use crate::current;
use crate::error::JoinError;
use crate::event_loop::EventLoop;
use crate::loop_core::Core;
use crate::task::join_handle::JoinHandle;
use crate::threads::output_channel::{self, RemoteJoinHandle};

/// Runs `f`, which may block, on a thread of its own kind and returns a handle of its output. Tornado: `run_in_executor`.
///
/// The threads belong to the loop: they are started on demand, up to
/// [`Builder::blocking_threads`](crate::Builder::blocking_threads), and leave after ten idle seconds. `f` is dropped unrun if its
/// handle is [aborted](JoinHandle::abort), or the loop dropped, before it began; an aborted one is dropped when a thread comes to
/// it. Once it has begun nothing can end it, and nobody waits for it: neither a loop that closes nor a process that exits.
///
/// ```
/// use squall_executor::{block_on, spawn_blocking};
///
/// let text = block_on(async {
///     spawn_blocking(|| std::fs::read_to_string("Cargo.toml")).await.expect("no panic")
/// });
/// assert!(text?.contains("[package]"));
/// # std::io::Result::Ok(())
/// ```
///
/// # Errors
/// The output of the handle is a [`JoinError`]: a panic of `f` with its payload, or, as a panic too, that no thread could be
/// started.
///
/// # Panics
/// If there is no loop on this thread; with a panic of the builder's own executor.
///
/// # Cost
/// A task, three allocations, and one message from the thread.
#[doc(alias = "run_in_executor")]
#[track_caller]
pub fn spawn_blocking<T: Send + 'static>(f: impl FnOnce() -> T + Send + 'static) -> JoinHandle<T> {
    current::get().spawn_blocking(f, Location::caller())
}

impl EventLoop {
    /// As [`spawn_blocking`].
    #[track_caller]
    pub fn spawn_blocking<T: Send + 'static>(
        &self,
        f: impl FnOnce() -> T + Send + 'static,
    ) -> JoinHandle<T> {
        self.core.spawn_blocking(f, Location::caller())
    }
}

impl Core {
    fn spawn_blocking<T: Send + 'static>(
        &self,
        f: impl FnOnce() -> T + Send + 'static,
        caller: &'static Location<'static>,
    ) -> JoinHandle<T> {
        let (sender, receiver) = output_channel::channel();
        if self.scheduler.is_closed() {
            drop(f);
            drop(sender); // the receiver says cancelled
            return self.spawn(output_of(Ok(()), receiver), caller);
        }
        let job = move || {
            if sender.is_wanted() {
                sender.send(catch_unwind(AssertUnwindSafe(f)).map_err(JoinError::panicked));
            }
        };
        let submitted = self.blocking.submit(Box::new(job));
        self.spawn(output_of(submitted, receiver), caller)
    }
}

/// The job's output; what went wrong goes on as the task's own panic, whose payload the task's handle gives out.
async fn output_of<T>(submitted: io::Result<()>, receiver: RemoteJoinHandle<T>) -> T {
    if let Err(error) = submitted {
        resume_unwind(Box::new(format!("cannot start a thread for a blocking job: {error}")));
    }
    match receiver.await {
        Ok(output) => output,
        Err(error) => error.resume(),
    }
}
