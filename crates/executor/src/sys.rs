//! Every system call of this crate: those about signals.

#![allow(unsafe_code, reason = "system calls are made here and nowhere else in this crate")]

use std::io;
use std::mem::MaybeUninit;
use std::ptr;

use libc::c_int;

/// `pthread_sigmask(3)`: lets no signal interrupt this thread.
pub(crate) fn block_all_signals() {
    let mut all = MaybeUninit::uninit();
    // SAFETY: `sigfillset` writes a whole `sigset_t` into the place, and fails only for a bad pointer.
    unsafe { libc::sigfillset(all.as_mut_ptr()) };
    // SAFETY: `all` is initialised, the null pointer asks for no former mask, and the call fails only for an unknown act.
    unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, all.as_ptr(), ptr::null_mut()) };
}

/// `sigaction(2)`: tells whether a signal has its default action now.
pub(crate) fn has_default_action(signal: c_int) -> io::Result<bool> {
    let mut action = MaybeUninit::<libc::sigaction>::uninit();
    // SAFETY: the null pointer asks for no change; the kernel writes the current action into the place.
    let result = unsafe { libc::sigaction(signal, ptr::null(), action.as_mut_ptr()) };
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the call has succeeded, so the action was written.
    Ok(unsafe { action.assume_init() }.sa_sigaction == libc::SIG_DFL)
}

/// Does what the kernel would do with a signal that nobody handles. To be called by its handler.
pub(crate) fn act_by_default(signal: c_int) {
    match signal {
        libc::SIGCHLD | libc::SIGCONT | libc::SIGURG | libc::SIGWINCH => {}
        libc::SIGTSTP | libc::SIGTTIN | libc::SIGTTOU => raise(libc::SIGSTOP),
        _ => {
            // SAFETY: the default action takes no function, and both calls may be made by a signal handler.
            unsafe { libc::signal(signal, libc::SIG_DFL) };
            // Blocked while its handler runs, it comes when that returns, and ends the process.
            raise(signal);
        }
    }
}

fn raise(signal: c_int) {
    // SAFETY: takes no pointer, and may be called by a signal handler.
    unsafe { libc::raise(signal) };
}
