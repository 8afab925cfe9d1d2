//! Sends one output from one thread to another.
//!
//! [`Handle::spawn`](crate::Handle::spawn) uses it to send the output of a task from the loop to a
//! waiting task on any thread. [`spawn_blocking`](crate::spawn_blocking) uses it to send the output
//! of a job from a thread of the pool to the loop.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::PoisonError;
use std::task::{Context, Poll, Waker};

use crate::error::JoinError;
use crate::insight::panics::report;
use crate::sync::{Arc, Mutex, MutexGuard};

/// Makes a channel for one output.
pub(crate) fn channel<T>() -> (Sender<T>, RemoteJoinHandle<T>) {
    let state = SlotState { outcome: None, is_finished: false, waiter: None };
    let slot = Arc::new(Slot { state: Mutex::new(state) });
    (Sender(Arc::clone(&slot)), RemoteJoinHandle { slot })
}

const _: () = {
    const fn is_send_and_sync<T: Send + Sync>() {}
    is_send_and_sync::<RemoteJoinHandle<()>>();
};

/// Waits for the output of a task that [`Handle::spawn`](crate::Handle::spawn) started. It may be
/// awaited on any thread and any executor.
///
/// Dropping it detaches the task.
#[must_use = "futures do nothing unless awaited; drop it to detach the task"]
pub struct RemoteJoinHandle<T> {
    slot: Arc<Slot<T>>,
}

struct Slot<T> {
    state: Mutex<SlotState<T>>,
}

struct SlotState<T> {
    /// The output or error. `None` before it is sent and after it is taken.
    outcome: Option<Result<T, JoinError>>,
    /// Whether the outcome was sent.
    is_finished: bool,
    /// The waker of the task that awaits the outcome.
    waiter: Option<Waker>,
}

impl<T> Drop for Slot<T> {
    /// Reports a panic that the receiver has not taken.
    fn drop(&mut self) {
        let state = self.state.get_mut().unwrap_or_else(PoisonError::into_inner);
        if let Some(Err(error)) = state.outcome.take()
            && let Ok(payload) = error.into_panic()
        {
            report("a task", payload);
        }
    }
}

impl<T> Slot<T> {
    fn lock(&self) -> MutexGuard<'_, SlotState<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> Future for RemoteJoinHandle<T> {
    type Output = Result<T, JoinError>;

    /// # Panics
    /// If polled after it has completed.
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let waker = cx.waker().clone(); // before the lock, because it may run foreign code
        let mut state = self.slot.lock();
        match state.outcome.take() {
            Some(outcome) => Poll::Ready(outcome),
            None if state.is_finished => {
                panic!("a RemoteJoinHandle was polled after it had completed")
            }
            None => {
                let former = state.waiter.replace(waker);
                drop(state);
                drop(former);
                Poll::Pending
            }
        }
    }
}

impl<T> fmt::Debug for RemoteJoinHandle<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let is_finished = self.slot.lock().is_finished;
        f.debug_struct("RemoteJoinHandle").field("is_finished", &is_finished).finish()
    }
}

/// The sending half. Dropping it without an outcome sends a cancellation error to the receiver.
pub(crate) struct Sender<T>(Arc<Slot<T>>);

impl<T> Sender<T> {
    /// Whether the receiver still exists.
    pub(crate) fn is_wanted(&self) -> bool {
        Arc::strong_count(&self.0) > 1
    }

    pub(crate) fn send(self, outcome: Result<T, JoinError>) {
        self.finish(outcome);
    }

    /// Stores the outcome and wakes the waiting task. Only the first call has an effect.
    fn finish(&self, outcome: Result<T, JoinError>) {
        let mut state = self.0.lock();
        if state.is_finished {
            return;
        }
        state.outcome = Some(outcome);
        state.is_finished = true;
        let waiter = state.waiter.take();
        drop(state);
        if let Some(waiter) = waiter {
            waiter.wake();
        }
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        self.finish(Err(JoinError::cancelled()));
    }
}
