//! System calls for processes: fork, signals, waiting for children, and inherited descriptors.

#![allow(
    unsafe_code,
    reason = "rustix leaves out fork, signals, and descriptors that are only numbers"
)]

use std::fs::File;
use std::io;
use std::mem::{self, ManuallyDrop};
use std::ops::Range;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::ExitStatus;
use std::sync::Arc;
use std::time::Duration;

use rustix::process::{self, Pid, PidfdFlags, Signal, WaitId, WaitIdOptions, WaitOptions};
use squall_executor::fault::{self, Call};
use squall_executor::{SignalAction, exchange_mask, signal_set};

/// `fork(2)`: returns the child's process ID, or `None` in the child.
///
/// Only for a process with one thread. If another thread holds a lock, the lock stays locked in the
/// child for ever.
pub(crate) fn fork() -> io::Result<Option<i32>> {
    fault::check(Call::Thread)?;
    // SAFETY: the caller has made sure that there is no other thread, so the child may do
    // everything that the parent may do.
    let pid = check(unsafe { libc::fork() })?;
    Ok((pid > 0).then_some(pid))
}

/// `prctl(2)` with `PR_SET_PDEATHSIG`: sets the signal that this process gets when the parent
/// thread that forked it ends.
pub(crate) fn set_parent_death_signal(signal: i32) -> io::Result<()> {
    // SAFETY: the call takes integers.
    check(unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, signal) })?;
    Ok(())
}

/// `kill(2)` with a named signal.
pub(crate) fn kill(pid: i32, signal: i32) -> io::Result<()> {
    let signal = Signal::from_named_raw(signal).expect("a named signal");
    Ok(process::kill_process(positive(pid), signal)?)
}

/// `getpgid(2)`: whether a child is in this process's process group. A terminal sends its signals
/// to the whole group.
pub(crate) fn is_in_our_group(pid: i32) -> bool {
    process::getpgid(Some(positive(pid))).is_ok_and(|group| group == process::getpgrp())
}

/// `getpgid(2)`: whether a child leads a process group of its own.
pub(crate) fn leads_group(pid: u32) -> bool {
    let pid = positive(pid.cast_signed());
    process::getpgid(Some(pid)).is_ok_and(|group| group == pid)
}

/// `kill(2)` with a negative number: sends a signal to every process of a group.
pub(crate) fn kill_group(leader: u32, signal: i32) -> io::Result<()> {
    let group = positive(leader.cast_signed()).as_raw_nonzero().get();
    // SAFETY: the call takes integers.
    check(unsafe { libc::kill(-group, signal) })?;
    Ok(())
}

/// `waitid(2)` with `WNOHANG` and `WNOWAIT`: returns the status of a child that has ended, which
/// stays a zombie.
pub(crate) fn peek_status(pid: u32) -> io::Result<Option<ExitStatus>> {
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
    let ended = process::waitid(WaitId::Pid(positive(pid.cast_signed())), options)?;
    Ok(ended.map(|ended| {
        let code = ended.exit_status().unwrap_or_default() << 8;
        let core_dump = if ended.dumped() { 0x80 } else { 0 };
        ExitStatus::from_raw(code | ended.terminating_signal().unwrap_or_default() | core_dump)
    }))
}

/// `waitpid(2)` with `WNOHANG` for one child.
pub(crate) fn try_wait(pid: i32) -> io::Result<Option<ExitStatus>> {
    let ended = process::waitpid(Some(positive(pid)), WaitOptions::NOHANG)?;
    Ok(ended.map(|(_, status)| ExitStatus::from_raw(status.as_raw())))
}

fn positive(pid: i32) -> Pid {
    Pid::from_raw(pid).expect("a process ID is positive")
}

/// Blocks signals until this is dropped, so that they can be [taken](Self::take) one by one.
///
/// `SIGCHLD` is always blocked too, and gets its default action: while `SIGCHLD` is ignored, the
/// kernel keeps no status of children.
pub(crate) struct BlockedSignals {
    set: libc::sigset_t,
    old_mask: libc::sigset_t,
    old_child_action: SignalAction,
    /// The signals of `set` whose action is to ignore them. The kernel keeps them all the same,
    /// because they are blocked.
    ignored: Vec<i32>,
}

/// A pending signal that [`BlockedSignals::take`] has taken.
#[derive(Clone, Copy)]
pub(crate) struct TakenSignal {
    pub(crate) signal: i32,
    /// True if the kernel sent the signal, as for Ctrl-C at the terminal. Such a signal reaches the
    /// whole process group.
    pub(crate) is_from_terminal: bool,
}

impl BlockedSignals {
    /// `pthread_sigmask(3)` and `sigaction(2)`, for a process with one thread.
    pub(crate) fn new(signals: &[i32]) -> BlockedSignals {
        let action = |signal| SignalAction::of(signal).expect("the signal exists");
        let is_ignored = |signal| action(signal).is(libc::SIG_IGN);
        let ignored = signals.iter().copied().filter(|signal| is_ignored(*signal)).collect();
        let set = signal_set(&[signals, &[libc::SIGCHLD]].concat());
        let old_mask = exchange_mask(libc::SIG_BLOCK, &set);
        let old_child_action = action(libc::SIGCHLD);
        let _ = old_child_action.as_plain_default().set(); // the signal exists
        BlockedSignals { set, old_mask, old_child_action, ignored }
    }

    /// `sigpending(2)`: whether any of `signals` is pending.
    pub(crate) fn has_pending(&self, signals: &[i32]) -> bool {
        let mut pending = signal_set(&[]);
        // SAFETY: the kernel writes a set into `pending`, which is alive.
        unsafe { libc::sigpending(&raw mut pending) };
        // SAFETY: the set is initialised.
        signals.iter().any(|signal| unsafe { libc::sigismember(&raw const pending, *signal) == 1 })
    }

    /// `sigtimedwait(2)`: waits at most `timeout` for the next signal and takes it.
    ///
    /// Returns `None` for a signal from the terminal that the process ignores, as under `nohup` or
    /// a shell's `&`. The same signal from another process is returned, because its sender means
    /// this process.
    pub(crate) fn take(&self, timeout: Duration) -> Option<TakenSignal> {
        let taken = self.wait(timeout)?;
        let is_heeded = !taken.is_from_terminal || !self.ignored.contains(&taken.signal);
        is_heeded.then_some(taken)
    }

    /// Takes all pending signals and discards them.
    pub(crate) fn discard_pending(&self) {
        while self.wait(Duration::ZERO).is_some() {}
    }

    fn wait(&self, timeout: Duration) -> Option<TakenSignal> {
        let timeout = libc::timespec {
            tv_sec: libc::time_t::try_from(timeout.as_secs()).unwrap_or(libc::time_t::MAX),
            tv_nsec: timeout.subsec_nanos().into(),
        };
        // SAFETY: all zeros is a valid `siginfo_t`.
        let mut info: libc::siginfo_t = unsafe { mem::zeroed() };
        // SAFETY: the set, `info` and `timeout` live for the call.
        let signal =
            unsafe { libc::sigtimedwait(&raw const self.set, &raw mut info, &raw const timeout) };
        let is_from_terminal = info.si_code == libc::SI_KERNEL;
        (signal > 0).then_some(TakenSignal { signal, is_from_terminal })
    }
}

impl Drop for BlockedSignals {
    fn drop(&mut self) {
        let _ = self.old_child_action.set(); // as it was
        exchange_mask(libc::SIG_SETMASK, &self.old_mask);
    }
}

/// `fcntl(2)` with `F_DUPFD_CLOEXEC`: copies a descriptor to a number that is at least `least`.
pub(crate) fn duplicate_from(fd: BorrowedFd<'_>, least: RawFd) -> io::Result<OwnedFd> {
    Ok(rustix::io::fcntl_dupfd_cloexec(fd, least)?)
}

/// Passes `fds` to a command's program as its descriptors `first`, `first + 1`, and so on.
///
/// A spawn after `fds` is dropped passes nothing.
///
/// Every number in `fds` must be at least `first + fds.len()`, so that no copy overwrites a
/// descriptor that is still to be copied.
pub(crate) fn give_descriptors(
    command: &mut std::process::Command,
    fds: &Arc<Vec<OwnedFd>>,
    first: RawFd,
) {
    let fds = Arc::downgrade(fds);
    let give = move || {
        let Some(fds) = fds.upgrade() else { return Ok(()) }; // dropped after an earlier spawn
        for (fd, number) in fds.iter().zip(first..) {
            // SAFETY: the call takes integers.
            check(unsafe { libc::dup2(fd.as_raw_fd(), number) })?;
        }
        Ok(())
    };
    // SAFETY: in the child, the closure changes an atomic reference count and calls `dup2`, which
    // is async-signal-safe. It neither allocates nor frees: the caller holds another reference to
    // `fds`, so the reference that `upgrade` takes is never the last.
    unsafe { command.pre_exec(give) };
}

/// `statx(2)`: returns the device and the inode of the file that is open under a descriptor number.
pub(crate) fn identity(number: RawFd) -> io::Result<(u64, u64)> {
    // SAFETY: `from_raw_fd` wants an open descriptor that belongs to the file, because its drop closes
    // it. This file is never dropped, and only reads metadata, which fails if the number is not open.
    let file = ManuallyDrop::new(unsafe { File::from_raw_fd(number) });
    let metadata = file.metadata()?;
    Ok((metadata.dev(), metadata.ino()))
}

/// Takes over inherited descriptors by their numbers, all or none, and makes them close-on-exec.
///
/// The caller makes sure that this process was started with these descriptors, and that no two
/// calls run at the same time.
///
/// # Errors
/// Those of `fcntl(2)` for a descriptor that is not open. `InvalidData` for a close-on-exec
/// descriptor, which this process has opened later: a descriptor that came through `execve(2)` is
/// never close-on-exec, and every descriptor that std opens is.
pub(crate) fn adopt_inherited(numbers: Range<RawFd>) -> io::Result<Vec<OwnedFd>> {
    for number in numbers.clone() {
        if descriptor_flags(number, libc::F_GETFD, 0)? & libc::FD_CLOEXEC != 0 {
            let text = format!("this process was not started with its descriptor {number}");
            return Err(io::Error::new(io::ErrorKind::InvalidData, text));
        }
    }
    let adopt = |number| {
        descriptor_flags(number, libc::F_SETFD, libc::FD_CLOEXEC)?;
        // SAFETY: the descriptor must be open and have no owner. It is open, because the call above
        // succeeded. No part of this program owns it: the process was started with it, as the
        // caller makes sure. The missing close-on-exec flag confirms this, because every descriptor
        // that std opens has the flag. If an earlier call of this function had taken the
        // descriptor, that call would have set the flag, and the check above would have failed.
        Ok(unsafe { OwnedFd::from_raw_fd(number) })
    };
    numbers.map(adopt).collect()
}

/// `fcntl(2)` with `F_GETFD` or `F_SETFD`. Returns an error if no descriptor with this number is
/// open.
fn descriptor_flags(number: RawFd, command: i32, flags: i32) -> io::Result<i32> {
    // SAFETY: the call takes integers.
    check(unsafe { libc::fcntl(number, command, flags) })
}

/// `pidfd_open(2)`, close-on-exec, for a child that has not been waited for.
pub(crate) fn pidfd_open(pid: u32) -> io::Result<OwnedFd> {
    Ok(process::pidfd_open(positive(pid.cast_signed()), PidfdFlags::empty())?)
}

/// `pidfd_send_signal(2)`.
pub(crate) fn pidfd_send_signal(pidfd: BorrowedFd<'_>, signal: i32) -> io::Result<()> {
    let none = std::ptr::null::<libc::siginfo_t>();
    // SAFETY: a null `siginfo_t` is allowed: the call then acts as kill(2).
    let result =
        unsafe { libc::syscall(libc::SYS_pidfd_send_signal, pidfd.as_raw_fd(), signal, none, 0) };
    check(i32::try_from(result).expect("0 or -1"))?;
    Ok(())
}

pub(super) fn check(result: i32) -> io::Result<i32> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}
