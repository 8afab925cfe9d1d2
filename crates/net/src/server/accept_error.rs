//! Classifies the errors of `accept(2)` by what they mean for the next call.

use std::io;

/// What failed in a call of `accept(2)`.
pub(crate) enum AcceptError {
    /// The connection or the network. The next call may succeed.
    Connection,
    /// Descriptors or memory have run out. Calling again at once would spin.
    Resources,
    /// The listening socket itself. It cannot accept any more.
    Listener,
    /// Nothing: no connection is queued, and the call did not wait for one.
    NoneQueued,
}

impl AcceptError {
    pub(crate) fn of(error: &io::Error) -> AcceptError {
        match error.raw_os_error() {
            Some(libc::EAGAIN) => AcceptError::NoneQueued,
            Some(libc::EBADF | libc::EINVAL | libc::ENOTSOCK | libc::EFAULT) => {
                AcceptError::Listener
            }
            // ENOSPC comes from epoll, which has no watch left for the listener. An error without
            // an errno is not from accept(2).
            Some(libc::EMFILE | libc::ENFILE | libc::ENOBUFS | libc::ENOMEM | libc::ENOSPC)
            | None => AcceptError::Resources,
            Some(_) => AcceptError::Connection,
        }
    }
}
