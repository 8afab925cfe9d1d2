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
    Ok(exchange_action(signal, None)?.sa_sigaction == libc::SIG_DFL)
}

/// Applies the default action of a signal. Only the signal's own handler may call this.
///
/// Sets the default action, sends the signal to this thread and unblocks it, so that the kernel
/// acts at this point. Most signals end the process here, some stop it, and some do nothing. If the
/// process goes on or is continued, the handler is restored. The first process of a container
/// always goes on, because the kernel spares it.
pub(crate) fn act_by_default(signal: c_int) {
    let Ok(handler) = exchange_action(signal, None) else { return };
    let mut default = handler;
    default.sa_sigaction = libc::SIG_DFL;
    let _ = exchange_action(signal, Some(&default)); // cannot fail: the signal was valid above
    // SAFETY: `raise` takes no pointer. The signal stays pending, because it is blocked while its
    // handler runs.
    unsafe { libc::raise(signal) };
    let set = set_of(signal);
    set_mask(libc::SIG_UNBLOCK, &set);
    set_mask(libc::SIG_BLOCK, &set);
    let _ = exchange_action(signal, Some(&handler)); // as above
}

/// `sigaction(2)`, which a signal handler may call. Sets the action of a signal, if `action` is
/// given, and returns the previous action.
fn exchange_action(signal: c_int, action: Option<&libc::sigaction>) -> io::Result<libc::sigaction> {
    let mut previous = libc::sigaction {
        sa_sigaction: libc::SIG_DFL,
        sa_mask: empty_set(),
        sa_flags: 0,
        sa_restorer: None,
    };
    let action = action.map_or(ptr::null(), ptr::from_ref);
    // SAFETY: `action` is null, which sets nothing, or points to the default action, or to an
    // action that the kernel returned. `previous` is alive.
    let result = unsafe { libc::sigaction(signal, action, &raw mut previous) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(previous) }
}

/// Unblocks a signal for this thread, which may have inherited it as blocked.
pub(crate) fn unblock(signal: c_int) {
    set_mask(libc::SIG_UNBLOCK, &set_of(signal));
}

fn empty_set() -> libc::sigset_t {
    // SAFETY: on Linux, a signal set is a bit mask, and all zeros is the empty set.
    unsafe { mem::zeroed() }
}

/// A set of this one signal.
fn set_of(signal: c_int) -> libc::sigset_t {
    let mut set = empty_set();
    // SAFETY: the set is alive and initialised.
    unsafe { libc::sigaddset(&raw mut set, signal) };
    set
}

/// `pthread_sigmask(3)`, which a signal handler may call.
fn set_mask(how: c_int, set: &libc::sigset_t) {
    // SAFETY: `set` is initialised. The null pointer means that the old mask is not returned.
    unsafe { libc::pthread_sigmask(how, set, ptr::null_mut()) };
}
