//! `spawn_blocking`: runs work that blocks on another thread, and a task that awaits its output on
//! the loop.

use std::io;
use std::panic::{AssertUnwindSafe, Location, catch_unwind, resume_unwind};

use crate::current;
use crate::error::JoinError;
use crate::event_loop::EventLoop;
use crate::large::is_large;
use crate::loop_core::Core;
use crate::task::join_handle::JoinHandle;
use crate::threads::blocking_pool::RunningJob;
use crate::threads::output_channel::{self, RemoteJoinHandle};

/// Runs `f`, which may block, on a thread for blocking work and returns a handle to its output.
/// Tornado: `run_in_executor`.
///
/// The threads belong to the loop. They are started on demand, up to
/// [`Builder::blocking_threads`](crate::Builder::blocking_threads), and end after ten idle seconds.
///
/// If the handle is [aborted](JoinHandle::abort) or the loop is dropped before `f` begins, `f` is
/// dropped without running. After an abort, it is dropped when a thread takes it. Once `f` has
/// begun, nothing can end it. Neither a loop that closes nor a process that exits waits for it.
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
/// The handle returns a [`JoinError`] if `f` panics, with the payload of that panic, or if no
/// thread can be started. The latter is reported as a panic too.
///
/// # Panics
/// If there is no loop on this thread, or if the executor that was given to the builder panics.
///
/// # Cost
/// A task, two other allocations, and one message from the thread.
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
    fn spawn_blocking<T: Send + 'static, F: FnOnce() -> T + Send + 'static>(
        &self,
        f: F,
        caller: &'static Location<'static>,
    ) -> JoinHandle<T> {
        if const { is_large::<F>() } {
            let f: Box<dyn FnOnce() -> T + Send> = Box::new(f);
            self.submit(f, caller)
        } else {
            self.submit(f, caller)
        }
    }

    fn submit<T: Send + 'static>(
        &self,
        f: impl FnOnce() -> T + Send + 'static,
        caller: &'static Location<'static>,
    ) -> JoinHandle<T> {
        let (job, receiver) = job_of(f);
        let submitted = if self.scheduler.is_closed() {
            drop(job); // the receiver returns a cancellation error
            Ok(())
        } else {
            self.blocking.submit(Box::new(job))
        };
        self.spawn(output_of(submitted, receiver, self.blocking.begin_job()), caller)
    }
}

/// Makes a job that runs `f` and sends its output. If the receiver is gone when the job begins, `f`
/// is dropped instead.
pub(crate) fn job_of<T: Send + 'static>(
    f: impl FnOnce() -> T + Send + 'static,
) -> (impl FnOnce() + Send + 'static, RemoteJoinHandle<T>) {
    let (sender, receiver) = output_channel::channel();
    let job = move || {
        if sender.is_wanted() {
            sender.send(catch_unwind(AssertUnwindSafe(f)).map_err(JoinError::panicked));
        }
    };
    (job, receiver)
}

/// Waits for the job's output. An error becomes the task's own panic or cancellation, which the
/// task's handle returns.
pub(crate) async fn output_of<T>(
    submitted: io::Result<()>,
    receiver: RemoteJoinHandle<T>,
    _running: RunningJob,
) -> T {
    if let Err(error) = submitted {
        resume_unwind(Box::new(format!("cannot start a thread for a blocking job: {error}")));
    }
    match receiver.await {
        Ok(output) => output,
        Err(error) => error.resume(),
    }
}
