//! The one thread-safe door of a loop.

use std::fmt;
use std::future::Future;
use std::panic::Location;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use crate::callback::RemoteCallback;
use crate::current;
use crate::error::{JoinError, LoopClosed};
use crate::event_loop::EventLoop;
use crate::functions;
use crate::inbox::Message;
use crate::shared::Shared;
use crate::sync;

/// Reaches a loop from any thread.
///
/// What one thread sends keeps its order. A running loop is told without a system call; one that sleeps is woken by one
/// write, however many messages follow. A handle does not keep its loop alive.
///
/// ```
/// use squall_executor::{EventLoop, stop};
///
/// let event_loop = EventLoop::new()?;
/// let handle = event_loop.handle();
/// let thread = std::thread::spawn(move || handle.add_callback(stop));
/// event_loop.run()?;
/// thread.join().unwrap()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Handle {
    shared: sync::Arc<Shared>,
}

const _: () = {
    const fn is_send_and_sync<T: Send + Sync>() {}
    is_send_and_sync::<Handle>();
    is_send_and_sync::<RemoteJoinHandle<()>>();
};

impl Handle {
    pub(crate) fn new(shared: &sync::Arc<Shared>) -> Handle {
        Handle { shared: sync::Arc::clone(shared) }
    }

    /// The handle of this thread's loop.
    ///
    /// # Panics
    /// If there is none.
    #[track_caller]
    pub fn current() -> Handle {
        Handle::new(current::get().scheduler.shared())
    }

    /// Calls `f` on the loop's thread.
    ///
    /// # Errors
    /// [`LoopClosed`]: `f` is dropped, here.
    ///
    /// # Cost
    /// One allocation; one `write` if the loop sleeps.
    #[track_caller]
    pub fn add_callback(&self, f: impl FnOnce() + Send + 'static) -> Result<(), LoopClosed> {
        let callback = RemoteCallback::new(Location::caller(), f);
        self.shared.inbox.send(Message::Callback(callback))
    }

    /// Makes a future on the loop's thread, where it may be `!Send`, and runs it there as a task.
    ///
    /// # Errors
    /// [`LoopClosed`]: `make` is dropped, here.
    #[track_caller]
    pub fn spawn<M, T>(&self, make: M) -> Result<RemoteJoinHandle<T>, LoopClosed>
    where
        M: AsyncFnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        let slot = Arc::new(Slot {
            state: Mutex::new(SlotState { outcome: None, is_finished: false, waiter: None }),
        });
        let sender = Sender(Arc::clone(&slot));
        let location = Location::caller();
        self.add_callback(move || {
            let core = current::get();
            let task = core.spawn(async move { make().await }, location);
            drop(core.spawn(async move { sender.send(task.await) }, location));
        })?;
        Ok(RemoteJoinHandle { slot })
    }

    /// Stops the loop, after what this thread has sent before. Tornado: `add_callback(loop.stop)`.
    ///
    /// A loop that is closed has stopped.
    #[track_caller]
    pub fn stop(&self) {
        let _ = self.add_callback(functions::stop);
    }

    /// Tells whether the loop is gone, or this process is a fork of the one that it runs in.
    pub fn is_closed(&self) -> bool {
        self.shared.inbox.is_closed()
    }
}

impl EventLoop {
    /// The door for other threads.
    pub fn handle(&self) -> Handle {
        Handle::new(self.core.scheduler.shared())
    }
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handle").field("is_closed", &self.is_closed()).finish()
    }
}

/// Waits, on any thread and any executor, for the output of a task that [`Handle::spawn`] started.
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
    outcome: Option<Result<T, JoinError>>,
    is_finished: bool,
    waiter: Option<Waker>,
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
        let waker = cx.waker().clone(); // before the lock: it may run foreign code
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

/// The loop's end: whatever happens to it, the waiter hears of it.
struct Sender<T>(Arc<Slot<T>>);

impl<T> Sender<T> {
    fn send(self, outcome: Result<T, JoinError>) {
        self.finish(outcome);
    }

    /// Keeps the first outcome and wakes the waiter.
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
