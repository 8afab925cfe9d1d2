//! Processes: forking, signals between them, their ends, and the descriptors that they start with.

#![allow(
    unsafe_code,
    reason = "rustix leaves out fork, signals, and descriptors that are only numbers"
)]

use std::io;
use std::mem;
use std::ops::Range;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::ExitStatus;
use std::ptr;
use std::sync::Arc;
use std::time::Duration;

use rustix::process::{self, Pid, PidfdFlags, Signal, WaitOptions};
use squall_executor::fault::{self, Call};

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

/// `kill(2)` with one of the named signals.
pub(crate) fn kill(pid: i32, signal: i32) -> io::Result<()> {
    let signal = Signal::from_named_raw(signal).expect("a named signal");
    Ok(process::kill_process(positive(pid), signal)?)
}

/// `getpgid(2)`: whether a child is in the process group of this process, to all of which a terminal sends its signals.
pub(crate) fn is_of_our_group(pid: i32) -> bool {
    process::getpgid(Some(positive(pid))).is_ok_and(|group| group == process::getpgrp())
}

/// `waitpid(2)` with `WNOHANG`, of one child.
pub(crate) fn try_wait(pid: i32) -> io::Result<Option<ExitStatus>> {
    let ended = process::waitpid(Some(positive(pid)), WaitOptions::NOHANG)?;
    Ok(ended.map(|(_, status)| ExitStatus::from_raw(status.as_raw())))
}

fn positive(pid: i32) -> Pid {
    Pid::from_raw(pid).expect("a process number is positive")
}

/// Signals that are held back, to be [taken](Self::take) one by one, until this is dropped. `SIGCHLD` is always one of them,
/// and has its default action meanwhile: while it is ignored, the kernel keeps no status of children.
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
        let is_ignored = |signal| exchange_action(signal, None).sa_sigaction == libc::SIG_IGN;
        let ignored = signals.iter().copied().filter(|signal| is_ignored(*signal)).collect();
        let mut set = empty_set();
        for signal in signals.iter().chain(&[libc::SIGCHLD]) {
            // SAFETY: the set is alive and initialised.
            unsafe { libc::sigaddset(&raw mut set, *signal) };
        }
        let former = exchange_mask(libc::SIG_BLOCK, &set);
        let mut by_default = exchange_action(libc::SIGCHLD, None);
        by_default.sa_sigaction = libc::SIG_DFL;
        by_default.sa_flags = 0;
        let former_child_action = exchange_action(libc::SIGCHLD, Some(&by_default));
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
        exchange_action(libc::SIGCHLD, Some(&self.former_child_action));
        exchange_mask(libc::SIG_SETMASK, &self.former);
    }
}

/// `sigaction(2)`: sets the action of a signal, if one is given, and returns the one before.
fn exchange_action(signal: i32, action: Option<&libc::sigaction>) -> libc::sigaction {
    // SAFETY: all zeros is a valid `sigaction`.
    let mut former = unsafe { mem::zeroed() };
    let action = action.map_or(ptr::null(), ptr::from_ref);
    // SAFETY: `action` is null, which sets nothing, or one that the kernel gave out and whose handler is still what it was then,
    // or the default. `former` is alive.
    unsafe { libc::sigaction(signal, action, &raw mut former) };
    former
}

/// `pthread_sigmask(3)`: changes this thread's mask and returns the one before.
fn exchange_mask(how: i32, set: &libc::sigset_t) -> libc::sigset_t {
    let mut former = empty_set();
    // SAFETY: both sets are initialised and alive.
    unsafe { libc::pthread_sigmask(how, set, &raw mut former) };
    former
}

fn empty_set() -> libc::sigset_t {
    // SAFETY: a set is a mask of bits in Linux, and all zeros is the empty one.
    unsafe { mem::zeroed() }
}

/// `fcntl(2)` with `F_DUPFD_CLOEXEC`: a copy whose number is `least` or more.
pub(crate) fn duplicate_from(fd: BorrowedFd<'_>, least: RawFd) -> io::Result<OwnedFd> {
    Ok(rustix::io::fcntl_dupfd_cloexec(fd, least)?)
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
        if descriptor_flags(number, libc::F_GETFD, 0)? & libc::FD_CLOEXEC != 0 {
            let text = format!("this process was not started with its descriptor {number}");
            return Err(io::Error::new(io::ErrorKind::InvalidData, text));
        }
    }
    let adopt = |number| {
        descriptor_flags(number, libc::F_SETFD, libc::FD_CLOEXEC)?;
        // SAFETY: the descriptor must be open and have no owner. It is open, by the call above. No part of this program owns it:
        // it came with the start, as the caller says and as the missing flag confirms, which every descriptor of std's has; and an
        // earlier call of this function that took it has set the flag, so that the check above fails.
        Ok(unsafe { OwnedFd::from_raw_fd(number) })
    };
    numbers.map(adopt).collect()
}

/// `fcntl(2)` with `F_GETFD` or `F_SETFD`. A number that is not open is an error.
fn descriptor_flags(number: RawFd, act: i32, flags: i32) -> io::Result<i32> {
    // SAFETY: the call takes integers.
    check(unsafe { libc::fcntl(number, act, flags) })
}

/// `pidfd_open(2)`, close-on-exec, of a child that has not been waited for.
pub(crate) fn pidfd_open(pid: u32) -> io::Result<OwnedFd> {
    Ok(process::pidfd_open(positive(pid.cast_signed()), PidfdFlags::empty())?)
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

pub(super) fn check(result: i32) -> io::Result<i32> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}
