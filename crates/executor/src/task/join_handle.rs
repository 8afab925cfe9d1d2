//! The owner's view of a task.

use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use crate::error::JoinError;
use crate::task::task::TaskPtr;

/// Waits for a task's output; made by [`spawn`](crate::spawn).
///
/// Dropping it detaches the task, which goes on by itself. A panic of a detached task goes to the log and to
/// [`Builder::on_panic`](crate::Builder::on_panic). Stays on its thread:
///
/// ```compile_fail
/// fn is_send<T: Send>() {}
/// is_send::<squall_executor::JoinHandle<()>>();
/// ```
///
/// # Cancel safety
/// Cancel safe: `&mut JoinHandle` may be polled, dropped and polled again.
pub struct JoinHandle<T> {
    /// Kept alive by the HANDLE flag, which [`Drop`] clears.
    task: TaskPtr,
    output: PhantomData<Rc<T>>,
}

impl<T> JoinHandle<T> {
    /// The task's only handle; `T` must be the output of its future.
    pub(crate) fn new(task: TaskPtr) -> JoinHandle<T> {
        JoinHandle { task, output: PhantomData }
    }

    pub(crate) fn task(&self) -> TaskPtr {
        self.task
    }

    /// Asks for the end of the task: its future is dropped when the loop comes to it, in the next batch, and not inside
    /// this call. A task that is finished already keeps its output.
    pub fn abort(&self) {
        self.task.abort();
    }

    /// Has the task polled again, for an owner who knows of news that its waker will not bring.
    #[doc(hidden)]
    pub fn nudge(&self) {
        self.task.wake();
    }

    /// Tells whether the task has ended, in whatever way; one of the parent's has, for a forked child.
    pub fn is_finished(&self) -> bool {
        self.task.is_done() || self.task.is_forked()
    }

    /// Turns this into a handle that aborts the task when it is dropped.
    pub fn abort_on_drop(self) -> AbortOnDrop<T> {
        AbortOnDrop(self)
    }
}

impl<T> Future for JoinHandle<T> {
    type Output = Result<T, JoinError>;

    /// # Panics
    /// If polled after it has completed.
    #[allow(unsafe_code, reason = "the output's type was erased when the task was made")]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        // SAFETY: `new` is given the task's own output type, and there is one handle for each task.
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

/// A [`JoinHandle`] whose drop ends the task; made by [`JoinHandle::abort_on_drop`].
#[derive(Debug)]
pub struct AbortOnDrop<T>(JoinHandle<T>);

impl<T> AbortOnDrop<T> {
    /// As [`JoinHandle::is_finished`].
    pub fn is_finished(&self) -> bool {
        self.0.is_finished()
    }
}

impl<T> Future for AbortOnDrop<T> {
    type Output = Result<T, JoinError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.0).poll(cx)
    }
}

impl<T> Drop for AbortOnDrop<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}
