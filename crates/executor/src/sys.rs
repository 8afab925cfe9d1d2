//! The system calls of this crate: about signals, and the reading of the clock.

#![allow(unsafe_code, reason = "system calls are made here and nowhere else in this crate")]

use std::io;
use std::mem;
use std::ptr;

use libc::c_int;

/// `clock_gettime(2)` with `CLOCK_MONOTONIC`, in nanoseconds since the machine was started.
#[inline]
pub(crate) fn monotonic_nanos() -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is a live, writable `timespec`. The call cannot fail: every Linux has the clock.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut time) };
    (time.tv_sec * 1_000_000_000 + time.tv_nsec).cast_unsigned()
}

/// Whether a signal has its default action now.
pub(crate) fn has_default_action(signal: c_int) -> io::Result<bool> {
    Ok(SignalAction::of(signal)?.is(libc::SIG_DFL))
}

/// Applies the default action of a signal. Only the signal's own handler may call this.
///
/// Sets the default action, sends the signal to this thread and unblocks it, so that the kernel
/// acts at this point. Most signals end the process here, some stop it, and some do nothing. If the
/// process goes on or is continued, the handler is restored. The first process of a container
/// always goes on, because the kernel spares it.
pub(crate) fn act_by_default(signal: c_int) {
    let Ok(handler) = SignalAction::of(signal) else { return };
    let _ = handler.as_default().set(); // cannot fail: the signal was valid above
    // SAFETY: `raise` takes no pointer. The signal stays pending, because it is blocked while its
    // handler runs.
    unsafe { libc::raise(signal) };
    let set = signal_set(&[signal]);
    exchange_mask(libc::SIG_UNBLOCK, &set);
    exchange_mask(libc::SIG_BLOCK, &set);
    let _ = handler.set(); // as above
}

/// An action that a signal had once, or its default action.
#[derive(Clone, Copy)]
#[expect(missing_debug_implementations, reason = "it is not part of the documented API")]
pub struct SignalAction {
    signal: c_int,
    action: libc::sigaction,
}

impl SignalAction {
    /// `sigaction(2)`, which a signal handler may call. Returns the action of a signal.
    ///
    /// # Errors
    /// `InvalidInput`: there is no such signal.
    pub fn of(signal: c_int) -> io::Result<SignalAction> {
        exchange_action(signal, None)
    }

    /// Whether the action is `SIG_DFL` or `SIG_IGN`, as given.
    pub fn is(&self, action: libc::sighandler_t) -> bool {
        self.action.sa_sigaction == action
    }

    /// The signal's default action, with the flags of this one.
    pub fn as_default(mut self) -> SignalAction {
        self.action.sa_sigaction = libc::SIG_DFL;
        self
    }

    /// The signal's default action, without flags.
    pub fn as_plain_default(mut self) -> SignalAction {
        self.action.sa_flags = 0;
        self.as_default()
    }

    /// `sigaction(2)`, which a signal handler may call. Makes this the action of its signal, and
    /// returns the former one. A handler must still be part of the program.
    ///
    /// # Errors
    /// `InvalidInput`: the action of this signal cannot be changed.
    pub fn set(&self) -> io::Result<SignalAction> {
        exchange_action(self.signal, Some(self))
    }
}

fn exchange_action(signal: c_int, action: Option<&SignalAction>) -> io::Result<SignalAction> {
    let mut former = libc::sigaction {
        sa_sigaction: libc::SIG_DFL,
        sa_mask: signal_set(&[]),
        sa_flags: 0,
        sa_restorer: None,
    };
    let action = action.map_or(ptr::null(), |action| ptr::from_ref(&action.action));
    // SAFETY: `action` is null, which sets nothing, or points to an action that the kernel returned,
    // with its handler or with the default: `SignalAction` has no other. `former` is alive.
    let result = unsafe { libc::sigaction(signal, action, &raw mut former) };
    if result < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(SignalAction { signal, action: former })
    }
}

/// Unblocks a signal for this thread, which may have inherited it as blocked.
pub(crate) fn unblock(signal: c_int) {
    exchange_mask(libc::SIG_UNBLOCK, &signal_set(&[signal]));
}

/// The set of these signals. A signal handler may call this.
pub fn signal_set(signals: &[c_int]) -> libc::sigset_t {
    // SAFETY: on Linux, a signal set is a bit mask, and all zeros is the empty set.
    let mut set = unsafe { mem::zeroed() };
    for signal in signals {
        // SAFETY: the set is alive and initialised.
        unsafe { libc::sigaddset(&raw mut set, *signal) };
    }
    set
}

/// `pthread_sigmask(3)`, which a signal handler may call: changes this thread's mask of blocked
/// signals, and returns the former one.
pub fn exchange_mask(how: c_int, set: &libc::sigset_t) -> libc::sigset_t {
    let mut former = signal_set(&[]);
    // SAFETY: both sets are initialised and alive.
    unsafe { libc::pthread_sigmask(how, set, &raw mut former) };
    former
}
