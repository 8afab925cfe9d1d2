//! What a registration asks epoll for: kinds of readiness, never none, and how often to report
//! them.

use std::fmt;
use std::num::NonZeroU8;
use std::ops::BitOr;

/// The kinds of readiness to report; never empty.
///
/// Epoll always reports errors and hang-ups too.
///
/// ```
/// use squall_reactor::Interest;
/// let both = Interest::READABLE | Interest::WRITABLE;
/// assert!(both.is_readable() && both.is_writable() && !both.is_priority());
/// ```
#[doc(alias = "READ")]
#[doc(alias = "WRITE")]
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Interest(NonZeroU8);

const READABLE: u8 = 1;
const WRITABLE: u8 = 2;
const PRIORITY: u8 = 4;

impl Interest {
    /// Data, an incoming connection, or the end of the stream (`EPOLLIN | EPOLLRDHUP`).
    pub const READABLE: Interest = Interest(NonZeroU8::new(READABLE).unwrap());
    /// Room to write, or the end of a connection attempt (`EPOLLOUT`).
    pub const WRITABLE: Interest = Interest(NonZeroU8::new(WRITABLE).unwrap());
    /// Out-of-band data and other exceptional conditions (`EPOLLPRI`).
    pub const PRIORITY: Interest = Interest(NonZeroU8::new(PRIORITY).unwrap());

    /// Returns true if [`READABLE`](Self::READABLE) is in the set.
    pub const fn is_readable(self) -> bool {
        self.0.get() & READABLE != 0
    }

    /// Returns true if [`WRITABLE`](Self::WRITABLE) is in the set.
    pub const fn is_writable(self) -> bool {
        self.0.get() & WRITABLE != 0
    }

    /// Returns true if [`PRIORITY`](Self::PRIORITY) is in the set.
    pub const fn is_priority(self) -> bool {
        self.0.get() & PRIORITY != 0
    }
}

impl BitOr for Interest {
    type Output = Interest;

    fn bitor(self, other: Interest) -> Interest {
        Interest(self.0 | other.0)
    }
}

impl fmt::Debug for Interest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = [
            (self.is_readable(), "READABLE"),
            (self.is_writable(), "WRITABLE"),
            (self.is_priority(), "PRIORITY"),
        ];
        let mut separator = "";
        for (_, name) in names.into_iter().filter(|(set, _)| *set) {
            write!(f, "{separator}{name}")?;
            separator = " | ";
        }
        Ok(())
    }
}

/// How often epoll reports readiness.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Mode {
    /// Every wait reports the descriptor while it is ready. Tornado's handlers work this way.
    Level,
    /// Each new readiness is reported once (`EPOLLET`). The caller must read or write until
    /// `WouldBlock` before it waits again.
    Edge,
    /// Readiness is reported once (`EPOLLONESHOT`). To get the next report, the caller arms the
    /// registration again with [`Reactor::modify`](crate::Reactor::modify).
    OneShot,
    /// As [`Level`](Self::Level), for a listening socket that several epoll instances watch. The
    /// kernel notifies at least one of them, and usually not all (`EPOLLEXCLUSIVE`).
    ///
    /// The kernel allows only [`READABLE`](Interest::READABLE) and
    /// [`WRITABLE`](Interest::WRITABLE), without `EPOLLRDHUP`, the early report of a peer's
    /// shutdown. It refuses to modify the registration: to pause, deregister; to resume, register
    /// again.
    Exclusive,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_union_holds_both_sides_and_prints_them() {
        let both = Interest::READABLE | Interest::PRIORITY;
        assert!(both.is_readable() && both.is_priority() && !both.is_writable());
        assert_eq!(format!("{both:?}"), "READABLE | PRIORITY");
    }
}
