//! What an error of `accept(2)` says about the next one.

use std::io;

/// What an error of `accept(2)` is about.
pub(crate) enum Trouble {
    /// The connection that was to be accepted, or the network: the next one may work.
    Connection,
    /// Descriptors or memory: asking again at once would spin.
    Resources,
    /// The listening socket itself.
    Listener,
}

impl Trouble {
    pub(crate) fn of(error: &io::Error) -> Trouble {
        match error.raw_os_error() {
            Some(libc::EBADF | libc::EINVAL | libc::ENOTSOCK | libc::EFAULT) => Trouble::Listener,
            // ENOSPC: epoll has no watch left for the listener. An error without a number is not of accept(2).
            Some(libc::EMFILE | libc::ENFILE | libc::ENOBUFS | libc::ENOMEM | libc::ENOSPC)
            | None => Trouble::Resources,
            Some(_) => Trouble::Connection,
        }
    }
}
