//! The counters of a reactor.

/// Counters of one [`Reactor`](crate::Reactor), since it was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ReactorStats {
    /// Calls of `epoll_pwait2` or `epoll_wait`.
    pub waits: u64,
    /// Descriptors added to epoll (`EPOLL_CTL_ADD`).
    pub registrations: u64,
    /// Changes of a registration's interest or mode (`EPOLL_CTL_MOD`).
    pub modifications: u64,
    /// Descriptors removed from epoll (`EPOLL_CTL_DEL`).
    pub deregistrations: u64,
}
