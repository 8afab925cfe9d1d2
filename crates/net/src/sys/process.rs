//! Processes: forking, signals between them, their ends.

#![allow(unsafe_code, reason = "system calls are made here")]

use std::io;
use std::mem;
use std::ops::Range;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::ExitStatus;
use std::sync::Arc;
use std::time::Duration;

use squall_executor::fault::{self, Call};

use super::check;

/// `fork(2)`: the child's number, or `None` in the child.
///
/// Only for a process with one thread: a lock that another thread held would stay locked in the child for ever.
pub(crate) fn fork() -> io::Result<Option<i32>> {
    fault::check(Call::Thread)?;
    // SAFETY: the caller has made sure that there is no other thread, so the child may do whatever the parent may.
    let pid = check(unsafe { libc::fork() })?;
    Ok((pid > 0).then_some(pid))
}

/// `prctl(2)` with `PR_SET_PDEATHSIG`: the signal that this process gets when its parent's thread has ended.
pub(crate) fn set_parent_death_signal(signal: i32) -> io::Result<()> {
    // SAFETY: the call takes integers.
    check(unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, signal) })?;
    Ok(())
}

/// `kill(2)`.
pub(crate) fn kill(pid: i32, signal: i32) -> io::Result<()> {
    // SAFETY: the call takes integers.
    check(unsafe { libc::kill(pid, signal) })?;
    Ok(())
}

/// `getpgid(2)`: whether a child is in the process group of this process, to all of which a terminal sends its signals.
pub(crate) fn is_of_our_group(pid: i32) -> bool {
    // SAFETY: the call takes an integer.
    let theirs = unsafe { libc::getpgid(pid) };
    // SAFETY: the call takes nothing, and does not fail.
    theirs == unsafe { libc::getpgrp() }
}

/// `waitpid(2)` with `WNOHANG`, of one child.
pub(crate) fn try_wait(pid: i32) -> io::Result<Option<ExitStatus>> {
    let mut status = 0;
    // SAFETY: the kernel writes an int into a live int.
    let ended = check(unsafe { libc::waitpid(pid, &raw mut status, libc::WNOHANG) })?;
    Ok((ended == pid).then(|| ExitStatus::from_raw(status)))
}

/// Signals that are held back, to be [taken](Self::take) one by one, until this is dropped. `SIGCHLD` is always one of them,
/// and acts by default meanwhile: were it ignored, the kernel would keep no status of children.
pub(crate) struct HeldSignals {
    set: libc::sigset_t,
    former: libc::sigset_t,
    former_child_action: libc::sigaction,
    /// Those that the process ignores: they come all the same, because they are held back.
    ignored: Vec<i32>,
}

/// A signal that was taken.
#[derive(Clone, Copy)]
pub(crate) struct Taken {
    pub(crate) signal: i32,
    /// The kernel sent it, as for a Ctrl-C at the terminal, which reaches the whole group.
    pub(crate) is_from_terminal: bool,
}

impl HeldSignals {
    /// `sigprocmask(2)`, for a process with one thread.
    pub(crate) fn new(signals: &[i32]) -> HeldSignals {
        let ignored = signals.iter().copied().filter(|signal| is_ignored(*signal)).collect();
        let mut set = empty_set();
        for signal in signals.iter().chain(&[libc::SIGCHLD]) {
            // SAFETY: the set was initialised.
            unsafe { libc::sigaddset(&raw mut set, *signal) };
        }
        let mut former = empty_set();
        // SAFETY: both sets are initialised, and live for the call.
        unsafe { libc::pthread_sigmask(libc::SIG_BLOCK, &raw const set, &raw mut former) };
        // SAFETY: all zeros is a valid `sigaction`: the default action, no flags, no mask.
        let by_default: libc::sigaction = unsafe { mem::zeroed() };
        let mut former_child_action = by_default;
        let former_place = &raw mut former_child_action;
        // SAFETY: both actions live for the call.
        unsafe { libc::sigaction(libc::SIGCHLD, &raw const by_default, former_place) };
        HeldSignals { set, former, former_child_action, ignored }
    }

    /// `sigpending(2)`: whether one of some is there to be taken.
    pub(crate) fn has_waiting(&self, signals: &[i32]) -> bool {
        let mut waiting = empty_set();
        // SAFETY: the kernel writes a set into a live one.
        unsafe { libc::sigpending(&raw mut waiting) };
        // SAFETY: the set is initialised.
        signals.iter().any(|signal| unsafe { libc::sigismember(&raw const waiting, *signal) == 1 })
    }

    /// `sigtimedwait(2)`: the next signal, waiting at most for `timeout`. What the terminal sends to a process that ignores it,
    /// as under `nohup` or a shell's `&`, is none; whoever sends such a signal himself means it.
    pub(crate) fn take(&self, timeout: Duration) -> Option<Taken> {
        let taken = self.wait(timeout)?;
        let is_heeded = !taken.is_from_terminal || !self.ignored.contains(&taken.signal);
        is_heeded.then_some(taken)
    }

    /// Takes all that have come, to no effect.
    pub(crate) fn forget(&self) {
        while self.wait(Duration::ZERO).is_some() {}
    }

    fn wait(&self, timeout: Duration) -> Option<Taken> {
        let timeout = libc::timespec {
            tv_sec: libc::time_t::try_from(timeout.as_secs()).unwrap_or(libc::time_t::MAX),
            tv_nsec: timeout.subsec_nanos().into(),
        };
        // SAFETY: all zeros is a valid `siginfo_t`.
        let mut info: libc::siginfo_t = unsafe { mem::zeroed() };
        // SAFETY: everything lives for the call.
        let signal =
            unsafe { libc::sigtimedwait(&raw const self.set, &raw mut info, &raw const timeout) };
        let is_from_terminal = info.si_code == libc::SI_KERNEL;
        (signal > 0).then_some(Taken { signal, is_from_terminal })
    }
}

impl Drop for HeldSignals {
    fn drop(&mut self) {
        let former_action = &raw const self.former_child_action;
        // SAFETY: the action was the process's own before.
        unsafe { libc::sigaction(libc::SIGCHLD, former_action, std::ptr::null_mut()) };
        let former = &raw const self.former;
        // SAFETY: the mask was the thread's own before.
        unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, former, std::ptr::null_mut()) };
    }
}

/// `sigaction(2)`, which changes nothing.
fn is_ignored(signal: i32) -> bool {
    // SAFETY: all zeros is a valid `sigaction`.
    let mut action: libc::sigaction = unsafe { mem::zeroed() };
    // SAFETY: the action lives for the call; a null one to be set is allowed.
    unsafe { libc::sigaction(signal, std::ptr::null(), &raw mut action) };
    action.sa_sigaction == libc::SIG_IGN
}

fn empty_set() -> libc::sigset_t {
    // SAFETY: all zeros is a valid set; the next call makes it an empty one whatever its layout.
    let mut set = unsafe { mem::zeroed() };
    // SAFETY: the set is alive.
    unsafe { libc::sigemptyset(&raw mut set) };
    set
}

/// `fcntl(2)` with `F_DUPFD_CLOEXEC`: a copy whose number is `least` or more.
pub(crate) fn duplicate_from(fd: BorrowedFd<'_>, least: RawFd) -> io::Result<OwnedFd> {
    // SAFETY: the call takes integers.
    let copy = check(unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_DUPFD_CLOEXEC, least) })?;
    // SAFETY: the kernel has just made this descriptor for us; nobody else knows its number.
    Ok(unsafe { OwnedFd::from_raw_fd(copy) })
}

/// Lets a command's program have `fds` as its descriptors `first`, `first + 1`, and so on, as long as they live: a command that
/// is spawned again does not remember them. None of their numbers is below `first + fds.len()`, so that no copy can overwrite
/// another that is still to be made.
pub(crate) fn give_descriptors(
    command: &mut std::process::Command,
    fds: &Arc<Vec<OwnedFd>>,
    first: RawFd,
) {
    let fds = Arc::downgrade(fds);
    let give = move || {
        let Some(fds) = fds.upgrade() else { return Ok(()) }; // they were for an earlier spawn
        for (fd, number) in fds.iter().zip(first..) {
            // SAFETY: the call takes integers.
            check(unsafe { libc::dup2(fd.as_raw_fd(), number) })?;
        }
        Ok(())
    };
    // SAFETY: in the child it counts in an atomic and calls dup2, which is async-signal-safe. It neither allocates nor frees:
    // the caller holds the other count, so the one that is taken here is never the last.
    unsafe { command.pre_exec(give) };
}

/// `fstat(2)`: the device and the inode of whatever is open under a number.
pub(crate) fn identity(number: RawFd) -> io::Result<(u64, u64)> {
    // SAFETY: all zeros is a valid `stat`.
    let mut stat: libc::stat = unsafe { mem::zeroed() };
    // SAFETY: the kernel writes a `stat` into a live one.
    check(unsafe { libc::fstat(number, &raw mut stat) })?;
    Ok((stat.st_dev, stat.st_ino))
}

/// Takes over descriptors that were inherited by their numbers, all or none, close-on-exec from now on. An error if one is not
/// open, or has come later: one that came through `execve(2)` is never close-on-exec, and all that std makes is.
///
/// The caller knows that this process was started with them, and asks once at a time.
pub(crate) fn adopt_inherited(numbers: Range<RawFd>) -> io::Result<Vec<OwnedFd>> {
    for number in numbers.clone() {
        // SAFETY: the call takes integers.
        let flags = check(unsafe { libc::fcntl(number, libc::F_GETFD) })?;
        if flags & libc::FD_CLOEXEC != 0 {
            let text = format!("this process was not started with its descriptor {number}");
            return Err(io::Error::new(io::ErrorKind::InvalidData, text));
        }
    }
    let adopt = |number| {
        // SAFETY: the call takes integers.
        check(unsafe { libc::fcntl(number, libc::F_SETFD, libc::FD_CLOEXEC) })?;
        // SAFETY: it must be open and nobody else's. It is open, by the call above. Nobody in this program can own it: it came
        // with the start, as the caller says and as the missing flag confirms, which each descriptor of std's has; and whoever
        // took it before, by this function, has left the flag, so that the check above fails.
        Ok(unsafe { OwnedFd::from_raw_fd(number) })
    };
    numbers.map(adopt).collect()
}

/// `pidfd_open(2)`, close-on-exec, of a child that has not been waited for.
pub(crate) fn pidfd_open(pid: u32) -> io::Result<OwnedFd> {
    // SAFETY: the call takes two integers.
    let fd = unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) };
    let fd = RawFd::try_from(fd).expect("a descriptor or -1");
    check(fd)?;
    // SAFETY: the kernel has just made this descriptor for us; nobody else knows its number.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// `pidfd_send_signal(2)`.
pub(crate) fn pidfd_send_signal(pidfd: BorrowedFd<'_>, signal: i32) -> io::Result<()> {
    let none = std::ptr::null::<libc::siginfo_t>();
    // SAFETY: a null `siginfo_t` is allowed, and says: as kill(2).
    let result =
        unsafe { libc::syscall(libc::SYS_pidfd_send_signal, pidfd.as_raw_fd(), signal, none, 0) };
    check(i32::try_from(result).expect("0 or -1"))?;
    Ok(())
}
