//! [`Handle`]: the only way to reach a loop from another thread. It sends messages to the loop's
//! inbox.

use std::fmt;
use std::panic::Location;

use crate::current;
use crate::error::LoopClosed;
use crate::event_loop::EventLoop;
use crate::functions;
use crate::large::is_large;
use crate::sync;
use crate::task::callback::RemoteCallback;
use crate::task::entry::Message;
use crate::task::shared_state::SharedState;
use crate::threads::output_channel::{self, RemoteJoinHandle};

/// Reaches a loop from any thread.
///
/// Messages from one thread arrive in the order in which they were sent. Sending to a running loop
/// needs no system call. A sleeping loop is woken by one `write`, however many messages follow. A
/// handle does not keep its loop alive.
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
    shared: sync::Arc<SharedState>,
}

const _: () = {
    const fn is_send_and_sync<T: Send + Sync>() {}
    is_send_and_sync::<Handle>();
};

impl Handle {
    pub(crate) fn new(shared: &sync::Arc<SharedState>) -> Handle {
        Handle { shared: sync::Arc::clone(shared) }
    }

    /// Returns a handle to this thread's loop.
    ///
    /// # Panics
    /// If there is no loop on this thread.
    #[track_caller]
    pub fn current() -> Handle {
        Handle::new(current::get().scheduler.shared())
    }

    /// As [`current`](Self::current). `None` if there is no loop on this thread.
    pub fn try_current() -> Option<Handle> {
        Some(Handle::new(current::try_get()?.scheduler.shared()))
    }

    /// Calls `f` on the loop's thread.
    ///
    /// # Errors
    /// [`LoopClosed`] if the loop is closed. `f` is dropped: on this thread, unless the loop closes
    /// at the same moment.
    ///
    /// # Cost
    /// One allocation, and another one for every 31 messages; one `write` if the loop sleeps.
    #[track_caller]
    pub fn add_callback<F>(&self, f: F) -> Result<(), LoopClosed>
    where
        F: FnOnce() + Send + 'static,
    {
        let callback = if const { is_large::<F>() } {
            RemoteCallback::new(Location::caller(), Box::new(f))
        } else {
            RemoteCallback::new(Location::caller(), f)
        };
        self.shared.inbox.send(Message::Callback(callback))
    }

    /// Calls `make` on the loop's thread and runs the future that it returns there as a task. The
    /// future need not be `Send`.
    ///
    /// # Errors
    /// [`LoopClosed`] if the loop is closed. `make` is dropped, as in
    /// [`add_callback`](Self::add_callback).
    #[track_caller]
    pub fn spawn<M, T>(&self, make: M) -> Result<RemoteJoinHandle<T>, LoopClosed>
    where
        M: AsyncFnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        let (sender, receiver) = output_channel::channel();
        let location = Location::caller();
        self.add_callback(move || {
            let core = current::get();
            let task = core.spawn(async move { make().await }, location);
            drop(core.spawn(async move { sender.send(task.await) }, location));
        })?;
        Ok(receiver)
    }

    /// Stops the loop after it has received what this thread sent before. Tornado:
    /// `add_callback(loop.stop)`.
    ///
    /// Does nothing if the loop is closed.
    #[track_caller]
    pub fn stop(&self) {
        let _ = self.add_callback(functions::stop);
    }

    /// Whether the loop is closed, or this process is a fork of the process that the loop belongs
    /// to.
    pub fn is_closed(&self) -> bool {
        self.shared.inbox.is_closed()
    }
}

impl EventLoop {
    /// Returns a handle with which other threads reach this loop.
    pub fn handle(&self) -> Handle {
        Handle::new(self.core.scheduler.shared())
    }
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handle").field("is_closed", &self.is_closed()).finish()
    }
}
