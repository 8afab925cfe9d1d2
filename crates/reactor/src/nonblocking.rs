//! Sets a descriptor non-blocking, and asks for its readiness without waiting.

use std::io;
use std::os::fd::BorrowedFd;

use crate::{Interest, sys};

/// Makes a descriptor non-blocking, as an event loop requires of each descriptor that it watches.
///
/// The flag belongs to the open file description, so duplicates of the descriptor become
/// non-blocking too.
///
/// # Errors
/// Those of `fcntl(2)`.
///
/// # Cost
/// One `fcntl`, or two if the flag was not set.
pub fn set_nonblocking(fd: BorrowedFd<'_>) -> io::Result<()> {
    replace_nonblocking(fd, true).map(drop)
}

/// Makes a descriptor non-blocking or blocking, as [`set_nonblocking`] does. Returns whether it was
/// non-blocking before.
///
/// # Errors
/// Those of `fcntl(2)`.
///
/// # Cost
/// One `fcntl`, or two if the flag changes.
pub fn replace_nonblocking(fd: BorrowedFd<'_>, is_nonblocking: bool) -> io::Result<bool> {
    sys::replace_nonblocking(fd, is_nonblocking)
}

/// Whether a descriptor is open for reading, for writing or for both: `O_RDONLY`, `O_WRONLY` or
/// `O_RDWR`.
///
/// # Errors
/// Those of `fcntl(2)`.
pub fn access_mode(fd: BorrowedFd<'_>) -> io::Result<i32> {
    Ok(sys::status_flags(fd)? & libc::O_ACCMODE)
}

/// Returns true if the descriptor is ready now for any part of `interest`, or has an error or a
/// hang-up.
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
