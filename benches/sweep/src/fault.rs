//! What is done to a system call.

use std::fmt;
use std::time::Duration;

use nix::errno::Errno;
use serde::{Deserialize, Serialize};

/// How long a call is held up.
pub(crate) const DELAY: Duration = Duration::from_millis(3);

/// What is done to a system call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The call fails with this error.
    Error(Errno),
    /// The call is held up before the kernel does its work.
    DelayBefore,
    /// The call is held up after the kernel has done its work.
    DelayAfter,
    /// The kernel is asked for one byte only.
    Shorten,
    /// The program itself asks for few bytes: for one, or again and again for a hundred. A program with edge-triggered epoll takes a read of
    /// fewer bytes than it asked for as the sign that the socket is empty, which the kernel keeps. A
    /// count that is changed behind its back would break that promise.
    ShortenSocket(Direction),
}

/// What is shortened at a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Direction {
    Receive,
    Send,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::Error(errno) => write!(f, "{errno:?}"),
            Fault::DelayBefore => f.write_str("delayed before"),
            Fault::DelayAfter => f.write_str("delayed after"),
            Fault::Shorten | Fault::ShortenSocket(_) => f.write_str("short"),
        }
    }
}
