//! The task that looks for the peer's end while no read is under way.
//!
//! ```text
//!   poll_read ─▶ bytes: stored in the close watcher until the stream takes them
//!             ─▶ the end: announced as soon as the stream has no bytes left
//! ```
//!
//! While the task exists, only the task polls the transport for reading, because a transport stores
//! only one waker. Reads go through the [close watcher](super::close_watcher).

use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Context, Poll};

use futures_io::AsyncRead;
use squall_executor::future::Future;
use squall_executor::{spawn_boxed, wake_in_next_turn};

use crate::socket::readiness;
use crate::stream::close_watcher::CloseWatcher;
use crate::stream::read_end::ReadEnd;
use crate::stream::stream_state::StreamState;

impl<S: AsyncRead + Unpin + 'static> StreamState<S> {
    /// Returns a future of the stream's end. Starts the task if it does not run yet. `is_drained`
    /// states whether the buffer of the reading half is empty.
    #[track_caller]
    pub(crate) fn watch_end(self: &Rc<Self>, is_drained: bool) -> Future<()> {
        let watcher = self.get_or_make_watcher();
        watcher.set_drained(is_drained, self.read_end());
        if self.is_closed() {
            watcher.announce();
        } else if self.read_end() == ReadEnd::NotReached && !watcher.is_reading() {
            let watcher_task = WatcherTask { state: Rc::clone(self), watcher: Rc::clone(watcher) };
            let task =
                spawn_boxed(Box::pin(async move { poll_fn(|cx| watcher_task.poll(cx)).await }));
            if !task.is_finished() {
                watcher.set_task(task);
                // The transport will store only the task's waker, so a waiting reader must poll
                // again.
                self.wake_reader();
                self.with_transport(|transport| readiness::wake_waiting(&*transport));
            }
        }
        watcher.closed()
    }
}

/// The state of the task. However the task ends, the stream itself reads from the transport again.
struct WatcherTask<S> {
    state: Rc<StreamState<S>>,
    watcher: Rc<CloseWatcher>,
}

impl<S: AsyncRead + Unpin> WatcherTask<S> {
    /// Reads ahead while the stream has no bytes left to take. Ready at the end of the stream.
    fn poll(&self, cx: &mut Context<'_>) -> Poll<()> {
        let (state, watcher) = (&self.state, &self.watcher);
        if watcher.read_ahead.borrow().len() > 0 {
            watcher.waker.set(cx.waker());
            return Poll::Pending;
        }
        let config = state.config();
        let most = config.read_chunk_size.min(config.max_buffer_size);
        // The buffer is taken out, so that no borrow is held while the transport runs.
        let mut read_ahead = watcher.read_ahead.take();
        let polled = read_ahead.receive(most, |spare| state.poll_read(cx, spare));
        let read = match polled {
            Some(Poll::Ready(read)) => read,
            Some(Poll::Pending) => return Poll::Pending,
            None => return Poll::Ready(()),
        };
        if let Ok(n) = read
            && n > 0
        {
            if watcher.is_abandoned() {
                wake_in_next_turn(cx.waker()); // let other tasks run first
                return Poll::Pending;
            }
            read_ahead.shrink();
            watcher.read_ahead.replace(read_ahead);
            watcher.waker.set(cx.waker());
            state.wake_reader();
            return Poll::Pending;
        }
        state.set_read_end(&read);
        if let Err(failure) = read {
            watcher.set_failure(failure);
            state.outbox.wake_writers();
        }
        Poll::Ready(())
    }
}

impl<S> Drop for WatcherTask<S> {
    fn drop(&mut self) {
        let state = &self.state;
        if state.read_end() == ReadEnd::NotReached && !state.is_closed() && !state.has_transport() {
            state.set_read_end(&Err(state.no_transport_error().into()));
        }
        self.watcher.task_ended(state.read_end());
        state.wake_reader();
    }
}
