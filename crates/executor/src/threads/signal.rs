//! Signals as streams.
//!
//! ```text
//!   the handler, on any thread          the loop                         a stream
//!   pending |= 1 << (signal - 1)  ──▶   at its next ask of the kernel: ──▶ pending &= !bit
//!   ring the inbox                      wakes those with something         gives the signal out
//!                                       pending
//! ```
//!
//! The handler does two atomic operations and, if the loop sleeps, one `write`: no lock, no allocation, and `errno` is kept by
//! signal-hook-registry, which installs it and chains to whatever handler was there before.

#![allow(unsafe_code, reason = "what a signal handler may do is a promise that no type makes")]

use std::fmt;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::rc::{Rc, Weak};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::task::{Context, Poll};

use futures_core::Stream;
use libc::c_int;
use signal_hook_registry::{FORBIDDEN, SigId};
use squall_reactor::Process;

use crate::current;
use crate::error::LoopClosed;
use crate::loop_core::Core;
use crate::threads::signal_listener::SignalListener;
use crate::{sync, sys};

pub use libc::{
    SIGALRM, SIGCHLD, SIGCONT, SIGHUP, SIGINT, SIGIO, SIGPIPE, SIGQUIT, SIGTERM, SIGTSTP, SIGTTIN,
    SIGTTOU, SIGURG, SIGUSR1, SIGUSR2, SIGWINCH,
};

/// Waits for the next `SIGINT`, which Ctrl-C sends, counted from the first poll.
///
/// While nobody waits, Ctrl-C ends the process as ever, so a second one helps if the shutdown that the first began hangs.
///
/// ```no_run
/// use squall_executor::{block_on, signal};
///
/// block_on(async {
///     println!("waiting for Ctrl-C");
///     signal::ctrl_c().await
/// })?;
/// # std::io::Result::Ok(())
/// ```
///
/// # Errors
/// As [`Signals::new`]; [`LoopClosed`] if the loop ends first.
///
/// # Panics
/// If there is no loop on this thread.
pub async fn ctrl_c() -> io::Result<()> {
    let signal = Signals::new([SIGINT])?.next().await;
    signal.map(drop).ok_or(LoopClosed.into())
}

/// A stream of the signals that the process gets. Tornado: `add_callback_from_signal`.
///
/// As long as a stream of a signal lives, on whatever loop, its default action is off; with the last one's end it is back in
/// force: squall's handler stays, and lets the kernel act whenever no stream listens. That looks at squall's streams only: who listens
/// to the same signal by other means should keep a stream of it. A signal that had another action before keeps that, ignored
/// ones too, except that programs which are started from here do not inherit the ignoring.
///
/// Every stream gets every signal. Signals of one kind that come faster than they are taken are one, as with the kernel
/// itself. A forked child has none of its parent's streams: there they end at once.
///
/// ```
/// use squall_executor::{block_on, signal::{SIGHUP, SIGTERM, Signals}};
///
/// block_on(async {
///     let mut signals = Signals::new([SIGTERM, SIGHUP])?;
///     # unsafe { libc::raise(SIGHUP) };
///     match signals.next().await {
///         Some(SIGHUP) => println!("reloading"),
///         _ => println!("ending"),
///     }
///     std::io::Result::Ok(())
/// })?;
/// # std::io::Result::Ok(())
/// ```
///
/// # Cancel safety
/// Cancel safe: a signal that was not given out stays.
pub struct Signals {
    listener: Rc<SignalListener>,
    core: Weak<Core>,
    process: Process,
    actions: Vec<(c_int, SigId)>,
}

impl Signals {
    /// Listens to these signals, from now on and on this thread's loop.
    ///
    /// # Errors
    /// - `InvalidInput`: a number that is no signal, or one of `SIGKILL`, `SIGSTOP`, `SIGSEGV`, `SIGILL` and `SIGFPE`.
    /// - in a forked child on its parent's loop; those of `sigaction(2)`.
    ///
    /// # Panics
    /// If there is no loop on this thread.
    #[track_caller]
    pub fn new(signals: impl IntoIterator<Item = c_int>) -> io::Result<Signals> {
        let core = current::get();
        core.check_process()?;
        let shared = sync::Arc::clone(core.scheduler.shared());
        let listener = Rc::new(SignalListener::new(shared));
        let process = Process::current()?;
        let mut stream =
            Signals { listener, core: Rc::downgrade(&core), process, actions: Vec::new() };
        for signal in signals {
            stream.add(signal)?; // on an error the drop takes back what was done
        }
        core.signal_listeners.borrow_mut().push(Rc::clone(&stream.listener));
        Ok(stream)
    }

    fn add(&mut self, signal: c_int) -> io::Result<()> {
        if !(1..=64).contains(&signal) || FORBIDDEN.contains(&signal) {
            let what = format!("signal {signal} does not exist or cannot be handled");
            return Err(io::Error::new(io::ErrorKind::InvalidInput, what));
        }
        DEFAULTS.install(signal)?;
        let pending = self.listener.pending();
        // SAFETY: the action may be run by a signal handler: it does two atomic operations and at most writes an eventfd. It
        // is dropped by `unregister`, outside of handlers.
        let action =
            unsafe { signal_hook_registry::register(signal, move || pending.add(signal)) }?;
        self.actions.push((signal, action));
        DEFAULTS.listen(signal, self.process);
        Ok(())
    }

    /// Waits for a signal; `None`: the loop of this stream is gone.
    pub async fn next(&mut self) -> Option<c_int> {
        poll_fn(|cx| self.poll_signal(cx)).await
    }

    fn poll_signal(&self, cx: &mut Context<'_>) -> Poll<Option<c_int>> {
        if !self.process.is_current() {
            return Poll::Ready(None); // what is pending is the parent's
        }
        if let Some(signal) = self.listener.take_signal() {
            return Poll::Ready(Some(signal));
        }
        if self.core.upgrade().is_none_or(|core| core.scheduler.is_closed()) {
            return Poll::Ready(None);
        }
        self.listener.set_waker(cx.waker());
        // What came since the first look has rung the loop, but the listener may have had no waker then.
        self.listener.take_signal().map_or(Poll::Pending, |signal| Poll::Ready(Some(signal)))
    }
}

impl Stream for Signals {
    type Item = c_int;

    /// Ends with the loop.
    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<c_int>> {
        self.poll_signal(cx)
    }
}

impl Drop for Signals {
    fn drop(&mut self) {
        // In a forked child the bell rings for nobody, and the registry may have been copied in the middle of something.
        if self.process.is_current() {
            for (signal, action) in self.actions.drain(..) {
                DEFAULTS.leave(signal, self.process);
                signal_hook_registry::unregister(action);
            }
        }
        if let Some(core) = self.core.upgrade() {
            core.signal_listeners.borrow_mut().retain(|known| !Rc::ptr_eq(known, &self.listener));
        }
        drop(self.listener.take_waker());
    }
}

impl fmt::Debug for Signals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let signals = self.actions.iter().map(|(signal, _)| signal);
        f.debug_list().entries(signals).finish()
    }
}

/// Puts the default action of a signal in force whenever nobody listens to it.
///
/// A handler, once installed, stays: signal-hook-registry does not take it back, since others may have chained theirs to it. So each
/// signal's handler gets one more action, which looks whether there are listeners and lets the kernel act if not.
static DEFAULTS: Defaults = Defaults {
    installed: Mutex::new([false; 65]),
    listeners: [const { AtomicU64::new(0) }; 65],
    replaced: [const { AtomicBool::new(false) }; 65],
};

struct Defaults {
    installed: Mutex<[bool; 65]>,
    /// How many streams listen to a signal, and above bit 32 in which process: a forked child has none of its parent's.
    listeners: [AtomicU64; 65],
    /// Whether the default action is what our handler has replaced, and not somebody's own.
    replaced: [AtomicBool; 65],
}

impl Defaults {
    fn install(&'static self, signal: c_int) -> io::Result<()> {
        let mut installed = self.installed.lock().unwrap_or_else(PoisonError::into_inner);
        if !installed[index(signal)] {
            let is_default = sys::has_default_action(signal)?;
            self.replaced[index(signal)].store(is_default, Ordering::Relaxed);
            // SAFETY: the action may be run by a signal handler: it reads atomics, and `act_by_default` is made for one.
            unsafe { signal_hook_registry::register(signal, move || self.act(signal)) }?;
            installed[index(signal)] = true;
        }
        Ok(())
    }

    /// Safe in a signal handler.
    fn act(&self, signal: c_int) {
        let word = self.listeners[index(signal)].load(Ordering::Relaxed);
        let is_heard = word & COUNT != 0 && word & !COUNT == Process::forks_now() << 32;
        if !is_heard && self.replaced[index(signal)].load(Ordering::Relaxed) {
            sys::act_by_default(signal);
        }
    }

    fn listen(&self, signal: c_int, process: Process) {
        self.change(signal, process, |count| count + 1);
    }

    /// To be called in the process that listens.
    fn leave(&self, signal: c_int, process: Process) {
        self.change(signal, process, |count| count - 1);
    }

    fn change(&self, signal: c_int, process: Process, change: impl Fn(u64) -> u64) {
        let stamp = process.forks() << 32;
        let changed = |word: u64| {
            let count = if word & !COUNT == stamp { word & COUNT } else { 0 };
            Some(stamp | change(count))
        };
        let _ = self.listeners[index(signal)].fetch_update(
            Ordering::Relaxed,
            Ordering::Relaxed,
            changed,
        );
    }
}

/// The half of a `listeners` word that counts.
const COUNT: u64 = u32::MAX as u64;

fn index(signal: c_int) -> usize {
    usize::try_from(signal).expect("signals are positive")
}
