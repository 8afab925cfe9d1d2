//! Every system call of this crate: those about signals.

#![allow(unsafe_code, reason = "system calls are made here and nowhere else in this crate")]

use std::io;
use std::mem;
use std::ptr;

use libc::c_int;

/// Tells whether a signal has its default action now.
pub(crate) fn has_default_action(signal: c_int) -> io::Result<bool> {
    Ok(exchange_action(signal, None)?.sa_sigaction == libc::SIG_DFL)
}

/// Lets the kernel do with a signal what it does when nobody handles it. To be called by its handler.
///
/// The default action is put in force, the signal is sent to this thread, and let through at this point: most end the process
/// here, some stop it, some do nothing. If it is still there, or there again, the handler is put back: the kernel spares the first
/// process of a container.
pub(crate) fn act_by_default(signal: c_int) {
    let Ok(handler) = exchange_action(signal, None) else { return };
    let mut default = handler;
    default.sa_sigaction = libc::SIG_DFL;
    let _ = exchange_action(signal, Some(&default)); // it cannot fail: the signal was valid above
    // SAFETY: takes no pointer. The signal waits, since it is blocked while its handler runs.
    unsafe { libc::raise(signal) };
    let only_this = set_of(signal);
    set_mask(libc::SIG_UNBLOCK, &only_this);
    set_mask(libc::SIG_BLOCK, &only_this);
    let _ = exchange_action(signal, Some(&handler)); // as above
}

/// `sigaction(2)`, which a signal handler may call: sets the action of a signal, if one is given, and returns the one before.
fn exchange_action(signal: c_int, action: Option<&libc::sigaction>) -> io::Result<libc::sigaction> {
    // SAFETY: all zeros is a valid `sigaction`.
    let mut former = unsafe { mem::zeroed() };
    let action = action.map_or(ptr::null(), ptr::from_ref);
    // SAFETY: `action` is null, which sets nothing, or the default action, or one that the kernel gave out. `former` is alive.
    let result = unsafe { libc::sigaction(signal, action, &raw mut former) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(former) }
}

/// Lets this thread receive a signal, which it may have inherited as blocked.
pub(crate) fn unblock(signal: c_int) {
    set_mask(libc::SIG_UNBLOCK, &set_of(signal));
}

fn set_of(signal: c_int) -> libc::sigset_t {
    // SAFETY: a set is a mask of bits in Linux, and all zeros is the empty one.
    let mut set = unsafe { mem::zeroed() };
    // SAFETY: the set is alive and initialised.
    unsafe { libc::sigaddset(&raw mut set, signal) };
    set
}

/// `pthread_sigmask(3)`, which a signal handler may call.
fn set_mask(how: c_int, set: &libc::sigset_t) {
    // SAFETY: `set` is initialised, and the null pointer asks for no old mask.
    unsafe { libc::pthread_sigmask(how, set, ptr::null_mut()) };
}
