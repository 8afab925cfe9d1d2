//! What an owner of a descriptor wants to know and set without waiting.

use std::io;
use std::os::fd::BorrowedFd;

use crate::{Interest, sys};

/// Makes a descriptor non-blocking, as everything must be that a loop watches.
///
/// The flag belongs to the open file: duplicates of the descriptor turn non-blocking with it.
///
/// # Errors
/// Those of `fcntl(2)`.
///
/// # Cost
/// One `fcntl`, or two if the flag was not set.
pub fn set_nonblocking(fd: BorrowedFd<'_>) -> io::Result<()> {
    sys::set_nonblocking(fd)
}

/// Asks the kernel whether any of `interest`, an error or a hang-up holds at this moment.
///
/// # Errors
/// Those of `poll(2)`.
///
/// # Cost
/// One `poll`.
pub fn is_ready(fd: BorrowedFd<'_>, interest: Interest) -> io::Result<bool> {
    let mut conditions = 0;
    if interest.is_readable() {
        conditions |= libc::POLLIN | libc::POLLRDHUP;
    }
    if interest.is_writable() {
        conditions |= libc::POLLOUT;
    }
    if interest.is_priority() {
        conditions |= libc::POLLPRI;
    }
    Ok(sys::poll_now(fd, conditions)? != 0)
}
