//! What to ask epoll for: a set of readiness kinds that cannot be empty, and how often to be told.

use std::fmt;
use std::num::NonZeroU8;
use std::ops::BitOr;

/// The kinds of readiness to be told about; never empty.
///
/// Errors and hang-ups are always reported, as epoll does it.
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
    /// Room to write, or the outcome of a connect (`EPOLLOUT`).
    pub const WRITABLE: Interest = Interest(NonZeroU8::new(WRITABLE).unwrap());
    /// Out-of-band data and other exceptional conditions (`EPOLLPRI`).
    pub const PRIORITY: Interest = Interest(NonZeroU8::new(PRIORITY).unwrap());

    /// Tells whether [`READABLE`](Self::READABLE) is in the set.
    pub const fn is_readable(self) -> bool {
        self.0.get() & READABLE != 0
    }

    /// Tells whether [`WRITABLE`](Self::WRITABLE) is in the set.
    pub const fn is_writable(self) -> bool {
        self.0.get() & WRITABLE != 0
    }

    /// Tells whether [`PRIORITY`](Self::PRIORITY) is in the set.
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

/// How often readiness is reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Mode {
    /// By every wait for as long as it lasts. What Tornado's handlers are used to.
    Level,
    /// Once each time it arises (`EPOLLET`): the owner works until `WouldBlock` before it waits again.
    Edge,
    /// Once, and then not before [`Reactor::modify`](crate::Reactor::modify) arms it again (`EPOLLONESHOT`).
    OneShot,
    /// As [`Level`](Self::Level), but of several epolls that watch one listening socket, at least one and usually not
    /// all are told (`EPOLLEXCLUSIVE`).
    ///
    /// The kernel allows it for [`READABLE`](Interest::READABLE) and [`WRITABLE`](Interest::WRITABLE) only, without
    /// the early notice of a peer's shutdown, and never lets it be modified: to pause, deregister; to resume, register.
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
