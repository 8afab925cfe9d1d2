//! The system calls that are swept, and the errors that each can return to a sound program.
//!
//! Left out are calls that cannot fail with valid arguments (`sigaction`, `sigprocmask`, `getpid`),
//! and the memory of the allocator: without memory, a Rust program aborts.
//!
//! An error must be true, or the program is judged by a kernel that does not exist. So `EAGAIN` is left
//! out where it promises an event that would not come: for a read of a socket that has bytes, and for a
//! write to one that has room. And an error that says that a socket is dead comes with its death.

use nix::errno::Errno;

use Errno::*;

/// A system call, or one use of it.
#[derive(Debug)]
pub(crate) struct SystemCall {
    pub(crate) name: &'static str,
    number: i64,
    /// Tells this use from others by an argument.
    only: Only,
    pub(crate) errors: &'static [Errno],
    /// What the kernel does before it returns one of them.
    work: Work,
    /// The errors that say that the socket is dead.
    ends: &'static [Errno],
    /// Whether fewer bytes than were asked for are an honest result at any time. Not for sockets, see
    /// [`Fault::ShortenSocket`](crate::fault::Fault::ShortenSocket).
    pub(crate) may_be_short: bool,
}

/// What the kernel does to a call that fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Work {
    None,
    /// What it was asked for.
    All,
    /// It ends the socket: the tracer resets the connection, or shuts it down if it has no reset.
    End,
}

/// A condition on the arguments of a call, which are counted from 0.
#[derive(Debug)]
enum Only {
    Always,
    /// The argument, under the mask, has the value.
    If {
        argument: usize,
        mask: u64,
        value: u64,
    },
}

/// The arguments of a system call.
pub(crate) type Arguments = [u64; 4];

impl SystemCall {
    /// Finds the entry of a call that is about to be made. `None` if it is not swept.
    pub(crate) fn of(number: i64, arguments: &Arguments) -> Option<&'static SystemCall> {
        CALLS.iter().find(|call| call.number == number && call.only.holds(arguments))
    }

    /// What the kernel does before the call returns this error.
    pub(crate) fn work(&self, errno: Errno) -> Work {
        if self.ends.contains(&errno) { Work::End } else { self.work }
    }

    /// The place in the table.
    pub(crate) fn index(&self) -> usize {
        CALLS.iter().position(|call| call.name == self.name).expect("every call is in the table")
    }
}

impl Only {
    fn holds(&self, arguments: &Arguments) -> bool {
        match *self {
            Only::Always => true,
            Only::If { argument, mask, value } => arguments[argument] & mask == value,
        }
    }
}

const fn call(name: &'static str, number: i64, errors: &'static [Errno]) -> SystemCall {
    let (work, ends, may_be_short) = (Work::None, &[], false);
    SystemCall { name, number, only: Only::Always, errors, work, ends, may_be_short }
}

impl SystemCall {
    const fn only(mut self, argument: usize, mask: u64, value: u64) -> SystemCall {
        self.only = Only::If { argument, mask, value };
        self
    }

    /// The kernel does its work all the same.
    const fn done(mut self) -> SystemCall {
        self.work = Work::All;
        self
    }

    /// These errors come with the death of the socket.
    const fn ends(mut self, errors: &'static [Errno]) -> SystemCall {
        self.ends = errors;
        self
    }

    const fn may_be_short(mut self) -> SystemCall {
        self.may_be_short = true;
        self
    }
}

const ALL: u64 = u64::MAX;
/// `FUTEX_CMD_MASK`: the operation without its flags.
const FUTEX_OPERATION: u64 = 0x7f;
/// The bytes of an eventfd's counter.
const COUNTER: u64 = 8;

/// The first entry that matches a call is the one.
pub(crate) static CALLS: [SystemCall; 58] = [
    call("epoll_create1", libc::SYS_epoll_create1, &[EMFILE, ENFILE, ENOMEM]),
    call("epoll_ctl ADD", libc::SYS_epoll_ctl, &[ENOMEM, ENOSPC]).only(1, ALL, 1),
    // As after a close: the kernel has removed the descriptor.
    call("epoll_ctl DEL", libc::SYS_epoll_ctl, &[ENOENT]).only(1, ALL, 2).done(),
    call("epoll_ctl MOD", libc::SYS_epoll_ctl, &[ENOMEM]).only(1, ALL, 3),
    call("epoll_pwait2", libc::SYS_epoll_pwait2, &[EINTR, ENOSYS, EPERM]),
    call("epoll_wait", libc::SYS_epoll_wait, &[EINTR]),
    call("eventfd2", libc::SYS_eventfd2, &[EMFILE, ENFILE, ENOMEM]),
    call("socket", libc::SYS_socket, &[EMFILE, ENFILE, ENOBUFS, ENOMEM, EAFNOSUPPORT, EACCES]),
    call("socketpair", libc::SYS_socketpair, &[EMFILE, ENFILE, ENOMEM]),
    call("bind", libc::SYS_bind, &[EADDRINUSE, EACCES, EADDRNOTAVAIL]),
    call("listen", libc::SYS_listen, &[EADDRINUSE]),
    call("accept4", libc::SYS_accept4, &ACCEPT_ERRORS).ends(&[EINVAL]),
    call("connect", libc::SYS_connect, &CONNECT_ERRORS),
    call("recvfrom", libc::SYS_recvfrom, &[EINTR, ECONNRESET, ETIMEDOUT, ENOMEM, EHOSTUNREACH])
        .ends(&DEATHS),
    call("recvmsg", libc::SYS_recvmsg, &[EINTR, ECONNRESET, ENOMEM]).ends(&DEATHS),
    call("sendto", libc::SYS_sendto, &[EINTR, EPIPE, ECONNRESET, ENOBUFS, ENOMEM]).ends(&DEATHS),
    call("sendmsg", libc::SYS_sendmsg, &[EINTR, EPIPE, ECONNRESET, ENOBUFS, ENOMEM]).ends(&DEATHS),
    call("shutdown", libc::SYS_shutdown, &[ENOTCONN]),
    call("setsockopt", libc::SYS_setsockopt, &[ENOMEM, ENOPROTOOPT]),
    call("getsockopt", libc::SYS_getsockopt, &[ENOBUFS]),
    call("getsockname", libc::SYS_getsockname, &[ENOBUFS]),
    call("getpeername", libc::SYS_getpeername, &[ENOBUFS]),
    // Also the pipe through which std hears of a failed execve.
    call("read, 8 bytes", libc::SYS_read, &[EINTR]).only(2, ALL, COUNTER),
    call("read", libc::SYS_read, &[EINTR, EIO]).may_be_short(),
    call("readv", libc::SYS_readv, &[EINTR, EIO]),
    call("write, 8 bytes", libc::SYS_write, &[EINTR, EAGAIN]).only(2, ALL, COUNTER),
    call("write", libc::SYS_write, &[EINTR]).may_be_short(),
    call("writev", libc::SYS_writev, &[EINTR]),
    // Linux closes the descriptor, whatever it returns.
    call("close", libc::SYS_close, &[EINTR]).done(),
    call("pipe2", libc::SYS_pipe2, &[EMFILE, ENFILE]),
    call("fcntl DUPFD", libc::SYS_fcntl, &[EMFILE]).only(1, ALL, 1030),
    call("fcntl", libc::SYS_fcntl, &[EACCES]),
    call("ioctl", libc::SYS_ioctl, &[EACCES]),
    call("dup2", libc::SYS_dup2, &[EMFILE, EBUSY]),
    call("poll", libc::SYS_poll, &[EINTR, ENOMEM]),
    call("openat", libc::SYS_openat, &[EMFILE, ENFILE, ENOMEM, EACCES]),
    call("getdents64", libc::SYS_getdents64, &[ENOMEM, ENOENT]),
    call("fstat", libc::SYS_fstat, &[ENOMEM]),
    call("newfstatat", libc::SYS_newfstatat, &[ENOMEM, EACCES]),
    call("statx", libc::SYS_statx, &[ENOMEM, EACCES]),
    call("flock", libc::SYS_flock, &[ENOLCK, EAGAIN]),
    call("chmod", libc::SYS_chmod, &[EPERM, EROFS]),
    call("unlink", libc::SYS_unlink, &[EACCES, EROFS]),
    call("clone3", libc::SYS_clone3, &[EAGAIN, ENOMEM, ENOSYS]),
    call("clone", libc::SYS_clone, &[EAGAIN, ENOMEM]),
    call("execve", libc::SYS_execve, &[ENOENT, ENOMEM]),
    // Only the stack of a new thread: PROT_NONE. Without a stack for signals, std aborts.
    call("mmap of a stack", libc::SYS_mmap, &[ENOMEM, EAGAIN]).only(2, ALL, 0),
    call("futex WAIT", libc::SYS_futex, &[EINTR, EAGAIN]).only(1, FUTEX_OPERATION, 0),
    call("futex WAIT_BITSET", libc::SYS_futex, &[EINTR, EAGAIN]).only(1, FUTEX_OPERATION, 9),
    call("clock_nanosleep", libc::SYS_clock_nanosleep, &[EINTR]),
    call("getrandom", libc::SYS_getrandom, &[EINTR, ENOSYS]),
    // With WNOHANG, neither returns EINTR.
    call("wait4", libc::SYS_wait4, &[EINTR]).only(2, 1, 0),
    call("waitid", libc::SYS_waitid, &[EINTR]).only(3, 1, 0),
    call("rt_sigtimedwait", libc::SYS_rt_sigtimedwait, &[EINTR, EAGAIN]),
    call("prctl", libc::SYS_prctl, &[EINVAL]),
    call("kill", libc::SYS_kill, &[ESRCH]),
    call("pidfd_open", libc::SYS_pidfd_open, &[EMFILE, ENFILE, ENOMEM]),
    call("pidfd_send_signal", libc::SYS_pidfd_send_signal, &[ESRCH]),
];

/// Those of accept(2), which may be those of the new connection, and of a listener that another
/// process has shut down (`EINVAL`).
static ACCEPT_ERRORS: [Errno; 16] = [
    EINTR,
    ECONNABORTED,
    EMFILE,
    ENFILE,
    ENOBUFS,
    ENOMEM,
    EPROTO,
    EPERM,
    ENETDOWN,
    ENONET,
    EHOSTDOWN,
    EHOSTUNREACH,
    ENETUNREACH,
    ENOPROTOOPT,
    EOPNOTSUPP,
    EINVAL,
];

static DEATHS: [Errno; 4] = [EPIPE, ECONNRESET, ETIMEDOUT, EHOSTUNREACH];

static CONNECT_ERRORS: [Errno; 6] =
    [ECONNREFUSED, ETIMEDOUT, ENETUNREACH, EADDRNOTAVAIL, EACCES, ENOBUFS];
