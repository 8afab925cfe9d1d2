//! The handle with which a task's spawner waits for the task or aborts it.
//!
//! [`spawn`](crate::spawn) and `spawn_blocking` return it. It reaches the task only through
//! `TaskPtr`.

use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use crate::error::JoinError;
use crate::task::task::TaskPtr;

/// Waits for a task's output. Returned by [`spawn`](crate::spawn).
///
/// Dropping the handle detaches the task, which keeps running. A panic of a detached task is
/// reported to the log and to [`Builder::on_panic`](crate::Builder::on_panic). The handle is not
/// `Send`:
///
/// ```compile_fail
/// fn is_send<T: Send>() {}
/// is_send::<squall_executor::JoinHandle<()>>();
/// ```
///
/// # Cancel safety
/// Cancel safe: a `&mut JoinHandle` may be polled, dropped and polled again.
pub struct JoinHandle<T> {
    /// The HANDLE flag keeps the task alive until [`Drop`] clears it.
    task: TaskPtr,
    output: PhantomData<Rc<T>>,
}

impl<T> JoinHandle<T> {
    /// Makes the task's only handle. `T` must be the output type of its future.
    pub(crate) fn new(task: TaskPtr) -> JoinHandle<T> {
        JoinHandle { task, output: PhantomData }
    }

    pub(crate) fn task(&self) -> TaskPtr {
        self.task
    }

    /// Asks the loop to drop the task's future.
    ///
    /// The loop does so when the task comes up in the ready queue, at the latest in the next batch,
    /// and never inside this call. A task that has finished already keeps its output.
    pub fn abort(&self) {
        self.task.abort();
    }

    /// Schedules another poll of the task, for events that do not go through the task's waker.
    #[doc(hidden)]
    pub fn nudge(&self) {
        self.task.wake();
    }

    /// Whether the task has ended: it completed, panicked or was cancelled. In a forked child, the
    /// tasks of the parent process count as ended.
    pub fn is_finished(&self) -> bool {
        self.task.is_done() || self.task.is_forked()
    }

    /// Converts this into a handle that aborts the task when the handle is dropped.
    pub fn abort_on_drop(self) -> AbortOnDrop<T> {
        AbortOnDrop(Some(self))
    }
}

impl<T> Future for JoinHandle<T> {
    type Output = Result<T, JoinError>;

    /// # Panics
    /// If polled after it has completed.
    #[allow(unsafe_code, reason = "the output's type was erased when the task was made")]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        // SAFETY: the caller of `new` passes the task's own output type, and makes one handle for
        // each task.
        unsafe { self.task.poll_outcome(cx) }
    }
}

impl<T> Drop for JoinHandle<T> {
    fn drop(&mut self) {
        self.task.drop_handle();
    }
}

impl<T> fmt::Debug for JoinHandle<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JoinHandle")
            .field("is_finished", &self.is_finished())
            .finish_non_exhaustive()
    }
}

/// A [`JoinHandle`] that aborts the task when it is dropped. Returned by
/// [`JoinHandle::abort_on_drop`].
#[derive(Debug)]
pub struct AbortOnDrop<T>(Option<JoinHandle<T>>);

/// Only `detach` takes the handle out, and it consumes the `AbortOnDrop`.
const HANDLE: &str = "the handle is there until `detach`";

#[allow(clippy::missing_panics_doc, reason = "`HANDLE` says why it cannot panic")]
impl<T> AbortOnDrop<T> {
    /// As [`JoinHandle::is_finished`].
    pub fn is_finished(&self) -> bool {
        self.0.as_ref().expect(HANDLE).is_finished()
    }

    /// As [`JoinHandle::abort`].
    pub fn abort(&self) {
        self.0.as_ref().expect(HANDLE).abort();
    }

    /// Returns the plain handle: dropping that one does not abort the task.
    pub fn detach(mut self) -> JoinHandle<T> {
        self.0.take().expect(HANDLE)
    }
}

impl<T> Future for AbortOnDrop<T> {
    type Output = Result<T, JoinError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(self.0.as_mut().expect(HANDLE)).poll(cx)
    }
}

impl<T> Drop for AbortOnDrop<T> {
    fn drop(&mut self) {
        if let Some(handle) = &self.0 {
            handle.abort();
        }
    }
}
