//! The one thread-safe door of a loop.

use std::fmt;
use std::panic::Location;

use crate::current;
use crate::error::LoopClosed;
use crate::event_loop::EventLoop;
use crate::functions;
use crate::sync;
use crate::task::callback::RemoteCallback;
use crate::task::entry::Message;
use crate::task::shared_state::SharedState;
use crate::threads::output_channel::{self, RemoteJoinHandle};

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
        let (sender, receiver) = output_channel::channel();
        let location = Location::caller();
        self.add_callback(move || {
            let core = current::get();
            let task = core.spawn(async move { make().await }, location);
            drop(core.spawn(async move { sender.send(task.await) }, location));
        })?;
        Ok(receiver)
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
