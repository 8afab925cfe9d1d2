//! The classes of errors of `accept(2)`: what an error says about the next call.

use std::io;

/// What an error of `accept(2)` is about.
pub(crate) enum AcceptError {
    /// The connection that was to be accepted, or the network: the next one may work.
    Connection,
    /// Descriptors or memory that have run out: trying again at once would spin.
    Resources,
    /// The listening socket itself.
    Listener,
}

impl AcceptError {
    pub(crate) fn of(error: &io::Error) -> AcceptError {
        match error.raw_os_error() {
            Some(libc::EBADF | libc::EINVAL | libc::ENOTSOCK | libc::EFAULT) => {
                AcceptError::Listener
            }
            // ENOSPC: epoll has no watch left for the listener. An error without a number is not from accept(2).
            Some(libc::EMFILE | libc::ENFILE | libc::ENOBUFS | libc::ENOMEM | libc::ENOSPC)
            | None => AcceptError::Resources,
            Some(_) => AcceptError::Connection,
        }
    }
}
