//! Every system call of this crate. Calls that can fail on a healthy machine go through
//! [`fault::check`].
//!
//! The wrappers decide nothing: each only turns a return value into an `io::Result`.

#![allow(unsafe_code, reason = "system calls are made here and nowhere else in this crate")]

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::ptr;
use std::sync::OnceLock;
use std::time::Duration;

use crate::fault::{self, Call};

/// `epoll_create1(2)`, close-on-exec.
pub(crate) fn epoll_create() -> io::Result<OwnedFd> {
    fault::check(Call::EpollCreate)?;
    // SAFETY: the call takes no pointer.
    let fd = check(unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) })?;
    // SAFETY: the kernel has just made this descriptor for us, and no other code knows its number.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// `epoll_ctl(2)` with `EPOLL_CTL_ADD`.
pub(crate) fn epoll_add(epoll: &OwnedFd, fd: RawFd, flags: u32, data: u64) -> io::Result<()> {
    fault::check(Call::EpollAdd)?;
    epoll_ctl(epoll, libc::EPOLL_CTL_ADD, fd, flags, data)
}

/// `epoll_ctl(2)` with `EPOLL_CTL_MOD`.
pub(crate) fn epoll_modify(epoll: &OwnedFd, fd: RawFd, flags: u32, data: u64) -> io::Result<()> {
    fault::check(Call::EpollModify)?;
    epoll_ctl(epoll, libc::EPOLL_CTL_MOD, fd, flags, data)
}

/// `epoll_ctl(2)` with `EPOLL_CTL_DEL`.
pub(crate) fn epoll_delete(epoll: &OwnedFd, fd: RawFd) -> io::Result<()> {
    fault::check(Call::EpollDelete)?;
    epoll_ctl(epoll, libc::EPOLL_CTL_DEL, fd, 0, 0)
}

fn epoll_ctl(epoll: &OwnedFd, operation: i32, fd: RawFd, flags: u32, data: u64) -> io::Result<()> {
    let mut event = libc::epoll_event { events: flags, u64: data };
    // SAFETY: `event` is a live, writable `epoll_event` for the whole call. If `fd` is not open,
    // the kernel returns an error (EBADF); this is not undefined behaviour.
    check(unsafe { libc::epoll_ctl(epoll.as_raw_fd(), operation, fd, &raw mut event) })?;
    Ok(())
}

/// `epoll_pwait2(2)`: waits with a timeout in nanoseconds. Before Linux 5.11 it fails with
/// `ENOSYS`.
pub(crate) fn epoll_pwait2(
    epoll: &OwnedFd,
    events: &mut Vec<libc::epoll_event>,
    timeout: Option<Duration>,
) -> io::Result<()> {
    fault::check(Call::EpollPwait2)?;
    let timeout = timeout.map(|timeout| KernelTimespec {
        seconds: i64::try_from(timeout.as_secs()).unwrap_or(i64::MAX),
        nanoseconds: timeout.subsec_nanos().into(),
    });
    let timeout = timeout.as_ref().map_or(ptr::null(), ptr::from_ref);
    events.clear();
    // SAFETY: the kernel writes at most `capacity` events from the start of the vector's
    // allocation, which holds that many. `timeout` is null or points to a timespec that lives to
    // the end of this function. A null signal mask leaves the thread's mask unchanged.
    let count = unsafe {
        libc::syscall(
            libc::SYS_epoll_pwait2,
            epoll.as_raw_fd(),
            events.as_mut_ptr(),
            capacity(events),
            timeout,
            ptr::null::<libc::sigset_t>(),
            0_usize,
        )
    };
    let count = usize::try_from(count).map_err(|_| io::Error::last_os_error())?;
    // SAFETY: the kernel has just initialised that many events.
    unsafe { events.set_len(count) };
    Ok(())
}

/// `struct __kernel_timespec`: each field has 64 bits on every architecture, unlike in libc's
/// `timespec`.
#[repr(C)]
struct KernelTimespec {
    seconds: i64,
    nanoseconds: i64,
}

/// `epoll_wait(2)`: waits with a timeout in milliseconds; -1 waits for ever.
pub(crate) fn epoll_wait(
    epoll: &OwnedFd,
    events: &mut Vec<libc::epoll_event>,
    millis: i32,
) -> io::Result<()> {
    fault::check(Call::EpollWait)?;
    events.clear();
    // SAFETY: the kernel writes at most `capacity` events from the start of the vector's
    // allocation, which holds that many.
    let count = unsafe {
        libc::epoll_wait(epoll.as_raw_fd(), events.as_mut_ptr(), capacity(events), millis)
    };
    let count = usize::try_from(count).map_err(|_| io::Error::last_os_error())?;
    // SAFETY: the kernel has just initialised that many events.
    unsafe { events.set_len(count) };
    Ok(())
}

fn capacity(events: &Vec<libc::epoll_event>) -> i32 {
    i32::try_from(events.capacity()).unwrap_or(i32::MAX)
}

/// `eventfd(2)`, close-on-exec and non-blocking, with a count of zero.
pub(crate) fn eventfd() -> io::Result<File> {
    fault::check(Call::EventfdCreate)?;
    // SAFETY: the call takes no pointer.
    let fd = check(unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) })?;
    // SAFETY: the kernel has just made this descriptor for us, and no other code knows its number.
    Ok(unsafe { File::from_raw_fd(fd) })
}

/// `write(2)` on an eventfd: adds `count` to its counter. Returns `WouldBlock` if the sum would
/// exceed `u64::MAX - 1`. Safe in a signal handler, since std makes this one system call and
/// nothing else.
pub(crate) fn eventfd_write(mut eventfd: &File, count: u64) -> io::Result<()> {
    eventfd.write(&count.to_ne_bytes()).map(drop) // the kernel takes all eight bytes or none
}

/// `read(2)` on an eventfd: returns the counter and resets it to zero. Returns `WouldBlock` if the
/// counter is zero. Safe in a signal handler, as the write is.
pub(crate) fn eventfd_read(mut eventfd: &File) -> io::Result<u64> {
    let mut count = [0; 8];
    let _ = eventfd.read(&mut count)?; // the kernel gives all eight bytes or none
    Ok(u64::from_ne_bytes(count))
}

/// `fcntl(2)`: makes a descriptor non-blocking or blocking, unless it is so already. Returns whether
/// it was non-blocking.
pub(crate) fn replace_nonblocking(fd: BorrowedFd<'_>, is_nonblocking: bool) -> io::Result<bool> {
    let flags = status_flags(fd)?;
    let was_nonblocking = flags & libc::O_NONBLOCK != 0;
    if was_nonblocking != is_nonblocking {
        let flags = flags ^ libc::O_NONBLOCK;
        // SAFETY: F_SETFL takes an int.
        check(unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_SETFL, flags) })?;
    }
    Ok(was_nonblocking)
}

/// `fcntl(2)` with `F_GETFL`: the access mode and the status flags.
pub(crate) fn status_flags(fd: BorrowedFd<'_>) -> io::Result<i32> {
    // SAFETY: F_GETFL takes no argument.
    check(unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_GETFL) })
}

/// `poll(2)` on one descriptor, without waiting. Returns those of `conditions` that hold now, and
/// any error or hang-up.
pub(crate) fn poll_now(fd: BorrowedFd<'_>, conditions: i16) -> io::Result<i16> {
    let mut entry = libc::pollfd { fd: fd.as_raw_fd(), events: conditions, revents: 0 };
    // SAFETY: `entry` is one live, writable `pollfd`, and the count is one.
    check(unsafe { libc::poll(&raw mut entry, 1, 0) })?;
    Ok(entry.revents)
}

/// `pthread_atfork(3)`: from now on, `fork` calls `hook` in every child. Only the first call has an
/// effect.
pub(crate) fn call_in_children(hook: extern "C" fn()) -> io::Result<()> {
    static REGISTERED: OnceLock<i32> = OnceLock::new();
    let errno = *REGISTERED.get_or_init(|| {
        // SAFETY: `hook` is a function of this program, which is not unloaded while a child of it
        // runs.
        unsafe { libc::pthread_atfork(None, None, Some(hook as unsafe extern "C" fn())) }
    });
    if errno == 0 { Ok(()) } else { Err(io::Error::from_raw_os_error(errno)) }
}

fn check(result: i32) -> io::Result<i32> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}
