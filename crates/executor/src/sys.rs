//! Every system call of this crate: those about signals.

#![allow(unsafe_code, reason = "system calls are made here and nowhere else in this crate")]

use std::io;
use std::mem::MaybeUninit;
use std::ptr;

use libc::c_int;

/// Tells whether a signal has its default action now.
pub(crate) fn has_default_action(signal: c_int) -> io::Result<bool> {
    Ok(action_of(signal)?.sa_sigaction == libc::SIG_DFL)
}

/// Lets the kernel do with a signal what it does when nobody handles it. To be called by its handler.
///
/// The default action is put in force, the signal is sent to this thread, and let through at this point: most end the process
/// here, some stop it, some do nothing. If it is still there, or there again, the handler is put back: the kernel spares the first
/// process of a container.
pub(crate) fn act_by_default(signal: c_int) {
    let Ok(handler) = action_of(signal) else { return };
    let mut default = handler;
    default.sa_sigaction = libc::SIG_DFL;
    set_action(signal, &default);
    // SAFETY: takes no pointer. The signal waits, since it is blocked while its handler runs.
    unsafe { libc::raise(signal) };
    let only_this = set_of(signal);
    set_mask(libc::SIG_UNBLOCK, &only_this);
    set_mask(libc::SIG_BLOCK, &only_this);
    set_action(signal, &handler);
}

/// `sigaction(2)`, which a signal handler may call: the current action.
fn action_of(signal: c_int) -> io::Result<libc::sigaction> {
    let mut action = MaybeUninit::<libc::sigaction>::uninit();
    // SAFETY: the null pointer asks for no change; the kernel writes the current action into the place.
    let result = unsafe { libc::sigaction(signal, ptr::null(), action.as_mut_ptr()) };
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the call has succeeded, so the action was written.
    Ok(unsafe { action.assume_init() })
}

/// `sigaction(2)`, which a signal handler may call.
fn set_action(signal: c_int, action: &libc::sigaction) {
    // SAFETY: `action` is the default one, or one that the kernel has given out; the null pointer asks for no old one.
    unsafe { libc::sigaction(signal, action, ptr::null_mut()) };
}

fn set_of(signal: c_int) -> libc::sigset_t {
    let mut set = MaybeUninit::uninit();
    // SAFETY: writes a whole `sigset_t` into the place.
    unsafe { libc::sigemptyset(set.as_mut_ptr()) };
    // SAFETY: the set is initialised.
    unsafe { libc::sigaddset(set.as_mut_ptr(), signal) };
    // SAFETY: as above.
    unsafe { set.assume_init() }
}

/// `pthread_sigmask(3)`, which a signal handler may call.
fn set_mask(how: c_int, set: &libc::sigset_t) {
    // SAFETY: `set` is initialised, and the null pointer asks for no old mask.
    unsafe { libc::pthread_sigmask(how, set, ptr::null_mut()) };
}
